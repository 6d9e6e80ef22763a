"""A name whose servers are slow keeps no other name from being looked up."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.kernel.clock import SystemClock
from app.plumbing.http import CallFailed, HttpClient, PeerLimits, wire

Found = list[tuple[Any, ...]]
MANY = 80  # more than there are threads


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names as they are looked up: slow.example when the test is over, all others at once."""
    names: list[str] = []
    is_over = threading.Event()

    def look_up(host: str, port: int, **_: object) -> Found:
        names.append(host)
        if host == "slow.example":
            is_over.wait()
        elif host == "none.example":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield names
    is_over.set()


async def called(client: HttpClient, host: str, peer: int = 0) -> str:
    with pytest.raises(CallFailed) as failed:
        await client.call("GET", f"https://{host}/", deadline_seconds=30, peer=f"{host} {peer}")
    return failed.value.detail


async def test_a_slow_name_holds_one_thread(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up goes on when nobody waits for it any more: call after call would fill all threads."""
    monkeypatch.setattr(wire, "RESOLVE_SECONDS", 0.5)
    async with HttpClient(SystemClock(), limits=PeerLimits(in_flight=MANY)) as client:
        for _ in range(2):
            told = await asyncio.gather(*(called(client, "slow.example", peer) for peer in range(MANY)))
            assert set(told) == {"slow.example could not be resolved"}
        assert await called(client, "fast.example") == "fast.example leads to 10.0.0.1: it is private"
    assert asked == ["slow.example", "fast.example"]


async def test_a_name_is_asked_for_anew_when_its_look_up_is_over(asked: list[str]) -> None:
    """What it leads to is its owner's to change: no answer is kept."""
    async with HttpClient(SystemClock()) as client:
        for _ in range(2):
            await called(client, "fast.example")
            assert await called(client, "none.example") == "none.example could not be resolved"
    assert asked == ["fast.example", "none.example"] * 2
