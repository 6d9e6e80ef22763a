"""Nothing is forgotten: what waits too long is asked about, and what was left half done is ended."""

from datetime import timedelta

from sqlalchemy import select, update

from app import merchants
from app.payments.model import OPEN, Attention, Step, SubStatus
from app.payments.queries import payment
from app.payments.rules import ASK_HORIZON, ask_delay
from app.payments.steps import Cause, carry_out
from app.payments.tables import payments
from app.plumbing import metrics, queue
from app.plumbing.pipes import Pipes

__all__ = ["ASK", "ask_soon", "end_abandoned", "sweep_due"]

ASK = "payments.ask_provider"
_MOST_AT_ONCE = 200
# Longer than the merchant's deadline and the provider's together: whoever was at it is dead.
_ABANDONED_AFTER = timedelta(seconds=60)


async def sweep_due(pipes: Pipes) -> int:
    """Leave a job for every payment whose provider should be asked now, and set its next turn.

    Returns how many.
    """
    now = pipes.clock.now()
    async with pipes.database.transaction() as tx:
        rows = await tx.all(
            select(
                payments.c.site_id,
                payments.c.payment_id,
                payments.c.sub_status,
                payments.c.asked,
                payments.c.expires_at,
                payments.c.created_at,
            )
            .where(payments.c.ask_at <= now)
            .order_by(payments.c.ask_at)
            .limit(_MOST_AT_ONCE)
            .with_for_update(skip_locked=True, key_share=True)
        )
        for row in rows:
            next_at = now + ask_delay(row.asked + 1)
            if row.expires_at is not None and row.expires_at > now:
                next_at = min(next_at, row.expires_at)
            values: dict[str, object] = {"asked": row.asked + 1, "ask_at": next_at}
            if now - row.created_at > ASK_HORIZON:
                values = {"ask_at": None}
                if SubStatus(row.sub_status) in OPEN:
                    values["attention"] = Attention.UNRESOLVED
                    metrics.ALARMS.labels(f"payment_{Attention.UNRESOLVED.value}").inc()
            await tx.execute(
                update(payments)
                .where(payments.c.site_id == row.site_id, payments.c.payment_id == row.payment_id)
                .values(values)
            )
            job = {"site_id": row.site_id, "payment_id": row.payment_id}
            await queue.add(tx, ASK, job, key=f"{ASK}:{row.payment_id}")
    return len(rows)


async def ask_soon(pipes: Pipes, site_id: int, payment_id: str) -> None:
    """Leave a job to ask the provider now: somebody has opened the payment."""
    async with pipes.database.transaction() as tx:
        await queue.add(tx, ASK, {"site_id": site_id, "payment_id": payment_id}, key=f"{ASK}:{payment_id}")


async def end_abandoned(pipes: Pipes) -> int:
    """End deposits whose process died while the merchant was asked; returns how many.

    No provider was asked yet, so no money can have moved.
    """
    now = pipes.clock.now()
    async with pipes.database.reading() as reader:
        rows = await reader.all(
            select(payments.c.site_id, payments.c.payment_id)
            .where(
                payments.c.sub_status.in_([SubStatus.CREATED, SubStatus.CHECKING]),
                payments.c.changed_at < now - _ABANDONED_AFTER,
            )
            .limit(_MOST_AT_ONCE)
        )
    for row in rows:
        async with pipes.database.transaction() as tx:
            found = await payment(tx, row.site_id, row.payment_id, lock=True)
            if found.sub_status is SubStatus.CHECKING:
                site = await merchants.site(tx, row.site_id)
                step = Step(path=(SubStatus.MERCHANT_UNREACHABLE,))
                await carry_out(
                    tx, site, found, step, Cause("clock", reason="abandoned while asking"), at=now
                )
    return len(rows)
