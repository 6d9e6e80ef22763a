"""What the queue writes about its jobs is forgotten in the end, and holds no number of a card."""

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
            "SELECT now() - $1::text::interval, n, 'successful', 0, 'test.job', n > 5 "
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
