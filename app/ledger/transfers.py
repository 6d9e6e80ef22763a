"""Moving money for who has locked and decided: the wallet's batches, hundreds of transfers at a time.

`operations.post` looks keys up and decides. Here that was done by the caller, who keeps the keys and the
answers of its own operations; what is written is the same, by the same function of the database.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from app.ledger import chart
from app.ledger.model import AccountName, Movement
from app.ledger.rules import UndeclaredMovement
from app.plumbing.database import arrays

__all__ = ["Move", "hold_moved", "move", "move_arguments", "move_call", "open_accounts"]

# migrations/sql/ledger_journal.sql and ledger_places.sql
_OPEN: Final = "SELECT ledger_open($1, $2, $3, $4, $5, $6)"
_HOLD: Final = """
INSERT INTO hold (site_id, transfer_id, player_id, amount_minor, currency, placed_at)
SELECT t.site_id, t.transfer_id, x.player_id, t.amount_minor, t.currency, t.recorded_at
  FROM unnest($3::text[], $4::text[]) AS x (key, player_id)
  JOIN transfer t ON t.site_id = $1 AND t.source = $2 AND t.key = x.key
"""
# sources, actors, outcomes, fingerprints, currencies, keys, kinds, amounts, source_ids, target_ids, reasons
_KINDS: Final = (*("text",) * 3, "bytea", *("text",) * 3, *("bigint",) * 3, "text")


class Move(NamedTuple):
    """Money that goes from one account to another, as it was decided.

    Args:
        movement: one of `chart`.
        amount_minor: 1 to 10**15 minor units.
        currency: that of both accounts.
        source_account_id, target_account_id: from `open_accounts`, of the movement's purposes.
        key: unique for ever within its source; 1-128 characters.
        because: what caused it, e.g. the id of the wallet's operation.
    """

    movement: Movement
    amount_minor: int
    currency: str
    source_account_id: int
    target_account_id: int
    key: str
    because: str


async def open_accounts(
    raw: Any,  # noqa: ANN401  asyncpg has no types
    site_id: int,
    names: Sequence[AccountName],
    *,
    at: datetime,
) -> dict[AccountName, int]:
    """Open the accounts that do not exist yet, empty; none is locked.

    Args:
        raw: a connection inside the caller's transaction.
        site_id: whose accounts.
        names: which.
        at: this instant; those that exist keep theirs.

    Returns:
        the ids of all of them.
    """
    ids = await raw.fetchval(
        _OPEN,
        site_id,
        [name.owner for name in names],
        [name.purpose.value for name in names],
        [name.currency for name in names],
        [name.purpose.floor_minor for name in names],
        at,
    )
    return dict(zip(names, ids, strict=True))


async def move(
    raw: Any,  # noqa: ANN401  asyncpg has no types
    site_id: int,
    moves: Sequence[Move],
    *,
    source: str,
    actor: str,
    at: datetime,
) -> datetime:
    """Write posted transfers, in their order, with their entries and balances.

    The caller has locked every account with a floor (by `ledger_lock`, all by one call) and decided that the
    money is there; accounts without one are locked here. A key used before, an amount out of bounds, an
    account of another currency, purpose or site, and a balance under its floor are errors of the database.

    Args:
        raw: a connection inside the caller's transaction.
        site_id: whose accounts and keys.
        moves: one or many.
        source: the namespace of the keys.
        actor: who asked, for the sealed record.
        at: this instant.

    Returns:
        the instant they are recorded at: `at`, or later when an account has moved later, as another machine's
        clock says. On each account the recorded instants never go back.

    Raises:
        UndeclaredMovement: a movement that `chart` does not declare; nothing is written.
    """
    if not moves:
        return at
    arguments = move_arguments(moves, source=source, actor=actor)
    recorded_at: datetime = await raw.fetchval(f"SELECT {move_call(3)}", site_id, at, *arguments)
    return recorded_at


def move_call(first: int) -> str:
    """The call that `move` makes, for who has more to write in the same statement.

    Args:
        first: the number of its first placeholder; $1 is the site and $2 the instant.
    """
    return f"(ledger_write($1, $2, {arrays.placed(_KINDS, first)})).recorded_at"


def move_arguments(moves: Sequence[Move], *, source: str, actor: str) -> list[str]:
    """What the placeholders of `move_call` stand for.

    Raises:
        UndeclaredMovement: a movement that `chart` does not declare.
    """
    movements, amounts, currencies, sources, targets, keys, reasons = zip(*moves, strict=True)
    for movement in {id(one): one for one in movements}.values():
        if chart.MOVEMENTS.get(movement.kind) != movement:
            raise UndeclaredMovement(movement.kind)
    columns = (
        *(
            (source,),
            (actor,),
            ("posted",),
            (b"",),
            currencies[:1] if len(set(currencies)) == 1 else currencies,
        ),
        *(keys, [movement.kind for movement in movements], amounts, sources, targets, reasons),
    )
    return arrays.written(_KINDS, columns)


async def hold_moved(
    raw: Any,  # noqa: ANN401  asyncpg has no types
    site_id: int,
    source: str,
    moved: Mapping[str, str],
) -> None:
    """Make holds of what was moved from players' cash to what is held; they never expire.

    Args:
        raw: a connection inside the transaction that moved it.
        site_id: whose accounts and keys.
        source: the namespace of the keys.
        moved: by the key of each transfer, whose money it is.
    """
    await raw.execute(_HOLD, site_id, source, list(moved), list(moved.values()))
