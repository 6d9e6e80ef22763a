"""Taking a withdrawal back before it is sent: the player, or staff for the player."""

from datetime import datetime

from app import staff
from app.kernel.errors import Refusal
from app.payments.doubts import check_none_paid
from app.payments.leg_money import give_back
from app.payments.legs import payout, policy
from app.payments.model import Step
from app.payments.queries import Payment, PaymentNotFound
from app.payments.states import Status, SubStatus
from app.payments.steps import Cause, carry_out
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["CancelNotAllowed", "TooLateToCancel", "cancel", "cancel_for_staff"]


class TooLateToCancel(Refusal):
    """This withdrawal can no longer be cancelled."""


class CancelNotAllowed(Refusal):
    """This site does not let players cancel withdrawals. Support can help."""


async def cancel(pipes: Pipes, site_id: int, payment_id: str, player_id: str) -> Payment:
    """Let the player take a withdrawal back while it is pending.

    Raises:
        PaymentNotFound: not a withdrawal of this player.
        CancelNotAllowed: the site's policy.
        TooLateToCancel: it is being sent, or over.
    """

    async def work(tx: Transaction) -> Payment:
        found = await payout(tx, site_id, payment_id, lock=True)
        if found.player_id != player_id:
            raise PaymentNotFound
        rules = await policy(tx, site_id, found.amount.currency)
        if not rules.player_may_cancel:
            raise CancelNotAllowed
        cause = Cause("player", changes={"ask_at": None})
        return await _cancel(tx, found, SubStatus.BY_PLAYER, cause, pipes.clock.now())

    return await pipes.database.retried(work)


async def cancel_for_staff(
    pipes: Pipes, site_id: int, payment_id: str, operator: staff.Operator, *, reason: str
) -> Payment:
    """Take a withdrawal back for the player who asked for it, or because it must not go; noted in the diary.

    Also one that waits in the queue after something did not leave us.

    Raises:
        PaymentNotFound: no such withdrawal at this site.
        NotPermitted, OperatorDisabled: this person may not.
        BadReason: control characters or a card number in it (422).
        TooLateToCancel: it is being sent, or over.
        MayBePaid: it was sent before, and nobody can say that nothing came of it.
    """
    staff.check_text("reason", reason)

    async def work(tx: Transaction) -> Payment:
        staff.require(await staff.operator(tx, operator.operator_id), staff.Right.PAYMENT_CANCEL, site_id)
        found = await payout(tx, site_id, payment_id, lock=True)
        at = pipes.clock.now()
        cause = Cause("staff", reason=reason, changes={"ask_at": None}, detail={"by": operator.actor})
        gone = await _cancel(tx, found, SubStatus.BY_OPERATOR, cause, at)
        detail = {"was": found.sub_status.value, "reason": reason}
        await staff.note(
            tx,
            site_id,
            actor=operator.actor,
            deed="payout.cancelled",
            subject=payment_id,
            detail=detail,
            at=at,
        )
        return gone

    return await pipes.database.retried(work)


async def _cancel(tx: Transaction, found: Payment, end: SubStatus, cause: Cause, at: datetime) -> Payment:
    """End a withdrawal of which nothing is under way."""
    waits = found.status is Status.PENDING
    if not waits and not (end is SubStatus.BY_OPERATOR and found.sub_status is SubStatus.ALLOCATED):
        raise TooLateToCancel
    await check_none_paid(tx, found)
    await give_back(tx, found, at=at)
    await staff.withdraw_approval(tx, found.site_id, staff.ApprovalKind.PAYOUT, found.payment_id, at=at)
    await carry_out(tx, found, Step((end,)), cause, at=at)
    return await payout(tx, found.site_id, found.payment_id)
