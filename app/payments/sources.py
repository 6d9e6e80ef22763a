"""From where a player's money came, and how much of it has gone back there."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import case, func, select

from app import methods, providers
from app.kernel.masking import holds_card
from app.kernel.money import Money
from app.payments.closed_loop import Paid
from app.payments.queries import Payment
from app.payments.states import Kind, LegState, Status
from app.payments.tables import legs, payments
from app.plumbing.database import Reader, Transaction

__all__ = ["account_for", "name_of", "paid_by", "remember_source"]

# Nothing of such a leg is with the player, or on its way there.
_NOT_THERE = frozenset(
    {LegState.DECLINED, LegState.PROVIDER_ERROR, LegState.UNDELIVERABLE, LegState.RETURNED}
)


async def remember_source(
    tx: Transaction, found: Payment, seen: providers.InstrumentSeen | None, *, at: datetime
) -> dict[str, object]:
    """Keep with what a deposit was paid, as the provider tells it.

    Returns:
        the columns that change with it; none where the provider told nothing that can be kept. What it tells
        badly never stands in the way of the money.
    """
    if seen is None or not seen.fingerprint or holds_card(seen.masked) or holds_card(seen.fingerprint):
        return {}
    method = seen.method if seen.method in methods.CATALOGUE else found.method
    fields = {"token": seen.token} if method == "card" and seen.token and not holds_card(seen.token) else {}
    destination = methods.Destination(method, fields, seen.masked, seen.fingerprint)
    kept = await methods.remember_instrument(
        tx, found.site_id, found.player_id, destination, account=found.account, at=at
    )
    return {"instrument_id": kept.instrument_id}


async def paid_by(reader: Reader, site_id: int, player_id: str, currency: str) -> list[Paid]:
    """What a player paid in by each instrument and got back by it, the one used first standing first."""
    own = (payments.c.site_id == site_id) & (payments.c.player_id == player_id)
    own &= payments.c.currency == currency
    came = await reader.all(
        select(
            payments.c.instrument_id,
            func.sum(payments.c.captured_minor).label("deposited"),
            func.sum(
                payments.c.refunded_minor + payments.c.refund_pending_minor + payments.c.charged_back_minor
            ).label("returned"),
        )
        .where(own, payments.c.kind == Kind.DEPOSIT, payments.c.instrument_id.is_not(None))
        .where(payments.c.captured_minor > 0)
        .group_by(payments.c.instrument_id)
        .order_by(func.min(payments.c.number))
    )
    if not came:
        return []
    went = await _paid_out(reader, site_id, player_id, currency)
    found = []
    for row in came:
        known = await methods.instrument(reader, site_id, player_id, row.instrument_id)
        found.append(
            Paid(
                known.instrument_id,
                name_of(known),
                Money(int(row.deposited), currency),
                Money(int(row.returned) + went.get(row.instrument_id, 0), currency),
                can_be_paid=await account_for(reader, site_id, currency, known) is not None,
            )
        )
    return found


async def account_for(reader: Reader, site_id: int, currency: str, known: methods.Instrument) -> str | None:
    """The provider account through which an instrument is paid; None: it cannot be."""
    if not known.fields:
        return None
    try:
        offer = await methods.offer(
            reader, site_id, currency, known.method, direction=methods.Direction.PAYOUT
        )
    except methods.MethodUnavailable:
        return None
    return known.account if "token" in known.fields else offer.account


def name_of(known: methods.Instrument) -> str:
    """As people know an instrument: "card *4242"."""
    return f"{known.method.replace('_', ' ')} {known.brief}"


async def _paid_out(reader: Reader, site_id: int, player_id: str, currency: str) -> Mapping[str, int]:
    went = case((legs.c.captured_minor > 0, legs.c.captured_minor), else_=legs.c.amount_minor)
    rows = await reader.all(
        select(legs.c.instrument_id, func.sum(went).label("total"))
        .join(payments, (payments.c.site_id == legs.c.site_id) & (payments.c.payment_id == legs.c.payment_id))
        .where(
            payments.c.site_id == site_id,
            payments.c.player_id == player_id,
            payments.c.currency == currency,
            payments.c.kind == Kind.PAYOUT,
            payments.c.status != Status.CANCELLED,
            legs.c.instrument_id.is_not(None),
            legs.c.state.not_in(sorted(_NOT_THERE)),
            (legs.c.state != LegState.PLANNED) | ~legs.c.is_released,
        )
        .group_by(legs.c.instrument_id)
    )
    return {row.instrument_id: int(row.total) for row in rows}
