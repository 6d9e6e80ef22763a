"""The queue's promise: a job exists exactly if its transaction committed, and runs at least once."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text

from app.plumbing import metrics, queue
from app.plumbing.database import Database

TAKES_A_JOB_AND_HANGS = """
import asyncio, sys
from app.plumbing.database import Database
from app.plumbing.queue import Worker

async def hang(_):
    print("taken", flush=True)
    await asyncio.sleep(60)

async def main():
    async with Database(sys.argv[1]) as database:
        worker = Worker(database)
        worker.handle("test.job", hang)
        await worker.run()

asyncio.run(main())
"""


@asynccontextmanager
async def working(*workers: queue.Worker) -> AsyncIterator[None]:
    """Let workers run for the time of the block."""
    running = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*running)


async def until(is_true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something is true, at most ten seconds."""
    async with asyncio.timeout(10):
        while True:
            found = is_true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


def overdue() -> float:
    return float(metrics.ALARMS.labels("job_overdue")._value.get())


async def added(database: Database, n: int, name: str = "test.job", key: str | None = None) -> None:
    async with database.transaction() as tx:
        await queue.add(tx, name, {"n": n}, key=key)


async def waiting(database: Database) -> int:
    async with database.reading() as reader:
        return int(await reader.scalar(text("SELECT count(*) FROM queue.pgqueuer")))


async def test_a_rolled_back_transaction_leaves_no_job(database: Database) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):  # noqa: PT012  the transaction is what raises
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
    await added(database, 7, "test.flaky")
    await added(database, 8, "test.hopeless")

    async def both_are_over() -> bool:
        return len(seen) == 2 and len(await dead(database)) == 1

    async with working(worker):
        await until(both_are_over)
    assert seen == [7, 7]
    [letter] = await dead(database)
    assert (letter.name, letter.payload) == ("test.hopeless", {"n": 8})


async def test_a_busy_database_makes_no_dead_letter(database: Database) -> None:
    """Nothing is wrong with the job: a lock was not given, and it is taken up again. People hear of it."""
    seen: list[int] = []
    before = overdue()

    async def meets_others(payload: queue.Payload) -> None:
        seen.append(payload["n"])
        if len(seen) < 3:
            raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout")

    worker = queue.Worker(database)
    worker.handle("test.job", meets_others, tries=1)
    await added(database, 7)
    async with working(worker):
        await until(lambda: len(seen) == 3)
    assert await dead(database) == []
    assert overdue() == before + 2


async def test_a_revived_dead_letter_has_all_its_tries_again(database: Database) -> None:
    tries = 0

    async def hopeless(_: queue.Payload) -> None:
        nonlocal tries
        tries += 1
        raise RuntimeError("always")

    async def is_dead() -> bool:
        return len(await dead(database)) == 1

    worker = queue.Worker(database)
    worker.handle("test.job", hopeless, tries=2)
    await added(database, 1)
    async with working(worker):
        await until(is_dead)
        assert tries == 2
        [letter] = await dead(database)
        async with database.transaction() as tx:
            await queue.revive(tx, [letter.id])
        await until(lambda: tries == 4)
        await until(is_dead)
    async with database.reading() as reader:
        assert await queue.oldest_due_seconds(reader) == 0


async def test_each_try_waits_longer_than_the_one_before(database: Database) -> None:
    seen: list[float] = []

    async def fails(_: queue.Payload) -> None:
        seen.append(time.monotonic())
        raise RuntimeError("always")

    worker = queue.Worker(database)
    worker.handle("test.job", fails, tries=3)
    await added(database, 1)
    async with working(worker):
        await until(lambda: len(seen) == 3)
    first, second = (later - sooner for sooner, later in itertools.pairwise(seen))
    assert first >= 0.25  # half to all of 0.5 s, and up to a second until a worker looks
    assert second >= 0.5
    assert first + second < 5


async def test_a_job_for_later_is_not_due_yet(database: Database) -> None:
    seen: list[float] = []

    async def note(_: queue.Payload) -> None:
        seen.append(time.monotonic())

    worker = queue.Worker(database)
    worker.handle("test.job", note)
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {}, after=timedelta(seconds=0.6))
    began = time.monotonic()
    async with database.reading() as reader:
        assert await queue.oldest_due_seconds(reader) == 0
    async with working(worker):
        await until(lambda: len(seen) == 1)
    assert seen[0] - began > 0.5


async def test_a_key_is_free_again_when_its_job_is_done(database: Database) -> None:
    seen: list[int] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload["n"])

    worker = queue.Worker(database)
    worker.handle("test.job", note)

    async def nothing_waits() -> bool:
        return await waiting(database) == 0

    async with working(worker):
        for n in (1, 2):
            await added(database, n, key="one")
            await until(nothing_waits)
    assert seen == [1, 2]


async def test_a_job_that_commits_late_is_not_overlooked(database: Database) -> None:
    seen: list[int] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload["n"])

    worker = queue.Worker(database)
    worker.handle("test.job", note)
    async with working(worker):
        second_is_done = asyncio.Event()

        async def slow() -> None:
            async with database.transaction() as tx:
                await queue.add(tx, "test.job", {"n": 1})
                await second_is_done.wait()

        slowly = asyncio.create_task(slow())
        await asyncio.sleep(0.1)
        await added(database, 2)  # the higher number commits first
        await until(lambda: seen == [2])
        second_is_done.set()
        await slowly
        await until(lambda: seen == [2, 1])


async def test_stop_finishes_what_runs_and_takes_nothing_more(database: Database) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def slow(payload: queue.Payload) -> None:
        begun.set()
        await may_end.wait()
        done.append(payload["n"])

    worker = queue.Worker(database)
    worker.handle("test.job", slow)
    await added(database, 1)
    running = asyncio.create_task(worker.run())
    await begun.wait()
    worker.stop()
    await asyncio.sleep(0.5)  # a claim that was under way when it was told to stop may still come back
    await added(database, 2)
    await asyncio.sleep(0.2)
    assert not running.done()
    may_end.set()
    await asyncio.wait_for(running, 5)
    assert done == [1]
    assert await waiting(database) == 1


async def test_stop_does_not_wait_for_a_lost_database() -> None:
    async with Database("postgresql://nobody@/nowhere?host=/nonexistent") as nowhere:
        worker = queue.Worker(nowhere)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1)  # by now it waits for longer than a moment
        assert not running.done()
        worker.stop()
        await asyncio.wait_for(running, 0.5)


async def test_another_worker_takes_the_job_of_one_that_was_killed(
    clone_url: str, database: Database
) -> None:
    await added(database, 1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKES_A_JOB_AND_HANGS, clone_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"taken\n"
    process.kill()
    await process.communicate()

    seen: list[int] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload["n"])

    worker = queue.Worker(database, stale_after=timedelta(seconds=1))
    worker.handle("test.job", note)
    async with working(worker):
        await until(lambda: seen == [1])
    assert await waiting(database) == 0


async def test_a_slow_job_of_a_living_worker_is_left_alone(database: Database) -> None:
    begun: list[int] = []

    async def slow(_: queue.Payload) -> None:
        begun.append(1)
        await asyncio.sleep(1.5)

    workers = [queue.Worker(database, stale_after=timedelta(seconds=0.5)) for _ in range(2)]
    for worker in workers:
        worker.handle("test.job", slow)
    await added(database, 1)

    async def nothing_waits() -> bool:
        return await waiting(database) == 0

    async with working(*workers):
        await until(nothing_waits)
    assert begun == [1]


async def test_a_schedule_runs_in_one_of_two_workers_and_outlives_a_failure(database: Database) -> None:
    ran: list[float] = []

    async def task() -> None:
        ran.append(time.monotonic())
        if len(ran) == 1:
            raise RuntimeError("the next turn tries again")

    workers = [queue.Worker(database), queue.Worker(database)]
    for worker in workers:
        worker.every(1, "test.task", task)
    async with working(*workers):
        await until(lambda: len(ran) == 2)
        await asyncio.sleep(0.3)  # the other worker would have had its turn too
    gaps = [later - sooner for sooner, later in itertools.pairwise(ran)]
    assert min(gaps) > 0.4, gaps


def test_a_schedule_divides_a_minute_or_an_hour() -> None:
    async def task() -> None:
        """Never runs."""

    worker = queue.Worker(Database("postgresql://nobody@/nowhere"))
    for seconds in (1, 5, 10, 30, 60, 300, 3_600):
        worker.every(seconds, f"test.{seconds}", task)
    for seconds in (0, -1, 7, 61, 90, 7_200, 86_400):
        with pytest.raises(ValueError, match=f"a schedule of {seconds} s"):
            worker.every(seconds, "test.wrong", task)


async def dead(database: Database) -> list[queue.DeadLetter]:
    async with database.reading() as reader:
        return list(await queue.dead_letters(reader))


async def test_jobs_that_wait_or_run_are_counted_up_to_a_limit(database: Database) -> None:
    for number in range(3):
        await added(database, number)
    await added(database, 1, name="test.other")
    async with database.reading() as reader:
        assert [await queue.unfinished(reader, "test.job", most=most) for most in (2, 9)] == [2, 3]
        assert await queue.unfinished(reader, "test.nobody", most=9) == 0
