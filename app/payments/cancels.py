"""Taking a withdrawal back before it is sent: the player, or staff for the player."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import update

from app import staff
from app.kernel.errors import Refusal
from app.payments.cascade import may_be_paid
from app.payments.changes import Cause
from app.payments.doubts import check_none_paid
from app.payments.leg_money import give_back, let_go
from app.payments.legs import Leg, attempts_of, legs_of, payout, policy
from app.payments.model import Step
from app.payments.obstacles import waits
from app.payments.queries import Payment, PaymentNotFound
from app.payments.rules import of_legs
from app.payments.states import LegState, Status, SubStatus
from app.payments.steps import carry_out
from app.payments.tables import legs
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

    Also one that waits in the queue after something did not leave us; and of one that is paid in part, or at
    its provider, the parts that wait: these end as declined, and it goes on with the others.

    Raises:
        PaymentNotFound: no such withdrawal at this site.
        NotPermitted, OperatorDisabled: this person may not.
        BadReason: control characters or a card number in it (422).
        TooLateToCancel: all that is left of it is being sent, or it is over.
        MayBePaid: it was sent before, and nobody can say that nothing came of it.
    """
    staff.check_text("reason", reason)

    async def work(tx: Transaction) -> Payment:
        staff.require(await staff.operator(tx, operator.operator_id), staff.Right.PAYMENT_CANCEL, site_id)
        found = await payout(tx, site_id, payment_id, lock=True)
        at = pipes.clock.now()
        cause = Cause("staff", reason=reason, detail={"by": operator.actor})
        detail: dict[str, object] = {"was": found.sub_status.value, "reason": reason}
        if found.status is Status.PROCESSING and found.sub_status is not SubStatus.ALLOCATED:
            detail["parts"] = await _end_waiting(tx, found, cause, at)
        else:
            cause = replace(cause, changes={"ask_at": None})
            await _cancel(tx, found, SubStatus.BY_OPERATOR, cause, at)
        await staff.note(
            tx,
            site_id,
            actor=operator.actor,
            deed="payout.cancelled",
            subject=payment_id,
            detail=detail,
            at=at,
        )
        return await payout(tx, site_id, payment_id)

    return await pipes.database.retried(work)


async def _end_waiting(tx: Transaction, found: Payment, cause: Cause, at: datetime) -> list[int]:
    """End the parts that wait to be sent while others were paid, or are at their provider; their numbers.

    Not those of which a try may be paid: they wait on, for two people.
    """
    waiting = [part for part in await legs_of(tx, found) if waits(part)]
    if not waiting:
        raise TooLateToCancel
    doubted = {one.leg for one in await attempts_of(tx, found) if may_be_paid(one) or not one.is_over}
    ending = [part for part in waiting if part.leg not in doubted]
    if not ending:
        await check_none_paid(tx, found, [part.leg for part in waiting])
    for part in ending:
        found = await payout(tx, found.site_id, found.payment_id)
        await _end_part(tx, found, part, cause, at)
    return [part.leg for part in ending]


async def _end_part(tx: Transaction, found: Payment, part: Leg, cause: Cause, at: datetime) -> None:
    """End one of them: its money is the player's again, the withdrawal goes where the others put it."""
    await let_go(tx, found, part, at)
    its = (legs.c.site_id == found.site_id) & (legs.c.payment_id == found.payment_id)
    ended = {"state": LegState.DECLINED, "is_released": True}
    await tx.execute(update(legs).where(its, legs.c.leg == part.leg).values(ended))
    parts = await legs_of(tx, found)
    target = of_legs([one.state for one in parts])
    of_leg = {"leg": part.leg, "leg_state": LegState.DECLINED.value}
    cause = replace(cause, detail={**cause.detail, **of_leg})
    if found.waits_because and not any(map(waits, parts)):
        cause = replace(cause, changes={"reason_code": "", "reason": ""})
    await carry_out(tx, found, Step(() if target is found.sub_status else (target,)), cause, at=at)


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
