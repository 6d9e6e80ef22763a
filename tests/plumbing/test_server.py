"""What one stranger's connection may take: asked over real sockets, of the protocol of `cashier web`."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from app.plumbing import server
from app.plumbing.server import HEAD_LIMIT_BYTES, MOST_HEADERS, MOST_WAITING
from tests.conftest import ROOT
from tests.plumbing.served import GET, Connection, Served, serving

MEGABYTE = 1024 * 1024


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as running:
        yield running


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)


def head_of(size: int) -> bytes:
    """A whole head of exactly so many bytes."""
    start = GET + b"X-Long: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


ENDLESS = {
    "one header": (GET + b"X-Long: ", b"x" * 1024),
    "one header's name": (GET, b"x" * 1024),
    "many headers": (GET, b"a:\r\n" * 256),
    "the address": (b"GET /", b"x" * 1024),
    "empty lines": (b"", b"\r\n" * 512),
    "empty lines behind a request": (GET + b"\r\n", b"\r\n" * 512),
    "a trailer": (b"POST /reads HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ", b"x" * 1024),
    "many trailers": (b"POST /reads HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 170),
    "trailers nobody waits for": (
        b"POST /ignores HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ",
        b"x" * 1024,
    ),
    "a chunk's extension": (
        b"POST /reads HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a=",
        b"x" * 1024,
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_nothing_endless_fills_the_memory(served: Served, what: str) -> None:
    start, more = ENDLESS[what]
    sent, is_closed = 0, False
    tracemalloc.start()
    try:
        async with served.connection() as opened:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            try:
                await opened.send(start)
                async with asyncio.timeout(5):
                    while True:
                        await opened.send(more)
                        sent += len(more)
                        if sent > 16 * MEGABYTE:  # thrown away for the second in which the answer is heard
                            await asyncio.sleep(0.02)
            except ConnectionError:
                is_closed = True
            except TimeoutError:
                """It would go on for ever."""
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert is_closed
    assert peak - before < 2 * MEGABYTE


@pytest.mark.parametrize("segment", [1 << 20, 4096, 1000])
@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
async def test_a_head_may_have_its_bytes_and_not_one_more(
    served: Served, segment: int, more: int, status: int
) -> None:
    head = head_of(HEAD_LIMIT_BYTES + more)
    async with served.connection() as opened:
        for at in range(0, len(head), segment):
            await opened.send(head[at : at + segment])
        assert (await opened.answer())[0] == status
        if status == 431:
            assert await opened.rest() == b""
            assert served.answered == []
        else:
            await opened.send(head)  # and again on the same connection
            assert (await opened.answer())[0] == 200


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 431)])
async def test_a_head_may_have_its_fields_and_not_one_more(served: Served, more: int, status: int) -> None:
    fields = b"".join(b"a%d: b\r\n" % number for number in range(MOST_HEADERS - 1 + more))
    async with served.connection() as opened:
        await opened.send(GET + fields + b"\r\n")
        assert (await opened.answer())[0] == status
    assert len(served.answered) == (status == 200)


async def test_a_whole_body_is_no_head(served: Served) -> None:
    async with served.connection() as opened:
        for _ in range(3):
            await opened.send(b"POST /reads HTTP/1.1\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65536)
            assert await opened.answer() == (200, b'{"bytes":65536}')
        chunks = b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(60))
        await opened.send(
            b"POST /reads HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nA: b\r\n\r\n"
        )
        assert await opened.answer() == (200, b'{"bytes":61440}')
        assert "a" not in served.headers[-1], "a trailer became a header"


async def trickle(opened: Connection) -> None:
    while True:
        await opened.send(b"x")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "sent", [(), (b"G",), (GET,), (b"\r\n",), (GET + b"\r\n", b"G"), (GET + b"\r\n", b"\r\n")]
)
async def test_a_head_that_does_not_come_is_not_waited_for(
    served: Served, hurried: None, sent: tuple[bytes, ...]
) -> None:
    assert 0.2 < await served.closes_in(*sent) < 1.5


async def test_a_head_that_comes_slowly_is_not_waited_for_either(served: Served, hurried: None) -> None:
    async with served.connection() as opened:
        await opened.send(GET + b"X-Slow: ")
        slowly = asyncio.create_task(trickle(opened))
        began = time.perf_counter()
        assert await opened.rest() == b""
        assert time.perf_counter() - began < 1.5
        slowly.cancel()
        await asyncio.gather(slowly, return_exceptions=True)


async def test_the_time_is_for_each_head_and_not_for_the_connection(served: Served, hurried: None) -> None:
    async with served.connection() as opened:
        for _ in range(4):
            await opened.send(GET)
            await asyncio.sleep(0.15)
            await opened.send(b"\r\n")
            assert (await opened.answer())[0] == 200


async def test_an_idle_connection_is_kept(served: Served, hurried: None) -> None:
    async with served.connection() as opened:
        for _ in range(2):
            await opened.send(GET + b"\r\n")
            assert (await opened.answer())[0] == 200
            await asyncio.sleep(0.5)  # longer than a head may take


async def test_an_answer_is_not_cut_by_the_head_behind_it(served: Served, hurried: None) -> None:
    async with served.connection() as opened:
        await opened.send(b"GET /waits HTTP/1.1\r\n\r\nGET /own")
        await asyncio.sleep(0.6)
        served.gate.set()
        heard = await opened.rest()
    assert heard.count(b"HTTP/1.1 200") == heard.count(b"HTTP/1.1 ") == 1


async def test_an_answer_is_not_mixed_with_the_refusal_behind_it(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"GET /waits HTTP/1.1\r\n\r\n" + head_of(HEAD_LIMIT_BYTES * 2))
        await asyncio.sleep(0.1)
        served.gate.set()
        heard = await opened.rest()
    assert heard.count(b"HTTP/1.1 200") == heard.count(b"HTTP/1.1 ") == 1
    assert served.answered == ["waited"]


async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    async with served.connection() as opened:
        requests = (b"GET /own?n=%d HTTP/1.1\r\n\r\n" % number for number in range(MOST_WAITING))
        await opened.send(b"".join(requests))
        for number in range(MOST_WAITING):
            assert await opened.answer() == (200, b'{"n":"%d"}' % number)
        await opened.send(GET + b"\r\n")
        assert (await opened.answer())[0] == 200


async def test_pipelines_are_not_endless(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"GET /waits HTTP/1.1\r\n\r\n" + b"GET /own HTTP/1.1\r\n\r\n" * 1000)
        await asyncio.sleep(0.1)
        served.gate.set()
        heard = await opened.rest()
    assert heard.count(b"HTTP/1.1 200") == heard.count(b"HTTP/1.1 ") == 1 + MOST_WAITING
    assert len(served.answered) == 1 + MOST_WAITING


async def test_a_body_that_nobody_reads_is_not_waited_for(served: Served, hurried: None) -> None:
    async with served.connection() as opened:
        await opened.send(b"POST /ignores HTTP/1.1\r\nContent-Length: 60000\r\n\r\n")
        assert (await opened.answer())[0] == 200
        slowly = asyncio.create_task(trickle(opened))
        began = time.perf_counter()
        assert await opened.rest() == b""
        assert time.perf_counter() - began < 1.5
        slowly.cancel()
        await asyncio.gather(slowly, return_exceptions=True)


async def test_what_is_not_http_is_refused(served: Served) -> None:
    async with served.connection() as opened:
        await opened.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert (await opened.answer())[0] == 400
        assert await opened.rest() == b""


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_an_upgrade_is_answered_as_if_it_was_not_asked_for(served: Served, protocol: bytes) -> None:
    async with served.connection() as opened:
        upgrade = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
        await opened.send(GET + upgrade + b"GET /own?n=smuggled HTTP/1.1\r\n\r\n")
        heard = await opened.rest()
    assert heard.count(b"HTTP/1.1 200") == heard.count(b"HTTP/1.1 ") == 1
    assert served.answered == [""]


@pytest.fixture(scope="module")
def own_process() -> Iterator[int]:
    """`cashier web` as it is started, on a port of its own; the database is not asked here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = os.environ | {
        "CASHIER_DATABASE_URL": "postgresql://nobody@/nowhere?host=/nonexistent",
        "CASHIER_PORT": str(port),
        "CASHIER_LIMIT_CONCURRENCY": "10",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "web"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for _ in range(200):
                assert process.poll() is None, "the process has ended"
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def test_the_web_process_bounds_its_heads(own_process: int) -> None:
    with socket.create_connection(("127.0.0.1", own_process), timeout=5) as opened:
        opened.sendall(head_of(HEAD_LIMIT_BYTES + 1))
        assert opened.recv(1024).startswith(b"HTTP/1.1 431 ")


def test_the_web_process_bounds_its_connections(own_process: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{own_process}", trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        idle = [socket.create_connection(("127.0.0.1", own_process), timeout=5) for _ in range(10)]
        try:
            until(lambda: client.get("/healthz").status_code == 503)
        finally:
            for one in idle:
                one.close()
        until(lambda: client.get("/healthz").status_code == 200)


def until(is_true: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 5
    while not is_true():
        assert time.monotonic() < ends_at
        time.sleep(0.05)
