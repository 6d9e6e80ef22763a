"""Sending until heard: the one machinery of notifications and events.

An attempt is: a transaction that decides whether one is due and takes it, the call with no transaction open,
a transaction that writes how it ended. A crash between the last two sends again, with the same webhook-id, as
soon as nobody can be at it any more. Of a notification, the first is statements that commit one by one where
nothing stands before it, and the last is one statement where it is heard; not flushed, so that a crash of
PostgreSQL within the second is one between the two.

Locks are taken in one order, so that nobody waits in a ring: webhooks of a payment by `sequence`, then the
endpoint.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import structlog
from sqlalchemy import and_, func, select, update
from sqlalchemy.engine import Row

from app import merchants
from app.plumbing import messages, metrics
from app.plumbing.database import Built, Transaction, Write
from app.plumbing.http import CallFailed, FailureKind, Reply
from app.plumbing.pipes import Pipes
from app.webhooks import rules
from app.webhooks.endings import and_heard, noted
from app.webhooks.model import (
    AttemptResult,
    EndpointState,
    Event,
    WebhookState,
    delay_after,
    is_heard,
)
from app.webhooks.outbox import enqueue
from app.webhooks.queries import endpoint, event_of, live_secrets
from app.webhooks.standing import failed, succeeded
from app.webhooks.tables import webhooks
from app.webhooks.turns import (
    CLOCK_SLACK,
    DEADLINE_SECONDS,
    ITS,
    WITH_NEIGHBOURS,
    is_due,
    is_it,
    is_under_way,
    its,
    its_of,
    overtakes,
    put_off,
    stand_aside,
    step_back,
    taking,
)

__all__ = ["deliver"]

# Nothing was asked of the endpoint, so no attempt is counted: come back when its queue or breaker lets us in.
_NOT_EVEN_TRIED = frozenset({FailureKind.PEER_BUSY, FailureKind.BREAKER_OPEN})
_STEP_BACK = timedelta(seconds=30)
# A server that hangs for its whole deadline must leave the worker's other places (40) to the others; so must
# a site with many of them. With one call to each other of sixteen endpoints, and eight notifications, 33.
_AT_ONCE, _OF_SITE_AT_ONCE = 4, 12
_log = structlog.get_logger("webhooks")
# Built once: every attempt asks or writes them.
_LOCKED = Built(select(webhooks).where(ITS).with_for_update())
_CHANGED = Built(update(webhooks).where(ITS))


class _Busy(Exception):
    """This process makes as many calls to the endpoint or to the site as it may, so this one comes later."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """One attempt that is due: where to, and what; ours until `ends_at`, or until another takes it then."""

    row: Row[Any]
    ends_at: datetime
    url: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def peer(self) -> str:
        """Whose bulkhead and breaker it is: an endpoint's own, so that a dead one troubles nobody else."""
        return _peer_of(self.row, self.url)


async def deliver(pipes: Pipes, site_id: int, webhook_id: str) -> None:
    """Make one attempt if one is due, record it, and leave the job of the next; safe to run twice."""
    now = pipes.clock.now()
    sending: _Sending | None = None
    row: Row[Any] | None = None
    try:
        async with pipes.database.singly() as tx:
            rows = await tx.all(WITH_NEIGHBOURS, its(site_id, webhook_id))
            row = next(iter(rows), None)
            if row is None or not is_due(row, now):
                return
            merchants.know_site(tx, rows)
            waits = row.endpoint_id or row.has_older or is_under_way(row, now)
            if not waits:
                # Its statements commit one by one: each may be done again, none needs what another saw.
                sending = await _due_notification(tx, pipes, row, now)
        if waits:
            async with pipes.database.transaction() as tx:
                sending = await _taken_in_turn(tx, pipes, row, now)
    except _Busy:
        assert row is not None, "only who has read it is kept back"
        async with pipes.database.transaction() as tx:
            await stand_aside(tx, row, now)
        return
    if sending is not None:
        await _send(pipes, sending)


async def _taken_in_turn(tx: Transaction, pipes: Pipes, row: Row[Any], now: datetime) -> _Sending | None:
    """What has others of its payment before it, or somebody who is at it."""
    if is_under_way(row, now):
        # In case that it is not heard by then: who is at it may have died.
        await enqueue(tx, row.site_id, row.webhook_id, row.attempt_ends_at - now)
        return None
    if row.endpoint_id:
        return await _due_event(tx, pipes, row, now)
    if not await overtakes(tx, row, now):
        return None
    return await _due_notification(tx, pipes, row, now)


async def _send(pipes: Pipes, sending: _Sending) -> None:
    """Make an attempt that is due; no transaction is open."""
    # Somebody who stood still since it was taken must not call when others may go on.
    left = (sending.ends_at - pipes.clock.now()).total_seconds()
    try:
        # Again, with nothing to wait for before the call: many have found the same place free.
        _check_peer(pipes, sending.row, sending.url)
        reply = await pipes.http.call(
            "POST",
            sending.url,
            body=sending.body,
            headers=sending.headers,
            deadline_seconds=min(DEADLINE_SECONDS, left),
            peer=sending.peer,
        )
    except _Busy:
        async with pipes.database.transaction() as tx:
            await stand_aside(tx, sending.row, pipes.clock.now(), is_ours=True)
        return
    except CallFailed as failure:
        if failure.kind in _NOT_EVEN_TRIED:
            async with pipes.database.transaction() as tx:
                await step_back(tx, sending.row, _STEP_BACK, pipes.clock.now(), is_ours=True)
            return
        await _record(pipes, sending, None, failure.kind.value)
        return
    await _record(pipes, sending, reply, "")


async def _due_notification(tx: Transaction, pipes: Pipes, row: Row[Any], now: datetime) -> _Sending | None:
    """The notification, unless another job has taken it; one that a newer one has overtaken is closed."""
    if row.has_newer:
        # "Expired" that arrives behind "paid" would be the last word a merchant hears.
        waiting = is_it(row) & (webhooks.c.state == WebhookState.PENDING)  # it may be heard of just now
        await tx.execute(update(webhooks).where(waiting).values(state=WebhookState.SUPERSEDED, next_at=None))
        return None
    site = await merchants.site(tx, row.site_id)
    url = site.notification_url(success=row.success)
    _check_peer(pipes, row, url)
    message = messages.signed(
        row.fields,
        salt=site.signing_salt,
        dialect=site.dialect,
        as_form=site.message_format is merchants.MessageFormat.FORM,
        webhook_secret=site.webhook_secret,
        message_id=row.webhook_id,
        at=now,
    )
    # One trip. The signature of a message that is not sent after all does no harm.
    issued = merchants.issued_signature(row.site_id, message.signature, at=now)
    taken = await tx.write(taking(row, pipes.clock.now()), issued)
    if taken is None:
        return None
    return _Sending(row, taken.attempt_ends_at, url, message.body, message.headers)


async def _due_event(tx: Transaction, pipes: Pipes, row: Row[Any], now: datetime) -> _Sending | None:
    """The event, if it is due, no earlier one of its payment holds it back, and its endpoint may be called.

    The payment's earlier events are locked with it: whoever closes one of them meanwhile either is seen here
    or sees that this one waits.
    """
    locked = await tx.all(
        select(webhooks)
        .where(
            webhooks.c.site_id == row.site_id,
            webhooks.c.endpoint_id == row.endpoint_id,
            webhooks.c.payment_id == row.payment_id,
            webhooks.c.sequence <= row.sequence,
            webhooks.c.state == WebhookState.PENDING,
        )
        .order_by(webhooks.c.sequence, webhooks.c.webhook_id)
        .with_for_update()
    )
    its_own = [one for one in locked if one.webhook_id == row.webhook_id]
    if not any(is_due(one, now) and not is_under_way(one, now) for one in its_own):
        return None
    told = await endpoint(tx, row.site_id, row.endpoint_id)  # after the lock: no pause is missed
    if told.state is not EndpointState.ACTIVE:
        # Nor is it put aside behind the back of somebody who resumes the endpoint just now.
        told = await endpoint(tx, row.site_id, row.endpoint_id, lock=True)
    if told.state is not EndpointState.ACTIVE:
        is_removed = told.state is EndpointState.REMOVED
        left = WebhookState.DROPPED if is_removed else WebhookState.PENDING
        await tx.execute(update(webhooks).where(is_it(row)).values(state=left, next_at=None))
        return None
    holding = [one.order_ends_at for one in locked if one.sequence < row.sequence]
    waits_until = max([*holding, told.throttle_ends_at or now])
    if waits_until > now:
        await put_off(tx, row, waits_until, now)
        return None
    _check_peer(pipes, row, told.url)
    event: Event = await event_of(tx, row.site_id, row.event_id)
    body = rules.body_of(row.event_id, event, is_thin=told.is_thin)
    secrets = await live_secrets(tx, row.site_id, row.endpoint_id, now)
    headers = messages.standard_headers(body, secrets=secrets, message_id=row.event_id, at=now)
    taken = await tx.write(taking(row, pipes.clock.now()))
    if taken is None:
        return None
    return _Sending(
        row, taken.attempt_ends_at, told.url, body, {"content-type": "application/json", **headers}
    )


def _peer_of(row: Row[Any], url: str) -> str:
    """A site's own: what fails at another site's address at the same host keeps nothing of this one back."""
    return f"{_peers_of(row.site_id)}{row.endpoint_id or urlsplit(url).netloc}"


def _peers_of(site_id: int) -> str:
    return f"webhooks {site_id} "


def _check_peer(pipes: Pipes, row: Row[Any], url: str) -> None:
    """Leave places to others: of a site's endpoints together, but one call to each that has none is let pass.

    Notifications are not counted with the events: a player's money may wait for one.
    """
    peer, endpoints_of_site = _peer_of(row, url), f"{_peers_of(row.site_id)}whe_"
    found = {one.peer: one.in_flight + one.waiting for one in pipes.http.peers()}
    at_peer = found.get(peer, 0)
    at_site = sum(many for name, many in found.items() if name.startswith(endpoints_of_site))
    is_one_more = bool(row.endpoint_id and at_peer)
    if at_peer >= _AT_ONCE or (is_one_more and at_site >= _OF_SITE_AT_ONCE):
        raise _Busy


async def _record(pipes: Pipes, sending: _Sending, reply: Reply | None, reason: str) -> None:
    now = pipes.clock.now()
    if await _is_heard_at_once(pipes, sending, reply, now):
        result = AttemptResult.HEARD
    else:
        async with pipes.database.transaction() as tx:
            result = await _recorded(tx, sending, reply, reason, now)
    metrics.WEBHOOKS.labels(result.value).inc()


async def _is_heard_at_once(pipes: Pipes, sending: _Sending, reply: Reply | None, now: datetime) -> bool:
    """Close a notification that was heard; if not, nothing is written.

    It may be another's by now, or somebody notes a late attempt at the same instant.
    """
    if sending.row.endpoint_id or reply is None or not is_heard(reply.status, reply.body):
        return False
    attempt = noted(sending.row, sending.url, AttemptResult.HEARD, reply, "", now)
    try:
        async with pipes.database.singly() as tx:
            return await tx.write(and_heard(attempt, sending.ends_at)) is not None
    except asyncpg.UniqueViolationError:
        return False


async def _recorded(
    tx: Transaction, sending: _Sending, reply: Reply | None, reason: str, now: datetime
) -> AttemptResult:
    row = sending.row
    answer = rules.answer_of(reply.status, reply.headers, now) if reply else rules.Answer()
    stands = await tx.one(_LOCKED, its_of(row))
    attempts, chance = stands.attempts + 1, random.random()  # noqa: S311, TID251  jitter, not a secret
    if row.endpoint_id:
        effect = rules.effect_of(answer, attempts, chance)
    else:
        effect = _effect_of_notification(reply, attempts, chance)
    result = _result(effect, reply)
    attempt = noted(row, sending.url, result, reply, reason, now)
    # Who came too late writes only what happened: the next one, who is at it by now, goes on from there.
    if stands.state == WebhookState.PENDING and stands.attempt_ends_at == sending.ends_at:
        await tx.write(attempt, _advanced(row, effect, attempts, now))
        await _follow(tx, row, effect, now)
    else:
        await tx.write(attempt)
    if row.endpoint_id and effect.state is WebhookState.DELIVERED:
        await succeeded(tx, row)
    elif row.endpoint_id:
        await failed(tx, row, answer, effect.spare_for, now)
    return result


def _effect_of_notification(reply: Reply | None, attempts: int, chance: float) -> rules.Effect:
    if reply is not None and is_heard(reply.status, reply.body):
        return rules.Effect(WebhookState.DELIVERED)
    delay = delay_after(attempts, chance)
    return rules.Effect(WebhookState.PENDING if delay else WebhookState.EXHAUSTED, delay)


def _result(effect: rules.Effect, reply: Reply | None) -> AttemptResult:
    if effect.state is WebhookState.DELIVERED:
        return AttemptResult.HEARD
    return AttemptResult.NOT_HEARD if reply else AttemptResult.NO_ANSWER


def _advanced(row: Row[Any], effect: rules.Effect, attempts: int, now: datetime) -> Write:
    """What becomes of a webhook."""
    next_at = now + effect.again_after if effect.again_after is not None else None
    changed: dict[str, object] = {
        "state": effect.state,
        "attempts": attempts,
        "next_at": next_at,
        "attempt_ends_at": None,
    }
    if effect.state is WebhookState.DELIVERED:
        changed["delivered_at"] = now
    return _CHANGED, {**changed, **its_of(row)}


async def _follow(tx: Transaction, row: Row[Any], effect: rules.Effect, now: datetime) -> None:
    """Leave the job of its next attempt, or wake what waited for it."""
    if effect.again_after is not None:
        await enqueue(tx, row.site_id, row.webhook_id, effect.again_after)
        return
    if effect.state is WebhookState.EXHAUSTED:
        metrics.ALARMS.labels("webhook_exhausted").inc()
        _log.error("webhook.exhausted", site_id=row.site_id, webhook_id=row.webhook_id)
    if row.endpoint_id:
        await _wake_next(tx, row, now)


async def _wake_next(tx: Transaction, closed: Row[Any], now: datetime) -> None:
    """Let what waited for this one go at once; what was tried already keeps its own time.

    One change may be told by two types under one `sequence`: they go together, and whatever comes behind
    them is woken by the last of the two. What somebody else has locked is being sent or decided just now.
    """
    waits = and_(
        webhooks.c.site_id == closed.site_id,
        webhooks.c.endpoint_id == closed.endpoint_id,
        webhooks.c.payment_id == closed.payment_id,
        webhooks.c.sequence >= closed.sequence,
        webhooks.c.state == WebhookState.PENDING,
        webhooks.c.attempts == 0,
        webhooks.c.next_at > now + CLOCK_SLACK,
    )
    lowest = select(func.min(webhooks.c.sequence)).where(waits).scalar_subquery()
    woken = await tx.all(
        select(webhooks.c.site_id, webhooks.c.webhook_id)
        .where(waits, webhooks.c.sequence == lowest)
        .order_by(webhooks.c.webhook_id)
        .with_for_update(skip_locked=True)
    )
    for one in woken:
        await tx.execute(update(webhooks).where(is_it(one)).values(next_at=now))
        await enqueue(tx, one.site_id, one.webhook_id, timedelta(0))
