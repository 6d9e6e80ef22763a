"""What is known of a dispute, and what others hear of it: type 7 of the protocol, events dispute.*."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy.engine import Row

from app import merchants, players, webhooks
from app.kernel.money import Money
from app.payments.case_tables import disputes
from app.payments.contract import CHARGEBACK_STATUS_ID, CHARGEBACK_TYPE_ID, notification_fields
from app.payments.queries import Payment
from app.payments.states import DisputeState
from app.payments.telling import notified_of, publish_change
from app.plumbing.database import Reader, Transaction

__all__ = ["Dispute", "dispute_of", "disputes_of", "public_dispute", "tell_dispute"]

# Representment, won, lost, and that it was opened: what the protocol knows. The rest are events only.
_TOLD: Final = frozenset(
    {
        DisputeState.OPENED,
        DisputeState.SUBMITTED,
        DisputeState.WON,
        DisputeState.LOST,
        DisputeState.ACCEPTED,
        DisputeState.EXPIRED,
    }
)


@dataclass(frozen=True, slots=True)
class Dispute:
    """One dispute as its row says. `posted`: what is taken from us at present."""

    site_id: int
    dispute_id: str
    number: int
    payment_id: str
    account: str
    dispute_reference: str
    state: DisputeState
    amount: Money
    posted: Money
    reason: str
    sequence: int
    due_at: datetime | None
    opened_at: datetime
    changed_at: datetime
    closed_at: datetime | None


def dispute_of(row: Row[Any]) -> Dispute:
    """Read a row of the table `dispute`."""
    return Dispute(
        site_id=row.site_id,
        dispute_id=row.dispute_id,
        number=row.number,
        payment_id=row.payment_id,
        account=row.account,
        dispute_reference=row.dispute_reference,
        state=DisputeState(row.state),
        amount=Money(row.amount_minor, row.currency),
        posted=Money(row.posted_minor, row.currency),
        reason=row.reason,
        sequence=row.sequence,
        due_at=row.due_at,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        closed_at=row.closed_at,
    )


def public_dispute(its: Dispute) -> dict[str, object]:
    """A dispute as strangers may see it."""
    return {
        "object": "dispute",
        "id": its.dispute_id,
        "transaction_id": its.number,
        "type_id": CHARGEBACK_TYPE_ID,
        "status": its.state.value,
        "status_id": CHARGEBACK_STATUS_ID[its.state],
        "payment_id": its.payment_id,
        "amount_minor": its.amount.minor,
        "posted_minor": its.posted.minor,
        "currency": its.amount.currency,
        "due_at": its.due_at.isoformat() if its.due_at else None,
        "opened_at": its.opened_at.isoformat(),
        "closed_at": its.closed_at.isoformat() if its.closed_at else None,
    }


async def disputes_of(reader: Reader, site_id: int, deposit_id: str) -> list[Dispute]:
    """Every dispute of a deposit, the oldest first."""
    rows = await reader.all(
        disputes.select()
        .where(disputes.c.site_id == site_id, disputes.c.payment_id == deposit_id)
        .order_by(disputes.c.number)
    )
    return [dispute_of(row) for row in rows]


async def tell_dispute(
    tx: Transaction, deposit: Payment, was: Dispute | None, now_is: Dispute, *, at: datetime
) -> None:
    """Tell of a change of a dispute that has just been written, in its transaction."""
    before, after = public_dispute(was) if was else {}, public_dispute(now_is)
    its = (now_is.dispute_id, now_is.sequence)
    await publish_change(tx, now_is.site_id, f"dispute.{now_is.state.value}", its, before, after, at=at)
    # A warning that expires took nothing; the protocol knows no warnings, only money that is lost.
    if now_is.state not in _TOLD or (now_is.state is DisputeState.EXPIRED and not now_is.posted.minor):
        return
    site = await merchants.site(tx, now_is.site_id)
    player = await players.player(tx, now_is.site_id, deposit.player_id)
    # The deposit's own, but for what is the dispute's; nothing of how the deposit was paid.
    facts = replace(
        notified_of(deposit, player.site_login, at=at),
        type_id=CHARGEBACK_TYPE_ID,
        dispute=now_is.state,
        number=now_is.number,
        amount=now_is.amount,
        real_amount=now_is.amount,
        customer_purse="",
    )
    fields = notification_fields(facts, extended=False)
    told = webhooks.Notification(now_is.dispute_id, now_is.sequence, success=True, fields=fields)
    await webhooks.announce(tx, site, told, at=at)
