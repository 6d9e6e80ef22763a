"""What the worker counts can be read somewhere."""

import asyncio
import contextlib

import httpx
import pytest

from app.ops import numbers
from app.plumbing import queue
from app.plumbing.database import Database
from tests.processes.running import home, until
from tests.stories.stage import free_port

pytestmark = pytest.mark.timeout(90)


def test_the_jobs_and_alarms_of_a_worker_are_among_the_numbers(clone_url: str) -> None:
    """Alarms are raised by jobs: `webhook_exhausted`, `payment_not_ended`, `stuck_round`, dead letters."""

    async def add() -> None:
        async with Database(clone_url) as database, database.transaction() as tx:
            await queue.add(tx, "webhooks.deliver", {"site_id": 0, "webhook_id": "whd_none"})

    async def waiting() -> int:
        async with Database(clone_url) as database, database.reading() as reader:
            return await queue.unfinished(reader, "webhooks.deliver", most=1)

    port = free_port()
    with home(CASHIER_DATABASE_URL=clone_url, CASHIER_WORKER_METRICS_PORT=str(port)) as made:
        worker = made.spawn("worker")
        asyncio.run(add())
        until(lambda: not asyncio.run(waiting()), "the job is done")
        found = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        worker.terminate()
        assert worker.wait(30) == 0
    assert 'cashier_jobs_total{end="done",job="webhooks.deliver"}' in found


async def asked(port: int, path: str = "/metrics", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", headers=headers)


async def test_strangers_hear_no_numbers_in_production() -> None:
    port, token = free_port(), "a-token-of-ours-0123"
    async with numbers.listening("127.0.0.1", port, production=True, token=token):
        assert (await asked(port)).status_code == 401
        assert (await asked(port, authorization="Bearer another")).status_code == 401
        assert (await asked(port, "/", authorization=f"Bearer {token}")).status_code == 404
        answer = await asked(port, authorization=f"Bearer {token}")
    assert answer.status_code == 200
    assert "cashier_alarms_total" in answer.text


async def test_without_a_token_there_are_none_in_production() -> None:
    port = free_port()
    async with numbers.listening("127.0.0.1", port, production=True, token=""):
        with pytest.raises(httpx.ConnectError):
            await asked(port)


async def test_a_port_that_is_taken_stops_nothing() -> None:
    port = free_port()
    async with (
        numbers.listening("127.0.0.1", port, production=False, token=""),
        numbers.listening("127.0.0.1", port, production=False, token=""),
    ):
        assert (await asked(port)).status_code == 200


async def test_who_says_nothing_or_too_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_SECONDS", 0.2)
    port = free_port()
    async with numbers.listening("127.0.0.1", port, production=False, token=""):
        for said in (b"", b"GET /metrics HTTP/1.1\r\n", b"x" * 20_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
