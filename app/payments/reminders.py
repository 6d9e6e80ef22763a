"""What is told because its time has come: that the bank soon hears no more evidence about a dispute."""

from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, and_, select, update

from app.payments.case_tables import disputes
from app.payments.dispute_queries import WAITS_FOR_EVIDENCE, dispute
from app.payments.dispute_telling import tell_evidence_due
from app.payments.queries import payment
from app.plumbing import metrics
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["EVIDENCE_NOTICE", "remind_of_evidence"]

# Three days: a shop that is closed at weekends still has a working day of them.
EVIDENCE_NOTICE: Final = timedelta(days=3)
_AT_ONCE: Final = 200
_log = structlog.get_logger("payments")


async def remind_of_evidence(pipes: Pipes) -> int:
    """Tell, once for each date, that evidence is due within `EVIDENCE_NOTICE`; returns how often it was told.

    A date that has passed is not told of: nobody can answer any more. One that cannot be told of does not
    keep the others waiting.
    """
    now = pipes.clock.now()
    due = (
        select(disputes.c.site_id, disputes.c.dispute_id, disputes.c.payment_id)
        .where(_is_due(now))
        .order_by(disputes.c.due_at)
        .limit(_AT_ONCE)
    )
    async with pipes.database.reading() as reader:
        found = await reader.all(due)
    told = 0
    for row in found:
        try:
            told += await _remind(pipes, row.site_id, row.dispute_id, row.payment_id)
        except Exception:  # noqa: BLE001  whatever ails this one, the others must not wait
            metrics.ALARMS.labels("evidence_not_told").inc()
            _log.exception("dispute.evidence_not_told", site_id=row.site_id, dispute_id=row.dispute_id)
    return told


async def _remind(pipes: Pipes, site_id: int, dispute_id: str, payment_id: str) -> bool:
    """Tell of one, if it still is so behind the deposit's lock, which whoever changes a dispute holds."""

    async def work(tx: Transaction) -> bool:
        now = pipes.clock.now()
        deposit = await payment(tx, site_id, payment_id, lock=True)
        its = (disputes.c.site_id == site_id) & (disputes.c.dispute_id == dispute_id)
        marked = await tx.execute(
            update(disputes)
            .where(its, _is_due(now))
            .values(due_told_at=disputes.c.due_at, sequence=disputes.c.sequence + 1)
        )
        if marked.rowcount:
            await tell_evidence_due(tx, await dispute(tx, deposit.site_id, dispute_id), at=now)
        return bool(marked.rowcount)

    return await pipes.database.retried(work)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a date is near of which nobody was told."""
    return and_(
        disputes.c.closed_at.is_(None),
        disputes.c.state.in_(sorted(WAITS_FOR_EVIDENCE)),
        disputes.c.due_at > now,
        disputes.c.due_at <= now + EVIDENCE_NOTICE,
        disputes.c.due_at.is_distinct_from(disputes.c.due_told_at),
    )
