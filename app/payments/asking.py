"""Whatever kind a payment is: carrying it on, and letting the provider's word about a try count."""

from datetime import datetime

from app import providers
from app.payments import deposit_sending, payouts
from app.payments.leg_steps import apply_to_leg
from app.payments.model import Source, Step
from app.payments.queries import Attempt, Payment, payment
from app.payments.refund_sending import carry_on_refund
from app.payments.refund_steps import apply_to_refund
from app.payments.states import Kind
from app.payments.steps import apply_evidence
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["apply", "carry_on"]


async def carry_on(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Ask the provider what became of a payment, or do what else is due of it; safe at any time.

    Raises:
        PaymentNotFound: no such payment at this site.
    """
    async with pipes.database.reading() as reader:
        found = await payment(reader, site_id, payment_id)
    match found.kind:
        case Kind.DEPOSIT:
            await deposit_sending.ask_provider(pipes, site_id, payment_id)
        case Kind.REFUND:
            await carry_on_refund(pipes, site_id, payment_id)
        case Kind.PAYOUT:
            await payouts.carry_on(pipes, site_id, payment_id)


async def apply(
    tx: Transaction,
    found: Payment,
    attempt: Attempt,
    result: providers.Result,
    source: Source,
    *,
    at: datetime,
) -> Step:
    """Let one piece of evidence about one try do what the table says; the payment's row is locked."""
    match found.kind:
        case Kind.PAYOUT:
            return await apply_to_leg(tx, found, attempt, result, source, at=at)
        case Kind.REFUND:
            return await apply_to_refund(tx, found, attempt, result, source, at=at)
        case Kind.DEPOSIT:
            return await apply_evidence(tx, found, attempt.attempt_id, result, source, at=at)
