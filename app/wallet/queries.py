"""What is true of wallets: their operations, rounds and sessions, and what a site has decided.

Reads only; each names its site. Amounts are minor units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, Select, and_, case, exists, false, select

from app import ledger, players
from app.plumbing.database import Reader, Transaction
from app.wallet.tables import operations, policies, rounds, sessions, wallets
from app.wallet.terms import (
    Code,
    Operation,
    OperationKey,
    Policy,
    Round,
    RoundKey,
    RoundState,
    Type,
    Wallet,
)

__all__ = [
    "SOURCES",
    "Purse",
    "Session",
    "found_operations",
    "has_open_round",
    "is_reversed",
    "lock_wallets",
    "operation_by_id",
    "operation_by_key",
    "operation_of",
    "policies_of",
    "policy_of",
    "purses",
    "round_of",
    "select_operations",
    "session_of",
    "told_policies",
    "wallet_of",
    "with_player",
]

_DEFAULTS: Final = {field.name: field.default for field in fields(Policy)}
# Every namespace of ids: operators, game platforms, money that other rooms moved, people at the desk.
SOURCES: Final = ("operator", "game", "cashier", "desk")
# migrations/sql/ledger_journal.sql
_LOCK: Final = "SELECT account_id FROM ledger_lock($1, $2)"


@dataclass(frozen=True, slots=True)
class Purse:
    """What a player has in one currency, for who looks on; minor units, nothing locked.

    Args:
        wallet_id: 0: only the cashier has credited the player so far; the wallet opens when it is needed.
    """

    wallet_id: int
    player_id: str
    currency: str
    sequence: int
    cash: int
    bonus: int
    held: int
    debt: int

    @property
    def is_open(self) -> bool:
        """Whether there is a wallet by now."""
        return self.wallet_id > 0

    @property
    def balance(self) -> int:
        """What can be played with: cash and bonus."""
        return self.cash + self.bonus

    @property
    def withdrawable(self) -> int:
        """What can leave: cash, less what is owed, which the next operation collects."""
        return max(0, self.cash - self.debt)


@dataclass(frozen=True, slots=True)
class Session:
    """One game session; `final_balance` in minor units, once it has ended."""

    session_id: str
    wallet_id: int
    player_id: str
    currency: str
    provider: str
    game: str
    language: str
    return_url: str
    launched_at: datetime
    opened_at: datetime | None
    expires_at: datetime
    ended_at: datetime | None
    final_balance: int | None


async def told_policies(reader: Reader, site_id: int) -> dict[str, dict[str, object]]:
    """What a site has decided, by platform (empty: the site itself), as it was written."""
    rows = await reader.all(
        select(policies.c.provider_id, policies.c.policy).where(policies.c.site_id == site_id)
    )
    return {row.provider_id: dict(row.policy) for row in rows}


async def policies_of(reader: Reader, site_id: int) -> dict[str, Policy]:
    """What a site has decided, by platform; the site itself is '' and always there."""
    told = await told_policies(reader, site_id)
    own = told.pop("", {})
    found = {provider: policy_of({**own, **theirs}) for provider, theirs in told.items()}
    return {"": policy_of(own), **found}


def policy_of(told: Mapping[str, object]) -> Policy:
    """A policy from its differences to the defaults; words of another version are left out.

    Raises:
        ValueError: a known word has a value that it cannot have.
    """
    known: dict[str, Any] = {}
    for name, value in told.items():
        default = _DEFAULTS.get(name)
        if default is not None:
            known[name] = type(default)(str(value)) if isinstance(default, StrEnum) else value
    return Policy(**known)


def operation_of(row: Any) -> Operation:  # noqa: ANN401  asyncpg has no types
    """Read a row of `wallet_operation`, of either library."""
    found = _fields(row)
    return Operation(
        operation_id=found["operation_id"],
        key=OperationKey(found["source"], found["within"], found["key"]),
        type=Type(found["type"]),
        code=Code(found["code"]),
        applied=found["applied"],
        fingerprint=found["fingerprint"],
        wallet_id=found["wallet_id"],
        currency=found["currency"],
        amount=found["amount_minor"],
        win=found["win_minor"],
        cash=found["cash_minor"],
        bonus=found["bonus_minor"],
        before=found["balance_before_minor"],
        after=found["balance_after_minor"],
        sequence=found["sequence"],
        reference=found["reference"],
        round_id=found["round_id"],
        provider=found["provider_id"],
        game=found["game_code"],
        session=found["session_id"],
        detail=found["detail"],
        request_id=found["request_id"],
        recorded_at=found["recorded_at"],
    )


def _fields(row: Any) -> Mapping[str, Any]:  # noqa: ANN401  asyncpg has no types
    """A row's fields by name, of either library."""
    found: Mapping[str, Any] = row._asdict() if isinstance(row, Row) else row
    return found


def wallet_of(row: Any, player: str) -> Wallet:  # noqa: ANN401  asyncpg has no types
    """A wallet as `wallet_load` found it: with the money and the versions of its accounts.

    Args:
        row: of `wallet_load`, with a wallet in it.
        player: the site's own id of the player.
    """
    own = row["wallet"]
    return Wallet(
        wallet_id=own["wallet_id"],
        player_id=row["player_id"],
        player=player,
        currency=own["currency"],
        is_blocked=row["status"] != players.PlayerStatus.ACTIVE,
        sequence=own["sequence"],
        cash=row["cash_minor"],
        bonus=row["bonus_minor"],
        cash_account_id=own["cash_account_id"],
        bonus_account_id=own["bonus_account_id"],
        cash_version=row["cash_version"],
        bonus_version=row["bonus_version"],
        debt=row["debt_minor"],
        debt_account_id=own["debt_account_id"],
    )


def round_of(row: Any) -> Round:  # noqa: ANN401  asyncpg has no types
    """Read a row of `wallet_round`, of either library."""
    found = _fields(row)
    return Round(
        key=RoundKey(found["wallet_id"], found["provider_id"], found["round_id"]),
        game=found["game_code"],
        currency=found["currency"],
        state=RoundState(found["state"]),
        is_free=found["is_free"],
        open_bets=found["open_bets"],
        bet=found["bet_minor"],
        win=found["win_minor"],
        reversed=found["reversed_minor"],
        first_sequence=found["first_sequence"],
        last_sequence=found["last_sequence"],
        opened_at=found["opened_at"],
        changed_at=found["changed_at"],
    )


_later = operations.alias("later")
# An applied rollback names it; looked for only where there can be one.
is_reversed: Final = case(
    (
        operations.c.type.in_([Type.BET, Type.WIN, Type.BETWIN]),
        exists().where(
            _later.c.site_id == operations.c.site_id,
            _later.c.source == operations.c.source,
            _later.c.within == operations.c.within,
            _later.c.reference == operations.c.key,
            _later.c.applied,
            _later.c.type.in_([Type.ROLLBACK, Type.REVERSE_WIN]),
        ),
    ),
    else_=false(),
)
_WITH_PLAYER: Final = select(operations, is_reversed.label("is_reversed"), wallets.c.player_id).join(
    wallets,
    and_(wallets.c.site_id == operations.c.site_id, wallets.c.wallet_id == operations.c.wallet_id),
    isouter=True,
)


async def operation_by_key(reader: Reader, site_id: int, key: OperationKey) -> Operation | None:
    """The operation that an id of theirs stands for in its namespace."""
    asked = _WITH_PLAYER.where(
        operations.c.site_id == site_id,
        operations.c.source == key.source,
        operations.c.within == key.within,
        operations.c.key == key.key,
    )
    return next(iter(await found_operations(reader, asked)), None)


async def operation_by_id(reader: Reader, site_id: int, operation_id: str) -> Operation | None:
    """An operation by our id."""
    asked = _WITH_PLAYER.where(operations.c.site_id == site_id, operations.c.operation_id == operation_id)
    return next(iter(await found_operations(reader, asked)), None)


async def found_operations(reader: Reader, asked: Select[Any]) -> list[Operation]:
    """Read operations as `select_operations` asks for them."""
    return [with_player(row) for row in await reader.all(asked)]


def with_player(row: Row[Any]) -> Operation:
    """Read a row as `select_operations` asks for it."""
    operation = operation_of(row)
    operation.is_reversed, operation.player_id = row.is_reversed, row.player_id or ""
    return operation


def select_operations(site_id: int) -> Select[Any]:
    """Operations of a site with whose they are and whether they were taken back; narrow it down."""
    return _WITH_PLAYER.where(operations.c.site_id == site_id)


async def has_open_round(reader: Reader, site_id: int, wallet_id: int) -> bool:
    """Whether a wallet has a round that is not over."""
    row = await reader.first(
        select(rounds.c.round_id)
        .where(
            rounds.c.site_id == site_id, rounds.c.wallet_id == wallet_id, rounds.c.state == RoundState.OPEN
        )
        .limit(1)
    )
    return row is not None


async def purses(reader: Reader, site_id: int, player_id: str) -> dict[str, Purse]:
    """What a player has, by currency; also where there is no wallet yet, but money."""
    rows = await reader.all(
        select(wallets.c.wallet_id, wallets.c.currency, wallets.c.sequence)
        .where(wallets.c.site_id == site_id, wallets.c.player_id == player_id)
        .order_by(wallets.c.currency)
    )
    kept = await ledger.balances(reader, site_id, player_id)

    def kept_as(purpose: ledger.Purpose, currency: str) -> int:
        found = kept.get(ledger.AccountName(player_id, purpose, currency))
        return 0 if found is None else found.minor

    opened = {row.currency: (row.wallet_id, row.sequence) for row in rows}
    paid = {name.currency for name in kept if name.purpose is ledger.Purpose.PLAYER_CASH}
    found = {}
    for currency in sorted(paid | opened.keys()):
        wallet_id, sequence = opened.get(currency, (0, 0))
        found[currency] = Purse(
            wallet_id=wallet_id,
            player_id=player_id,
            currency=currency,
            sequence=sequence,
            cash=kept_as(ledger.Purpose.PLAYER_CASH, currency),
            bonus=kept_as(ledger.Purpose.PLAYER_BONUS, currency),
            held=kept_as(ledger.Purpose.PLAYER_HELD, currency),
            debt=-kept_as(ledger.Purpose.PLAYER_DEBT, currency),
        )
    return found


async def lock_wallets(tx: Transaction, site_id: int, player_id: str) -> None:
    """Lock the accounts of all the player's wallets, as batches do: what is being written ends first."""
    rows = await tx.all(
        select(wallets.c.cash_account_id, wallets.c.bonus_account_id).where(
            wallets.c.site_id == site_id, wallets.c.player_id == player_id
        )
    )
    await tx.raw.fetch(_LOCK, site_id, [account for row in rows for account in row])


async def session_of(
    reader: Reader, site_id: int, *, named: str = "", launch_hash: bytes = b""
) -> Session | None:
    """A session by its name, or by the hash of the single-use part of its launch URL."""
    is_it = sessions.c.session_id == named if named else sessions.c.launch_hash == launch_hash
    row = await reader.first(
        select(sessions, wallets.c.player_id)
        .join(
            wallets,
            and_(wallets.c.site_id == sessions.c.site_id, wallets.c.wallet_id == sessions.c.wallet_id),
        )
        .where(sessions.c.site_id == site_id, is_it)
    )
    if row is None:
        return None
    return Session(
        session_id=row.session_id,
        wallet_id=row.wallet_id,
        player_id=row.player_id,
        currency=row.currency,
        provider=row.provider_id,
        game=row.game_code,
        language=row.language,
        return_url=row.return_url,
        launched_at=row.launched_at,
        opened_at=row.opened_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        final_balance=row.final_balance_minor,
    )
