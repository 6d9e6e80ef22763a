"""What a batch must look up beside the usual, before it decides: mostly nothing.

Free rounds, what became of wins, what an operator has prepaid: none of it confirmed, all behind locks.
"""

from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final

import asyncpg

from app import ledger
from app.wallet.campaigns import grant_of
from app.wallet.rules import Page
from app.wallet.sheets import Seat
from app.wallet.states import campaign_of
from app.wallet.terms import SWEEPERS, Ask, Leg, OperationKey, Type

__all__ = ["is_needed", "lookups"]

# What is asked about free rounds, and since when the sessions are open that they are asked for in.
_GRANTS: Final = """
SELECT x.session_id, s.launched_at, f.*
  FROM unnest($2::bigint[], $3::text[], $4::text[]) AS x (wallet, campaign, session_id)
  LEFT JOIN free_round f ON f.site_id = $1 AND f.wallet_id = x.wallet AND f.campaign_id = x.campaign
  LEFT JOIN game_session s ON s.site_id = $1 AND s.session_id = x.session_id
"""
# What persons took of wins while they were held, and whether their platform has taken the rest back since.
_TAKEN: Final = """
SELECT x.source, x.within, x.key,
       (sum(r.amount_minor) FILTER (WHERE starts_with(r.key, $5)))::bigint AS taken,
       bool_or(NOT starts_with(r.key, $5)) AS is_reversed
  FROM unnest($2::text[], $3::text[], $4::text[]) AS x (source, within, key)
  JOIN wallet_operation r
    ON r.site_id = $1 AND r.source = x.source AND r.within = x.within AND r.reference = x.key
   AND r.code = 'OK' AND r.type = 'reverse_win' AND r.applied
 GROUP BY x.source, x.within, x.key
"""
# Which wins were taken back since. Looked up with a win that is told again is what became of its bet.
_TAKEN_BACK: Final = """
SELECT x.source, x.within, x.key
  FROM unnest($2::text[], $3::text[], $4::text[]) AS x (source, within, key)
 WHERE EXISTS (
   SELECT FROM wallet_operation r
    WHERE r.site_id = $1 AND r.source = x.source AND r.within = x.within AND r.reference = x.key
      AND r.code = 'OK' AND r.type = 'reverse_win' AND r.applied)
"""
# What each transfer adds to the float.
_TRANSFERS: Final = {Leg.DEPOSIT: -1, Leg.WITHDRAW: 1}
_FLOATS: Final = "SELECT purpose, currency, balance_minor FROM wallet_lock_floats($1)"


def is_needed(page: Page, asks: Sequence[Ask], seats: Sequence[Seat]) -> bool:
    """Whether anything must be; arguments as for `lookups`."""
    its = _free_asks(page, asks, seats) or _told_again(page, asks) or _partly_taken(page, asks)
    return bool(its or _asks_float(page, asks))


def lookups(
    raw: asyncpg.Connection, site_id: int, page: Page, asks: Sequence[Ask], seats: Sequence[Seat]
) -> Iterator[Coroutine[Any, Any, None]]:
    """What else must be looked up before these are decided: mostly nothing.

    Args:
        raw: a connection inside the batch's transaction.
        site_id: whose.
        page: with what `seats_of` laid onto it; what is found is laid there too.
        asks: to be decided next.
        seats: theirs, by `seats_of`.

    Returns:
        the calls to be made, each before the next is asked for.
    """
    if free := _free_asks(page, asks, seats):
        yield _load_grants(raw, site_id, page, free)
    if wins := _told_again(page, asks):
        yield _load_taken_back(raw, site_id, page, wins)
    if wins := _partly_taken(page, asks):
        yield _load_taken(raw, site_id, page, wins)
    if _asks_float(page, asks):
        yield _load_floats(raw, site_id, page)


def _free_asks(page: Page, asks: Sequence[Ask], seats: Sequence[Seat]) -> list[tuple[int, str, str | None]]:
    """Which free rounds these are about: wallet, campaign, and the session they are played in."""
    found = []
    for ask, seat in zip(asks, seats, strict=True):
        if ask.free_round is None and ask.reference_key is None:
            continue
        reference = page.operations.get(ask.reference_key) if ask.reference_key is not None else None
        campaign = campaign_of(ask, reference)
        if campaign is None:
            continue
        wallet_id = seat.wallet.wallet_id if seat.wallet is not None else None
        if reference is not None and reference.wallet_id is not None:
            wallet_id = reference.wallet_id
        if wallet_id is not None:
            found.append((wallet_id, campaign, ask.session))
    return found


async def _load_grants(
    raw: asyncpg.Connection, site_id: int, page: Page, wanted: Sequence[tuple[int, str, str | None]]
) -> None:
    """Lay free rounds onto the page; whoever holds the wallets counts them."""
    for row in await raw.fetch(_GRANTS, site_id, *zip(*wanted, strict=True)):
        if row["wallet_id"] is not None:
            grant = grant_of(row)
            page.grants.setdefault((grant.wallet_id, grant.campaign), grant)
        if row["launched_at"] is not None:
            page.opened_at[row["session_id"]] = row["launched_at"]


def _asks_float(page: Page, asks: Sequence[Ask]) -> bool:
    """Whether a deposit must stay within what the operator has prepaid, and that is not known yet."""
    return not page.floats and any(ask.policy.prepaid_float and ask.type is Type.DEPOSIT for ask in asks)


async def _load_floats(raw: asyncpg.Connection, site_id: int, page: Page) -> None:
    """Lay what the operator has prepaid onto the page; it stays as it is until the batch is written."""
    for purpose, currency, balance in await raw.fetch(_FLOATS, site_id):
        if purpose == ledger.Purpose.OPERATOR_FLOAT:
            page.floats[currency] = balance
    # What earlier parts of the batch have decided is not written yet: money is, with the last part.
    for moved in page.moved:
        if moved.leg in _TRANSFERS:
            page.floats[moved.wallet.currency] += _TRANSFERS[moved.leg] * moved.amount


def _told_again(page: Page, asks: Sequence[Ask]) -> list[OperationKey]:
    """Wins of bets that are asked for again, and were taken back since for all that the page knows not."""
    found = [page.operations.get(one.operation_key) for one in asks if one.type is Type.WIN]
    return [
        won.key
        for won in found
        if won is not None and won.applied and won.reference and not won.is_reversed and not won.taken
    ]


async def _load_taken_back(
    raw: asyncpg.Connection, site_id: int, page: Page, wins: Sequence[OperationKey]
) -> None:
    """Lay onto the page which of these wins were taken back: that is told with them (2.13)."""
    for row in await raw.fetch(_TAKEN_BACK, site_id, *zip(*wins, strict=True)):
        page.operations[OperationKey(row["source"], row["within"], row["key"])].is_reversed = True


def _partly_taken(page: Page, asks: Sequence[Ask]) -> list[OperationKey]:
    """Wins that are to be rolled back and may have been taken in part: what was held of them, their cash."""
    keys = [one.reference_key for one in asks if one.type is Type.ROLLBACK]
    found = {key: page.operations.get(key) for key in keys if key is not None}
    return [
        key
        for key, won in found.items()
        if won is not None and won.type is Type.WIN and won.is_reversed and won.bonus and not won.taken
    ]


async def _load_taken(
    raw: asyncpg.Connection, site_id: int, page: Page, wins: Sequence[OperationKey]
) -> None:
    """Lay onto the page what persons took of wins; the rest of such a win still stands."""
    for row in await raw.fetch(_TAKEN, site_id, *zip(*wins, strict=True), SWEEPERS):
        won = page.operations[OperationKey(row["source"], row["within"], row["key"])]
        if row["taken"] and not row["is_reversed"]:
            won.taken, won.is_reversed = row["taken"], False
