"""Whoever asks and never reads the answers keeps no connection for ever."""

import asyncio
import socket
import sys

import pytest

from app.plumbing import server
from tests.plumbing.served import serving

LONG = b"GET /own?n=" + b"x" * 28_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"  # its answer is as long


async def stuck(asking: socket.socket, port: int) -> bool:
    """Ask, a question at a time, until the server can write no more."""
    loop = asyncio.get_running_loop()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asking.setblocking(False)
    await loop.sock_connect(asking, ("127.0.0.1", port))
    try:
        for _ in range(600):
            async with asyncio.timeout(0.5):
                await loop.sock_sendall(asking, LONG)
            await asyncio.sleep(0.002)
    except TimeoutError:
        return True
    return False


def read_all(asking: socket.socket) -> None:
    while asking.recv(65_536):
        """What had come before it was forgotten."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told so")
async def test_who_reads_nothing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READ_SECONDS", 1.0)
    async with serving() as served:
        with socket.socket() as asking:
            assert await stuck(asking, served.port)
            await asyncio.sleep(3)  # the system looks by ever longer steps
            with pytest.raises(ConnectionResetError):
                read_all(asking)
