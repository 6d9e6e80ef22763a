"""The net under what was forgotten, and the end of what nobody asks about any more."""

from datetime import datetime, timedelta

from sqlalchemy import select

from app.plumbing import queue
from app.plumbing.database import Transaction
from app.webhooks.model import WebhookState
from app.webhooks.outbox import DELIVER
from app.webhooks.tables import webhook_attempts, webhooks

__all__ = ["forget_attempts", "recover_forgotten"]

_ATTEMPTS_KEPT = timedelta(days=90)  # payments.md section 3.5
_FORGOTTEN_AFTER = timedelta(minutes=2)


async def recover_forgotten(tx: Transaction, *, now: datetime) -> int:
    """Give every overdue webhook a job again: the net under a dead-lettered or lost job. Returns how many."""
    rows = await tx.all(
        select(webhooks.c.site_id, webhooks.c.webhook_id)
        .where(webhooks.c.state == WebhookState.PENDING, webhooks.c.next_at < now - _FORGOTTEN_AFTER)
        .order_by(webhooks.c.next_at)
        .limit(1000)
    )
    jobs = [{"site_id": row.site_id, "webhook_id": row.webhook_id} for row in rows]
    await queue.add_all(tx, DELIVER, jobs, keys=[f"{DELIVER}:{row.webhook_id}" for row in rows])
    return len(rows)


async def forget_attempts(tx: Transaction, *, now: datetime, most: int) -> int:
    """Drop attempts that are older than anybody asks about, at most so many; returns how many."""
    old = (
        select(webhook_attempts.c.site_id, webhook_attempts.c.webhook_id, webhook_attempts.c.number)
        .where(webhook_attempts.c.attempted_at < now - _ATTEMPTS_KEPT)
        .limit(most)
        .subquery()
    )
    done = await tx.execute(
        webhook_attempts.delete().where(
            webhook_attempts.c.site_id == old.c.site_id,
            webhook_attempts.c.webhook_id == old.c.webhook_id,
            webhook_attempts.c.number == old.c.number,
        )
    )
    return done.rowcount
