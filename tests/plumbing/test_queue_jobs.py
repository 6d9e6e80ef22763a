"""A job is a row like any other: written with what it is about, and as PgQueuer itself writes one."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from pgqueuer import AsyncpgDriver
from sqlalchemy import text

from app.plumbing import queue
from app.plumbing.database import Database, Transaction
from app.plumbing.queue_wire import queries_over
from tests.plumbing.test_built import NEW, switch
from tests.plumbing.test_queue import until, waiting, working

LATER = timedelta(minutes=5)


async def rows(tx: Transaction) -> list[dict[str, Any]]:
    """The jobs that wait, without what tells one row from another."""
    found = await tx.all(text("SELECT *, headers::text AS headers FROM queue.pgqueuer ORDER BY id"))
    return [{name: value for name, value in row._mapping.items() if name != "id"} for row in found]


async def test_jobs_are_written_as_pgqueuer_writes_them(database: Database) -> None:
    """All columns and values, those it leaves to the table as well: an upgrade may write others."""
    async with database.transaction() as tx:  # in one transaction, because now() is the same in all of it
        its = queries_over(AsyncpgDriver(tx.raw))
        await its.enqueue(["test.job"], [b'{"n":1}'], [0], [LATER], ["one"], on_conflict="skip")
        await its.enqueue(["test.job"], [b'{"n":2}'], [1], [timedelta(0)], [None], on_conflict="skip")
        theirs = await rows(tx)
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
        await queue.add(tx, "test.job", {"n": 1}, after=LATER, key="one")
        await queue.add(tx, "test.job", {"n": 2}, urgent=True)
        assert await rows(tx) == theirs
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
        await its.enqueue(
            ["test.job"] * 2, [b'{"n":1}', b'{"n":2}'], [1, 1], None, ["a", "b"], on_conflict="skip"
        )
        theirs = await rows(tx)
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
        await queue.add_all(tx, "test.job", [{"n": 1}, {"n": 2}], keys=["a", "b"], urgent=True)
        assert await rows(tx) == theirs
        assert len(theirs) == 2


async def test_a_key_keeps_others_out_however_they_are_added(database: Database) -> None:
    """As PgQueuer has it: of those that wait or run, one; a dead letter keeps nobody out."""
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {"n": 1}, key="one")
        await queue.add_all(tx, "test.job", [{"n": 2}, {"n": 3}, {"n": 4}], keys=["one", "two", "two"])
        await tx.write((NEW, switch("new")), queue.job("test.job", {"n": 5}, key="two"))
        assert [row["payload"] for row in await rows(tx)] == [b'{"n":1}', b'{"n":3}']
        await tx.execute(text("UPDATE queue.pgqueuer SET status = 'picked'"))
        await queue.add(tx, "test.job", {"n": 6}, key="one")
        assert len(await rows(tx)) == 2
        await tx.execute(text("UPDATE queue.pgqueuer SET status = 'failed'"))
        await queue.add(tx, "test.job", {"n": 7}, key="one")
        assert len(await rows(tx)) == 3
        await queue.add_all(tx, "test.job", [])
        await queue.add_all(tx, "test.job", [{"n": 8}, {"n": 8}])
        assert len(await rows(tx)) == 5


@pytest.mark.parametrize("keys", [["a"], ["a", "b", "c"]], ids=["too few", "too many"])
async def test_as_many_keys_as_jobs_or_none(database: Database, keys: list[str]) -> None:
    """With fewer some would have none, unnoticed; with more there would be jobs about nothing."""
    with pytest.raises(AssertionError, match="a key for each"):
        async with database.transaction() as tx:
            await queue.add_all(tx, "test.job", [{"n": 1}, {"n": 2}], keys=keys)
    assert await waiting(database) == 0


async def test_two_that_add_one_key_at_once_add_one_job(database: Database) -> None:
    async def add(n: int) -> None:
        async with database.transaction() as tx:
            await queue.add(tx, "test.job", {"n": n}, key="one")
            await asyncio.sleep(0.05)

    await asyncio.gather(*(add(n) for n in range(5)))
    assert await waiting(database) == 1


async def test_a_job_written_with_its_matter_is_there_exactly_if_that_is(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.write((NEW, switch("new")), queue.job("test.job", {"n": 1}))
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.write((NEW, switch("new")), queue.job("test.job", {"n": 2}))
    assert await waiting(database) == 1


async def test_a_job_alone_does_not_commit_by_itself(database: Database) -> None:
    async with database.singly() as tx:
        with pytest.raises(AssertionError, match="not in a transaction"):
            await queue.add(tx, "test.job", {"n": 1})
        with pytest.raises(AssertionError, match="not in a transaction"):
            await queue.add_all(tx, "test.job", [{"n": 1}])
    assert await waiting(database) == 0


async def test_a_worker_that_waits_hears_of_a_job_written_beside_another_row(database: Database) -> None:
    seen: list[queue.Payload] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload)

    worker = queue.Worker(database)
    worker.handle("test.job", note)
    async with working(worker):
        await asyncio.sleep(0.3)
        await database.write((NEW, switch("new")), queue.job("test.job", {"n": "ə"}))
        await until(lambda: seen == [{"n": "ə"}])
