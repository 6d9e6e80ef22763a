"""One call: what is sent, what comes back, and what is known when nothing does."""

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Sequence

import httpx
import pytest
import respx

from app.kernel.clock import SystemClock
from app.plumbing import fence
from app.plumbing.http import CallFailed, FailureKind, HttpClient, PeerLimits
from tests.plumbing.test_http_servers import Script, answering, client_for, reset, serving, silent


async def failure_of(script: Script, *, deadline: float = 5, limit: int = 65_536) -> CallFailed:
    async with serving(script) as server, client_for(server) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call(
                "POST", server.url, body=b"{}", deadline_seconds=deadline, answer_limit_bytes=limit
            )
        return caught.value


def raw(message: bytes) -> Script:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(message)
        await writer.drain()
        writer.close()

    return answer


async def test_a_call_brings_the_whole_answer() -> None:
    script = answering(b'{"code": 0}', "200 OK", "X-One: 1", "X-Two: 2", "X-Two: 3")
    async with serving(script) as server, client_for(server) as client:
        reply = await client.call(
            "POST", server.url + "deep?a=1", body=b"a=b", headers={"X-Sig": "s"}, deadline_seconds=5
        )
    assert (reply.status, reply.body, reply.headers["x-one"], reply.headers["x-two"]) == (
        200,
        b'{"code": 0}',
        "1",
        "2, 3",
    )
    assert 0 <= reply.elapsed_ms < 5000
    [request] = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /deep?a=1 HTTP/1.1\r\n")
    lines = {line.lower() for line in head.split(b"\r\n")[1:]}
    assert lines == {
        f"host: 127.0.0.1:{server.port}".encode(),
        b"x-sig: s",
        b"user-agent: open-cashier/0.1",
        b"accept-encoding: identity",
        b"content-length: 3",
    }
    assert body == b"a=b"


@pytest.mark.parametrize("status", ["201 Created", "302 Found", "404 Not Found", "500 Broken", "503 Busy"])
async def test_every_status_is_an_answer(status: str) -> None:
    async with serving(answering(b"x", status)) as server, client_for(server) as client:
        reply = await client.call("GET", server.url, deadline_seconds=5)
    assert reply.status == int(status[:3])


async def test_connections_are_used_again() -> None:
    async with serving(answering()) as server, client_for(server) as client:
        for _ in range(5):
            await client.call("GET", server.url, deadline_seconds=5)
    assert (server.hits, len(server.requests)) == (1, 5)


async def test_a_connection_that_was_closed_over_there_is_not_used_again() -> None:
    async def answer_and_leave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await answering()(request, writer)
        writer.close()

    async with serving(answer_and_leave) as server, client_for(server) as client:
        for _ in range(3):
            assert (await client.call("GET", server.url, deadline_seconds=5)).status == 200
            await asyncio.sleep(0.05)
    assert server.hits == 3


async def test_a_redirect_is_not_followed() -> None:
    async with serving(answering()) as canary:
        script = answering(b"", "302 Found", f"Location: {canary.url}")
        async with serving(script) as server, client_for(server, canary) as client:
            reply = await client.call("GET", server.url, deadline_seconds=5)
    assert (reply.status, reply.headers["location"], canary.hits) == (302, canary.url, 0)


async def test_no_cookie_is_kept() -> None:
    async with (
        serving(answering(b"", "200 OK", "Set-Cookie: a=b; Path=/")) as server,
        client_for(server) as client,
    ):
        for _ in range(2):
            await client.call("GET", server.url, deadline_seconds=5)
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering()) as proxy, serving(answering()) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with client_for(server) as client:
            await client.call("GET", server.url, deadline_seconds=5)
    assert (proxy.hits, server.hits) == (0, 1)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("get", {}),
        ("CONNECT", {}),
        ("GET / HTTP/1.1\r\nX", {}),
        ("GET", {"User-Agent": "me"}),
        ("GET", {"host": "inside"}),
        ("GET", {"Cookie": "a=b"}),
        ("GET", {"Content-Length": "0"}),
        ("GET", {"Transfer-Encoding": "chunked"}),
        ("GET", {"X-Note": "one\r\nX-Two: 2"}),
        ("GET", {"X-Note\r\nX-Two": "2"}),
        ("GET", {"X-Note": "нет"}),
        ("GET", {"": "x"}),
    ],
)
async def test_a_caller_cannot_change_the_framing(method: str, headers: dict[str, str]) -> None:
    async with serving(answering()) as server, client_for(server) as client:
        with pytest.raises(ValueError, match=r"method|header"):
            await client.call(method, server.url, headers=headers, deadline_seconds=5)
    assert server.hits == 0


async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drip_head(_: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("script", [drip, drip_head, silent])
async def test_the_deadline_is_for_the_whole_call(script: Script) -> None:
    begun = time.monotonic()
    failure = await failure_of(script, deadline=0.4)
    assert 0.3 < time.monotonic() - begun < 2
    assert (failure.kind, failure.nothing_was_sent) == (FailureKind.TIMED_OUT, False)


async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def endless_head(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


def packed(content: bytes, coding: str = "gzip") -> Script:
    return answering(content, "200 OK", f"Content-Encoding: {coding}")


BOMB = gzip.compress(b"\0" * 50_000_000)  # 48 kB: one read of the socket


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (endless, FailureKind.TOO_LARGE),
        (answering(b"x" * 65_537), FailureKind.TOO_LARGE),
        (packed(BOMB), FailureKind.TOO_LARGE),
        (packed(zlib.compress(b"\0" * 70_000), "deflate"), FailureKind.TOO_LARGE),
        (endless_head, FailureKind.MALFORMED),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), FailureKind.MALFORMED),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), FailureKind.MALFORMED),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), FailureKind.MALFORMED),
        (packed(b"not packed at all"), FailureKind.MALFORMED),
        (packed(gzip.compress(b"x" * 1000)[:-9]), FailureKind.MALFORMED),
        (packed(gzip.compress(b"one") + b"more"), FailureKind.MALFORMED),
        (packed(b"x", "br"), FailureKind.MALFORMED),
        (packed(gzip.compress(gzip.compress(b"x")), "gzip, gzip"), FailureKind.MALFORMED),
        (reset, FailureKind.BROKEN),
        (raw(b""), FailureKind.BROKEN),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), FailureKind.BROKEN),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), FailureKind.BROKEN),
    ],
)
async def test_a_bad_answer_has_its_name(script: Script, kind: FailureKind) -> None:
    failure = await failure_of(script)
    assert (failure.kind, failure.nothing_was_sent) == (kind, False)
    assert failure.peer.startswith("http://127.0.0.1:")


async def test_a_bomb_is_not_unpacked_to_be_measured() -> None:
    async with serving(packed(BOMB)) as server, client_for(server) as client:
        tracemalloc.start()
        try:
            with pytest.raises(CallFailed, match="too_large"):
                await client.call("GET", server.url, deadline_seconds=5)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 5_000_000  # of 50 MB


@pytest.mark.parametrize(
    ("script", "body"),
    [
        (answering(b"x" * 65_536), b"x" * 65_536),
        (packed(gzip.compress(b"x" * 65_536)), b"x" * 65_536),
        (packed(zlib.compress(b"small"), "deflate"), b"small"),
        (packed(gzip.compress(b"small"), "x-gzip"), b"small"),
        (packed(b"", "gzip"), b""),
    ],
)
async def test_an_answer_up_to_the_limit_is_taken(script: Script, body: bytes) -> None:
    async with serving(script) as server, client_for(server) as client:
        reply = await client.call("GET", server.url, deadline_seconds=5)
    assert reply.body == body


async def nobody_there() -> tuple[str, tuple[str, int]]:
    async with serving(answering()) as server:
        return server.url, server.peer


async def test_a_refused_connection_sent_nothing() -> None:
    url, peer = await nobody_there()
    async with HttpClient(SystemClock(), allowed_private_peers={peer}) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("GET", url, deadline_seconds=5)
    assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.NOT_CONNECTED, True)


async def test_an_unknown_name_sent_nothing() -> None:
    async def unknown(_: str, __: int) -> Sequence[str]:
        raise OSError("no such name")

    async with HttpClient(SystemClock(), resolve=unknown) as client:
        with pytest.raises(CallFailed, match=r"nowhere\.example could not be resolved") as caught:
            await client.call("GET", "https://nowhere.example/", deadline_seconds=5)
    assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.NOT_CONNECTED, True)


async def test_a_deadline_that_passes_before_the_first_byte_sent_nothing() -> None:
    async def slow(_: str, __: int) -> Sequence[str]:
        await asyncio.sleep(3600)
        raise AssertionError

    async with HttpClient(SystemClock(), resolve=slow) as client:
        for deadline in (0.05, 0.0, -1.0):
            with pytest.raises(CallFailed) as caught:
                await client.call("GET", "https://slow.example/", deadline_seconds=deadline)
            assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.TIMED_OUT, True)


@pytest.mark.parametrize(
    ("greeting", "kind"),
    [(b"220 mail.example ready\r\n", FailureKind.NOT_CONNECTED), (b"", FailureKind.TIMED_OUT)],
)
async def test_a_tls_handshake_that_fails_or_hangs_sent_nothing(greeting: bytes, kind: FailureKind) -> None:
    async with serving(answering(), greeting=greeting) as server, client_for(server) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("GET", f"https://127.0.0.1:{server.port}/", deadline_seconds=0.5)
        assert (caught.value.kind, caught.value.nothing_was_sent) == (kind, True)
        await asyncio.sleep(0.05)
        assert (server.hits, server.open, server.requests) == (1, 0, [])


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("sent", [True, False])
def test_the_truth_table_of_nothing_was_sent(kind: FailureKind, sent: bool) -> None:
    never = {"refused_address", "breaker_open", "peer_busy", "not_connected"}
    expected = kind in never or (kind == "timed_out" and not sent)
    assert CallFailed(kind, "peer", "detail", sent=sent).nothing_was_sent is expected


async def test_no_call_inside_an_open_transaction() -> None:
    async with serving(answering()) as server, client_for(server) as client:
        opened = fence.transaction_is_open.set(True)
        try:
            with pytest.raises(fence.NetworkInsideTransaction):
                await client.call("GET", server.url, deadline_seconds=5)
        finally:
            fence.transaction_is_open.reset(opened)
        assert server.hits == 0
        assert (await client.call("GET", server.url, deadline_seconds=5)).status == 200


@respx.mock
async def test_respx_can_stand_in_for_a_peer() -> None:
    route = respx.post("https://shop.example/check").respond(200, json={"code": 0})
    respx.get("https://shop.example/down").mock(side_effect=httpx.ConnectError)
    respx.get("https://shop.example/slow").mock(side_effect=httpx.ReadTimeout)
    async with HttpClient(SystemClock()) as client:
        reply = await client.call("POST", "https://shop.example/check", body=b"{}", deadline_seconds=5)
        assert (reply.status, reply.body) == (200, b'{"code":0}')
        assert route.calls.last.request.content == b"{}"
        for path, kind, nothing in (("down", "not_connected", True), ("slow", "timed_out", False)):
            with pytest.raises(CallFailed) as caught:
                await client.call("GET", f"https://shop.example/{path}", deadline_seconds=5)
            assert (caught.value.kind, caught.value.nothing_was_sent) == (kind, nothing)


async def test_a_transport_can_stand_in_for_all_dialling() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/hang":
            await asyncio.sleep(3600)
        return httpx.Response(418, json={"url": str(request.url)})

    async with HttpClient(SystemClock(), transport=httpx.MockTransport(hang)) as client:
        reply = await client.call("GET", "https://shop.example/a", deadline_seconds=5)
        assert (reply.status, reply.body) == (418, b'{"url":"https://shop.example/a"}')
        with pytest.raises(CallFailed) as caught:
            await client.call("GET", "https://shop.example/hang", deadline_seconds=0.05)
        assert not caught.value.nothing_was_sent  # a stand-in tells nothing, so nothing is promised


async def test_a_closed_client_ends_its_calls_and_begins_none() -> None:
    answered = asyncio.Event()

    async def later(request: bytes, writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        await answering()(request, writer)

    async with serving(later) as server:
        client = client_for(server, limits=PeerLimits(in_flight=1))
        under_way, waiting = (
            asyncio.create_task(client.call("GET", server.url, deadline_seconds=5)) for _ in range(2)
        )
        await asyncio.sleep(0.05)
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.call("GET", server.url, deadline_seconds=5)
        answered.set()
        assert (await under_way).status == 200
        with pytest.raises(CallFailed) as caught:
            await waiting
        assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.NOT_CONNECTED, True)
        await asyncio.sleep(0.05)
        assert (server.hits, server.open) == (1, 0)
