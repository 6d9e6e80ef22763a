"""What integrators fear, made to happen on test sites: an answer late, lost, garbled, or told twice."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from app import merchants
from app.kernel.clock import MovableClock
from app.main import create_app
from app.plumbing.database import Database
from app.plumbing.server import BoundedProtocol
from app.wallet import routes
from tests.wallet.counter import Counter, Json, opened

FAULTS = ("delay", "duplicate", "drop-after-commit", "error-500", "garbage")
DEPOSIT: Json = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 700, "transferId": "t-faulty"}
BET: Json = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 300, "transactionId": "g-faulty"}
BET |= {"roundId": "r-1", "gameCode": "aviator", "providerId": "acme"}
RECORDED = "transactionId amount balanceBefore balanceAfter sequence applied status recordedAt"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_DELAY_SECONDS", 1.0)


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A test site and a player with 1000, reached over real sockets by the protocol of `cashier web`."""
    async with opened(database, clock) as live, served(live) as reached:
        async with database.transaction() as tx:
            new = merchants.NewSite(
                name="Altyn Games, tests",
                currencies=("KZT",),
                callout_url="https://shop.example.com/callout",
                notify_url="https://shop.example.com/notify",
                is_test=True,
            )
            site = await merchants.create_site(tx, new, at=clock.now())
        made = dataclasses.replace(reached, site_id=site.site_id, tokens=site.tokens)
        await made.player(cash=1000)
        yield made


@pytest.fixture
async def live(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A site that serves people, and a player with 1000."""
    async with opened(database, clock) as made, served(made) as reached:
        await reached.player(cash=1000)
        yield reached


@asynccontextmanager
async def served(counter: Counter) -> AsyncIterator[Counter]:
    config = uvicorn.Config(
        create_app(counter.pipes), port=0, log_config=None, access_log=False, http=BoundedProtocol
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:
        assert not running.done(), "the server did not start"
        await asyncio.sleep(0.01)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        yield dataclasses.replace(counter, http=http)
    server.should_exit = True
    await running


async def faulty(counter: Counter, fault: str, path: str, body: Json) -> httpx.Response:
    scope = "play" if "/game/" in path else "wallet"
    headers = {"authorization": f"Bearer {counter.tokens[scope]}", "x-sandbox-fault": fault}
    return await counter.http.post(path, json=body, headers=headers)


async def stored(counter: Counter, key: str) -> Json:
    """What history says about an id; there is one operation."""
    status, found = await counter.get(f"/v1/transaction/by-reference/{key}")
    assert status == 200
    assert len(found["data"]["matches"]) == 1
    return dict(found["data"])


async def retried(counter: Counter, path: str, body: Json) -> Json:
    """Ask again without a fault: the stored answer, marked as told before, and no second effect."""
    key = body.get("transferId") or body["transactionId"]
    first = await stored(counter, key)
    status, again = await counter.post(path, body, scope="play" if "/game/" in path else "wallet")
    assert (status, again["code"], again["data"]["duplicate"]) == (200, "OK", True)
    assert recorded(again["data"]) == recorded(first) == recorded(await stored(counter, key))
    assert again["data"]["balance"] == again["data"]["balanceAfter"]
    return again


def recorded(data: Json) -> list[object]:
    return [data[name] for name in RECORDED.split()]


@pytest.mark.parametrize(("path", "body"), [("/v1/player/wallet/deposit", DEPOSIT), ("/v1/game/bet", BET)])
async def test_an_answer_lost_after_the_commit_is_given_again(
    counter: Counter, path: str, body: Json
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await faulty(counter, "drop-after-commit", path, body)
    await retried(counter, path, body)


async def test_a_lost_answer_is_cut_in_its_middle(counter: Counter) -> None:
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}", "x-sandbox-fault": "drop-after-commit"}
    asked = counter.http.stream("POST", "/v1/player/wallet/deposit", json=DEPOSIT, headers=headers)
    async with asked as answer:
        assert answer.status_code == 200, "the caller sees how it begins"
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()


async def test_a_delayed_answer_comes_late_but_the_deed_is_done_before(counter: Counter) -> None:
    waiting = asyncio.create_task(faulty(counter, "delay", "/v1/game/bet", BET))
    async with asyncio.timeout(5):
        while (await counter.get("/v1/transaction/by-reference/g-faulty"))[0] == 404:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not waiting.done()
    again = await retried(counter, "/v1/game/bet", BET)
    late = (await waiting).json()
    assert late["data"]["duplicate"] is False
    assert recorded(late["data"]) == recorded(again["data"])


async def test_a_duplicate_is_the_answer_to_the_second_of_two_calls(counter: Counter) -> None:
    answer = await faulty(counter, "duplicate", "/v1/game/bet", BET)
    assert answer.status_code == 200
    assert answer.json()["data"]["duplicate"] is True
    assert answer.json()["data"]["balance"] == 700
    await retried(counter, "/v1/game/bet", BET)


async def test_an_error_leaves_the_outcome_to_be_asked_for(counter: Counter) -> None:
    answer = await faulty(counter, "error-500", "/v1/player/wallet/deposit", DEPOSIT)
    assert answer.status_code == 500
    assert (answer.json()["code"], answer.json()["data"]["final"]) == ("INTERNAL", False)
    await retried(counter, "/v1/player/wallet/deposit", DEPOSIT)


async def test_garbage_is_no_answer_of_ours(counter: Counter) -> None:
    answer = await faulty(counter, "garbage", "/v1/player/wallet/deposit", DEPOSIT)
    assert answer.headers["content-type"].startswith("text/html")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    await retried(counter, "/v1/player/wallet/deposit", DEPOSIT)


async def test_a_refusal_with_a_fault_is_stored_too(counter: Counter) -> None:
    for fault in FAULTS:
        body = BET | {"transactionId": f"g-{fault}", "amount": 1001}
        try:
            await faulty(counter, fault, "/v1/game/bet", body)
        except httpx.RemoteProtocolError:
            assert fault == "drop-after-commit"
        status, again = await counter.post("/v1/game/bet", body, scope="play")
        assert (status, again["code"], again["data"]["duplicate"]) == (402, "INSUFFICIENT_FUNDS", True)


async def test_sites_that_serve_people_know_no_faults(live: Counter) -> None:
    for number, fault in enumerate(FAULTS, 1):
        began = asyncio.get_running_loop().time()
        body = DEPOSIT | {"transferId": f"in-{fault}"}
        answer = await faulty(live, fault, "/v1/player/wallet/deposit", body)
        assert asyncio.get_running_loop().time() - began < routes._DELAY_SECONDS
        assert answer.status_code == 200
        told = answer.json()
        expected = ("OK", False, 1000 + 700 * number)
        assert (told["code"], told["data"]["duplicate"], told["data"]["balance"]) == expected


async def test_an_unknown_fault_is_refused_by_name_and_nothing_is_done(counter: Counter) -> None:
    answer = await faulty(counter, "no such fault", "/v1/player/wallet/deposit", DEPOSIT)
    assert (answer.status_code, answer.json()["data"]["field"]) == (400, "X-Sandbox-Fault")
    assert (await counter.get("/v1/player/wallet/transfer/t-faulty"))[0] == 404
