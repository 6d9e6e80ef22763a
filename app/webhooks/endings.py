"""How an attempt ended, as it is kept: a line of its own, whatever has become of the webhook meanwhile."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.engine import Row

from app.kernel.masking import mask_excerpt
from app.plumbing.database import Built, Write
from app.plumbing.http import Reply
from app.webhooks.model import AttemptResult, WebhookState
from app.webhooks.tables import webhook_attempts, webhooks
from app.webhooks.turns import ITS, its_of

__all__ = ["and_heard", "noted"]

_KEPT_MARKS: Final = 2_000  # of a masked answer
_NUMBER = (
    select(func.coalesce(func.max(webhook_attempts.c.number), 0) + 1)
    .where(
        webhook_attempts.c.site_id == bindparam("of_site"),
        webhook_attempts.c.webhook_id == bindparam("of_webhook"),
    )
    .scalar_subquery()
)
_FACTS = [one for one in webhook_attempts.c if not one.primary_key]
# Built once: every attempt writes one of them.
_NOTED = Built(
    webhook_attempts.insert().values(
        site_id=bindparam("of_site"), webhook_id=bindparam("of_webhook"), number=_NUMBER
    )
)
_heard = (
    update(webhooks)
    .where(
        ITS,
        webhooks.c.state == WebhookState.PENDING,
        webhooks.c.attempt_ends_at == bindparam("taken_until"),
    )
    .values(
        state=WebhookState.DELIVERED,
        attempts=webhooks.c.attempts + 1,
        next_at=None,
        attempt_ends_at=None,
        delivered_at=bindparam("attempted_at"),
    )
    .returning(webhooks.c.site_id, webhooks.c.webhook_id)
    .cte("heard")
)
_AND_HEARD = Built(
    webhook_attempts.insert()
    .from_select(
        ["site_id", "webhook_id", "number", *_FACTS],
        select(
            *(_heard.c.site_id, _heard.c.webhook_id, _NUMBER),
            *(bindparam(one.name, type_=one.type) for one in _FACTS),
        ),
    )
    .returning(webhook_attempts.c.number),
    is_flushed=False,  # should it be lost, the notification is sent again
)


def noted(
    row: Row[Any], url: str, result: AttemptResult, reply: Reply | None, reason: str, at: datetime
) -> Write:
    """What keeps an attempt; `reason` says why there was no reply."""
    return _NOTED, {
        **its_of(row),
        "url": url,
        "result": result,
        "http_status": reply.status if reply else None,
        "answer": mask_excerpt(reply.body, _KEPT_MARKS) if reply else "",
        "reason": reason,
        "elapsed_ms": reply.elapsed_ms if reply else None,
        "attempted_at": at,
    }


def and_heard(attempt: Write, taken_until: datetime) -> Write:
    """What keeps an attempt and closes its webhook as heard; it returns a row if the webhook was as taken.

    Otherwise nothing is written. Two that note attempts of one webhook at once without its lock may choose
    one number: the second fails, and nothing of it is written.
    """
    return _AND_HEARD, {**attempt[1], "taken_until": taken_until}
