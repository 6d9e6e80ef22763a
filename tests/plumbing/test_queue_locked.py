"""A job that is to be tried again while the queue's own table is locked."""

import asyncio
from datetime import timedelta

from sqlalchemy import text

from app.plumbing import queue
from app.plumbing.database import Database
from tests.plumbing.test_queue import added, dead, until, working


async def test_a_first_failure_while_the_queue_is_locked_makes_no_dead_letter(
    database: Database, owner_database: Database
) -> None:
    """A migration, or a server that comes back slowly: writing the retry takes longer than may be waited."""
    seen: list[int] = []
    locked, may_end = asyncio.Event(), asyncio.Event()

    async def locks() -> None:
        async with owner_database.transaction() as tx:
            await tx.execute(text("SELECT FROM queue.pgqueuer FOR UPDATE"))
            locked.set()
            await may_end.wait()

    async def fails_once(payload: queue.Payload) -> None:
        seen.append(payload["n"])
        if len(seen) == 1:
            locking.append(asyncio.create_task(locks()))
            await locked.wait()
            raise RuntimeError("the first try fails")

    async def is_over() -> bool:
        return len(seen) == 2 or len(await dead(database)) == 1

    locking: list[asyncio.Task[None]] = []
    worker = queue.Worker(database, stale_after=timedelta(seconds=2))
    worker.handle("test.job", fails_once, tries=10)
    await added(database, 1)
    async with working(worker):
        await until(lambda: bool(seen))
        await asyncio.sleep(3)  # the lock time-out is 2 s
        may_end.set()
        await asyncio.gather(*locking)
        await until(is_over)
    assert await dead(database) == []
    assert seen == [1, 1]
