"""Attack: whoever asks and never reads the answers keeps a connection for ever, and a few hundred keep everybody out."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import httpx
import pytest
import uvicorn

from app.plumbing.server import HEAD_SECONDS, BoundedProtocol
from tests.plumbing.served import Served, application

LIMIT = 6  # of connections; 1000 by default
KEEP_ALIVE_SECONDS = 2  # 15 in `cashier web`
PATIENCE_SECONDS = HEAD_SECONDS + KEEP_ALIVE_SECONDS + 3
LONG = b"GET /own?n=" + b"x" * 28_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def limited() -> AsyncIterator[int]:
    """The protocol of `cashier web` with its limit of connections; gives the port."""
    config = uvicorn.Config(
        application(Served()),
        host="127.0.0.1",
        port=0,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        http=BoundedProtocol,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        limit_concurrency=LIMIT,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def deaf(port: int, asking: socket.socket) -> None:
    """Ask, a question at a time, until the server can write no more, and read nothing."""
    loop = asyncio.get_running_loop()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.setblocking(False)
    await loop.sock_connect(asking, ("127.0.0.1", port))
    with suppress(OSError, TimeoutError):
        for _ in range(600):
            async with asyncio.timeout(0.5):
                await loop.sock_sendall(asking, LONG)
            await asyncio.sleep(0.002)


@pytest.mark.timeout(90)
async def test_who_never_reads_does_not_keep_everybody_out_for_ever() -> None:
    async with limited() as port:
        address = f"http://127.0.0.1:{port}/own"
        async with httpx.AsyncClient() as http:
            assert (await http.get(address)).status_code == 200
        await asyncio.sleep(0.3)  # its connection is gone
        with ExitStack() as sockets:
            held = [sockets.enter_context(socket.socket()) for _ in range(LIMIT - 1)]
            for one in held:
                await deaf(port, one)
            await asyncio.sleep(PATIENCE_SECONDS)
            async with httpx.AsyncClient() as http:
                status = (await http.get(address)).status_code
    assert status == 200, "nobody sent or read a byte for longer than all limits together"
