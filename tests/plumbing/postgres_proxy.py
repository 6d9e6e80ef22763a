"""Stands between a client and PostgreSQL's Unix socket, and does something to the answer to what commits."""

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from sqlalchemy import make_url

SOCKET = ".s.PGSQL.5432"
CHUNK = 65_536
# A statement that is its own transaction, prepared; the driver binds it by its name.
CONFIRMS = re.compile(rb"(__asyncpg_stmt_\w+__)\0SELECT wallet_confirm")


class Mischief(Enum):
    """What happens to the next COMMIT, or statement that commits by itself."""

    NONE = auto()
    CUT_BEFORE = auto()  # it never reaches the server
    CUT_AFTER = auto()  # its answer never reaches the client
    HOLD = auto()  # its answer waits for `release`


@dataclass
class Proxy:
    """Forwards everything, until told otherwise."""

    url: str
    target: str
    mischief: Mischief = Mischief.NONE
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        server, to_server = await asyncio.open_unix_connection(self.target)
        self._writers |= {to_client, to_server}
        committing, confirming = asyncio.Event(), b"COMMIT;"
        back = asyncio.create_task(self._answers(server, to_client, committing))
        with contextlib.suppress(ConnectionError):
            while data := await client.read(CHUNK):
                if prepared := CONFIRMS.search(data):
                    confirming = prepared[1]
                elif b"COMMIT;" in data or confirming in data:
                    self.seen.set()
                    if self.mischief is Mischief.CUT_BEFORE:
                        break
                    committing.set()
                to_server.write(data)
                await to_server.drain()
        to_client.close()
        to_server.close()
        await back

    async def _answers(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, committing: asyncio.Event
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await server.read(CHUNK):
                if committing.is_set() and self.mischief is Mischief.CUT_AFTER:
                    break
                if committing.is_set() and self.mischief is Mischief.HOLD:
                    await self.release.wait()
                committing.clear()
                to_client.write(data)
                await to_client.drain()
        to_client.close()

    async def hang_up(self) -> None:
        self.release.set()
        for writer in self._writers:
            writer.close()
        if self._serving:
            await asyncio.wait(self._serving)


@asynccontextmanager
async def standing_before(url: str) -> AsyncIterator[Proxy]:
    """Open a second address of the same database."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path may have 107 characters only
    address = make_url(url).update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)
    proxy = Proxy(address, f"{make_url(url).query['host']}/{SOCKET}")
    listening = await asyncio.start_unix_server(proxy.serve, folder / SOCKET)
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.hang_up()
        shutil.rmtree(folder)
