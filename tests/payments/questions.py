"""Which tries are asked about though they are over, and what the days bring."""

from datetime import timedelta

from sqlalchemy import text

from app import payments
from app.payments import sweeps
from tests.payments.world import World


async def questioned(world: World) -> list[str]:
    """Their ids, the oldest first."""
    rows = await world.rows("SELECT attempt_id FROM attempt WHERE is_questioned ORDER BY number")
    return [row.attempt_id for row in rows]


async def work(world: World, name: str = sweeps.ASK_LATE) -> int:
    """Run the questions that wait; returns how many."""
    rows = await world.rows(
        "SELECT id, convert_from(payload, 'UTF8')::json AS payload FROM queue.pgqueuer "
        "WHERE status = 'queued' AND entrypoint = :name ORDER BY id",
        name=name,
    )
    async with world.database.transaction() as tx:
        await tx.execute(
            text("DELETE FROM queue.pgqueuer WHERE id = ANY (:ids)"), {"ids": [row.id for row in rows]}
        )
    for row in rows:
        await payments.carry_on(world.pipes, world.site_id, row.payload["payment_id"])
    return len(rows)


async def days(world: World, count: int) -> None:
    """So many days pass, each with a sweep and the questions that it asks."""
    for _ in range(count):
        world.clock.advance(timedelta(days=1))
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
        await work(world, sweeps.ASK_LATE)


async def agree(world: World) -> None:
    """A payment knows whether a question is open about any of its tries, and it shows."""
    wrong = await world.rows(
        "SELECT payment_id, is_questioned, attention FROM payment p "
        "WHERE is_questioned IS DISTINCT FROM EXISTS (SELECT FROM attempt a WHERE a.site_id = p.site_id "
        "AND a.payment_id = p.payment_id AND a.is_questioned) OR (is_questioned AND attention IS NULL)"
    )
    assert not wrong, wrong
