"""What is written in the transaction of a change: a notification, an event, and the jobs that send them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, not_, select, update

from app import merchants
from app.kernel import ids
from app.kernel.errors import Refusal
from app.plumbing import queue
from app.plumbing.database import Built, Reader, Transaction
from app.webhooks.model import ORDER_KEPT, EndpointState, Event, Notification, WebhookState
from app.webhooks.tables import endpoints, events, webhooks
from app.webhooks.terms import is_wanted

__all__ = [
    "DELIVER",
    "WebhookNotFound",
    "WebhookOvertaken",
    "announce",
    "enqueue",
    "is_heard_at",
    "next_sequence",
    "publish",
    "replay",
    "tell",
    "write_event",
]

DELIVER = "webhooks.deliver"
_NEW = Built(webhooks.insert())


class WebhookNotFound(Refusal):
    """There is no webhook {webhook_id} at this site."""


class WebhookOvertaken(Refusal):
    """The notification {webhook_id} is no longer true: a newer one of its payment has been written."""


async def announce(tx: Transaction, site: merchants.Site, told: Notification, *, at: datetime) -> str:
    """Write the protocol's notification and its job, in the transaction of the change it tells of.

    Returns its id.
    """
    webhook_id = ids.new("whd", at=at)
    written = {
        "site_id": site.site_id,
        "webhook_id": webhook_id,
        "payment_id": told.payment_id,
        "sequence": told.sequence,
        "success": told.success,
        "fields": dict(told.fields),
        "next_at": at,
        "created_at": at,
    }
    await tx.write((_NEW, written), queue.job(DELIVER, _payload(site.site_id, webhook_id)))
    return webhook_id


_ENDPOINTS = Built(
    select(endpoints.c.endpoint_id, endpoints.c.types, endpoints.c.state).where(
        endpoints.c.site_id == bindparam("of_site"), endpoints.c.state != EndpointState.REMOVED
    )
)


def is_heard_at(site_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether anybody is registered at the site of another statement's row; where not, nothing is told."""
    return exists().where(endpoints.c.site_id == site_id, endpoints.c.state != EndpointState.REMOVED)


async def publish(tx: Transaction, site_id: int, event: Event, *, at: datetime) -> str | None:
    """Write an event and its way to each endpoint that wants it, in the transaction of the change.

    One query where a site has no endpoint. Two events of one change (`deposit.failed`, `transaction.failed`)
    have the same subject and sequence and are published one after the other.

    Returns:
        The event's id; nothing where nobody is registered, and then nothing is kept.
    """
    rows = await tx.all(_ENDPOINTS, {"of_site": site_id})
    if not rows:
        return None
    event_id = await write_event(tx, site_id, event, at=at)
    told = [
        row.endpoint_id
        for row in rows
        if row.state != EndpointState.DISABLED and is_wanted(row.types, event.type)
    ]
    await tell(tx, site_id, event_id, event, told, at=at)
    return event_id


async def write_event(tx: Transaction, site_id: int, event: Event, *, at: datetime) -> str:
    """Write an event that nobody is told of yet; returns its id."""
    event_id = ids.new("evt", at=at)
    await tx.execute(
        events.insert().values(
            site_id=site_id,
            event_id=event_id,
            type=event.type,
            subject=event.subject,
            sequence=event.sequence,
            object=dict(event.object),
            previous_attributes=dict(event.previous_attributes),
            occurred_at=event.occurred_at,
            created_at=at,
        )
    )
    return event_id


async def tell(
    tx: Transaction, site_id: int, event_id: str, event: Event, endpoint_ids: Iterable[str], *, at: datetime
) -> list[str]:
    """Put an event on its way to these endpoints; returns the ids of the webhooks."""
    rows = [
        {
            "site_id": site_id,
            "webhook_id": ids.new("whd", at=at),
            "payment_id": event.subject,
            "sequence": event.sequence,
            "endpoint_id": endpoint_id,
            "event_id": event_id,
            "next_at": at,
            "order_ends_at": at + ORDER_KEPT,
            "created_at": at,
        }
        for endpoint_id in endpoint_ids
    ]
    if rows:
        await tx.execute(webhooks.insert().values(rows))
        await queue.add_all(tx, DELIVER, [_payload(site_id, str(row["webhook_id"])) for row in rows])
    return [str(row["webhook_id"]) for row in rows]


async def next_sequence(reader: Reader, site_id: int, subject: str) -> int:
    """The number of the next event of a subject of this room, whose endpoint the caller has locked."""
    newest = select(func.coalesce(func.max(events.c.sequence), 0)).where(
        events.c.site_id == site_id, events.c.subject == subject
    )
    return int(await reader.scalar(newest)) + 1


async def replay(tx: Transaction, site_id: int, webhook_id: str, *, at: datetime) -> None:
    """Send a webhook again from the start of its schedule, with the same id; also one that was heard.

    Raises:
        WebhookNotFound: no such webhook at this site.
        WebhookOvertaken: a notification that would not be sent; that it was heard stays on record.
    """
    is_it = and_(
        webhooks.c.site_id == site_id,
        webhooks.c.webhook_id == webhook_id,
        webhooks.c.state != WebhookState.DROPPED,
    )
    newer = webhooks.alias()
    has_newer = exists().where(
        webhooks.c.endpoint_id.is_(None),
        newer.c.site_id == webhooks.c.site_id,
        newer.c.payment_id == webhooks.c.payment_id,
        newer.c.sequence > webhooks.c.sequence,
        newer.c.endpoint_id.is_(None),
    )
    done = await tx.execute(
        update(webhooks)
        .where(is_it, not_(has_newer))
        .values(
            state=WebhookState.PENDING,
            attempts=0,
            next_at=at,
            delivered_at=None,
            order_ends_at=at + ORDER_KEPT,
        )
    )
    if not done.rowcount:
        is_there = await tx.scalar(select(webhooks.c.webhook_id).where(is_it))
        raise (WebhookOvertaken if is_there else WebhookNotFound)(webhook_id=webhook_id)
    await enqueue(tx, site_id, webhook_id, timedelta(0))


async def enqueue(tx: Transaction, site_id: int, webhook_id: str, after: timedelta) -> None:
    """Write the job that makes one attempt."""
    await queue.add(tx, DELIVER, _payload(site_id, webhook_id), after=after)


def _payload(site_id: int, webhook_id: str) -> dict[str, object]:
    return {"site_id": site_id, "webhook_id": webhook_id}
