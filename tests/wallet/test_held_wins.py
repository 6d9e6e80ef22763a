"""A win over a cap is credited and held, with an alarm; a person lets it go or takes it back (rule 33)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from app import staff, wallet
from app.kernel.clock import MovableClock
from app.plumbing import metrics
from app.plumbing.database import Database
from app.wallet.contract import Refused
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.test_free_rounds import grant


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A player with 1000 and a bet, at a site that holds wins above 500."""
    async with opened(database, clock) as made:
        await made.decide(max_win="500")
        await made.player(cash=1000)
        await made.play("bet", "b-1", amount=100)
        yield made
    await invariants.hold(database)


async def purse(counter: Counter) -> tuple[int, int]:
    """Cash, and what is held."""
    _, told = await counter.get("/v1/player/info", playerExternalId="aigerim")
    found = told["data"]["balances"]["KZT"]
    return found["cash"], found["held"]


async def held(counter: Counter) -> list[wallet.HeldWin]:
    async with counter.pipes.database.reading() as reader:
        return await wallet.held_wins(reader, counter.site_id)


async def decided(counter: Counter, how: Callable[..., Awaitable[Any]]) -> None:
    [one] = await held(counter)
    async with counter.pipes.database.transaction() as tx:
        await how(tx, counter.site_id, one.number, "looked at", at=counter.clock.now())


async def test_a_win_up_to_the_cap_is_the_players(counter: Counter) -> None:
    won = await counter.play("win", "w-1", referenceId="b-1", amount=500)
    assert won["data"]["balance"] == 1400
    assert await held(counter) == []


async def test_a_win_over_the_cap_is_held_with_an_alarm(counter: Counter) -> None:
    before = metrics.ALARMS.labels("win_held")._value.get()
    for duplicate in (False, True):
        data = (await counter.play("win", "w-1", referenceId="b-1", amount=501))["data"]
        assert (data["duplicate"], data["balanceAfter"], data["balance"]) == (duplicate, 1401, 900)
    assert metrics.ALARMS.labels("win_held")._value.get() == before + 1
    assert await purse(counter) == (900, 501)
    assert (await counter.transfer("withdraw", 901))["code"] == "INSUFFICIENT_FUNDS"
    [one] = await held(counter)
    assert (one.player, one.currency, one.minor, one.win) == ("aigerim", "KZT", 501, "w-1")
    await counter.settled()
    asked = {"playerExternalId": "aigerim", "type": "hold"}
    [row] = (await counter.get("/v1/transaction/list", **asked))[1]["data"]["transactions"]
    assert (row["amount"], row["referenceId"], row["balanceAfter"]) == (501, "w-1", 900)


@pytest.mark.parametrize("kind", ["jackpot", "betwin"])
async def test_every_kind_of_win_is_held(counter: Counter, kind: str) -> None:
    if kind == "betwin":
        await counter.play("betwin", betAmount=50, winAmount=700)
    else:
        await counter.play("win", kind=kind, amount=700)
    assert [one.minor for one in await held(counter)] == [700]


async def test_a_held_win_is_let_go(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await decided(counter, wallet.let_go)
    assert (await purse(counter), await held(counter)) == ((1500, 0), [])
    assert (await counter.transfer("withdraw", 1500))["code"] == "OK"


async def test_a_held_win_is_taken_back(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await decided(counter, wallet.take_back)
    assert (await purse(counter), await held(counter)) == ((900, 0), [])
    assert (await counter.deposit(1))["data"]["balance"] == 901


@pytest.mark.parametrize(("how", "deed"), [(wallet.let_go, "released"), (wallet.take_back, "taken")])
async def test_who_decides_a_held_win_and_why_stands_in_the_diary(
    counter: Counter, how: Callable[..., Awaitable[Any]], deed: str
) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    [one] = await held(counter)
    by, at = staff.operator_actor("opr_1"), counter.clock.now()
    async with counter.pipes.database.transaction() as tx:
        await how(tx, counter.site_id, one.number, "the round was looked at", at=at, by=by)
    async with counter.pipes.database.reading() as reader:
        [line] = await staff.diary(reader, counter.site_id)
    assert (line.actor, line.deed, line.subject) == (by, f"held_win.{deed}", str(one.number))
    assert line.detail == {
        "reason": "the round was looked at",
        "player": one.player_id,
        "win": "w-1",
        "amount": {"currency": "KZT", "minor": 600},
    }


@pytest.mark.parametrize("how", [wallet.let_go, wallet.take_back])
async def test_what_is_refused_or_undone_leaves_no_line_in_the_diary(
    counter: Counter, how: Callable[..., Awaitable[Any]]
) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    [one] = await held(counter)
    at = counter.clock.now()

    async def undone() -> None:
        async with counter.pipes.database.transaction() as tx:
            await how(tx, counter.site_id, one.number, "undone", at=at)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    with pytest.raises(staff.BadReason):
        async with counter.pipes.database.transaction() as tx:
            await how(tx, counter.site_id, one.number, "card 4111 1111 1111 1111", at=at)
    with pytest.raises(Refused):
        async with counter.pipes.database.transaction() as tx:
            await how(tx, counter.site_id, one.number + 1, "no such", at=at)
    async with counter.pipes.database.reading() as reader:
        assert await staff.diary(reader, counter.site_id) == []
    assert [it.number for it in await held(counter)] == [one.number]


@pytest.mark.parametrize("how", [wallet.let_go, wallet.take_back])
async def test_a_win_is_decided_once(counter: Counter, how: Callable[..., Awaitable[Any]]) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    [one] = await held(counter)
    await decided(counter, how)
    async with counter.pipes.database.transaction() as tx:
        with pytest.raises(Refused):
            await how(tx, counter.site_id, one.number, "again", at=counter.clock.now())


async def test_a_held_win_that_is_rolled_back_leaves_nothing(counter: Counter) -> None:
    await counter.decide(reverse_wins="true")
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await counter.transfer("withdraw", 900)
    assert (await counter.play("rollback", referenceId="w-1"))["data"]["debt"] == 600
    [one] = await held(counter)
    assert one.is_reversed
    await counter.decide(reverse_wins="false")
    with pytest.raises(Refused, match="already"):
        await decided(counter, wallet.take_back)
    await decided(counter, wallet.let_go)
    assert (await counter.deposit(7))["data"]["balance"] == 7


@pytest.mark.parametrize("second", [wallet.let_go, wallet.take_back])
async def test_two_who_decide_at_once_decide_once(
    counter: Counter, second: Callable[..., Awaitable[Any]]
) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    [one] = await held(counter)

    async def decide(how: Callable[..., Awaitable[Any]]) -> None:
        async with counter.pipes.database.transaction() as tx:
            await how(tx, counter.site_id, one.number, f"by {how.__name__}", at=counter.clock.now())

    ended = await asyncio.gather(decide(wallet.let_go), decide(second), return_exceptions=True)
    assert [type(end) for end in ended if end is not None] == [Refused]
    assert await held(counter) == []


async def test_several_of_one_batch_are_held(counter: Counter) -> None:
    who = {"playerExternalId": "aigerim", "currency": "KZT", "providerId": "acme", "kind": "promo"}
    items: list[Json] = [
        {"type": "win", "transactionId": f"p-{number}", "amount": 400 + 50 * number, **who}
        for number in range(6)
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    assert {one["code"] for one in told["data"]["results"]} == {"OK"}
    assert [one.minor for one in await held(counter)] == [550, 600, 650]
    assert await purse(counter) == (2250, 1800)


async def test_free_rounds_win_no_more_than_they_may(counter: Counter) -> None:
    await grant(counter, spins=3, max_win=100)
    for number, amount in enumerate((60, 40, 1)):
        await counter.play("bet", f"f-{number}", amount=0, freeRoundId="gift")
        await counter.play("win", f"w-{number}", referenceId=f"f-{number}", amount=amount)
    assert [(one.win, one.minor) for one in await held(counter)] == [("w-2", 1)]
    assert await purse(counter) == (1000, 1)
