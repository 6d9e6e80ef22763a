"""What a site offers now, and with what its players have paid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select
from sqlalchemy.engine import Row

from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.methods.destinations import Destination
from app.methods.model import CATALOGUE, Direction, MethodUnavailable, Offer
from app.methods.tables import instruments as instrument_rows
from app.methods.tables import site_methods
from app.plumbing.database import Built, Reader

__all__ = [
    "Instrument",
    "InstrumentNotFound",
    "instrument",
    "instrument_of",
    "instruments",
    "is_offered",
    "new_instruments",
    "offer",
    "offer_in",
    "offer_of",
    "offer_with",
    "offers",
]


# Built once: every visit and every deposit asks.
_ENABLED = select(site_methods).where(
    site_methods.c.site_id == bindparam("of_site"),
    site_methods.c.currency == bindparam("in_currency"),
    site_methods.c.enabled,
)
_OFFERS = Built(_ENABLED.order_by(site_methods.c.position, site_methods.c.method))
_ONE = _ENABLED.where(
    site_methods.c.method == bindparam("by_method"), site_methods.c.direction == bindparam("in_direction")
)
_OFFER, _OFFER_LOCKED = Built(_ONE), Built(_ONE.with_for_update())


class InstrumentNotFound(Refusal):
    """This player has no such card, account or telephone."""

    param = "instrument_id"


@dataclass(frozen=True, slots=True)
class Instrument:
    """A player's card, account, telephone or wallet, as the site knows it.

    `fields` is where money is sent (of a card the token, good at `account` only); empty: it is only known by
    sight. A removed one is not shown to the player.
    """

    site_id: int
    instrument_id: str
    player_id: str
    method: str
    account: str
    masked: str
    fingerprint: str
    fields: Mapping[str, str] = field(repr=False)
    first_seen_at: datetime
    last_used_at: datetime
    removed_at: datetime | None

    @property
    def destination(self) -> Destination:
        """The instrument as a payout's destination."""
        return Destination(self.method, self.fields, self.masked, self.fingerprint)

    @property
    def brief(self) -> str:
        """As in "card *4242"."""
        return self.destination.brief


async def offers(reader: Reader, site_id: int, currency: str) -> list[Offer]:
    """Every enabled method of a site in a currency, to pay in and to receive by, in the site's order."""
    rows = await reader.all(_OFFERS, {"of_site": site_id, "in_currency": currency})
    return [offer_of(row) for row in rows if row.method in CATALOGUE]


async def offer(
    reader: Reader,
    site_id: int,
    currency: str,
    method: str,
    *,
    direction: Direction = Direction.DEPOSIT,
    lock: bool = False,
) -> Offer:
    """One method as the site offers it; with `lock`, nobody else changes the offer meanwhile.

    Raises:
        MethodUnavailable: unknown, not offered in this currency and direction, or switched off.
    """
    wanted = {"of_site": site_id, "in_currency": currency, "by_method": method, "in_direction": direction}
    return offer_in(await reader.first(_OFFER_LOCKED if lock else _OFFER, wanted), method)


def offer_with(*beside: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """The question for one method as the site offers it, with columns of others; read by `offer_in`.

    Its parameters are `of_site`, `in_currency`, `by_method` and `in_direction`; its table is `site_method`.
    """
    return _ONE.add_columns(*beside)


def offer_in(row: Row[Any] | None, method: str) -> Offer:
    """What such a question found.

    Raises:
        MethodUnavailable: unknown, not offered in this currency and direction, or switched off.
    """
    if row is None or row.method not in CATALOGUE:
        raise MethodUnavailable(method=method)
    return offer_of(row)


def is_offered(
    site_id: ColumnElement[int],
    currency: ColumnElement[str],
    method: ColumnElement[str],
    direction: Direction,
) -> ColumnElement[bool]:
    """Whether a site offers a method now, as a column of another statement."""
    return exists().where(
        site_methods.c.site_id == site_id,
        site_methods.c.currency == currency,
        site_methods.c.method == method,
        site_methods.c.direction == direction,
        site_methods.c.enabled,
    )


async def instrument(reader: Reader, site_id: int, player_id: str, instrument_id: str) -> Instrument:
    """One instrument of a player, removed or not.

    Raises:
        InstrumentNotFound: the player has none of that id.
    """
    row = await reader.first(
        select(instrument_rows).where(
            instrument_rows.c.site_id == site_id,
            instrument_rows.c.instrument_id == instrument_id,
            instrument_rows.c.player_id == player_id,
        )
    )
    if row is None:
        raise InstrumentNotFound
    return instrument_of(row)


async def instruments(
    reader: Reader, site_id: int, player_id: str, *, with_removed: bool = False
) -> list[Instrument]:
    """A player's instruments, the last used first."""
    asked = select(instrument_rows).where(
        instrument_rows.c.site_id == site_id, instrument_rows.c.player_id == player_id
    )
    if not with_removed:
        asked = asked.where(instrument_rows.c.removed_at.is_(None))
    newest_first = asked.order_by(instrument_rows.c.last_used_at.desc(), instrument_rows.c.instrument_id)
    return [instrument_of(row) for row in await reader.all(newest_first)]


async def new_instruments(reader: Reader, site_id: int, player_id: str, *, since: datetime) -> int:
    """How many instruments of a player were first seen since an instant, removed or not."""
    row = await reader.one(
        select(func.count().label("n")).where(
            instrument_rows.c.site_id == site_id,
            instrument_rows.c.player_id == player_id,
            instrument_rows.c.first_seen_at > since,
        )
    )
    return int(row.n)


def instrument_of(row: Row[Any]) -> Instrument:
    """A row of the table as an instrument."""
    return Instrument(
        site_id=row.site_id,
        instrument_id=row.instrument_id,
        player_id=row.player_id,
        method=row.method,
        account=row.account,
        masked=row.masked,
        fingerprint=row.fingerprint,
        fields=row.fields,
        first_seen_at=row.first_seen_at,
        last_used_at=row.last_used_at,
        removed_at=row.removed_at,
    )


def offer_of(row: Row[Any]) -> Offer:
    """A row of the table as an offer."""
    return Offer(
        method=CATALOGUE[row.method],
        minimum=Money(row.minimum_minor, row.currency),
        maximum=Money(row.maximum_minor, row.currency),
        account=row.account,
        position=row.position,
        direction=Direction(row.direction),
        further_accounts=tuple(row.further_accounts),
    )
