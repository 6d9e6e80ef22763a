"""The server falls silent (a machine that is gone, a firewall that forgot): the worker dials anew."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.plumbing import queue
from app.plumbing.database import Database
from tests.plumbing.postgres_proxy import CHUNK, SOCKET
from tests.plumbing.test_queue import added


class Silence:
    """Forwards both ways; once told, what is open falls silent, and what is opened in the next seconds."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.count = 0
        self.silent: set[int] = set()
        self.back_at = 0.0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.count += 1
        number = self.count
        if time.monotonic() < self.back_at:
            self.silent.add(number)
        server, to_server = await asyncio.open_unix_connection(self.target)
        self.writers += [to_client, to_server]

        async def forward(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(CHUNK):
                    if number not in self.silent:
                        to.write(data)
                        await to.drain()
                to.close()

        await asyncio.gather(forward(client, to_server), forward(server, to_client))

    def fall_silent(self) -> None:
        self.silent = set(range(1, self.count + 1))
        self.back_at = time.monotonic() + 3


@pytest.fixture
async def silence(clone_url: str) -> AsyncIterator[tuple[Silence, str]]:
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    proxy = Silence(f"{make_url(clone_url).query['host']}/{SOCKET}")
    listening = await asyncio.start_unix_server(proxy.serve, folder / SOCKET)
    address = make_url(clone_url).update_query_dict({"host": str(folder)})
    yield proxy, address.render_as_string(hide_password=False)
    listening.close()
    for writer in proxy.writers:
        writer.close()
    shutil.rmtree(folder)


async def test_a_worker_whose_server_fell_silent_works_again(
    silence: tuple[Silence, str], database: Database
) -> None:
    proxy, url = silence
    seen: list[int] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload["n"])

    async with Database(url) as through:
        worker = queue.Worker(through, answers_within=timedelta(seconds=2))
        worker.handle("test.job", note)
        running = asyncio.create_task(worker.run())
        await added(database, 1)
        began = time.monotonic()
        while seen != [1] and time.monotonic() - began < 10:  # noqa: ASYNC110  what is waited for is another task
            await asyncio.sleep(0.05)
        assert seen == [1]
        await asyncio.sleep(1)  # it is idle by now, and opens no connection at this very moment
        proxy.fall_silent()
        await added(database, 2)
        began = time.monotonic()
        while seen != [1, 2] and time.monotonic() - began < 15:  # noqa: ASYNC110  what is waited for is another task
            await asyncio.sleep(0.05)
        worker.stop()
        await asyncio.wait_for(running, 10)
    assert seen == [1, 2]
