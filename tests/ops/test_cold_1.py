"""What the worker counts can be read somewhere."""

import asyncio

import httpx
import pytest

from app.plumbing import queue
from app.plumbing.database import Database
from tests.processes.parts import answers
from tests.processes.running import home, until

pytestmark = pytest.mark.timeout(90)


def test_the_jobs_and_alarms_of_a_worker_are_among_the_numbers(clone_url: str) -> None:
    """Alarms are raised by jobs: `webhook_exhausted`, `payment_not_ended`, `stuck_round`, dead letters."""

    async def add() -> None:
        async with Database(clone_url) as database, database.transaction() as tx:
            await queue.add(tx, "webhooks.deliver", {"site_id": 0, "webhook_id": "whd_none"})

    async def waiting() -> int:
        async with Database(clone_url) as database, database.reading() as reader:
            return await queue.unfinished(reader, "webhooks.deliver", most=1)

    with home(CASHIER_DATABASE_URL=clone_url) as made:
        web, worker = made.spawn("web"), made.spawn("worker")
        until(lambda: answers(made.port), "the web process serves")
        asyncio.run(add())
        until(lambda: not asyncio.run(waiting()), "the job is done")
        found = httpx.get(f"http://127.0.0.1:{made.port}/metrics", trust_env=False).text
        for process in (web, worker):
            process.terminate()
            process.wait(30)
    assert 'cashier_jobs_total{end="done",job="webhooks.deliver"}' in found
