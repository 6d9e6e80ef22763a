"""How an endpoint stands: what each attempt tells of it, and the end of patience."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, func, update
from sqlalchemy.engine import Row

from app.plumbing import metrics
from app.plumbing.database import Transaction
from app.webhooks import rules
from app.webhooks.model import EndpointState, Event, WhyDisabled
from app.webhooks.outbox import next_sequence, publish
from app.webhooks.tables import endpoints
from app.webhooks.terms import ENDPOINT_DISABLED

__all__ = ["failed", "succeeded"]

_WORTH_A_WARNING = timedelta(days=1)  # four days remain to repair it
_log = structlog.get_logger("webhooks")


def _is(row: Row[Any]) -> ColumnElement[bool]:
    return and_(endpoints.c.site_id == row.site_id, endpoints.c.endpoint_id == row.endpoint_id)


async def succeeded(tx: Transaction, webhook: Row[Any]) -> None:
    """Forget the failures; a healthy endpoint's row is not touched, so its webhooks do not queue for it."""
    await tx.execute(
        update(endpoints)
        .where(_is(webhook), endpoints.c.first_failed_at.is_not(None))
        .values(first_failed_at=None, failures=0, throttle_ends_at=None)
    )


async def failed(
    tx: Transaction, webhook: Row[Any], answer: rules.Answer, spare_for: timedelta | None, now: datetime
) -> None:
    """Count a failure, spare the endpoint for a while, and disable one that is gone or has only failed."""
    throttle_ends_at = func.greatest(endpoints.c.throttle_ends_at, now + spare_for if spare_for else None)
    row = await tx.one(
        update(endpoints)
        .where(_is(webhook))
        .values(
            first_failed_at=func.coalesce(endpoints.c.first_failed_at, now),
            failures=endpoints.c.failures + 1,
            throttle_ends_at=throttle_ends_at,
        )
        .returning(endpoints)
    )
    why = rules.why_disabled(answer, row.failures, row.first_failed_at, now)
    if row.state != EndpointState.ACTIVE:
        return
    if why is not None:
        await _disable(tx, row, why, now)
    elif now - row.first_failed_at >= _WORTH_A_WARNING:
        metrics.ALARMS.labels("webhook_endpoint_failing").inc()
        _log.warning("webhook.endpoint_failing", site_id=row.site_id, endpoint_id=row.endpoint_id)


async def _disable(tx: Transaction, row: Row[Any], why: WhyDisabled, now: datetime) -> None:
    """Send nothing more, say so to people and to the site's other endpoints; what waits is held."""
    await tx.execute(
        update(endpoints)
        .where(_is(row))
        .values(state=EndpointState.DISABLED, why_disabled=why, disabled_at=now, changed_at=now)
    )
    metrics.ALARMS.labels("webhook_endpoint_disabled").inc()
    _log.error("webhook.endpoint_disabled", site_id=row.site_id, endpoint_id=row.endpoint_id, why=why.value)
    told = Event(
        type=ENDPOINT_DISABLED,
        subject=row.endpoint_id,
        sequence=await next_sequence(tx, row.site_id, row.endpoint_id),
        object={
            "id": row.endpoint_id,
            "object": "webhook_endpoint",
            "url": row.url,
            "state": EndpointState.DISABLED.value,
            "why_disabled": why.value,
            "first_failed_at": row.first_failed_at.isoformat(timespec="seconds"),
        },
        previous_attributes={"state": EndpointState.ACTIVE.value, "why_disabled": None},
        occurred_at=now,
    )
    await publish(tx, row.site_id, told, at=now)
