"""Where an operator pays in advance, deposits stay within what is left (rule 76)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet.contract import Refused
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """An operator who has prepaid 1000, and two players."""
    async with opened(database, clock) as made:
        await made.decide(prepaid_float="true")
        for login in ("aigerim", "bolat"):
            await made.player(login)
        await fund(made, 1000, "first")
        yield made
    await invariants.hold(database)


async def fund(counter: Counter, minor: int, key: str, currency: str = "KZT") -> bool:
    async with counter.pipes.database.transaction() as tx:
        posted = await wallet.fund_float(
            tx, counter.site_id, Money(minor, currency), key, at=counter.clock.now()
        )
    return posted.duplicate


async def left(counter: Counter) -> int:
    async with counter.pipes.database.reading() as reader:
        return (await wallet.float_of(reader, counter.site_id, "KZT")).minor


async def test_a_deposit_stays_within_what_is_left(counter: Counter) -> None:
    assert (await counter.deposit(600, "in-1"))["code"] == "OK"
    refused = await counter.deposit(401, "in-2")
    assert (refused["code"], refused["data"]["balance"]) == ("LIMIT_EXCEEDED", 600)
    assert (await counter.deposit(400, "in-3"))["code"] == "OK"
    assert await left(counter) == 0
    await fund(counter, 500, "second")
    again = await counter.deposit(401, "in-2")
    assert (again["code"], again["data"]["duplicate"]) == ("LIMIT_EXCEEDED", True)
    assert (await counter.deposit(401, "in-4"))["code"] == "OK"
    assert await left(counter) == 99


async def test_a_withdrawal_gives_back(counter: Counter) -> None:
    await counter.deposit(1000)
    assert (await counter.deposit(1))["code"] == "LIMIT_EXCEEDED"
    await counter.transfer("withdraw", 300)
    assert await left(counter) == 300
    assert (await counter.deposit(300))["code"] == "OK"


async def test_play_does_not_touch_it(counter: Counter) -> None:
    await counter.deposit(1000)
    await counter.play("bet", "b-1", amount=100)
    await counter.play("win", referenceId="b-1", amount=900)
    assert await left(counter) == 0


async def test_at_once_exactly_what_is_left_is_given_out(counter: Counter) -> None:
    logins = ("aigerim", "bolat")
    answers = await asyncio.gather(
        *(counter.deposit(30, f"in-{number}", login=logins[number % 2]) for number in range(50))
    )
    assert sorted(one["code"] for one in answers) == ["LIMIT_EXCEEDED"] * 17 + ["OK"] * 33
    assert await left(counter) == 10


async def test_a_batch_counts_what_its_own_transfers_took(counter: Counter) -> None:
    """In parts of three."""
    who = {"playerExternalId": "aigerim", "currency": "KZT"}
    amounts = [("deposit", 700), ("deposit", 301), ("withdraw", 100), ("deposit", 301), ("deposit", 200)]
    items: list[Json] = [
        {"type": kind, "amount": amount, "transferId": f"t-{number}", **who}
        for number, (kind, amount) in enumerate(amounts)
    ]
    _, told = await counter.post("/v1/player/wallet/batch", {"operations": items})
    codes = [one["code"] for one in told["data"]["results"]]
    assert codes == ["OK", "LIMIT_EXCEEDED", "OK", "OK", "LIMIT_EXCEEDED"]
    assert await left(counter) == 99


async def test_another_currency_has_its_own(counter: Counter) -> None:
    await counter.player("aigerim", currency="USD")
    assert (await counter.deposit(1, currency="USD"))["code"] == "LIMIT_EXCEEDED"
    await fund(counter, 1, "dollar", "USD")
    assert (await counter.deposit(1, currency="USD"))["code"] == "OK"


async def test_without_the_policy_nothing_need_be_prepaid(counter: Counter) -> None:
    await counter.decide(prepaid_float="false")
    assert (await counter.deposit(5000))["code"] == "OK"
    assert await left(counter) == -4000


async def test_money_counts_once_and_is_given_back_as_far_as_it_is_there(counter: Counter) -> None:
    assert await fund(counter, 1000, "first") is True
    with pytest.raises(Refused):
        await fund(counter, 999, "first")
    with pytest.raises(Refused):
        await fund(counter, 1, "euro", "EUR")
    at = counter.clock.now()
    with pytest.raises(Refused):
        async with counter.pipes.database.transaction() as tx:
            await wallet.return_float(tx, counter.site_id, Money(1001, "KZT"), "back", at=at)
    assert await left(counter) == 1000
    async with counter.pipes.database.transaction() as tx:
        await wallet.return_float(tx, counter.site_id, Money(1000, "KZT"), "back", at=at)
    assert await left(counter) == 0


@pytest.mark.parametrize("before", [2, 3])
async def test_a_deposit_stays_within_what_the_batch_before_it_left(counter: Counter, before: int) -> None:
    """In parts of three: behind two withdrawals the deposit is in their part, behind three in the next."""
    await fund(counter, 200, "second")
    await counter.deposit(1200)
    who = {"playerExternalId": "aigerim", "currency": "KZT"}
    items: list[Json] = [
        {"type": "withdraw", "amount": 400, "transferId": f"o-{number}", **who} for number in range(before)
    ]
    items += [
        {"type": "deposit", "transferId": f"i-{amount}", **who, "playerExternalId": "bolat", "amount": amount}
        for amount in (400 * before + 1, 400 * before, 1)
    ]
    _, told = await counter.post("/v1/player/wallet/batch", {"operations": items})
    codes = [one["code"] for one in told["data"]["results"][before:]]
    assert codes == ["LIMIT_EXCEEDED", "OK", "LIMIT_EXCEEDED"]
    assert await left(counter) == 0
