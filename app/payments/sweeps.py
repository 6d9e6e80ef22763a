"""Nothing is forgotten: what waits too long is asked about, and what was left half done is ended."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.engine import Row

from app import callouts
from app.payments.casebook import called_since
from app.payments.changes import Cause
from app.payments.legs import legs_of
from app.payments.model import Attention, Step
from app.payments.obstacles import waits
from app.payments.queries import payment
from app.payments.questions import Unanswered, unanswered
from app.payments.recalls import again_at, there_since
from app.payments.schedules import (
    ASK_HORIZON,
    WAITS_FOR_US,
    ask_delay,
    is_asked_late,
    late_question,
    waits_to_be_sent,
)
from app.payments.states import OPEN, Kind, Status, SubStatus
from app.payments.steps import CARRY_ON, carry_on_soon, carry_out
from app.payments.tables import payments
from app.plumbing import metrics, queue
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["ASK", "ASK_LATE", "ask_soon", "end_abandoned", "sweep_due"]

ASK = CARRY_ON
ASK_LATE = "payments.ask_late"  # the same of what has ended and nobody doubts: behind all that is urgent
_MOST_AT_ONCE = 200
# So many questions about what has ended wait or run at any time: half of what one worker does at
# once, so that a provider that hangs keeps neither webhooks waiting nor the queue full.
_MOST_LATE = 20
_ENDED = frozenset({Status.FAILED, Status.COMPLETED, Status.CANCELLED})
_LATE = payments.c.status.in_(sorted(_ENDED)) & payments.c.attention.is_(None)
# A person who waits sees no difference; the page itself looks at what we know, and asks nobody.
_LOOKED_LATELY = timedelta(seconds=5)
_log = structlog.get_logger("payments")
# Longer than the merchant's deadline and the provider's together: whoever was at it is dead.
_ABANDONED_AFTER = timedelta(seconds=60)


async def sweep_due(pipes: Pipes) -> int:
    """Leave a job for every payment of which something is due now, and set its next turn.

    Returns how many.
    """
    now = pipes.clock.now()
    async with pipes.database.transaction() as tx:
        # Who waits for us comes first; what has ended gets what room is left, and stays due until then.
        rows = await _due(tx, ~_LATE, now, _MOST_AT_ONCE)
        room = _MOST_LATE - await queue.unfinished(tx, ASK_LATE, most=_MOST_LATE)
        late = await _due(tx, _LATE, now, room) if room > 0 else []
        for row in (*rows, *late):
            if _is_over(row, now) and not await _goes_on(tx, row, now):
                continue
            await tx.execute(
                update(payments)
                .where(payments.c.site_id == row.site_id, payments.c.payment_id == row.payment_id)
                .values(asked=row.asked + 1, ask_at=_next_turn(row, now))
            )
            if Status(row.status) in _ENDED and row.attention is None:
                job = {"site_id": row.site_id, "payment_id": row.payment_id}
                await queue.add(tx, ASK_LATE, job, key=f"{ASK_LATE}:{row.payment_id}")
            else:
                await carry_on_soon(tx, row.site_id, row.payment_id)
    return len(rows) + len(late)


async def _due(tx: Transaction, which: ColumnElement[bool], now: datetime, most: int) -> Sequence[Row[Any]]:
    """What is due, that longest first; what another holds is passed by."""
    return await tx.all(
        select(
            payments.c.site_id,
            payments.c.payment_id,
            payments.c.kind,
            payments.c.status,
            payments.c.sub_status,
            payments.c.asked,
            payments.c.attention,
            payments.c.expires_at,
            payments.c.completed_at,
            payments.c.is_questioned,
            payments.c.present_attempt,
            # A question may open long after it was sent; parts of a payout leave later than its first.
            case(
                (payments.c.is_questioned, payments.c.changed_at),
                else_=func.coalesce(payments.c.sent_at, payments.c.created_at),
            ).label("since_at"),
        )
        .where(payments.c.ask_at <= now, which)
        .order_by(payments.c.ask_at)
        .limit(most)
        .with_for_update(skip_locked=True, key_share=True)
    )


def _is_asked_late(row: Row[Any]) -> bool:
    """Whether it has the schedule that ends by itself; a question that is open as well has the other one."""
    has_tries = row.present_attempt is not None
    is_one = is_asked_late(Kind(row.kind), SubStatus(row.sub_status), has_tries=has_tries)
    return is_one and row.attention is None and row.completed_at is not None


def _is_over(row: Row[Any], now: datetime) -> bool:
    is_ours = SubStatus(row.sub_status) in WAITS_FOR_US and not row.is_questioned
    return not _is_asked_late(row) and not is_ours and bool(now - row.since_at > ASK_HORIZON)


def _next_turn(row: Row[Any], now: datetime) -> datetime | None:
    if _is_asked_late(row):
        return late_question(row.completed_at, now)
    next_at = now + ask_delay(Kind(row.kind), row.asked + 1)
    if row.sub_status == SubStatus.AWAITING_PLAYER and row.expires_at is not None:
        # Its end is due then, and again soon should whoever asks be a moment behind this clock.
        next_at = min(next_at, max(row.expires_at, now + ask_delay(Kind.DEPOSIT, 0)))
    return next_at


async def ask_soon(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Leave a job to ask the provider, or to do what is due, now: somebody has opened the payment.

    Nothing where somebody did a moment ago, or is just at it: whoever reloads a page in a hurry learns no
    more by it, and the provider would hear each time.
    """
    now = pipes.clock.now()
    its = (payments.c.site_id == site_id) & (payments.c.payment_id == payment_id)
    is_old = payments.c.looked_at.is_(None) | (payments.c.looked_at <= now - _LOOKED_LATELY)
    free = select(payments.c.payment_id).where(its, is_old).with_for_update(skip_locked=True, key_share=True)
    async with pipes.database.transaction() as tx:
        looked = await tx.execute(
            update(payments).where(its, payments.c.payment_id.in_(free)).values(looked_at=now)
        )
        if looked.rowcount:
            await carry_on_soon(tx, site_id, payment_id)


async def end_abandoned(pipes: Pipes) -> int:
    """End deposits whose process died while the merchant was asked; returns how many.

    No provider was asked yet, so no money can have moved. One that cannot be ended now does not keep the
    others waiting.
    """
    now = pipes.clock.now()
    async with pipes.database.reading() as reader:
        rows = await reader.all(
            select(payments.c.site_id, payments.c.payment_id)
            .where(
                payments.c.sub_status == SubStatus.CHECKING, payments.c.changed_at < now - _ABANDONED_AFTER
            )
            .order_by(payments.c.changed_at)
            .limit(_MOST_AT_ONCE)
        )
    ended = 0
    for row in rows:
        try:
            async with pipes.database.transaction() as tx:
                ended += await _end(tx, row.site_id, row.payment_id, now)
        except Exception:  # noqa: BLE001  whatever ails this one, the others must not wait
            metrics.ALARMS.labels("payment_not_ended").inc()
            _log.exception("payment.not_ended", payment_id=row.payment_id)
    return ended


async def _end(tx: Transaction, site_id: int, payment_id: str, now: datetime) -> int:
    found = await payment(tx, site_id, payment_id, lock=True)
    if found.sub_status is not SubStatus.CHECKING:
        return 0
    # The merchant may have opened an order that we had no time to store: it is told under its own number.
    changes = {"external_id": await callouts.accepted_order(tx, site_id, payment_id)}
    step = Step(path=(SubStatus.MERCHANT_UNREACHABLE,))
    await carry_out(tx, found, step, Cause("clock", reason="abandoned while asking", changes=changes), at=now)
    return 1


async def _goes_on(tx: Transaction, row: Row[Any], now: datetime) -> bool:
    """The horizon is reached: what is still open, or was never answered, is a person's.

    What they have noted by then, and is open still, is theirs once more after as long. Nobody is asked any
    more, but who says still that the page of a try waits for its player, when another was paid: that is an
    answer, and no doubt. What waits to be sent keeps its turns, also beside a part of which nothing is heard,
    and so does a part that left later and has time still. Nothing is sent in the place of a try about which a
    question is open: that ends by its answer or by people alone.

    Returns:
        whether it keeps its turns.
    """
    found = await payment(tx, row.site_id, row.payment_id, lock=True)
    is_open, since = found.sub_status in OPEN, now - ASK_HORIZON
    parts = await legs_of(tx, found) if is_open and found.kind is Kind.PAYOUT else []
    left = await there_since(tx, found, parts)
    is_queued = any(map(waits, parts)) if parts else waits_to_be_sent(found.kind, found.sub_status)
    goes_on = is_queued or any(sent_at > since for sent_at in left)
    doubt = await unanswered(tx, found, since=since) if found.is_questioned else Unanswered()
    if doubt.is_page_open and not is_open:
        return True
    is_in_time = bool(left) and min(left) > since and not is_queued
    if is_in_time and not found.is_questioned and found.sub_status is not SubStatus.CONFLICTED:
        return True
    if is_open or found.is_questioned:
        # Once in so long, whatever is heard of it meanwhile: each turn would call them again. Once more when
        # the last part is given up: they may have noted it while that one was still asked about.
        told_since = since if goes_on else max([since, *(sent_at + ASK_HORIZON for sent_at in left)])
        is_told = await called_since(tx, found, Attention.UNRESOLVED, told_since)
        about = None if is_open else doubt.attempt_id  # of what is open it is about all of it
        cause = Cause("clock", reason=doubt.why, attempt_id=about, is_news=not is_told)
        await carry_out(tx, found, Step(attention=Attention.UNRESOLVED), cause, at=now)
    if not goes_on:
        its = (payments.c.site_id == row.site_id) & (payments.c.payment_id == row.payment_id)
        await tx.execute(update(payments).where(its).values(ask_at=await again_at(tx, found, now)))
    return goes_on
