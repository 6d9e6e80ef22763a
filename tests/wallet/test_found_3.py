"""Found: a stuck round is closed over what its platform has played since it was found: the wins are lost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.rounds import stuck_rounds
from app.wallet.sweeps import sweep_stuck
from tests import invariants
from tests.wallet.counter import Counter, opened
from tests.wallet.test_free_rounds import grant


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made
        await invariants.hold(database)


async def swept_behind(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], Awaitable[object]]
) -> None:
    """Sweep what was found stuck before the platform's deed."""
    counter.clock.advance(timedelta(hours=49))
    async with counter.pipes.database.reading() as reader:
        found = await stuck_rounds(reader, counter.site_id, now=counter.clock.now(), only_due=True)
    await deed()

    async def earlier(*_: object, **__: object) -> object:
        return found

    monkeypatch.setattr("app.wallet.sweeps.stuck_rounds", earlier)
    await sweep_stuck(counter.pipes, counter.journal)
    monkeypatch.undo()


@pytest.mark.parametrize("action", ["close", "refund"])
async def test_a_free_bet_that_comes_meanwhile_keeps_its_win(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    await counter.decide(stuck_action=action)
    await counter.play("bet", "b-1", amount=100)

    async def spin() -> None:
        await grant(counter)
        assert (await counter.play("bet", "f-1", amount=0, freeRoundId="gift"))["code"] == "OK"

    await swept_behind(counter, monkeypatch, spin)
    assert (await counter.play("win", "w-1", referenceId="f-1", amount=500))["code"] == "OK"


@pytest.mark.parametrize("action", ["close", "refund"])
async def test_a_win_that_comes_meanwhile_is_not_the_last(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    await counter.decide(stuck_action=action)
    await counter.play("bet", "b-1", amount=100)

    async def win() -> None:
        assert (await counter.play("win", "w-1", referenceId="b-1", amount=5))["code"] == "OK"

    await swept_behind(counter, monkeypatch, win)
    last = await counter.play("win", "w-2", referenceId="b-1", amount=500, isRoundFinished=True)
    assert last["code"] == "OK"
