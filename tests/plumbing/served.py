"""A running server with the protocol of `cashier web`, and sockets that say to it what they like."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from app.plumbing import web
from app.plumbing.server import BoundedProtocol

__all__ = ["GET", "Connection", "Served", "serving"]

GET = b"GET /own HTTP/1.1\r\nHost: a\r\n"


@dataclass
class Connection:
    """One socket, and what is heard on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """The next answer; every route here declares its length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return int(head.split()[1]), await self.reader.readexactly(int(lengths[0].split(b":")[1]))

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset is an end too."""
        heard = b""
        try:
            async with asyncio.timeout(5):
                while part := await self.reader.read(65536):
                    heard += part
        except ConnectionError:
            """What was heard before it was heard."""
        return heard


@dataclass
class Served:
    """A running server, and what its application did."""

    port: int = 0
    answered: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    headers: list[dict[str, str]] = field(default_factory=list)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()

    async def closes_in(self, *parts: bytes) -> float:
        """Seconds until the server closes a connection on which these were sent."""
        async with self.connection() as opened:
            began = time.perf_counter()
            for part in parts:
                await opened.send(part)
                await asyncio.sleep(0.05)  # an answer is out before the next part
            await opened.rest()
            return time.perf_counter() - began


def application(served: Served) -> FastAPI:
    app = FastAPI(openapi_url=None)
    web.install(app)

    @app.get("/own")
    async def own(request: Request, n: str = "") -> dict[str, str]:
        served.answered.append(n)
        served.headers.append(dict(request.headers))
        return {"n": n}

    @app.get("/waits")
    async def waits() -> dict[str, str]:
        await served.gate.wait()
        served.answered.append("waited")
        return {}

    @app.api_route("/streams", methods=["GET", "HEAD"])
    async def streams(broken: bool = False) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            await served.gate.wait()
            if broken:
                raise RuntimeError
            yield b"first"
            yield b"second"

        return StreamingResponse(parts())

    @app.post("/ignores")
    async def ignores() -> dict[str, str]:
        return {}

    @app.post("/reads")
    async def reads(request: Request) -> dict[str, int]:
        body = await request.body()
        served.headers.append(dict(request.headers))
        return {"bytes": len(body)}

    return app


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    """The application on the protocol of `cashier web`, on a port of its own."""
    made = Served()
    config = uvicorn.Config(
        application(made),
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        http=BoundedProtocol,
        timeout_keep_alive=15,
    )
    running_server = uvicorn.Server(config)
    running = asyncio.create_task(running_server._serve())
    while not running_server.started:
        assert not running.done(), "the server did not start"
        await asyncio.sleep(0.01)
    made.port = running_server.servers[0].sockets[0].getsockname()[1]
    yield made
    running_server.should_exit = True
    await running
