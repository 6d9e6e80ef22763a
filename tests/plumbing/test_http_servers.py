"""Servers on real sockets for the tests of outgoing HTTP, each misbehaving in its own way."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpcore

from app.kernel.clock import SystemClock
from app.plumbing.http import HttpClient

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """What happened to a server: connections accepted, those still open, and requests read."""

    port: int = 0
    hits: int = 0
    open: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def peer(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)


def answering(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> Script:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    message = "\r\n".join(lines).encode() + body

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(message)
        await writer.drain()

    return answer


async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def reset(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@asynccontextmanager
async def serving(
    script: Script, *, tls: ssl.SSLContext | None = None, greeting: bytes = b""
) -> AsyncIterator[Server]:
    seen = Server()
    talks: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        seen.hits += 1
        seen.open += 1
        writer.write(greeting)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
                request = head + (await reader.readexactly(int(length[1])) if length else b"")
                seen.requests.append(request)
                await script(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            seen.open -= 1
            talks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)


async def unresolved(host: str, port: int) -> Sequence[str]:
    raise AssertionError(f"nobody was to look up {host}:{port}")


def client_for(*servers: Server, **switches: Any) -> HttpClient:  # noqa: ANN401  whatever the client takes
    """A client that may call these servers and looks no other name up."""

    async def themselves(host: str, port: int) -> Sequence[str]:
        known = {server.peer for server in servers}
        return [host] if (host, port) in known else await unresolved(host, port)

    switches.setdefault("resolve", themselves)
    return HttpClient(SystemClock(), allowed_private_peers={server.peer for server in servers}, **switches)


@dataclass
class Switchboard:
    """A dial that connects addresses to test servers and notes what was dialled; nobody else is there."""

    lines: dict[str, Server]
    dialled: list[str] = field(default_factory=list)

    async def dial(self, address: str, _: int) -> httpcore.AsyncNetworkStream:
        self.dialled.append(address)
        if address not in self.lines:
            raise httpcore.ConnectError("nobody is there")
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self.lines[address].port)


async def test_a_server_counts_what_reaches_it() -> None:
    async with serving(answering()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(15) == b"HTTP/1.1 200 OK"
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    assert (server.hits, len(server.requests)) == (1, 1)
