"""The queue's promise: a job exists exactly if its transaction committed, and runs at least once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.plumbing import queue
from app.plumbing.database import Database


async def waiting(database: Database) -> int:
    async with database.reading() as reader:
        return int(await reader.scalar(text("SELECT count(*) FROM queue.pgqueuer")))


async def test_a_rolled_back_transaction_leaves_no_job(database: Database) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with database.transaction() as tx:
            await queue.add(tx, "test.job", {"n": 1})
            raise RuntimeError("changed my mind")
    assert await waiting(database) == 0


async def test_a_committed_transaction_leaves_its_job(database: Database) -> None:
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {"n": 1})
    assert await waiting(database) == 1


async def test_a_key_keeps_a_second_job_out_while_the_first_waits(database: Database) -> None:
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {"n": 1}, key="one")
        await queue.add(tx, "test.job", {"n": 2}, key="one")
    assert await waiting(database) == 1


async def test_the_worker_runs_jobs_and_retries_and_keeps_dead_letters(database: Database) -> None:
    seen: list[int] = []

    async def flaky(payload: queue.Payload) -> None:
        seen.append(payload["n"])
        if len(seen) == 1:
            raise RuntimeError("the first try fails")

    async def hopeless(_: queue.Payload) -> None:
        raise RuntimeError("always")

    worker = queue.Worker(database)
    worker.handle("test.flaky", flaky, tries=3)
    worker.handle("test.hopeless", hopeless, tries=2)
    async with database.transaction() as tx:
        await queue.add(tx, "test.flaky", {"n": 7})
        await queue.add(tx, "test.hopeless", {"n": 8}, after=timedelta(0))
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            while len(seen) < 2 or not await dead(database):
                await asyncio.sleep(0.05)
    finally:
        worker.stop()
        await running
    assert seen == [7, 7]
    [letter] = await dead(database)
    assert (letter.name, letter.payload) == ("test.hopeless", {"n": 8})

    async with database.transaction() as tx:
        await queue.revive(tx, [letter.id])
    assert await dead(database) == []
    async with database.reading() as reader:
        assert await queue.oldest_due_seconds(reader) >= 0


async def dead(database: Database) -> list[queue.DeadLetter]:
    async with database.reading() as reader:
        return list(await queue.dead_letters(reader))
