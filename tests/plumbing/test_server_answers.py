"""How an answer goes out: its head with the first of its body, and not before."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.plumbing.served import GET, Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as running:
        yield running


async def test_a_head_goes_out_with_the_first_of_its_body(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"GET /streams HTTP/1.1\r\n\r\nGET /own?n=1 HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(opened.reader.readexactly(1), 0.2)
        served.gate.set()
        heard = await asyncio.wait_for(opened.reader.readuntil(b"0\r\n\r\n"), 5)
        assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
        assert heard.endswith(b"\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n")
        assert (await opened.answer())[0] == 200


async def test_a_head_without_a_body_goes_out_alone(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"HEAD /streams HTTP/1.1\r\n\r\n")
        served.gate.set()
        assert (await asyncio.wait_for(opened.reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
        await opened.send(GET + b"\r\n")
        assert (await opened.answer())[0] == 200


async def test_an_answer_that_breaks_before_its_body_is_none(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"GET /streams?broken=1 HTTP/1.1\r\n\r\n")
        served.gate.set()
        assert await opened.rest() == b""


async def test_a_body_is_asked_for_before_its_answer_begins(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"POST /reads HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        asked = await asyncio.wait_for(opened.reader.readuntil(b"\r\n\r\n"), 5)
        assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
        await opened.send(b"four")
        assert await opened.answer() == (200, b'{"bytes":4}')


async def test_an_answered_request_is_gone_without_the_collector(served: Served) -> None:
    gc.collect()
    gc.disable()
    try:
        async with served.connection() as opened:
            for _ in range(20):
                await opened.send(b"POST /ignores HTTP/1.1\r\nContent-Length: 4\r\n\r\nfour")
                assert (await opened.answer())[0] == 200
        alive = sum(isinstance(one, RequestResponseCycle) for one in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 2  # the last one of a connection stays until the next
