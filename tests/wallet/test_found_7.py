"""Found: of two policies decided at once one is lost, and ids change their scope over a bet."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.operations import set_policy
from app.wallet.queries import policies_of
from tests import invariants
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made
        await invariants.hold(database)


async def decide(counter: Counter, **decisions: str) -> None:
    async with counter.pipes.database.transaction() as tx:
        await set_policy(tx, counter.site_id, "", decisions, at=counter.clock.now())


async def test_two_who_decide_at_once_both_decide(counter: Counter) -> None:
    await counter.decide(max_bet="5000")
    began = asyncio.Event()

    async def behind() -> None:
        await began.wait()
        await decide(counter, reverse_wins="true")

    other = asyncio.create_task(behind())
    async with counter.pipes.database.transaction() as tx:
        await set_policy(tx, counter.site_id, "", {"max_win": "500"}, at=counter.clock.now())
        began.set()
        await asyncio.sleep(0.3)
    await other
    async with counter.pipes.database.reading() as reader:
        found = (await policies_of(reader, counter.site_id))[""]
    assert (found.max_win, found.reverse_wins) == (500, True)


async def test_a_bet_of_the_seconds_in_which_ids_change_their_scope_is_one_bet(counter: Counter) -> None:
    await counter.play("win", referenceId="nothing", amount=1)  # the token and its policies are remembered
    await decide(counter, id_scope="player")
    assert (await counter.play("bet", "b-1", amount=100))["data"]["balance"] == 900
    counter.clock.advance(3)
    again = await counter.play("bet", "b-1", amount=100)
    assert (again["data"]["duplicate"], again["data"]["balance"]) == (True, 900)
