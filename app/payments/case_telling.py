"""What a payment's merchant hears of a case: that people looked, and what they decided."""

from datetime import datetime

from app import webhooks
from app.payments.casebook import Case
from app.payments.model import CaseState
from app.payments.queries import Payment
from app.plumbing.database import Transaction

__all__ = ["tell_resolved"]


def _public_case(its: Case, found: Payment) -> dict[str, object]:
    """A case as the payment's merchant may see it: that people looked, and what they decided."""
    return {
        "object": "case",
        "id": its.case_id,
        "kind": its.kind.value,
        "state": its.state.value,
        "resolution": its.resolution,
        "payment_id": found.payment_id,
        "transaction_id": found.number,
        "opened_at": its.opened_at.isoformat(),
        "resolved_at": its.resolved_at.isoformat() if its.resolved_at else None,
    }


async def tell_resolved(tx: Transaction, its: Case, found: Payment, *, at: datetime) -> None:
    """Tell of a case that has just been resolved; what changed of its payment is told by its own events."""
    before = {"state": CaseState.OPEN.value, "resolution": "", "resolved_at": None}
    event = webhooks.Event("transaction.resolved", its.case_id, 1, _public_case(its, found), before, at)
    await webhooks.publish(tx, its.site_id, event, at=at)
