"""A merchant's server on a real socket: it keeps what it hears and answers as it is told."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

Manner = Callable[[asyncio.StreamWriter], Awaitable[None]]

# How long a test waits for a peer that never answers: by then even a busy machine has asked it.
SILENCE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a JSON or form body."""
        if self.headers["content-type"].startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Server:
    """What a server was told to do, and what it heard."""

    manner: Manner
    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    before: Callable[[Heard], Awaitable[None]] | None = None
    talks: set[asyncio.Task[Any]] = field(default_factory=set)

    def hang_up(self) -> None:
        """End every connection at once."""
        for task in list(self.talks):
            task.cancel()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peer(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)


def answering(content: object, status: int = 200, *headers: str) -> Manner:
    """Answer JSON, or the very bytes that are given."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return sending("\r\n".join(lines).encode() + body)


def sending(message: bytes) -> Manner:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(message)
        await writer.drain()

    return send


async def hanging(_: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


async def resetting(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@asynccontextmanager
async def serving(manner: Manner) -> AsyncIterator[Server]:
    """A server on a free port, until the block ends."""
    server = Server(manner)
    talks = server.talks

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"(?i)\r\ncontent-length: *([0-9]+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                first, *lines = head.strip().split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (li.partition(":") for li in lines)
                }
                heard = Heard(first.split()[1], headers, body)
                server.heard.append(heard)
                if server.before is not None:
                    await server.before(heard)
                await server.manner(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            talks.discard(task)
            writer.transport.abort()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        server.hang_up()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)
