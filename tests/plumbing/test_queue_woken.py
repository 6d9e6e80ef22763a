"""A worker hears of new jobs alone: it begins what is due all the same, and nothing once it stops."""

import asyncio
import time
from datetime import timedelta

import asyncpg
import pytest
from pgqueuer.core.qm import QueueManager

from app.plumbing import queue, queue_wire
from app.plumbing.database import Database, asyncpg_dsn
from tests.plumbing.test_queue import added, until, working


async def many(database: Database, count: int) -> None:
    async with database.transaction() as tx:
        await queue.add_all(tx, "test.job", [{"n": number} for number in range(count)])


async def test_a_full_worker_goes_on_as_soon_as_a_place_is_free(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at its next look: forty jobs that are done sooner would leave all its places empty until then."""
    monkeypatch.setattr(QueueManager, "min_dequeue_poll_interval", timedelta(minutes=1))
    ran: list[queue.Payload] = []

    async def run(payload: queue.Payload) -> None:
        await asyncio.sleep(0.02)
        ran.append(payload)

    worker = queue.Worker(database)
    worker.handle("test.job", run)
    await many(database, 200)
    async with working(worker):
        await until(lambda: len(ran) == 200)


async def test_a_job_that_failed_is_tried_again_when_that_is_due(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a quarter of a second here, and not at the worker's next look, which is after a whole one."""
    monkeypatch.setattr("random.uniform", lambda least, _: least)
    began: list[float] = []

    async def fails_once(_: queue.Payload) -> None:
        began.append(time.monotonic())
        if len(began) == 1:
            await asyncio.sleep(0.05)  # the worker has looked by then, and waits
            raise RuntimeError("once")

    worker = queue.Worker(database)
    worker.handle("test.job", fails_once)
    async with working(worker):
        await added(database, 1)
        await until(lambda: len(began) == 2)
    assert began[1] - began[0] < 0.8


async def test_a_worker_that_hears_nothing_any_more_dials_anew(
    database: Database, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one connection that listens is ended alone; the others would do, a second late for each job."""
    monkeypatch.setattr(QueueManager._run_periodic_health_check, "__defaults__", (timedelta(seconds=0.3),))
    owner = await asyncpg.connect(asyncpg_dsn(clone_url))
    of_worker = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"

    async def is_heard() -> bool:
        return bool(await owner.fetchval(f"SELECT count(*) {of_worker}"))

    async def nothing(_: queue.Payload) -> None: ...

    worker = queue.Worker(database)
    worker.handle("test.job", nothing)
    async with working(worker):
        await until(is_heard)
        await owner.execute(f"SELECT pg_terminate_backend(pid, 5000) {of_worker}")
        await until(is_heard)
    await owner.close()


async def test_who_stops_between_two_claims_claims_nothing_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_wire, "_GATHER_SECONDS", 0.3)
    ran: list[queue.Payload] = []

    async def run(payload: queue.Payload) -> None:
        ran.append(payload)

    worker = queue.Worker(database)
    worker.handle("test.job", run)
    async with working(worker):
        await added(database, 1)
        await until(lambda: len(ran) == 1)
        await many(database, 5)
        worker.stop()
    assert len(ran) == 1
