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


async def told(
    counter: Counter, since: datetime, *items: Json, source: str | None = "game", provider: str = ""
) -> list[Json]:
    """Where a book differs from ours since then."""
    counter.clock.advance(1)
    period = {"from": since.isoformat(), "to": counter.clock.now().isoformat()}
    body: Json = {"items": list(items), "period": period}
    if source is not None:
        body["source"] = source
    if provider:
        body["providerId"] = provider
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
    both = {"id": "p-1", "amount": 50, "currency": "KZT", "winAmount": 700}
    await counter.play("betwin", "p-1", betAmount=50, winAmount=700)
    await decided(counter, wallet.take_back)
    here = await made_here(counter, since, BET, both)
    assert (here["type"], here["amount"], here["referenceId"]) == ("reverse_win", 700, "p-1")
    assert [one["id"] for one in await told(counter, since, source="operator")] == ["t-1"]


@pytest.mark.parametrize(
    ("amount", "win", "is_same"), [(50, 70, True), (50, 71, False), (50, None, False), (51, 70, False)]
)
async def test_the_line_of_a_bet_and_its_win_has_both(
    counter: Counter, since: datetime, amount: int, win: int | None, *, is_same: bool
) -> None:
    await counter.play("betwin", "p-1", betAmount=50, winAmount=70)
    line: Json = {"id": "p-1", "amount": amount, "currency": "KZT"}
    if win is not None:
        line["winAmount"] = win
    found = await told(counter, since, BET, line)
    assert [one["difference"] for one in found] == ([] if is_same else ["amount"])
    if not is_same:
        assert (found[0]["here"]["amount"], found[0]["here"]["winAmount"]) == (50, 70)
        assert found[0]["there"].get("winAmount") == win


async def test_a_win_that_is_in_no_line_of_ours_differs(counter: Counter, since: datetime) -> None:
    assert [one["difference"] for one in await told(counter, since, BET | {"winAmount": 1})] == ["amount"]


async def test_the_book_of_one_game_platform(counter: Counter, since: datetime) -> None:
    """What came by another is neither missing in it nor meant by its lines; nor are transfers."""
    await counter.play("bet", "b-2", amount=10, providerId="other")
    other = {"id": "b-2", "amount": 10, "currency": "KZT"}
    for source in ("game", None):
        assert await told(counter, since, BET, source=source, provider="acme") == []
        assert await told(counter, since, other, source=source, provider="other") == []
    found = await told(counter, since, other, provider="acme")
    assert {one["id"]: one["difference"] for one in found} == {
        "b-2": "missing_here",
        "b-1": "missing_there",
    }
    assert {one["id"] for one in await told(counter, since)} == {"b-1", "b-2"}


async def test_the_book_of_a_platform_is_in_its_unit(counter: Counter, since: datetime) -> None:
    await counter.decide("acme", amount_unit="major")
    await counter.play("betwin", "p-1", betAmount=0.5, winAmount=0.75)
    bet = {"id": "b-1", "amount": 1, "currency": "KZT"}
    both = {"id": "p-1", "amount": 0.5, "currency": "KZT", "winAmount": 0.75}
    assert await told(counter, since, bet, both, provider="acme") == []
    [one] = await told(counter, since, bet, both | {"winAmount": 0.25}, provider="acme")
    assert (one["here"]["winAmount"], one["there"]["winAmount"]) == (0.75, 0.25)


async def test_a_rollback_of_nothing_is_of_no_platform_and_missing_in_none(
    counter: Counter, since: datetime
) -> None:
    await counter.play("rollback", "x-9", referenceId="b-9")
    line = {"id": "x-9", "amount": 0, "currency": "KZT"}
    for provider in ("", "acme"):
        assert await told(counter, since, BET, line, provider=provider) == []


async def test_a_bet_that_was_given_back_stands_in_the_book_of_its_platform(
    counter: Counter, since: datetime
) -> None:
    await counter.decide(stuck_action="refund")
    counter.clock.advance(timedelta(hours=49))
    assert await sweep_stuck(counter.pipes, counter.journal) == 1
    assert [one["difference"] for one in await told(counter, since, BET, provider="acme")] == ["made_here"]
    assert await told(counter, since, provider="other") == []


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
