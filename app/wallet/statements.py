"""What a batch asks the database and what it tells it: one call that looks up, one that writes.

Either the first one locks, inside a transaction, or the second, which then confirms what the first has seen.
A large batch is looked up and written in parts, so that one part is decided here while PostgreSQL is at
another; what it all means together stands on one `Page`.
"""

import itertools
from collections.abc import Collection, Coroutine, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from app import ledger
from app.plumbing.database import arrays
from app.wallet import chart
from app.wallet.memory import Expected
from app.wallet.queries import operation_of, round_of, wallet_of
from app.wallet.rules import Page
from app.wallet.sheets import Moved, Seat, Seen, Sheet
from app.wallet.terms import Ask, Grant, Leg, Operation, OperationKey, Type

__all__ = [
    "Houses",
    "Writing",
    "count",
    "find_houses",
    "hold",
    "know_houses",
    "load",
    "open_rare",
    "rare",
    "seats_of",
    "seen",
    "write",
]

# migrations/sql/wallet_debts.sql and wallet_one_look.sql; the arrays as text (app.plumbing.database.arrays).
_LOADS: Final = (*("text",) * 10, "boolean")
_LOAD: Final = f"SELECT * FROM wallet_load($1, $2, {arrays.placed(_LOADS, 3)})"  # noqa: S608  our own words
# Columns that both calls take once when they are the same throughout: currencies, sources, withins ...
_ALIKE_ASKED: Final = (1, 2, 3, 5, 6, 7, 8, 9)
_ALIKE_WRITTEN: Final = (1, 2, 4, 5, 6, 9, 11, 13, 17, 18, 19, 20, 21, 22, 23)
_OPERATIONS: Final = (
    *(*("text",) * 6, "boolean", "bytea", "bigint", "text", *("bigint",) * 7),
    *("text",) * 7,
)
_WALLETS: Final = ("bigint",) * 5
_ROUNDS: Final = ("bigint", *("text",) * 5, "boolean", "integer", *("bigint",) * 5)
_COLUMNS: Final = (*_OPERATIONS, *_WALLETS, *_ROUNDS)
# The same, once it is sure that what was seen still stands, and that what was not looked for is as it was
# expected to be (wallet_one_look.sql).
_SEEN: Final = (*("bigint",) * 6, "timestamptz")
_EXPECTED: Final = (*("text",) * 3, "bigint", *("text",) * 2, "bigint", *("text",) * 2)
_CONFIRM: Final = f"wallet_confirm($1, {arrays.placed(_SEEN, 3)})"
_EXPECT: Final = f"wallet_expect($1, $2, {arrays.placed(_EXPECTED, 3 + len(_SEEN))})"
# And that the batch is written which would leave what this one was decided upon (wallet_succession.sql).
_FOLLOW: Final = f"wallet_follow($1, ${3 + len(_SEEN) + len(_EXPECTED)})"


def _writing(before: Sequence[str], taken: int, *, moves: bool) -> str:
    """The statement that writes: what is made sure of before it, and whether any money moves.

    Args:
        before: calls.
        taken: how many arguments they have.
        moves: whether the ledger has a part in it.
    """
    calls = [*before, f"wallet_write($1, $2, {arrays.placed(_COLUMNS, 3 + taken)})"]
    if moves:
        calls.append(ledger.move_call(3 + taken + len(_COLUMNS)))
    return f"SELECT {', '.join(calls)}"


# By what is made sure of, and by whether money moves.
_LOCKED: Final[tuple[str, ...]] = ()
_CONFIRMED: Final[tuple[str, ...]] = (_CONFIRM,)
_ALL_SURE: Final[tuple[str, ...]] = (_CONFIRM, _EXPECT)
_FOLLOWING: Final[tuple[str, ...]] = (*_ALL_SURE, _FOLLOW)
_TAKEN: Final = {
    _LOCKED: 0,
    _CONFIRMED: len(_SEEN),
    _ALL_SURE: len(_SEEN) + len(_EXPECTED),
    _FOLLOWING: len(_SEEN) + len(_EXPECTED) + 1,
}
_WRITING: Final = {
    (before, moves): _writing(before, taken, moves=moves)
    for before, taken in _TAKEN.items()
    for moves in (False, True)
}
_HOUSE: Final = """
SELECT purpose, currency, account_id FROM account
 WHERE site_id = $1 AND owner = 'site' AND purpose = ANY ('{house_gaming,operator_float}')
"""

_COUNT: Final = """
UPDATE free_round f SET used = x.used, won_minor = x.won, paid_minor = x.paid
  FROM unnest($2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
    AS x (wallet_id, campaign_id, used, won, paid)
 WHERE f.site_id = $1 AND f.wallet_id = x.wallet_id AND f.campaign_id = x.campaign_id
"""

_RARE: Final = {
    Leg.REVERSE_DEBT: ledger.Purpose.PLAYER_DEBT,
    Leg.HOLD_WIN: ledger.Purpose.PLAYER_HELD,
}

# The house's accounts: by site, purpose and currency.
Houses = dict[tuple[int, str, str], int]


async def load(
    raw: asyncpg.Connection, site_id: int, asks: Sequence[Ask], locks: Collection[str], *, at: datetime
) -> Sequence[Any]:
    """Look up what is known around some asks; one row for each, for `seats_of`.

    Args:
        raw: a connection, inside the batch's transaction where it locks.
        site_id: whose.
        asks: to be decided next.
        locks: players whose money is locked first; with the first part of a batch, all of its players. Nobody
            where what was looked up is confirmed when it is written.
        at: this instant.
    """
    asked = [
        (
            *(ask.player, ask.currency, ask.source, ask.within, ask.key, ask.reference, ask.provider),
            *(ask.round_id, ask.session, _asks_open(ask)),
        )
        for ask in asks
    ]
    columns = _transposed(asked, len(_LOADS) - 1)
    for number in _ALIKE_ASKED:
        columns[number] = _once_if_alike(columns[number])
    rows: Sequence[Any] = await raw.fetch(
        _LOAD, site_id, at, *arrays.written(_LOADS, [list(locks), *columns])
    )
    return rows


def seats_of(page: Page, asks: Sequence[Ask], rows: Sequence[Any]) -> list[Seat]:
    """Lay what was looked up onto the page."""
    # Never before what a wallet or its account has seen, whatever the clocks of several machines say.
    page.at = max([page.at, *(row["moved_at"] for row in rows if row["moved_at"] is not None)])
    return [_seated(page, ask, row) for ask, row in zip(asks, rows, strict=True)]


def seen(rows: Sequence[Any]) -> list[Seen]:
    """What was looked up of each wallet that changes whenever anything does that a decision depends on."""
    found = {}
    for row in rows:
        own = row["wallet"]
        if own is not None and own["wallet_id"] not in found:
            found[own["wallet_id"]] = Seen(
                *(own["wallet_id"], own["cash_account_id"], row["cash_version"]),
                *(own["sequence"], own["revision"], row["debt_minor"], own["moved_at"]),
            )
    return list(found.values())


def write(
    site_id: int,
    sheet: Sheet,
    houses: Houses,
    *,
    upon: Sequence[Seen] | None = None,
    expected: Expected | None = None,
    after: str | None = None,
) -> "Writing":
    """What writes that which was decided: operations, wallets, rounds, and the money.

    Args:
        site_id: whose.
        sheet: of the batch's page.
        houses: the house's accounts, by `find_houses`.
        upon: what was `seen` where nothing was locked; if it is so no more, the call fails with a
            serialization failure and nothing is written.
        expected: what was not even looked up; if it is not so, the call fails with W0001, and the same.
        after: an operation of the batch before, whose wallets these are as it was to leave them; if that is
            not recorded, a serialization failure again.
    """
    before: tuple[str, ...] = _LOCKED
    arguments: list[Any] = []
    if upon is not None:
        before = _CONFIRMED
        arguments += arrays.written(_SEEN, _transposed(upon, len(_SEEN)))
        if expected is not None and any(expected):
            before = _ALL_SURE
            # That a round of this very sheet is new is told by writing it.
            written = {one.key for one in sheet.rounds}
            rounds = [key for key in expected.rounds if key not in written]
            columns = [_transposed(rows, 3) for rows in (expected.keys, rounds, expected.sessions)]
            arguments += arrays.written(_EXPECTED, list(itertools.chain(*columns)))
            if after is not None:
                before = _FOLLOWING
                arguments.append(after)
    arguments += arrays.written(_COLUMNS, _columns(sheet))
    if sheet.moved:
        moves = [chart.move(*one, _across(one, site_id, houses)) for one in sheet.moved]
        arguments += ledger.move_arguments(moves, source="wallet", actor="wallet")
    return Writing(_WRITING[before, bool(sheet.moved)], (site_id, sheet.at, *arguments))


class Writing(NamedTuple):
    """A statement and its arguments, text already: whatever becomes of the sheet before it is sent."""

    statement: str
    arguments: tuple[Any, ...]

    def sent(self, raw: asyncpg.Connection) -> Coroutine[Any, Any, Any]:
        """The call; inside the batch's transaction, unless it confirms what was seen and is all of it."""
        call: Coroutine[Any, Any, Any] = raw.execute(self.statement, *self.arguments)
        return call


async def find_houses(raw: asyncpg.Connection, site_id: int, houses: Houses) -> None:
    """Look up the house's accounts of a site; those of a currency are opened with its first wallet."""
    for purpose, currency, account_id in await raw.fetch(_HOUSE, site_id):
        houses[site_id, ledger.Purpose(purpose), currency] = account_id


def count(raw: asyncpg.Connection, site_id: int, grants: Sequence[Grant]) -> Coroutine[Any, Any, Any]:
    """The call that writes what was taken of free rounds."""
    rows = [(one.wallet_id, one.campaign, one.used, one.won, one.paid) for one in grants]
    counting: Coroutine[Any, Any, Any] = raw.execute(_COUNT, site_id, *zip(*rows, strict=True))
    return counting


def rare(sheet: Sheet) -> list[Moved]:
    """What is to be booked as owed or as held: between accounts that few players have."""
    return [one for one in sheet.moved if one.leg in _RARE]


async def open_rare(raw: asyncpg.Connection, site_id: int, moved: Sequence[Moved], *, at: datetime) -> None:
    """Open these accounts where it is the first time; the wallets on the page learn of theirs."""
    names = [ledger.AccountName(one.wallet.player_id, _RARE[one.leg], one.wallet.currency) for one in moved]
    opened = await ledger.open_accounts(raw, site_id, names, at=at)
    for one, name in zip(moved, names, strict=True):
        if one.leg is Leg.HOLD_WIN:
            one.wallet.held_account_id = opened[name]
        else:
            one.wallet.debt_account_id = opened[name]


def hold(raw: asyncpg.Connection, site_id: int, moved: Sequence[Moved]) -> Coroutine[Any, Any, None]:
    """The call that makes holds of what was set aside."""
    keys = {f"{one.operation_id}.{one.leg}": one.wallet.player_id for one in moved}
    return ledger.hold_moved(raw, site_id, "wallet", keys)


def know_houses(houses: Houses, site_id: int, page: Page) -> bool:
    """Whether the house's accounts across from all wallets of a page are known."""
    currencies = {wallet.currency for wallet in page.wallets.values()}
    return all((site_id, ledger.Purpose.HOUSE_GAMING, currency) in houses for currency in currencies)


def _across(moved: Moved, site_id: int, houses: Houses) -> int:
    match moved.leg:
        case Leg.REPAY_DEBT:
            across = moved.wallet.debt_account_id
        case Leg.HOLD_WIN:
            across = moved.wallet.held_account_id
        case _:
            return houses[site_id, chart.ACROSS[moved.leg], moved.wallet.currency]
    assert across is not None, "it was opened before"
    return across


def _seated(page: Page, ask: Ask, row: Any) -> Seat:  # noqa: ANN401  asyncpg has no types
    """Lay what was found around one ask onto the page."""
    own, known, reference = row["wallet"], row["known"], row["reference"]
    wallet = None
    if own is not None:
        wallet = page.wallets.get(own["wallet_id"])
        if wallet is None:
            wallet = page.wallets[own["wallet_id"]] = wallet_of(row, ask.player)
            if wallet.cash_version != own["cash_version"] or wallet.bonus_version != own["bonus_version"]:
                page.adopt(wallet, own["balance_minor"])
    if known is not None:
        _found(page, known, "")
    if reference is not None:
        found = _found(page, reference, row["reference_player"])
        # What this very transaction has done to it is not written yet: it stands on the page alone.
        _mark_reversed(found, row)
        found.is_settled |= row["is_settled"]
    elif known is not None:
        _mark_reversed(page.operations[ask.operation_key], row)
    if row["is_tombstoned"]:
        page.tombstoned.add(ask.reference_key or ask.operation_key)
    if row["is_own_tombstoned"]:
        page.tombstoned.add(ask.operation_key)
    if row["around"] is not None:
        around = round_of(row["around"])
        page.rounds.setdefault(around.key, around)
    return Seat(row["player_id"] is not None, wallet, row["session_ok"], row["round_open"])


def _mark_reversed(found: Operation, row: Any) -> None:  # noqa: ANN401  asyncpg has no types
    # Once it is known what a person took of it, the page says how the rest stands; the row knows no parts.
    found.is_reversed |= row["is_reversed"] and not found.taken


def _found(page: Page, row: Any, player_id: str) -> Operation:  # noqa: ANN401  asyncpg has no types
    key = OperationKey(row["source"], row["within"], row["key"])
    operation = page.operations.get(key)
    if operation is None:
        operation = page.operations[key] = operation_of(row)
    operation.player_id = operation.player_id or player_id
    return operation


def _columns(sheet: Sheet) -> list[list[Any]]:
    """A sheet as the columns that `wallet_write` takes, in its order."""
    operations = [
        (
            *(one.operation_id, *one.key, one.type, one.code, one.applied, one.fingerprint, one.wallet_id),
            *(one.currency, one.amount, one.win, one.cash, one.bonus, one.before, one.after, one.sequence),
            *(one.reference, one.round_id, one.provider, one.game, one.session, one.detail, one.request_id),
        )
        for one in sheet.written
    ]
    wallets = [
        (one.wallet_id, one.sequence, one.cash_version, one.bonus_version, one.balance)
        for one in sheet.wallets
    ]
    rounds = [
        (
            *(*one.key, one.game, one.currency, one.state, one.is_free, one.open_bets, one.bet, one.win),
            *(one.reversed, one.first_sequence, one.last_sequence),
        )
        for one in sheet.rounds
    ]
    columns = _transposed(operations, 24)
    for number in _ALIKE_WRITTEN:
        columns[number] = _once_if_alike(columns[number])
    return [*columns, *_transposed(wallets, 5), *_transposed(rounds, 13)]


def _transposed(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _once_if_alike(column: list[Any]) -> list[Any]:
    """One value for all of a batch: each element of an array costs on both sides of the wire."""
    return column[:1] if column and column.count(column[0]) == len(column) else column


def _asks_open(ask: Ask) -> bool:
    return ask.type is Type.WITHDRAW and not ask.policy.withdraw_while_round_open
