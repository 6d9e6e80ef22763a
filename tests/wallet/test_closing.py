"""A day's closing counts what moved money, and nothing that was only told."""

from collections.abc import AsyncIterator

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, opened
from tests.wallet.test_free_rounds import grant


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.decide(free_wins="together")
        await made.player(cash=1000)
        await grant(made)
        yield made
        await invariants.hold(database)


async def test_what_moved_no_money_is_in_no_line_of_the_day(counter: Counter) -> None:
    await counter.play("betwin", "f-1", betAmount=0, winAmount=500, freeRoundId="gift", isRoundFinished=True)
    await counter.play("win", "p-1", kind="free_round", freeRoundId="gift", amount=500)
    async with counter.pipes.database.reading() as reader:
        days = await wallet.closing(reader, counter.site_id, counter.clock.now().date())
    [day] = [one for one in days if one.currency == "KZT"]
    assert day.is_balanced
    assert (day.bets, day.wins) == (0, 500)
