"""What was recorded, told page by page (wallet.md 2.10).

A player's history is read by the sequence of each wallet, which is given out under the wallet's lock. A
site's is read in the order of the writing transactions, up to where none is still to come. So a page never
misses an operation that was still being written when it was read.
"""

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Row,
    Select,
    func,
    or_,
    select,
    text,
    tuple_,
)

from app.kernel import ids
from app.plumbing.database import Reader
from app.wallet.audit.named import is_sent_as
from app.wallet.queries import SOURCES, Purse, select_operations, with_player
from app.wallet.rules import SUCCESSES
from app.wallet.tables import operations
from app.wallet.terms import Code, Operation

__all__ = [
    "BEGINNING",
    "Page",
    "Place",
    "Wanted",
    "history_of_player",
    "history_of_site",
]

# No transaction lives as long: a statement may take 5 s, an idle one 10 s. What was recorded before is there.
_SETTLED_AFTER: Final = timedelta(seconds=30)
# Machines whose clocks differ by more are broken.
_MARGIN: Final = timedelta(seconds=60)
_XMIN: Final = text("SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint")
# The first operation of a wallet at or after an instant, by halving: on a wallet recorded instants ascend.
_FIRST_SINCE: Final = text("""
WITH RECURSIVE halved (low, high) AS (
  SELECT 1::bigint, CAST(:beyond AS bigint)
  UNION ALL
  SELECT CASE WHEN m.recorded_at < CAST(:since AS timestamptz) THEN (h.low + h.high) / 2 + 1 ELSE h.low END,
         CASE WHEN m.recorded_at < CAST(:since AS timestamptz) THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halved h, LATERAL (
      SELECT o.recorded_at FROM wallet_operation o
       WHERE o.site_id = :site AND o.wallet_id = :wallet AND o.applied
         AND o.sequence = (h.low + h.high) / 2) m
   WHERE h.low < h.high)
SELECT max(low) FROM halved
""")


class Place(NamedTuple):
    """A place in a history: behind the operation it names, and before all that follow it.

    Args:
        sequence: of the wallet; 0 throughout in the history of a site.
        recorded_in: of an operation beside the sequence (a refusal), or of any in a site's history; else 0.
    """

    sequence: int
    recorded_in: int
    operation_id: str


BEGINNING: Final = Place(-1, 0, "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which operations; what is empty or None asks for all.

    Args:
        key: their id.
        status: completed, refused or voided.
        since, until: instants; the second excluded.
        include_refused: also what moved no money because it was refused.
        offset: how many to leave out first, for callers who know no cursor.
    """

    key: str = ""
    currency: str = ""
    round_id: str = ""
    type: str = ""
    status: str = ""
    source: str = ""
    session: str = ""
    provider: str = ""
    since: datetime | None = None
    until: datetime | None = None
    include_refused: bool = False
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a history.

    Args:
        operations: in order.
        places: where the reader stands now, by wallet; by 0 in the history of a site.
        is_last: there is nothing behind it yet.
        complete_up_to: of what was recorded before this instant, nothing is still to come.
    """

    operations: list[Operation]
    places: dict[int, Place]
    is_last: bool
    complete_up_to: datetime


async def history_of_player(
    reader: Reader,
    site_id: int,
    purses: Sequence[Purse],
    places: Mapping[int, Place],
    wanted: Wanted,
    *,
    now: datetime,
) -> Page:
    """A page of a player's history: each wallet in the order of its sequence, with refusals in between.

    Args:
        reader: one snapshot.
        site_id: whose player.
        purses: the player's wallets to read.
        places: where the page before ended, by wallet.
        wanted: which operations.
        now: this instant.
    """
    xmin = int(await reader.scalar(_XMIN))
    most = wanted.offset + wanted.limit + 1
    streams = [
        await _of_wallet(reader, site_id, purse, places.get(purse.wallet_id, BEGINNING), wanted, most, xmin)
        for purse in purses
    ]
    merged = heapq.merge(*streams, key=lambda row: row.recorded_at)
    rows = list(itertools.islice(merged, wanted.offset, most))
    shown, reached = rows[: wanted.limit], dict(places)
    passed = list(itertools.islice(heapq.merge(*streams, key=lambda row: row.recorded_at), most - 1))
    for row in passed:
        reached[row.wallet_id] = Place(row.sequence, 0 if row.applied else row.recorded_in, row.operation_id)
    complete = await _complete_up_to(reader, site_id, xmin, now)
    return Page([with_player(row) for row in shown], reached, len(rows) <= wanted.limit, complete)


async def _of_wallet(
    reader: Reader, site_id: int, purse: Purse, place: Place, wanted: Wanted, most: int, xmin: int
) -> list[Row[Any]]:
    """What follows a place in a wallet: applied operations, and refusals behind the one they followed."""
    beyond = purse.sequence + 1
    least = 0 if wanted.since is None else await _first_since(reader, site_id, purse, wanted.since)
    last = beyond if wanted.until is None else await _first_since(reader, site_id, purse, wanted.until)
    of_wallet = _narrowed(select_operations(site_id), wanted).where(
        operations.c.wallet_id == purse.wallet_id,
        # A refusal stands at the sequence of the operation before it.
        operations.c.sequence.between(least - 1, last),
    )
    applied = of_wallet.where(operations.c.applied, operations.c.sequence > place.sequence)
    beside = of_wallet.where(
        ~operations.c.applied,
        operations.c.sequence >= place.sequence,
        or_(
            operations.c.sequence > place.sequence,
            tuple_(operations.c.recorded_in, operations.c.operation_id)
            > tuple_(place.recorded_in, place.operation_id if place.recorded_in else ""),
        ),
        # Beside the newest operation another refusal may still be on its way, with a smaller number.
        or_(operations.c.sequence < purse.sequence, operations.c.recorded_in < xmin),
    )
    rows = [
        *await reader.all(applied.order_by(operations.c.sequence).limit(most)),
        *await reader.all(
            beside.order_by(operations.c.sequence, operations.c.recorded_in, operations.c.operation_id).limit(
                most
            )
        ),
    ]
    rows.sort(key=lambda row: (row.sequence, not row.applied, row.recorded_in, row.operation_id))
    return rows[:most]


async def _first_since(reader: Reader, site_id: int, purse: Purse, since: datetime) -> int:
    values = {"beyond": purse.sequence + 1, "since": since, "site": site_id, "wallet": purse.wallet_id}
    return int(await reader.scalar(_FIRST_SINCE, values))


async def history_of_site(
    reader: Reader, site_id: int, place: Place, wanted: Wanted, *, now: datetime
) -> Page:
    """A page of everything at a site, in the order of the writing transactions.

    Arguments as for `history_of_player`.
    """
    xmin = int(await reader.scalar(_XMIN))
    asked = _narrowed(select_operations(site_id), wanted).where(
        operations.c.recorded_in < xmin,
        tuple_(operations.c.recorded_in, operations.c.operation_id)
        > tuple_(place.recorded_in, place.operation_id),
    )
    for bound in await _transactions_between(reader, site_id, wanted.since, wanted.until):
        asked = asked.where(bound)
    rows = await reader.all(
        asked.order_by(operations.c.recorded_in, operations.c.operation_id)
        .offset(wanted.offset)
        .limit(wanted.limit + 1)
    )
    shown = rows[: wanted.limit]
    reached = Place(0, shown[-1].recorded_in, shown[-1].operation_id) if shown else place
    complete = await _complete_up_to(reader, site_id, xmin, now)
    return Page([with_player(row) for row in shown], {0: reached}, len(rows) <= wanted.limit, complete)


async def _transactions_between(
    reader: Reader, site_id: int, since: datetime | None, until: datetime | None
) -> list[Any]:
    """Which transactions can have written what was recorded in a time, found by two probes of an index.

    An operation's id says when it was made, and its transaction is not older than it by more than a margin.
    """
    bounds: list[Any] = []
    of_site = select(operations.c.recorded_in).where(operations.c.site_id == site_id).limit(1)
    if since is not None:
        before = of_site.where(operations.c.operation_id < ids.new("wop", at=since - _MARGIN))
        found = await reader.scalar(before.order_by(operations.c.operation_id.desc()))
        bounds.append(operations.c.recorded_in >= (found or 0))
    if until is not None:
        behind = of_site.where(operations.c.operation_id > ids.new("wop", at=until + _MARGIN))
        found = await reader.scalar(behind.order_by(operations.c.operation_id))
        if found is not None:
            bounds.append(operations.c.recorded_in <= found)
    return bounds


async def _complete_up_to(reader: Reader, site_id: int, xmin: int, now: datetime) -> datetime:
    """Before which instant nothing is still to come: what is withheld was recorded later."""
    withheld = await reader.scalar(
        select(func.min(operations.c.recorded_at)).where(
            operations.c.site_id == site_id, operations.c.recorded_in >= xmin
        )
    )
    settled = now - _SETTLED_AFTER
    return settled if withheld is None else min(settled, withheld)


def _narrowed(asked: Select[Any], wanted: Wanted) -> Select[Any]:
    exact = {
        operations.c.currency: wanted.currency,
        operations.c.round_id: wanted.round_id,
        operations.c.type: wanted.type,
        operations.c.source: wanted.source,
        operations.c.session_id: wanted.session,
        operations.c.provider_id: wanted.provider,
    }
    asked = asked.where(*(column == value for column, value in exact.items() if value))
    if wanted.key:
        asked = asked.where(is_sent_as([wanted.key]))
    if wanted.key and not wanted.source:
        # Named, they lead to the unique index of the keys.
        asked = asked.where(operations.c.source.in_(SOURCES))
    if wanted.since is not None:
        asked = asked.where(operations.c.recorded_at >= wanted.since)
    if wanted.until is not None:
        asked = asked.where(operations.c.recorded_at < wanted.until)
    match wanted.status:
        case "voided":
            return asked.where(operations.c.code == Code.VOIDED)
        case "refused":
            return asked.where(operations.c.code.not_in([*SUCCESSES, Code.VOIDED]))
        case "completed":
            return asked.where(operations.c.code.in_(SUCCESSES))
        case _:
            return asked if wanted.include_refused else asked.where(operations.c.code.in_(SUCCESSES))
