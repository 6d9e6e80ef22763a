"""Many calls: each peer has its own bulkhead and breaker, and cancelling calls costs nothing that lasts."""

import asyncio
import random
import time

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.breaker import BreakerRules, BreakerState
from app.plumbing.http import CallFailed, FailureKind, HttpClient, PeerLimits
from app.plumbing.http import client as client_module
from tests.plumbing.test_http_servers import Script, Server, answering, client_for, reset, serving, silent

PATIENT = BreakerRules(failures_in_a_row=10**9, least_calls=10**9)


async def quick(_: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.002)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def quick_and_gone(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def broken_client(server: Server, clock: MovableClock) -> HttpClient:
    return HttpClient(
        clock, allowed_private_peers={server.peer}, breaker_rules=BreakerRules(failures_in_a_row=3)
    )


def client_of(clock: MovableClock, *servers: Server) -> HttpClient:
    return HttpClient(clock, allowed_private_peers={server.peer for server in servers})


async def kind_of(client: HttpClient, url: str, *, deadline: float = 5) -> str:
    try:
        reply = await client.call("GET", url, deadline_seconds=deadline)
    except CallFailed as failure:
        return failure.kind.value
    return str(reply.status)


async def test_five_thousand_cancelled_calls_leave_the_client_whole() -> None:
    chance = random.Random(1093)
    cancelled = 0
    async with (
        serving(quick) as server,
        client_for(server, limits=PeerLimits(in_flight=8, waiting=10_000)) as client,
    ):
        while cancelled < 5_000:
            calls = [
                asyncio.create_task(client.call("POST", server.url, body=b"x", deadline_seconds=20))
                for _ in range(250)
            ]
            for call in calls:
                asyncio.get_running_loop().call_later(chance.uniform(0, 0.03), call.cancel)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert not [end for end in ended if isinstance(end, Exception)]
            cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ended)
        replies = await asyncio.gather(
            *(client.call("GET", server.url, deadline_seconds=5) for _ in range(10))
        )
        [line] = client._lines.values()
        [state] = client.peers()
        assert [reply.status for reply in replies] == [200] * 10
        assert (state.breaker, state.failures_in_a_row) == (BreakerState.CLOSED, 0)
        assert (state.in_flight, state.waiting, line.slots._value) == (0, 0, 8)
        free = line.transport._free  # type: ignore[union-attr]
        assert len(free) <= 8
        assert all(connection.is_idle() for connection in free)
        await asyncio.sleep(0.1)
        assert server.open == len(free)  # every other socket was closed, not forgotten


async def test_a_hanging_peer_does_not_delay_a_healthy_one() -> None:
    limits = PeerLimits(in_flight=4, waiting=8)
    async with (
        serving(silent) as hanging,
        serving(answering()) as healthy,
        client_for(hanging, healthy, limits=limits, breaker_rules=PATIENT) as client,
    ):
        stuck = [asyncio.create_task(kind_of(client, hanging.url, deadline=2)) for _ in range(20)]
        async with asyncio.timeout(1.5):  # a busy machine may take a while to connect
            while hanging.hits < 4:  # noqa: ASYNC110  no event says so
                await asyncio.sleep(0.01)
        state = {state.peer: state for state in client.peers()}[f"http://127.0.0.1:{hanging.port}"]
        assert (state.in_flight, state.waiting, hanging.hits) == (4, 8, 4)
        begun = time.monotonic()
        for _ in range(20):
            assert await kind_of(client, healthy.url) == "200"
        assert time.monotonic() - begun < 0.6
        ends = await asyncio.gather(*stuck)
    assert sorted(ends) == ["peer_busy"] * 8 + ["timed_out"] * 12


async def test_who_waits_in_vain_for_a_slot_has_sent_nothing() -> None:
    async with (
        serving(silent) as server,
        client_for(server, limits=PeerLimits(in_flight=1, waiting=1), breaker_rules=PATIENT) as client,
    ):
        first = asyncio.create_task(kind_of(client, server.url, deadline=3))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(client.call("GET", server.url, deadline_seconds=0.3))
        await asyncio.sleep(0.05)
        with pytest.raises(CallFailed) as busy:
            await client.call("GET", server.url, deadline_seconds=3)
        with pytest.raises(CallFailed) as late:
            await second
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert (busy.value.kind, busy.value.nothing_was_sent) == (FailureKind.PEER_BUSY, True)
    assert (late.value.kind, late.value.nothing_was_sent) == (FailureKind.TIMED_OUT, True)
    assert server.hits == 1


async def test_two_uses_of_one_host_can_have_a_bulkhead_each() -> None:
    async with (
        serving(silent) as server,
        client_for(server, limits=PeerLimits(in_flight=1, waiting=0), breaker_rules=PATIENT) as client,
    ):
        calls = [
            asyncio.create_task(client.call("GET", server.url, deadline_seconds=0.3, peer=peer))
            for peer in ("callouts", "webhooks", "webhooks")
        ]
        ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [end.kind for end in ends if isinstance(end, CallFailed)] == [
        "timed_out",
        "timed_out",
        "peer_busy",
    ]
    assert {state.peer for state in client.peers()} == {"callouts", "webhooks"}


async def test_the_breaker_opens_probes_and_closes(clock: MovableClock) -> None:
    healthy = False

    async def moody(request: bytes, writer: asyncio.StreamWriter) -> None:
        await (answering() if healthy else reset)(request, writer)

    async with serving(moody) as server, broken_client(server, clock) as client:
        for _ in range(3):
            assert await kind_of(client, server.url) == "broken"
        with pytest.raises(CallFailed) as caught:
            await client.call("GET", server.url, deadline_seconds=5)
        assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.BREAKER_OPEN, True)
        [state] = client.peers()
        assert (state.breaker, state.failures_in_a_row, state.seconds_to_probe) == (BreakerState.OPEN, 3, 5)
        clock.advance(5)
        assert await kind_of(client, server.url) == "broken"  # the probe
        assert await kind_of(client, server.url) == "breaker_open"
        assert server.hits == 4
        healthy = True
        clock.advance(10)
        assert client.peers()[0].breaker is BreakerState.HALF_OPEN
        probe = asyncio.create_task(kind_of(client, server.url))
        others = [asyncio.create_task(kind_of(client, server.url)) for _ in range(5)]
        assert await probe == "200"
        assert await asyncio.gather(*others) == ["breaker_open"] * 5
        assert [await kind_of(client, server.url) for _ in range(3)] == ["200"] * 3
        assert client.peers()[0].breaker is BreakerState.CLOSED


async def test_a_cancelled_probe_does_not_shut_the_peer_out(clock: MovableClock) -> None:
    async with serving(silent) as server, broken_client(server, clock) as client:
        for _ in range(3):
            assert await kind_of(client, server.url, deadline=0.05) == "timed_out"
        clock.advance(5)
        probe = asyncio.create_task(kind_of(client, server.url))
        await asyncio.sleep(0.05)
        assert await kind_of(client, server.url) == "breaker_open"
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert await kind_of(client, server.url, deadline=0.05) == "timed_out"  # admitted


async def test_what_counts_against_a_peer(clock: MovableClock) -> None:
    cases = [
        (answering(b"", "500 Broken"), "500", 1),
        (answering(b"", "503 Busy"), "503", 1),
        (reset, "broken", 1),
        (silent, "timed_out", 1),
        (answering(b"", "404 Not Found"), "404", 0),
        (answering(b"", "429 Slow Down"), "429", 0),
        (answering(b"", "302 Found"), "302", 0),
        (answering(b"x" * 70_000), "too_large", 0),
        (answering(b"x", "200 OK", "Content-Encoding: gzip"), "malformed", 0),
    ]
    for script, end, failures in cases:
        async with serving(script) as server, broken_client(server, clock) as client:
            assert await kind_of(client, server.url, deadline=1.0 if script is silent else 30) == end
            assert client.peers()[0].failures_in_a_row == failures, end


async def test_a_peer_that_is_not_there_counts_as_failing(clock: MovableClock) -> None:
    async with serving(silent) as server:
        pass
    async with broken_client(server, clock) as client:
        assert await kind_of(client, server.url) == "not_connected"
        assert client.peers()[0].failures_in_a_row == 1


async def test_one_broken_peer_opens_no_other_breaker(clock: MovableClock) -> None:
    async with serving(reset) as broken, serving(answering()) as healthy:
        peers = {broken.peer, healthy.peer}
        async with HttpClient(clock, allowed_private_peers=peers) as client:
            ends = [await kind_of(client, broken.url) for _ in range(6)]
            assert ends == ["broken"] * 5 + ["breaker_open"]
            assert await kind_of(client, healthy.url) == "200"


async def test_the_desk_can_close_a_breaker(clock: MovableClock) -> None:
    async with serving(answering(b"", "500 Broken")) as server, broken_client(server, clock) as client:
        ends = [await kind_of(client, server.url) for _ in range(4)]
        assert ends == ["500", "500", "500", "breaker_open"]
        assert client.close_breaker(f"http://127.0.0.1:{server.port}")
        assert await kind_of(client, server.url) == "500"
        assert not client.close_breaker("https://nobody.example:443")


async def test_idle_connections_are_closed_and_old_peers_forgotten(clock: MovableClock) -> None:
    async with serving(answering()) as one, serving(answering()) as two, client_of(clock, one, two) as client:
        await kind_of(client, one.url)
        assert len(client._lines) == 1
        clock.advance(4)
        await kind_of(client, two.url)
        await asyncio.sleep(0.05)
        assert (one.open, two.open) == (0, 1)
        await kind_of(client, one.url)
        assert (one.hits, len(one.requests)) == (2, 2)
        clock.advance(client_module.FORGET_PEER_SECONDS + 1)
        await kind_of(client, two.url)
        assert [state.peer for state in client.peers()] == [f"http://127.0.0.1:{two.port}"]


@pytest.mark.parametrize("script", [quick, quick_and_gone])
async def test_calls_cancelled_twice_leave_nothing_that_lasts(script: Script, clock: MovableClock) -> None:
    chance = random.Random(7)
    loop = asyncio.get_running_loop()
    async with serving(script) as server, client_of(clock, server) as client:
        for _ in range(20):
            calls = [asyncio.create_task(kind_of(client, server.url)) for _ in range(50)]
            for call in calls:
                moment = loop.time() + chance.uniform(0, 0.02)
                loop.call_at(moment, call.cancel)
                loop.call_at(moment + chance.choice([0, 0.0001, 0.001]), call.cancel)
            await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.gather(*(kind_of(client, server.url) for _ in range(10))) == ["200"] * 10
        [line] = client._lines.values()
        assert (line.callers, line.in_flight, line.slots._value) == (0, 0, 16)
        await asyncio.sleep(0.1)
        assert server.open == len(line.transport._free)  # type: ignore[union-attr]
