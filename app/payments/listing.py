"""Payments of a site: pages of a list, newest first, stable while new ones come; what is open or waits."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from sqlalchemy import Column, ColumnElement, Row, Select, func, select, tuple_, union

from app import players, providers
from app.kernel.errors import Refusal
from app.payments.legs import Leg, leg_of
from app.payments.queries import Attempt, Payment, attempt_of, payment_of
from app.payments.states import OPEN, Kind, Status
from app.payments.tables import attempts, legs, payment_events, payments
from app.plumbing.database import Reader

__all__ = [
    "CursorNotFound",
    "Expand",
    "Further",
    "Page",
    "Wanted",
    "further",
    "needing_attention",
    "page",
    "under_way",
]

_LONGEST_NUMBER = 18  # digits of a bigint that every one of them can be


class CursorNotFound(Refusal):
    """There is no payment {payment_id} to continue from."""

    def __init__(self, *, payment_id: str, field: str) -> None:
        """Name the payment, and the field in which it stood."""
        super().__init__(payment_id=payment_id)
        self.param = field


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which payments; what is left out does not narrow.

    Args:
        since, until: created from this instant on, and before that one.
        currency: of what was ordered.
        least_minor, most_minor: from this sum on, up to that one, as it was ordered, in minor units.
        site_login: of the player, as the site calls him.
        external_id: the merchant's order number.
        sought: any number of a payment, or the player as the site calls him; the whole of it.
        by_staff: it may be a provider's number too, or ours there.
    """

    kinds: Collection[Kind] = ()
    statuses: Collection[Status] = ()
    since: datetime | None = None
    until: datetime | None = None
    site_login: str | None = None
    external_id: str | None = None
    needs_attention: bool = False
    currency: str | None = None
    least_minor: int | None = None
    most_minor: int | None = None
    sought: str | None = None
    by_staff: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some payments, and whether there are more beyond them in the direction that was asked for."""

    payments: list[Payment]
    has_more: bool


class Expand(StrEnum):
    """What may be shown of a payment beside itself."""

    EVENTS = "events"
    LEGS = "legs"
    ATTEMPTS = "attempts"


class Further(TypedDict):
    """More of one payment, each in its order; what was not asked for is None."""

    events: Sequence[Row[Any]] | None
    legs: Sequence[Leg] | None
    attempts: Sequence[Attempt] | None


async def page(
    reader: Reader,
    site_id: int,
    wanted: Wanted,
    *,
    limit: int,
    starting_after: str | None = None,
    ending_before: str | None = None,
) -> Page:
    """One page.

    Args:
        starting_after: the id of a payment; the page begins with the next older one.
        ending_before: the id of a payment; the page ends with the next newer one.

    Raises:
        CursorNotFound: no such payment at this site.
        PlayerNotFound: no such player at this site.
    """
    asked = _narrowed_by_amount(await _narrowed(reader, site_id, wanted), wanted)
    place = tuple_(payments.c.created_at, payments.c.payment_id)
    order = (payments.c.created_at.desc(), payments.c.payment_id.desc())
    if ending_before is not None:
        asked = asked.where(place > await _place(reader, site_id, ending_before, "ending_before"))
        order = (payments.c.created_at.asc(), payments.c.payment_id.asc())
    elif starting_after is not None:
        asked = asked.where(place < await _place(reader, site_id, starting_after, "starting_after"))
    rows = await reader.all(asked.order_by(*order).limit(limit + 1))
    found = [payment_of(row) for row in rows[:limit]]
    return Page(found[::-1] if ending_before is not None else found, len(rows) > limit)


async def _narrowed(reader: Reader, site_id: int, wanted: Wanted) -> Select[Any]:
    asked = payments.select().where(payments.c.site_id == site_id)
    if wanted.kinds:
        asked = asked.where(payments.c.kind.in_(sorted(wanted.kinds)))
    if wanted.statuses:
        asked = asked.where(payments.c.status.in_(sorted(wanted.statuses)))
    if wanted.since is not None:
        asked = asked.where(payments.c.created_at >= wanted.since)
    if wanted.until is not None:
        asked = asked.where(payments.c.created_at < wanted.until)
    if wanted.site_login is not None:
        player, _ = await players.player_of_login(reader, site_id, wanted.site_login)
        asked = asked.where(payments.c.player_id == player.player_id)
    if wanted.external_id is not None:
        asked = asked.where(payments.c.external_id == wanted.external_id)
    if wanted.needs_attention:
        asked = asked.where(payments.c.attention.is_not(None))
    if wanted.sought is not None:
        asked = asked.where(await _sought(reader, site_id, wanted.sought, by_staff=wanted.by_staff))
    return asked


async def _sought(reader: Reader, site_id: int, sought: str, *, by_staff: bool) -> ColumnElement[bool]:
    """One look-up in an index for each thing that it may be: a list must not read the whole table."""
    its = select(payments.c.payment_id).where(payments.c.site_id == site_id)
    ways = [its.where(column == sought) for column in (payments.c.external_id, payments.c.order_id)]
    ways.append(its.where(payments.c.payment_id == sought))
    if sought.isascii() and sought.isdigit() and len(sought) <= _LONGEST_NUMBER:
        ways.append(its.where(payments.c.number == int(sought)))
    with suppress(players.PlayerNotFound):
        player, _ = await players.player_of_login(reader, site_id, sought)
        ways.append(its.where(payments.c.player_id == player.player_id))
    if by_staff:
        # The numbers of each account are an index of their own; a withdrawal's are those of its legs.
        names = [one.account for one, _ in await providers.accounts_of_site(reader, site_id)]
        theirs = its.where(payments.c.account.in_(names), payments.c.kind.in_([Kind.DEPOSIT, Kind.REFUND]))
        ways.append(theirs.where(payments.c.provider_reference == sought))
        parts = select(legs.c.payment_id).where(legs.c.site_id == site_id, legs.c.account.in_(names))
        ways.append(parts.where(legs.c.provider_reference == sought))
        tries = select(attempts.c.payment_id).where(attempts.c.site_id == site_id)
        ways.append(tries.where(attempts.c.attempt_id == sought))
    return payments.c.payment_id.in_(union(*ways))


def _narrowed_by_amount(asked: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.currency is not None:
        asked = asked.where(payments.c.currency == wanted.currency.upper())
    if wanted.least_minor is not None:
        asked = asked.where(payments.c.amount_minor >= wanted.least_minor)
    if wanted.most_minor is not None:
        asked = asked.where(payments.c.amount_minor <= wanted.most_minor)
    return asked


async def _place(reader: Reader, site_id: int, payment_id: str, field: str) -> tuple[datetime, str]:
    row = await reader.first(
        select(payments.c.created_at, payments.c.payment_id).where(
            payments.c.site_id == site_id, payments.c.payment_id == payment_id
        )
    )
    if row is None:
        raise CursorNotFound(payment_id=payment_id, field=field)
    return row.created_at, row.payment_id


async def further(
    reader: Reader, site_id: int, payment_ids: Collection[str], wanted: Collection[Expand]
) -> dict[str, Further]:
    """More of each of these payments: one question for each thing wanted, however many they are."""

    async def found(what: Expand, order: Column[Any]) -> dict[str, list[Row[Any]]] | None:
        if what not in wanted or not payment_ids:
            return None
        table = order.table
        asked = select(table).where(table.c.site_id == site_id, table.c.payment_id.in_(payment_ids))
        rows: dict[str, list[Row[Any]]] = {its: [] for its in payment_ids}
        for row in await reader.all(asked.order_by(order)):
            rows[row.payment_id].append(row)
        return rows

    history = await found(Expand.EVENTS, payment_events.c.sequence)
    parts = await found(Expand.LEGS, legs.c.leg)
    tries = await found(Expand.ATTEMPTS, attempts.c.number)
    return {
        its: Further(
            events=None if history is None else history[its],
            legs=None if parts is None else [leg_of(row) for row in parts[its]],
            attempts=None if tries is None else [attempt_of(row) for row in tries[its]],
        )
        for its in payment_ids
    }


async def under_way(reader: Reader, site_id: int) -> dict[Kind, int]:
    """How many payments of a site are not over, by kind; only where there are any."""
    asked = (
        select(payments.c.kind, func.count().label("many"))
        .where(payments.c.site_id == site_id, payments.c.sub_status.in_(OPEN))
        .group_by(payments.c.kind)
        .order_by(payments.c.kind)
    )
    return {Kind(row.kind): row.many for row in await reader.all(asked)}


async def needing_attention(reader: Reader, site_id: int, limit: int = 100) -> Sequence[Payment]:
    """Payments that a person should look at, oldest first."""
    rows = await reader.all(
        payments.select()
        .where(payments.c.site_id == site_id, payments.c.attention.is_not(None))
        .order_by(payments.c.changed_at)
        .limit(limit)
    )
    return [payment_of(row) for row in rows]
