"""Dead letters that were about the same thing are revived like any others."""

from datetime import timedelta

from sqlalchemy import text

from app.plumbing import queue
from app.plumbing.database import Database
from tests.plumbing.test_queue import dead, until, working

KEY = "test.job:1"


async def died(database: Database) -> None:
    """A job with the key fails once too often."""
    worker = queue.Worker(database)
    before = len(await dead(database))

    async def hopeless(_: queue.Payload) -> None:
        raise RuntimeError("always")

    async def is_dead() -> bool:
        return len(await dead(database)) > before

    worker.handle("test.job", hopeless, tries=1)
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {"n": 1}, key=KEY)
    async with working(worker):
        await until(is_dead)


async def test_dead_letters_of_one_key_are_revived_beside_a_job_that_waits(database: Database) -> None:
    """The sweep leaves another job of the key each time: one that waits keeps the dead ones not dead."""
    for _ in range(2):
        await died(database)
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {"n": 1}, key=KEY, after=timedelta(hours=1))
    letters = [one.id for one in await dead(database)]
    async with database.transaction() as tx:
        assert await queue.revive(tx, letters) == sorted(letters)
    assert await dead(database) == []
    ran: list[queue.Payload] = []

    async def run(payload: queue.Payload) -> None:
        ran.append(payload)

    worker = queue.Worker(database)
    worker.handle("test.job", run)
    async with working(worker):
        await until(lambda: len(ran) == 2)
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {"n": 1}, key=KEY)
        counted = text("SELECT count(*) FROM queue.pgqueuer WHERE dedupe_key = :key")
        waiting = await tx.scalar(counted, {"key": KEY})
    assert waiting == 1, "the one that waits keeps further ones away"
