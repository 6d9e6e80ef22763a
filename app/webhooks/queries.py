"""What is true of endpoints, events and the attempts at them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.engine import Row

from app.kernel.errors import Refusal
from app.plumbing.database import Reader
from app.webhooks.model import Endpoint, EndpointState, Event, WhyDisabled
from app.webhooks.tables import endpoint_secrets, endpoints, events, webhook_attempts, webhooks

__all__ = ["EndpointNotFound", "attempts_at", "endpoint", "endpoint_list", "event_of", "live_secrets"]


class EndpointNotFound(Refusal):
    """There is no webhook endpoint {endpoint_id} at this site."""


async def endpoint(reader: Reader, site_id: int, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """One endpoint, also a removed one.

    Args:
        reader, site_id, endpoint_id: which.
        lock: nobody changes it until the transaction ends; who is changing it is waited for.

    Raises:
        EndpointNotFound: no such endpoint at this site.
    """
    asked = select(endpoints).where(endpoints.c.site_id == site_id, endpoints.c.endpoint_id == endpoint_id)
    row = await reader.first(asked.with_for_update(read=True) if lock else asked)
    if row is None:
        raise EndpointNotFound(endpoint_id=endpoint_id)
    return _endpoint(row)


async def endpoint_list(reader: Reader, site_id: int) -> list[Endpoint]:
    """A site's endpoints, the oldest first; removed ones are not listed."""
    rows = await reader.all(
        select(endpoints)
        .where(endpoints.c.site_id == site_id, endpoints.c.state != EndpointState.REMOVED)
        .order_by(endpoints.c.endpoint_id)
    )
    return [_endpoint(row) for row in rows]


async def live_secrets(reader: Reader, site_id: int, endpoint_id: str, now: datetime) -> list[str]:
    """What an endpoint's messages are signed with: the newest secret, and those it replaced not long ago."""
    rows = await reader.all(
        select(endpoint_secrets.c.value)
        .where(
            endpoint_secrets.c.site_id == site_id,
            endpoint_secrets.c.endpoint_id == endpoint_id,
            or_(endpoint_secrets.c.retired_at.is_(None), endpoint_secrets.c.retired_at > now),
        )
        .order_by(endpoint_secrets.c.number.desc())
    )
    return [row.value for row in rows]


async def event_of(reader: Reader, site_id: int, event_id: str) -> Event:
    """An event that is there."""
    row = await reader.one(select(events).where(events.c.site_id == site_id, events.c.event_id == event_id))
    return Event(
        type=row.type,
        subject=row.subject,
        sequence=row.sequence,
        object=row.object,
        previous_attributes=row.previous_attributes,
        occurred_at=row.occurred_at,
    )


async def attempts_at(reader: Reader, site_id: int, message_id: str) -> Sequence[Row[Any]]:
    """Every kept attempt at a webhook, or at an event wherever it was sent; the newest first."""
    return await reader.all(
        select(
            webhook_attempts,
            webhooks.c.endpoint_id,
            webhooks.c.event_id,
            webhooks.c.state,
            webhooks.c.next_at,
        )
        .join(
            webhooks,
            (webhooks.c.site_id == webhook_attempts.c.site_id)
            & (webhooks.c.webhook_id == webhook_attempts.c.webhook_id),
        )
        .where(
            webhooks.c.site_id == site_id,
            or_(webhooks.c.webhook_id == message_id, webhooks.c.event_id == message_id),
        )
        .order_by(webhook_attempts.c.attempted_at.desc(), webhook_attempts.c.number.desc())
    )


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        site_id=row.site_id,
        endpoint_id=row.endpoint_id,
        url=row.url,
        types=tuple(row.types),
        is_thin=row.is_thin,
        state=EndpointState(row.state),
        first_failed_at=row.first_failed_at,
        failures=row.failures,
        throttle_ends_at=row.throttle_ends_at,
        disabled_at=row.disabled_at,
        why_disabled=WhyDisabled(row.why_disabled) if row.why_disabled else None,
        created_at=row.created_at,
    )
