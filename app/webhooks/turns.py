"""Whose turn it is: when an attempt is due, who makes it, and who comes later.

Who makes an attempt takes it first, for as long as it can last (`attempt_ends_at`). Meanwhile no other job
makes one of the same webhook, and no newer notification of the payment goes out: the older one could arrive
behind it. An attempt whose worker died is over when that time is.
"""

import random
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, or_, select, true, update
from sqlalchemy.engine import Row

from app import merchants
from app.plumbing.database import Built, Transaction, Write
from app.webhooks.model import WebhookState
from app.webhooks.outbox import enqueue
from app.webhooks.tables import webhooks

__all__ = [
    "CLOCK_SLACK",
    "DEADLINE_SECONDS",
    "ITS",
    "WITH_NEIGHBOURS",
    "is_due",
    "is_it",
    "is_under_way",
    "its",
    "its_of",
    "overtakes",
    "put_off",
    "stand_aside",
    "step_back",
    "taking",
]

DEADLINE_SECONDS: Final = 15.0  # payments.md section 3.5
# The deadline, and 5 s for what is decided before the call, written after it, and clocks that differ.
_TAKEN_FOR: Final = timedelta(seconds=DEADLINE_SECONDS + 5)
_BUSY_STEP_BACK: Final = timedelta(seconds=2)
_EACH_WAITING: Final = timedelta(milliseconds=20)
_LONGEST_BACKLOG = 10_000
# The job is timed by the database's clock, the row by the application's: so much difference is nobody's
# fault.
CLOCK_SLACK: Final = timedelta(seconds=2)
ITS = and_(webhooks.c.site_id == bindparam("of_site"), webhooks.c.webhook_id == bindparam("of_webhook"))
_other = webhooks.alias()
_of_its_payment = and_(
    _other.c.site_id == webhooks.c.site_id,
    _other.c.payment_id == webhooks.c.payment_id,
    _other.c.endpoint_id.is_(None),
)
# A webhook and its site; whether a newer notification of its payment was written; whether an older one waits.
_WITH_NEIGHBOURS = (
    select(
        *(column for column in webhooks.c if column.name != "created_at"),  # a site has one of its own
        exists().where(_of_its_payment, _other.c.sequence > webhooks.c.sequence).label("has_newer"),
        exists()
        .where(
            _of_its_payment,
            _other.c.sequence < webhooks.c.sequence,
            _other.c.state == WebhookState.PENDING,
        )
        .label("has_older"),
    )
    .where(ITS)
    .cte("its")
)
WITH_NEIGHBOURS = Built(merchants.site_beside(_WITH_NEIGHBOURS))
_TAKING = Built(
    update(webhooks)
    .where(
        ITS,
        webhooks.c.state == WebhookState.PENDING,
        webhooks.c.next_at <= bindparam("due_by"),
        or_(webhooks.c.attempt_ends_at.is_(None), webhooks.c.attempt_ends_at <= bindparam("taken_at")),
    )
    .returning(webhooks.c.attempt_ends_at)
)


def is_it(row: Row[Any]) -> ColumnElement[bool]:
    """The row in the table."""
    return and_(webhooks.c.site_id == row.site_id, webhooks.c.webhook_id == row.webhook_id)


def its(site_id: int, webhook_id: str) -> dict[str, object]:
    """Which one is meant, for statements upon `ITS`."""
    return {"of_site": site_id, "of_webhook": webhook_id}


def its_of(row: Row[Any]) -> dict[str, object]:
    """The same of a row."""
    return its(row.site_id, row.webhook_id)


def is_due(row: Row[Any], now: datetime) -> bool:
    """Whether an attempt is to be made; a row without its time is held or closed."""
    return row.state == WebhookState.PENDING and row.next_at is not None and row.next_at <= now + CLOCK_SLACK


def is_under_way(row: Row[Any], now: datetime) -> bool:
    """Whether somebody may be making an attempt just now."""
    return row.attempt_ends_at is not None and row.attempt_ends_at > now


def taking(row: Row[Any], now: datetime) -> Write:
    """What takes an attempt; it returns a row if it is ours: due still, and nobody else's.

    The row says until when: who has the attempt by then, if anybody, is told by that from who had it.
    """
    due = {"due_by": now + CLOCK_SLACK, "taken_at": now, "attempt_ends_at": now + _TAKEN_FOR}
    return _TAKING, {**its_of(row), **due}


async def overtakes(tx: Transaction, row: Row[Any], now: datetime) -> bool:
    """Close what older notifications of the payment wait; if one is on its way, come later instead.

    They are locked, so that one of them is either seen on its way here or finds itself closed.
    """
    older = and_(
        webhooks.c.site_id == row.site_id,
        webhooks.c.payment_id == row.payment_id,
        webhooks.c.endpoint_id.is_(None),
        webhooks.c.sequence < row.sequence,
        webhooks.c.state == WebhookState.PENDING,
    )
    locked = await tx.all(select(webhooks).where(older).order_by(webhooks.c.sequence).with_for_update())
    if any(is_under_way(one, now) for one in locked):
        await step_back(tx, row, _BUSY_STEP_BACK, now)
        return False
    await tx.execute(update(webhooks).where(older).values(state=WebhookState.SUPERSEDED, next_at=None))
    return True


async def stand_aside(tx: Transaction, row: Row[Any], now: datetime, *, is_ours: bool = False) -> None:
    """Come later; the longer the backlog, the later."""
    pending = select(webhooks.c.webhook_id).where(
        webhooks.c.site_id == row.site_id,
        webhooks.c.state == WebhookState.PENDING,
        webhooks.c.endpoint_id.is_not_distinct_from(row.endpoint_id),
    )
    backlog = await tx.scalar(select(func.count()).select_from(pending.limit(_LONGEST_BACKLOG).subquery()))
    about = max(_BUSY_STEP_BACK, _EACH_WAITING * int(backlog or 0))
    await step_back(tx, row, about, now, is_ours=is_ours)


async def step_back(
    tx: Transaction, row: Row[Any], about: timedelta, now: datetime, *, is_ours: bool = False
) -> None:
    """Come back a little later."""
    until = now + about * random.uniform(0.5, 1.5)  # noqa: S311, TID251  jitter, not a secret
    await put_off(tx, row, until, now, is_ours=is_ours)


async def put_off(
    tx: Transaction, row: Row[Any], until: datetime, now: datetime, *, is_ours: bool = False
) -> None:
    """Come back then: the row moves with its job, or the sweep would add one job more each time.

    Args:
        tx, row, until, now: which, when, and what time it is.
        is_ours: the attempt was taken by the caller, who has not made it after all.
    """
    nobody_is_at_it = or_(webhooks.c.attempt_ends_at.is_(None), webhooks.c.attempt_ends_at <= now)
    moved = await tx.execute(
        update(webhooks)
        .where(
            is_it(row),
            webhooks.c.state == WebhookState.PENDING,
            webhooks.c.next_at <= now + CLOCK_SLACK,  # else another job has seen to it meanwhile
            true() if is_ours else nobody_is_at_it,
        )
        .values(next_at=until, attempt_ends_at=None)
    )
    if moved.rowcount:
        await enqueue(tx, row.site_id, row.webhook_id, until - now)
