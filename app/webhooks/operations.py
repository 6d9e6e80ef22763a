"""Telling the merchant until heard.

A row in the payment's transaction, then attempts on the protocol's schedule.
"""

import random
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.engine import Row

from app import merchants
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.masking import mask_excerpt
from app.plumbing import messages, metrics, queue
from app.plumbing.database import Transaction
from app.plumbing.http import CallFailed, FailureKind, Reply
from app.plumbing.pipes import Pipes
from app.webhooks.model import AttemptResult, Notification, WebhookState, delay_after, is_heard
from app.webhooks.tables import webhook_attempts, webhooks

__all__ = ["DELIVER", "WebhookNotFound", "announce", "deliver", "recover_forgotten", "replay"]

DELIVER = "webhooks.deliver"
DEADLINE_SECONDS = 15.0  # payments.md section 3.5
_KEPT_MARKS = 2_000  # of a masked answer
# Nothing was asked of the endpoint, so nothing is counted: come back when its queue or breaker lets us
# through.
_NOT_EVEN_TRIED = frozenset({FailureKind.PEER_BUSY, FailureKind.BREAKER_OPEN})
_STEP_BACK = timedelta(seconds=30)
# A server that hangs for its whole deadline must leave the worker's other places (40) to the others.
_AT_ONCE = 4
_BUSY_STEP_BACK = timedelta(seconds=2)
_EACH_WAITING = timedelta(milliseconds=20)
_LONGEST_BACKLOG = 10_000
_FORGOTTEN_AFTER = timedelta(minutes=2)
# The job is timed by the database's clock, the row by the application's: so much difference is nobody's
# fault.
_CLOCK_SLACK = timedelta(seconds=2)
_log = structlog.get_logger("webhooks")


class WebhookNotFound(Refusal):
    """There is no webhook {webhook_id} at this site."""


async def announce(tx: Transaction, site: merchants.Site, told: Notification, *, at: datetime) -> str:
    """Write the webhook and the job that sends it, in the transaction of the change it tells of.

    Returns its id.
    """
    webhook_id = ids.new("whd", at=at)
    await tx.execute(
        webhooks.insert().values(
            site_id=site.site_id,
            webhook_id=webhook_id,
            payment_id=told.payment_id,
            sequence=told.sequence,
            success=told.success,
            fields=dict(told.fields),
            next_at=at,
            created_at=at,
        )
    )
    await _enqueue(tx, site.site_id, webhook_id, timedelta(0))
    return webhook_id


async def deliver(pipes: Pipes, site_id: int, webhook_id: str) -> None:
    """Make one attempt if one is due, record it, and leave the job of the next; safe to run twice."""
    now = pipes.clock.now()
    async with pipes.database.transaction() as tx:
        row = await _due(tx, site_id, webhook_id, now)
        if row is None:
            return
        site = await merchants.site(tx, site_id)
        url = site.notification_url(success=row.success)
        peer = f"webhooks {urlsplit(url).netloc}"
        if _under_way(pipes, peer) >= _AT_ONCE:
            await _step_back(tx, site_id, webhook_id, await _queueing_time(tx, site_id), now)
            return
        message = messages.signed(
            row.fields,
            salt=site.signing_salt,
            dialect=site.dialect,
            as_form=site.message_format is merchants.MessageFormat.FORM,
            webhook_secret=site.webhook_secret,
            message_id=webhook_id,
            at=now,
        )
        await merchants.remember_issued_signature(tx, site_id, message.signature, at=now)
    try:
        reply = await pipes.http.call(
            "POST",
            url,
            body=message.body,
            headers=message.headers,
            deadline_seconds=DEADLINE_SECONDS,
            peer=peer,
        )
    except CallFailed as failed:
        if failed.kind in _NOT_EVEN_TRIED:
            async with pipes.database.transaction() as tx:
                await _step_back(tx, site_id, webhook_id, _STEP_BACK, pipes.clock.now())
            return
        await _record(pipes, site_id, webhook_id, url, None, failed.kind.value)
        return
    await _record(pipes, site_id, webhook_id, url, reply, "")


async def _due(tx: Transaction, site_id: int, webhook_id: str, now: datetime) -> Row[Any] | None:
    """The webhook, if an attempt is due; one that a newer webhook of its payment has overtaken is closed."""
    row = await tx.first(
        select(webhooks).where(webhooks.c.site_id == site_id, webhooks.c.webhook_id == webhook_id)
    )
    if row is None or row.state != WebhookState.PENDING or (row.next_at and row.next_at > now + _CLOCK_SLACK):
        return None
    newer = await tx.first(
        select(webhooks.c.webhook_id).where(
            webhooks.c.site_id == site_id,
            webhooks.c.payment_id == row.payment_id,
            webhooks.c.sequence > row.sequence,
        )
    )
    if newer is None:
        return row
    # "Expired" that arrives behind "paid" would be the last word a merchant hears.
    await tx.execute(
        update(webhooks)
        .where(webhooks.c.site_id == site_id, webhooks.c.webhook_id == webhook_id)
        .values(state=WebhookState.SUPERSEDED, next_at=None)
    )
    return None


async def _queueing_time(tx: Transaction, site_id: int) -> timedelta:
    """How long to stand aside while the site's endpoint is busy: the longer its backlog, the longer."""
    pending = select(webhooks.c.webhook_id).where(
        webhooks.c.site_id == site_id, webhooks.c.state == WebhookState.PENDING
    )
    backlog = await tx.scalar(select(func.count()).select_from(pending.limit(_LONGEST_BACKLOG).subquery()))
    return max(_BUSY_STEP_BACK, _EACH_WAITING * int(backlog or 0))


async def replay(tx: Transaction, site_id: int, webhook_id: str, *, at: datetime) -> None:
    """Send a webhook again from the start of its schedule, with the same id; also one that was heard.

    Raises:
        WebhookNotFound: no such webhook at this site.
    """
    done = await tx.execute(
        update(webhooks)
        .where(webhooks.c.site_id == site_id, webhooks.c.webhook_id == webhook_id)
        .values(state=WebhookState.PENDING, attempts=0, next_at=at, delivered_at=None)
    )
    if not done.rowcount:
        raise WebhookNotFound(webhook_id=webhook_id)
    await _enqueue(tx, site_id, webhook_id, timedelta(0))


async def recover_forgotten(tx: Transaction, *, now: datetime) -> int:
    """Give every overdue webhook a job again: the net under a dead-lettered or lost job. Returns how many."""
    rows = await tx.all(
        select(webhooks.c.site_id, webhooks.c.webhook_id)
        .where(webhooks.c.state == WebhookState.PENDING, webhooks.c.next_at < now - _FORGOTTEN_AFTER)
        .order_by(webhooks.c.next_at)
        .limit(1000)
    )
    for row in rows:
        job = {"site_id": row.site_id, "webhook_id": row.webhook_id}
        await queue.add(tx, DELIVER, job, key=f"{DELIVER}:{row.webhook_id}")
    return len(rows)


def _under_way(pipes: Pipes, peer: str) -> int:
    """How many calls to an endpoint this process is making."""
    return sum(found.in_flight + found.waiting for found in pipes.http.peers() if found.peer == peer)


async def _step_back(tx: Transaction, site_id: int, webhook_id: str, about: timedelta, now: datetime) -> None:
    """Come back a little later. The row moves with its job, or the sweep would add one job more each time."""
    delay = about * random.uniform(0.5, 1.5)  # noqa: S311, TID251  jitter, not a secret
    moved = await tx.execute(
        update(webhooks)
        .where(
            webhooks.c.site_id == site_id,
            webhooks.c.webhook_id == webhook_id,
            webhooks.c.state == WebhookState.PENDING,
            webhooks.c.next_at <= now + _CLOCK_SLACK,  # else another job has seen to it meanwhile
        )
        .values(next_at=now + delay)
    )
    if moved.rowcount:
        await _enqueue(tx, site_id, webhook_id, delay)


async def _record(
    pipes: Pipes, site_id: int, webhook_id: str, url: str, reply: Reply | None, reason: str
) -> None:
    now = pipes.clock.now()
    heard = reply is not None and is_heard(reply.status, reply.body)
    result = AttemptResult.HEARD if heard else AttemptResult.NOT_HEARD if reply else AttemptResult.NO_ANSWER
    async with pipes.database.transaction() as tx:
        row = await tx.one(
            select(webhooks.c.state, webhooks.c.attempts)
            .where(webhooks.c.site_id == site_id, webhooks.c.webhook_id == webhook_id)
            .with_for_update()
        )
        numbered = select(func.coalesce(func.max(webhook_attempts.c.number), 0) + 1).where(
            webhook_attempts.c.site_id == site_id, webhook_attempts.c.webhook_id == webhook_id
        )
        text = mask_excerpt(reply.body, _KEPT_MARKS) if reply else ""
        await tx.execute(
            webhook_attempts.insert().values(
                site_id=site_id,
                webhook_id=webhook_id,
                number=numbered.scalar_subquery(),
                url=url,
                result=result,
                http_status=reply.status if reply else None,
                answer=text,
                reason=reason,
                elapsed_ms=reply.elapsed_ms if reply else None,
                attempted_at=now,
            )
        )
        if row.state == WebhookState.PENDING:
            await _advance(tx, site_id, webhook_id, row.attempts + 1, heard=heard, now=now)
    metrics.WEBHOOKS.labels(result.value).inc()


async def _advance(
    tx: Transaction, site_id: int, webhook_id: str, attempts: int, *, heard: bool, now: datetime
) -> None:
    changed: dict[str, object] = {"attempts": attempts, "next_at": None}
    delay = delay_after(attempts, random.random())  # noqa: S311, TID251  jitter, not a secret
    if heard:
        changed |= {"state": WebhookState.DELIVERED, "delivered_at": now}
    elif delay is None:
        changed |= {"state": WebhookState.EXHAUSTED}
        metrics.ALARMS.labels("webhook_exhausted").inc()
        _log.error("webhook.exhausted", site_id=site_id, webhook_id=webhook_id)
    else:
        changed |= {"next_at": now + delay}
        await _enqueue(tx, site_id, webhook_id, delay)
    await tx.execute(
        update(webhooks)
        .where(webhooks.c.site_id == site_id, webhooks.c.webhook_id == webhook_id)
        .values(changed)
    )


async def _enqueue(tx: Transaction, site_id: int, webhook_id: str, after: timedelta) -> None:
    await queue.add(tx, DELIVER, {"site_id": site_id, "webhook_id": webhook_id}, after=after)
