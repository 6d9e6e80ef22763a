"""A refund once it is asked for: approved or rejected by another person, called off, or never decided.

requested          the deposit's room and the player's money are reserved  (refund_requests)
awaiting_approval  somebody else says yes, two above the site's second threshold
approved           the queue                                               (refund_sending)
submitted -> ...   the provider's answer, notice or status                 (refund_steps; the table decides)
"""

from datetime import datetime

import structlog
from sqlalchemy import select

from app import staff
from app.kernel.errors import Refusal
from app.payments.changes import Cause
from app.payments.doubts import check_none_paid
from app.payments.model import Step
from app.payments.queries import Payment
from app.payments.refund_requests import check_reason, permitted, refund, refund_content
from app.payments.refund_steps import count_given_back, let_go
from app.payments.states import Kind, SubStatus
from app.payments.steps import carry_on_soon, carry_out
from app.payments.tables import payments
from app.plumbing import idempotency, metrics
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["RefundUnderWay", "approve_refund", "cancel_refund", "end_expired_refunds", "reject_refund"]

_WAITS = frozenset({SubStatus.AWAITING_APPROVAL, SubStatus.AWAITING_SECOND_APPROVAL, SubStatus.APPROVED})
_AT_ONCE = 100
_log = structlog.get_logger("payments")


class RefundUnderWay(Refusal):
    """The refund can no longer be called off: it is {sub_status}."""


async def approve_refund(
    pipes: Pipes,
    site_id: int,
    refund_id: str,
    operator: staff.Operator,
    *,
    reason: str = "",
    approval_id: str = "",
) -> Payment:
    """Take one person's approval; the last one that is needed lets the refund go.

    Raises:
        PaymentNotFound: no such refund at this site.
        NotPermitted, OperatorDisabled, OwnRequest: this person may not (403).
        ApprovalClosed, ApprovalExpired, VotedAlready, ContentChanged: not any more (409).
    """
    staff.check_text("reason", reason)
    cast = staff.Vote(staff.Verdict.APPROVE, reason_staff=reason, approval_id=approval_id)

    async def work(tx: Transaction) -> Payment:
        found = await refund(tx, site_id, refund_id, lock=True)
        at = pipes.clock.now()
        voted = await _voted(tx, found, operator, cast, at)
        by = {"by": operator.actor}
        if voted.state is not staff.ApprovalState.APPROVED:
            second = Step((SubStatus.AWAITING_SECOND_APPROVAL,))
            step = Step() if found.sub_status is SubStatus.AWAITING_SECOND_APPROVAL else second
            await carry_out(tx, found, step, Cause("staff", reason=reason, detail=by), at=at)
        else:
            mark = idempotency.fingerprint(refund_content(found))
            changes = {"approved_at": at, "approved_hash": mark, "expires_at": None, "ask_at": at}
            cause = Cause("staff", reason=reason, changes=changes, detail=by)
            await carry_out(tx, found, Step((SubStatus.APPROVED,)), cause, at=at)
            await carry_on_soon(tx, site_id, refund_id)
        return await refund(tx, site_id, refund_id)

    return await pipes.database.retried(work)


async def reject_refund(
    pipes: Pipes,
    site_id: int,
    refund_id: str,
    operator: staff.Operator,
    *,
    reason: str,
    approval_id: str = "",
) -> Payment:
    """Reject a refund; what was reserved is free again. One person is enough, but not who asked for it.

    Raises: as `approve_refund`; also BadReason without a reason.
    """
    cast = staff.Vote(staff.Verdict.REJECT, reason_staff=reason, approval_id=approval_id)

    async def work(tx: Transaction) -> Payment:
        found = await refund(tx, site_id, refund_id, lock=True)
        at = pipes.clock.now()
        await _voted(tx, found, operator, cast, at)
        cause = Cause("staff", reason=reason, detail={"by": operator.actor})
        return await _end(tx, found, SubStatus.REJECTED, cause, at)

    return await pipes.database.retried(work)


async def cancel_refund(
    pipes: Pipes, site_id: int, refund_id: str, operator: staff.Operator, *, reason: str
) -> Payment:
    """Call a refund off before it is sent, also one's own; what was reserved is free again.

    Raises:
        PaymentNotFound: no such refund at this site.
        NotPermitted, OperatorDisabled: this person may not ask for refunds either.
        RefundUnderWay: it was sent, or is over.
        MayBePaid: it was sent before, and nobody can say that nothing came of it.
        BadReason: no reason.
    """
    check_reason(reason)

    async def work(tx: Transaction) -> Payment:
        await permitted(tx, operator, site_id)
        found = await refund(tx, site_id, refund_id, lock=True)
        at = pipes.clock.now()
        if found.sub_status not in _WAITS:
            raise RefundUnderWay(sub_status=found.sub_status.value)
        await check_none_paid(tx, found)
        await staff.withdraw_approval(
            tx, site_id, staff.ApprovalKind.REFUND, refund_id, at=at, by=operator.actor
        )
        detail = {"was": found.sub_status.value, "reason": reason}
        await staff.note(
            tx,
            site_id,
            actor=operator.actor,
            deed="refund.cancelled",
            subject=refund_id,
            detail=detail,
            at=at,
        )
        cause = Cause("staff", reason=reason, detail={"by": operator.actor})
        return await _end(tx, found, SubStatus.BY_OPERATOR, cause, at)

    return await pipes.database.retried(work)


async def end_expired_refunds(pipes: Pipes) -> int:
    """End refunds that nobody approved in time, so that the player's money is not reserved for ever.

    Returns how many.
    """
    now = pipes.clock.now()
    async with pipes.database.reading() as reader:
        rows = await reader.all(
            select(payments.c.site_id, payments.c.payment_id)
            .where(
                payments.c.kind == Kind.REFUND,
                payments.c.sub_status.in_(sorted(_WAITS - {SubStatus.APPROVED})),
                payments.c.expires_at <= now,
            )
            .order_by(payments.c.changed_at)
            .limit(_AT_ONCE)
        )
    ended = 0
    for row in rows:

        async def end(tx: Transaction, site_id: int = row.site_id, refund_id: str = row.payment_id) -> int:
            return await _end_expired(tx, site_id, refund_id, now)

        try:
            ended += await pipes.database.retried(end)
        except Exception:  # noqa: BLE001  whatever ails this one, the others must not wait
            metrics.ALARMS.labels("payment_not_ended").inc()
            _log.exception("payment.not_ended", payment_id=row.payment_id)
    return ended


async def _end_expired(tx: Transaction, site_id: int, refund_id: str, now: datetime) -> int:
    found = await refund(tx, site_id, refund_id, lock=True)
    if found.sub_status not in _WAITS or found.expires_at is None or found.expires_at > now:
        return 0
    await staff.withdraw_approval(tx, site_id, staff.ApprovalKind.REFUND, refund_id, at=now)
    await _end(tx, found, SubStatus.BY_SYSTEM, Cause("clock", reason="not approved in time"), now)
    return 1


async def _end(tx: Transaction, found: Payment, end: SubStatus, cause: Cause, at: datetime) -> Payment:
    await let_go(tx, found, at=at)
    await carry_out(tx, found, Step((end,)), cause, at=at)
    await count_given_back(tx, found, at=at)
    return await refund(tx, found.site_id, found.payment_id)


async def _voted(
    tx: Transaction, found: Payment, operator: staff.Operator, cast: staff.Vote, at: datetime
) -> staff.Approval:
    kind, content = staff.ApprovalKind.REFUND, refund_content(found)
    return await staff.vote(tx, found.site_id, kind, found.payment_id, operator, cast, content=content, at=at)
