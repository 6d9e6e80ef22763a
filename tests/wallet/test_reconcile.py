"""Books held against ours when the house has done something by itself: told apart from what is missing."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet.sweeps import grant_bonus, sweep_stuck
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.test_held_wins import decided

BET = {"id": "b-1", "amount": 100, "currency": "KZT"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A player with 1000 and a bet of 100, at a site that holds wins above 500."""
    async with opened(database, clock) as made:
        await made.decide(max_win="500")
        await made.player(cash=1000)
        await made.play("bet", "b-1", amount=100)
        yield made
    await invariants.hold(database)


@pytest.fixture
def since(clock: MovableClock) -> datetime:
    """The instant of the bet."""
    return clock.now()


async def told(counter: Counter, since: datetime, *items: Json, source: str | None = "game") -> list[Json]:
    """Where a book differs from ours since then."""
    counter.clock.advance(1)
    period = {"from": since.isoformat(), "to": counter.clock.now().isoformat()}
    body: Json = {"items": list(items), "period": period}
    if source is not None:
        body["source"] = source
    status, answer = await counter.post("/v1/reconcile", body, scope="read")
    assert status == 200, answer
    return list(answer["data"]["differences"])


async def made_here(counter: Counter, since: datetime, *items: Json) -> Json:
    """The one difference there is: what the house did by itself. Written into the book there is none."""
    [one] = await told(counter, since, *items)
    assert (one["difference"], one["there"]) == ("made_here", None)
    assert one["id"].startswith("sweeper-wop_")
    here = one["here"]
    its = {"id": one["id"], "amount": here["amount"], "currency": here["currency"]}
    assert await told(counter, since, *items, its) == []
    assert [one["difference"] for one in await told(counter, since, *items, its | {"amount": 1})] == [
        "amount"
    ]
    return dict(here)


async def test_a_held_win_that_a_person_took(counter: Counter, since: datetime) -> None:
    won = {"id": "w-1", "amount": 600, "currency": "KZT"}
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    assert await told(counter, since, BET, won) == []
    await decided(counter, wallet.take_back)
    here = await made_here(counter, since, BET, won)
    assert (here["type"], here["amount"], here["referenceId"]) == ("reverse_win", 600, "w-1")


async def test_the_win_of_a_bet_and_its_win_in_one(counter: Counter, since: datetime) -> None:
    """It stands in the desk's own namespace, and is told to the platform all the same."""
    both = {"id": "p-1", "amount": 50, "currency": "KZT"}
    await counter.play("betwin", "p-1", betAmount=50, winAmount=700)
    await decided(counter, wallet.take_back)
    here = await made_here(counter, since, BET, both)
    assert (here["type"], here["amount"], here["referenceId"]) == ("reverse_win", 700, "p-1")
    assert [one["id"] for one in await told(counter, since, source="operator")] == ["t-1"]


async def test_a_bet_of_a_stuck_round_that_was_given_back(counter: Counter, since: datetime) -> None:
    await counter.decide(stuck_action="refund")
    counter.clock.advance(timedelta(hours=49))
    assert await sweep_stuck(counter.pipes, counter.journal) == 1
    here = await made_here(counter, since, BET)
    assert (here["type"], here["amount"], here["referenceId"]) == ("rollback", 100, "b-1")


async def test_what_a_platform_rolled_back_itself_is_missing_there(counter: Counter, since: datetime) -> None:
    await counter.decide(reverse_wins="true")
    won = {"id": "w-1", "amount": 600, "currency": "KZT"}
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await counter.play("rollback", "x-1", referenceId="w-1")
    [one] = await told(counter, since, BET, won)
    assert (one["id"], one["difference"], one["here"]["type"]) == ("x-1", "missing_there", "reverse_win")


async def test_a_transfer_of_such_an_id_was_sent_by_its_operator(counter: Counter, since: datetime) -> None:
    await counter.deposit(5, "sweeper-1")
    found = await told(counter, since, BET, source=None)
    assert {one["id"]: one["difference"] for one in found} == dict.fromkeys(
        ("t-1", "sweeper-1"), "missing_there"
    )


async def test_bonus_money_of_the_house_is_in_no_book_of_a_platform(
    counter: Counter, since: datetime
) -> None:
    await grant_bonus(counter.pipes, counter.site_id, "aigerim", Money(40, "KZT"), "gift")
    gift = {"id": "gift", "amount": 40, "currency": "KZT"}
    [one] = await told(counter, since, BET, gift)
    assert (one["id"], one["difference"]) == ("gift", "missing_here")
