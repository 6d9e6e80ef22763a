"""Every dial is judged: no name, no text of an address and no second answer of a resolver leads inside."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore
import pytest

from app.kernel.clock import SystemClock
from app.plumbing import addresses
from app.plumbing.breaker import BreakerState
from app.plumbing.http import CallFailed, FailureKind, HttpClient, Resolver, names, wire
from tests.plumbing.test_addresses import BAD, INSIDE, PUBLIC
from tests.plumbing.test_http_servers import Server, Switchboard, answering, serving

HERE = "93.184.216.34"  # public; the switchboard connects it to a test server
URL = "http://evil.example:8080/"


def resolving(*answers: Sequence[str]) -> tuple[Resolver, list[str]]:
    """A resolver that gives one list after the other, the last one for ever, and notes what it was asked."""
    coming = itertools.chain(answers, itertools.repeat(answers[-1]))
    asked: list[str] = []

    async def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return next(coming)

    return resolve, asked


async def refused(client: HttpClient, url: str) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await client.call("POST", url, body=b"x", deadline_seconds=5)
    assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.REFUSED_ADDRESS, True)
    return caught.value


def inside(canary: Server) -> dict[str, Server]:
    return dict.fromkeys(INSIDE, canary)


async def test_a_name_that_turns_inward_after_the_first_look_up_reaches_nothing() -> None:
    resolve, asked = resolving([HERE], ["127.0.0.1"])
    async with (
        serving(answering(b"", "200 OK", "Connection: close")) as public,
        serving(answering()) as canary,
    ):
        board = Switchboard({**inside(canary), HERE: public})
        async with HttpClient(SystemClock(), test_profile=True, resolve=resolve, dial=board.dial) as client:
            assert (await client.call("GET", URL, deadline_seconds=5)).status == 200
            assert (asked, board.dialled) == (
                ["evil.example"],
                [HERE],
            )  # one look-up a dial, and its very answer
            for _ in range(3):
                assert "127.0.0.1: it is loopback" in (await refused(client, URL)).detail
            assert client.peers()[0].breaker is BreakerState.CLOSED
        assert (public.hits, canary.hits, board.dialled) == (1, 0, [HERE])
        assert b"host: evil.example:8080\r\n" in public.requests[0].lower()


@pytest.mark.parametrize(
    "answers", [[HERE, "10.0.0.1"], ["10.0.0.1", HERE], [HERE, HERE, "::1"], ["::ffff:127.0.0.1", HERE]]
)
async def test_one_inner_answer_among_public_ones_is_enough_to_refuse(answers: list[str]) -> None:
    resolve, _ = resolving(answers)
    async with serving(answering()) as canary:
        board = Switchboard({**inside(canary), HERE: canary})
        async with HttpClient(SystemClock(), test_profile=True, resolve=resolve, dial=board.dial) as client:
            await refused(client, URL)
    assert (canary.hits, board.dialled) == (0, [])


async def test_no_inner_address_is_dialled_for_a_stranger() -> None:
    async with serving(answering()) as canary:
        board = Switchboard(inside(canary))
        for answer in INSIDE:
            resolve, _ = resolving([answer])
            async with HttpClient(SystemClock(), resolve=resolve, dial=board.dial) as client:
                assert f"{answer}: it " in (await refused(client, "https://evil.example/")).detail
    assert (canary.hits, board.dialled) == (0, [])


async def test_public_addresses_are_dialled() -> None:
    async with serving(answering()) as server:
        board = Switchboard(dict.fromkeys(PUBLIC, server))
        for answer in PUBLIC:
            resolve, _ = resolving([answer])
            async with HttpClient(
                SystemClock(), test_profile=True, resolve=resolve, dial=board.dial
            ) as client:
                assert (await client.call("GET", URL, deadline_seconds=5)).status == 200
    assert board.dialled == PUBLIC


async def test_no_text_of_a_bad_address_is_called() -> None:
    resolve, asked = resolving(["127.0.0.1"])
    async with serving(answering()) as canary:
        board = Switchboard(inside(canary))
        async with HttpClient(SystemClock(), resolve=resolve, dial=board.dial) as client:
            for url in BAD:
                await refused(client, url)
    assert (canary.hits, asked, board.dialled) == (0, [], [])
    assert len(BAD) + len(INSIDE) >= 200


async def test_the_switch_for_tests_is_off_unless_something_is_named() -> None:
    async with serving(answering()) as canary, HttpClient(SystemClock()) as client:
        for host in (
            "127.0.0.1",
            "localhost",
            "[::1]",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "[::ffff:127.0.0.1]",
        ):
            for scheme in ("http", "https"):
                await refused(client, f"{scheme}://{host}:{canary.port}/")
    assert canary.hits == 0


async def test_the_switch_opens_exactly_what_it_names() -> None:
    async with (
        serving(answering()) as named,
        serving(answering()) as other,
        HttpClient(SystemClock(), allowed_private_peers={named.peer}) as client,
    ):
        assert (await client.call("GET", named.url, deadline_seconds=5)).status == 200
        await refused(client, other.url)
        await refused(client, f"http://localhost:{named.port}/")
        await refused(client, f"http://127.0.0.2:{named.port}/")
    assert (named.hits, other.hits) == (1, 0)


async def test_a_named_host_is_looked_up_by_the_system_and_may_be_private() -> None:
    async with (
        serving(answering()) as server,
        HttpClient(SystemClock(), allowed_private_peers={("LocalHost", server.port)}) as client,
    ):
        reply = await client.call("GET", f"http://localhost:{server.port}/", deadline_seconds=5)
    assert (reply.status, server.hits) == (200, 1)


async def test_what_the_system_makes_of_odd_numbers_is_judged_too() -> None:
    with ThreadPoolExecutor(1) as threads:
        resolve = names.system_resolver(threads)
        for host in ("127.1", "0x7f.1", "2130706433", "017700000001", "0", "localhost", "::ffff:127.0.0.1"):
            answers = await resolve(host, 80)
            assert answers
            assert not any(addresses.is_allowed(answer) for answer in answers), host


async def test_our_own_public_addresses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, _ = resolving([HERE])
    board = Switchboard({})
    async with HttpClient(SystemClock(), resolve=resolve, dial=board.dial, own_addresses={HERE}) as client:
        assert "it is our own" in (await refused(client, "https://evil.example/")).detail
    monkeypatch.setattr(addresses, "is_this_machine", HERE.__eq__)
    async with HttpClient(SystemClock(), resolve=resolve, dial=board.dial) as client:
        assert "it is our own" in (await refused(client, "https://evil.example/")).detail
    assert board.dialled == []


async def test_an_answer_that_is_no_address_is_refused() -> None:
    resolve, _ = resolving(["inside.example"])
    async with HttpClient(SystemClock(), resolve=resolve, dial=Switchboard({}).dial) as client:
        await refused(client, "https://evil.example/")


async def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "DIAL_SECONDS", 0.1)
    resolve, _ = resolving(["1.1.1.1", "8.8.8.8", HERE])
    async with serving(answering()) as server:
        board = Switchboard({HERE: server})

        async def dial(address: str, port: int) -> httpcore.AsyncNetworkStream:
            if address == "8.8.8.8":
                await asyncio.sleep(3600)
            return await board.dial(address, port)

        async with HttpClient(SystemClock(), test_profile=True, resolve=resolve, dial=dial) as client:
            assert (await client.call("GET", URL, deadline_seconds=5)).status == 200
    assert board.dialled == ["1.1.1.1", HERE]


@pytest.mark.parametrize("answers", [[], ["1.1.1.1", "8.8.8.8"]])
async def test_a_name_with_nobody_behind_it_is_not_connected(answers: list[str]) -> None:
    resolve, _ = resolving(answers)
    async with HttpClient(SystemClock(), resolve=resolve, dial=Switchboard({}).dial) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("GET", "https://shop.example/", deadline_seconds=5)
    assert (caught.value.kind, caught.value.nothing_was_sent) == (FailureKind.NOT_CONNECTED, True)


async def test_a_look_up_has_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RESOLVE_SECONDS", 0.1)

    async def slow(_: str, __: int) -> Sequence[str]:
        await asyncio.sleep(3600)
        raise AssertionError

    begun = time.monotonic()
    async with HttpClient(SystemClock(), resolve=slow) as client:
        with pytest.raises(CallFailed, match="could not be resolved") as caught:
            await client.call("GET", "https://slow.example/", deadline_seconds=30)
    assert caught.value.kind is FailureKind.NOT_CONNECTED
    assert time.monotonic() - begun < 2
