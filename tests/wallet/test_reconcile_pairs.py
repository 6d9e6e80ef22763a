"""Of several operations with one id each is a line of its own in a book."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.decide(id_scope="player")
        await made.player(cash=1000)
        await made.player("bolat", cash=1000)
        yield made
        await invariants.hold(database)


async def reconciled(counter: Counter, *amounts: int) -> list[Json]:
    now = counter.clock.now()
    period = {
        "from": (now - timedelta(hours=1)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat(),
    }
    lines = [{"id": "1", "amount": amount, "currency": "KZT"} for amount in amounts]
    body = {"items": lines, "period": period, "source": "game"}
    _, told = await counter.post("/v1/reconcile", body, scope="read")
    return list(told["data"]["differences"])


async def test_a_bet_that_only_we_have_is_told(counter: Counter) -> None:
    await counter.play("bet", "1", amount=100)
    await counter.play("bet", "1", amount=100, playerExternalId="bolat")
    assert [one["difference"] for one in await reconciled(counter, 100)] == ["missing_there"]


async def test_a_bet_that_only_they_have_is_told(counter: Counter) -> None:
    await counter.play("bet", "1", amount=100)
    assert [one["difference"] for one in await reconciled(counter, 100, 100)] == ["missing_here"]


async def test_lines_and_bets_that_are_alike_are_paired_first(counter: Counter) -> None:
    await counter.play("bet", "1", amount=100)
    await counter.play("bet", "1", amount=200, playerExternalId="bolat")
    assert await reconciled(counter, 200, 100) == []
    [told] = await reconciled(counter, 150, 200)
    assert (told["difference"], told["here"]["amount"], told["there"]["amount"]) == ("amount", 100, 150)


async def test_a_bet_of_another_time_is_paired_last(counter: Counter) -> None:
    await counter.play("bet", "1", amount=100)
    counter.clock.advance(timedelta(hours=3))
    await counter.play("bet", "1", amount=100, playerExternalId="bolat")
    assert await reconciled(counter, 100) == []
    assert await reconciled(counter, 100, 100) == [], "it is in our book all the same"
