"""What others hear of a dispute: type 7 of the protocol, events dispute.*."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from app import merchants, players, webhooks
from app.payments.contract import CHARGEBACK_STATUS_ID, CHARGEBACK_TYPE_ID, notification_fields
from app.payments.dispute_queries import Dispute, public_dispute
from app.payments.queries import Payment
from app.payments.states import DisputeState
from app.payments.telling import notified_of, publish_change
from app.plumbing.database import Transaction

__all__ = ["tell_dispute", "tell_evidence_due"]

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


async def tell_dispute(
    tx: Transaction, deposit: Payment, was: Dispute | None, now_is: Dispute, *, at: datetime
) -> None:
    """Tell of a change of a dispute that has just been written, in its transaction."""
    before, after = public_dispute(was) if was else {}, public_dispute(now_is)
    its = (now_is.dispute_id, now_is.sequence)
    await publish_change(tx, now_is.site_id, f"dispute.{now_is.state.value}", its, before, after, at=at)
    told_before = _as_told(was) if was else None
    if _as_told(now_is) in {None, told_before}:
        return  # as where it was given in to, and then lost
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


async def tell_evidence_due(tx: Transaction, its: Dispute, *, at: datetime) -> None:
    """Tell that the bank soon hears no more evidence: an event only, the protocol has no number for it."""
    event = webhooks.Event("dispute.evidence_due", its.dispute_id, its.sequence, public_dispute(its), {}, at)
    await webhooks.publish(tx, its.site_id, event, at=at)


def _as_told(its: Dispute) -> tuple[int, int] | None:
    """What the protocol knows of it; no warnings, so nothing of one that has expired: it took nothing."""
    is_warning = its.state is DisputeState.EXPIRED and not its.posted.minor
    is_told = its.state in _TOLD and not is_warning
    return (CHARGEBACK_STATUS_ID[its.state], its.amount.minor) if is_told else None
