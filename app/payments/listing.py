"""Payments of a site: pages of a list, newest first, stable while new ones come; what is open or waits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_

from app import players
from app.kernel.errors import Refusal
from app.payments.queries import Payment, payment_of
from app.payments.states import OPEN, Kind, Status
from app.payments.tables import payments
from app.plumbing.database import Reader

__all__ = ["CursorNotFound", "Page", "Wanted", "needing_attention", "page", "under_way"]


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


@dataclass(frozen=True, slots=True)
class Page:
    """Some payments, and whether there are more beyond them in the direction that was asked for."""

    payments: list[Payment]
    has_more: bool


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
    return asked


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
