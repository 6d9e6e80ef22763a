"""What the queue writes about its jobs: what went wrong alone, for some days, and no number of a card."""

import json

import asyncpg
import pytest
from sqlalchemy import text

from app import worker
from app.kernel.clock import MovableClock
from app.plumbing import queue
from app.plumbing.database import Database, asyncpg_dsn
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from tests.plumbing.test_queue import added, dead, until, working

CARD = "4111111111111111"


async def test_what_the_queue_noted_of_old_jobs_is_forgotten(
    database: Database, clone_url: str, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows a job and five indexes over them: the worker drops what is a week old, some at a time."""
    monkeypatch.setattr(queue, "_FORGOTTEN_AT_ONCE", 4)
    owner = await asyncpg.connect(asyncpg_dsn(clone_url))
    for age in ("1 year", "8 days", "6 days"):
        await owner.execute(
            "INSERT INTO queue.pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated) "
            "SELECT now() - $1::text::interval, n, 'failed', 0, 'test.job', n > 5 "
            "FROM generate_series(1, 9) n",
            age,
        )
    await owner.execute(
        "INSERT INTO queue.pgqueuer_statistics (created, count, status, priority, entrypoint) "
        "VALUES (now() - interval '8 days', 1, 'successful', 0, 'test.job')"
    )
    async with HttpClient(clock) as http:
        everything = worker.create_worker(Pipes(database, http, clock, "https://cashier.example"))
        for _, task in everything.tasks.values():
            await task()
    assert await owner.fetchval("SELECT count(*) FROM queue.pgqueuer_log") == 9
    assert await owner.fetchval("SELECT count(*) FROM queue.pgqueuer_statistics") == 0
    await owner.close()


async def test_why_a_job_failed_is_kept_without_card_numbers(database: Database) -> None:
    """PCI DSS 3.5.1, as for notices, logs and the diary: an error's text may be a stranger's."""

    async def fails(_: queue.Payload) -> None:
        try:
            raise ValueError(CARD)
        except ValueError as error:
            raise RuntimeError(f"unreadable: {{'pan': '{CARD}'}}") from error

    async def is_dead() -> bool:
        return len(await dead(database)) == 1

    failing = queue.Worker(database)
    failing.handle("test.job", fails, tries=2)
    await added(database, 1)
    async with working(failing):
        await until(is_dead)
    async with database.reading() as reader:
        kept = await reader.scalar(text("SELECT string_agg(traceback::text, '') FROM queue.pgqueuer_log"))
    assert "RuntimeError" in kept
    assert CARD not in kept


async def test_of_a_job_that_went_well_nothing_is_kept(database: Database) -> None:
    """Not that it was taken either: nobody reads that, and it would be a dozen writes."""
    done: list[queue.Payload] = []

    async def works(payload: queue.Payload) -> None:
        done.append(payload)

    async def is_gone() -> bool:
        async with database.reading() as reader:
            left = await reader.scalar(text("SELECT count(*) FROM queue.pgqueuer"))
        return len(done) == 3 and not left

    worker = queue.Worker(database)
    worker.handle("test.job", works)
    for number in range(3):
        await added(database, number)
    async with working(worker):
        await until(is_gone)
    async with database.reading() as reader:
        assert await reader.scalar(text("SELECT count(*) FROM queue.pgqueuer_log")) == 0


async def test_why_a_job_is_tried_again_is_kept(database: Database) -> None:
    """Whoever looks for why it was late finds each try that failed, and not the last one alone."""
    tries: list[queue.Payload] = []

    async def fails_once(payload: queue.Payload) -> None:
        tries.append(payload)
        if len(tries) == 1:
            raise RuntimeError("the first time")

    worker = queue.Worker(database)
    worker.handle("test.job", fails_once)
    await added(database, 1)
    async with working(worker):
        await until(lambda: len(tries) == 2)
    async with database.reading() as reader:
        [kept] = await reader.all(text("SELECT status, traceback::text AS why FROM queue.pgqueuer_log"))
    assert kept.status == "queued"
    assert "the first time" in kept.why


async def test_new_jobs_wake_a_worker_and_done_ones_do_not(database: Database, clone_url: str) -> None:
    """Each wake is a claim; nobody waits for room in the queue."""
    heard: list[str] = []
    listener = await asyncpg.connect(asyncpg_dsn(clone_url))
    await listener.add_listener("ch_pgqueuer", lambda *said: heard.append(json.loads(said[-1])["operation"]))
    await added(database, 1)
    async with database.transaction() as tx:
        await tx.raw.execute("UPDATE queue.pgqueuer SET heartbeat = now()")
        await tx.raw.execute("DELETE FROM queue.pgqueuer")
    await added(database, 2)  # by the time that this one is heard of, the others would have been

    async def is_heard() -> bool:
        return len(heard) >= 2

    await until(is_heard)
    await listener.close()
    assert heard == ["insert", "insert"]
