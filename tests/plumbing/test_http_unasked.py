"""What a peer sends behind its answer, unasked, is no answer to the next request on that connection."""

import asyncio

import pytest

from tests.plumbing.test_http_servers import client_for, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "unasked",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nspare", b"HTTP/1.1 200 OK\r\nX-Old: ", b"?"],
    ids=["an answer", "half of one", "anything"],
)
async def test_an_answer_nobody_asked_for_answers_no_later_request(unasked: bytes) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + unasked)
        await writer.drain()

    async with serving(answer) as server, client_for(server) as client:
        for _ in range(3):
            reply = await client.call("GET", server.url, deadline_seconds=5)
            assert (reply.status, reply.body, "x-old" in reply.headers) == (200, b"ok", False)
    assert server.hits == 3


async def test_what_answers_once_keeps_its_connection() -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()

    async with serving(answer) as server, client_for(server) as client:
        for _ in range(3):
            assert (await client.call("POST", server.url, body=b"x", deadline_seconds=5)).body == b"ok"
    assert server.hits == 1


async def test_nor_does_what_lies_in_the_socket_s_own_buffer() -> None:
    """The library takes 64 KiB at once out of what has arrived; here the answer is exactly as long."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    length = 65_536 - len(head % 65_000)
    long = head % length + b"x" * length
    assert len(long) == 65_536

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(long + OK)
        await writer.drain()

    async with serving(answer) as server, client_for(server) as client:
        for _ in range(3):
            reply = await client.call("GET", server.url, deadline_seconds=5)
            assert len(reply.body) == length
