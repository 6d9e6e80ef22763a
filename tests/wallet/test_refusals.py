"""What a refusal says beside its code: which limit, which field, what is there, and when to ask again."""

from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.test_floats import fund

MOST = 10**15
WHO = {"playerExternalId": "aigerim", "currency": "KZT"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made


def transfer(kind: str, amount: int, key: str) -> Json:
    return {"type": kind, "amount": amount, "transferId": key, **WHO}


async def all_or_none(counter: Counter, *operations: Json) -> list[Json]:
    body = {"operations": list(operations), "allOrNone": True}
    _, told = await counter.post("/v1/player/wallet/batch", body)
    return list(told["data"]["results"])


async def test_a_round_that_is_open_says_so_and_when_to_ask_again(counter: Counter) -> None:
    await counter.decide(withdraw_while_round_open="false")
    await counter.play("bet", "b-1", amount=100)
    body = {**WHO, "amount": 5, "transferId": "in-1"}
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}"}
    answer = await counter.http.post("/v1/player/wallet/withdraw", json=body, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["code"], told["data"]["final"]) == (409, "IN_PROGRESS", False)
    assert told["data"]["retryAfter"] == int(answer.headers["retry-after"]) > 0
    assert told["message"].startswith("A round of this player is open")
    [item] = await all_or_none(counter, transfer("withdraw", 5, "in-1"))
    assert item["message"] == told["message"]
    assert item["data"]["retryAfter"] == told["data"]["retryAfter"]


async def test_a_limit_that_is_exceeded_is_named_each_time(counter: Counter) -> None:
    await counter.decide(max_bet="10", max_transfer="2000", max_balance="2500")
    asked = [
        (await counter.play("bet", "b-1", amount=11), "max_bet"),
        (await counter.deposit(2001, "in-1"), "max_transfer"),
        (await counter.transfer("withdraw", 2001, "in-2"), "max_transfer"),
        (await counter.deposit(1501, "in-3"), "max_balance"),
    ]
    await counter.decide(max_bet="0", max_transfer="0", max_balance="0")
    again = [
        (await counter.play("bet", "b-1", amount=11), "max_bet"),
        (await counter.deposit(1501, "in-3"), "max_balance"),
        (await counter.deposit(MOST, "in-4"), "largest_amount"),
    ]
    for told, limit in asked + again:
        assert (told["code"], told["data"]["limit"]) == ("LIMIT_EXCEEDED", limit)
        assert limit in told["message"]
    _, found = await counter.get("/v1/transaction/by-reference/b-1")
    assert found["data"]["limit"] == "max_bet"


async def test_the_float_is_a_limit_too(counter: Counter) -> None:
    await counter.decide(prepaid_float="true")
    await fund(counter, 1099, "first")
    told = await counter.deposit(100)
    assert (told["code"], told["data"]["limit"]) == ("LIMIT_EXCEEDED", "prepaid_float")
    assert "prepaid" in told["message"]


@pytest.mark.parametrize("field", ["roundId", "providerId"])
async def test_a_field_that_is_not_the_bets_is_named_in_the_sentence(counter: Counter, field: str) -> None:
    await counter.play("bet", "b-1", amount=100)
    told = await counter.play("win", "w-1", referenceId="b-1", amount=5, **{field: "another"})
    assert (told["code"], told["data"]["field"]) == ("VALIDATION", field)
    assert field in told["message"]


async def test_a_campaign_that_is_unknown_is_named_in_the_sentence(counter: Counter) -> None:
    told = await counter.play("bet", amount=0, freeRoundId="gift")
    assert (told["code"], told["data"]["field"]) == ("VALIDATION", "freeRoundId")
    assert "freeRoundId" in told["message"]


async def test_a_batch_undone_for_want_of_money_tells_the_balance(counter: Counter) -> None:
    before, short = await all_or_none(
        counter, transfer("deposit", 100, "in-1"), transfer("withdraw", 5000, "in-2")
    )
    assert (before["code"], short["code"]) == ("INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS")
    assert short["data"]["balance"] == 1000
    assert "11.00 KZT" in short["message"]
    assert "10.00 KZT" in short["message"]
    [alone] = await all_or_none(counter, transfer("withdraw", 5000, "in-2"))
    assert alone["message"] == "There is not enough money: the balance was 10.00 KZT."
    assert alone["data"]["balance"] == 1000


async def test_a_batch_undone_for_a_limit_tells_which(counter: Counter) -> None:
    await counter.decide(max_transfer="50")
    [told] = await all_or_none(counter, transfer("deposit", 51, "in-1"))
    assert (told["data"]["limit"], told["data"]["balance"]) == ("max_transfer", 1000)
    assert "max_transfer" in told["message"]


async def test_an_end_before_its_start_is_refused(counter: Counter) -> None:
    times = {"startTime": "2026-11-21T12:00:02Z", "endTime": "2026-11-21T12:00:01Z"}
    status, told = await counter.get("/v1/transaction/list", **times)
    assert (status, told["code"], told["data"]["field"]) == (400, "VALIDATION", "endTime")
    assert told["message"] == "endTime is before startTime."


async def test_a_batch_of_which_nothing_was_done_says_whether_to_ask_again(counter: Counter) -> None:
    await counter.player(cash=1000)
    await counter.decide(withdraw_while_round_open="false")
    await counter.play("bet", "b-1", amount=100)
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}"}
    one = {"type": "withdraw", "playerExternalId": "aigerim", "currency": "KZT", "transferId": "out-1"}
    found = []
    for amount in (1, 5000):
        body = {"operations": [{**one, "amount": amount}], "allOrNone": True}
        answer = await counter.http.post("/v1/player/wallet/batch", json=body, headers=headers)
        data = answer.json()["data"]
        found.append((answer.json()["code"], data.get("final"), data.get("retryAfter")))
        assert answer.headers.get("retry-after") == (None if data.get("final") else "5")
        await counter.play("win", "w-1", referenceId="b-1", amount=0, isRoundFinished=True)
    assert found == [("IN_PROGRESS", False, 5), ("INSUFFICIENT_FUNDS", True, None)]
    body = {"operations": [{**one, "amount": 1}], "allOrNone": True}
    _, told = await counter.post("/v1/player/wallet/batch", body)
    assert told["data"].keys() == {"results"}
