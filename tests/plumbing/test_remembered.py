"""Answers that are remembered for seconds: asked once for all, renewed before they are too old."""

import asyncio
from datetime import UTC, datetime

import pytest
import structlog

from app.kernel.clock import MovableClock
from app.kernel.errors import Refusal
from app.plumbing.batching import Overloaded
from app.plumbing.fence import transaction_is_open
from app.plumbing.remembered import Remembered


class Unknown(Refusal):
    """Nobody of this name."""


class Registry:
    """What is asked: counts, and answers when it is let."""

    def __init__(self) -> None:
        self.clock = MovableClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.asked: list[str] = []
        self.said = "first"
        self.fails: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.find = Remembered(self._answer, self.clock, seconds=2, most=3, waiting=50)

    async def _answer(self, name: str) -> str:
        self.asked.append(name)
        said, fails = self.said, self.fails
        await self.open.wait()
        if fails is not None:
            raise fails
        return said


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_want_to_know_at_once_hear_one_answer() -> None:
    registry = Registry()
    registry.open.clear()
    waiting = [asyncio.create_task(registry.find("a")) for _ in range(100)]
    await _turns()
    registry.open.set()
    assert set(await asyncio.gather(*waiting)) == {"first"}
    assert registry.asked == ["a"]


async def test_an_answer_is_told_until_it_is_too_old() -> None:
    registry = Registry()
    assert await registry.find("a") == "first"
    registry.said = "second"
    registry.clock.advance(0.9)
    assert await registry.find("a") == "first"
    await _turns()
    assert registry.asked == ["a"]
    registry.clock.advance(1.1)
    assert await registry.find("a") == "second"


async def test_from_half_of_its_time_on_it_is_renewed_while_nobody_waits() -> None:
    registry = Registry()
    await registry.find("a")
    registry.said = "second"
    registry.open.clear()
    registry.clock.advance(1)
    assert [await registry.find("a") for _ in range(3)] == ["first"] * 3
    await _turns()
    assert registry.asked == ["a", "a"], "once for all three"
    registry.open.set()
    await _turns()
    assert await registry.find("a") == "second"


async def test_a_renewed_answer_is_as_old_as_its_question() -> None:
    registry = Registry()
    await registry.find("a")
    registry.clock.advance(1)
    registry.open.clear()
    await registry.find("a")
    await _turns()
    registry.clock.advance(0.9)
    registry.open.set()
    await _turns()
    registry.clock.advance(1.1)  # two seconds since it was asked, 1.1 since it was answered
    await registry.find("a")
    assert len(registry.asked) == 3


async def test_a_slow_renewal_does_not_make_an_answer_live_longer() -> None:
    registry = Registry()
    await registry.find("a")
    registry.clock.advance(1.2)
    registry.said = "second"
    registry.open.clear()
    await registry.find("a")
    await _turns()
    registry.clock.advance(0.8)
    late = asyncio.create_task(registry.find("a"))
    await _turns()
    assert not late.done(), "what is known is too old, so it waits for the renewal"
    registry.open.set()
    assert await late == "second"
    assert len(registry.asked) == 2


async def test_a_refusal_takes_the_place_of_what_was_known() -> None:
    registry = Registry()
    await registry.find("a")
    registry.fails = Unknown()
    registry.clock.advance(1)
    assert await registry.find("a") == "first"
    await _turns()
    with pytest.raises(Unknown):
        await registry.find("a")


async def test_after_another_failure_it_is_told_until_it_is_too_old() -> None:
    registry = Registry()
    await registry.find("a")
    registry.fails = ConnectionError("the database is away")
    registry.clock.advance(1)
    await registry.find("a")
    await _turns()
    assert await registry.find("a") == "first"
    registry.clock.advance(1)
    with pytest.raises(ConnectionError):
        await registry.find("a")


async def test_a_failure_reaches_all_who_wait_and_nothing_is_remembered() -> None:
    registry = Registry()
    registry.fails = Unknown()
    waiting = await asyncio.gather(*(registry.find("a") for _ in range(5)), return_exceptions=True)
    assert [type(one) for one in waiting] == [Unknown] * 5
    registry.fails = None
    assert await registry.find("a") == "first"
    assert len(registry.asked) == 2


async def test_who_goes_away_takes_no_answer_from_the_others() -> None:
    registry = Registry()
    registry.open.clear()
    gone, stays = (asyncio.create_task(registry.find("a")) for _ in range(2))
    await _turns()
    gone.cancel()
    await _turns()
    registry.open.set()
    assert await stays == "first"
    assert gone.cancelled()


async def test_the_one_asked_for_longest_ago_is_forgotten() -> None:
    registry = Registry()
    for name in ("a", "b", "c", "d"):
        await registry.find(name)
    await registry.find("d")
    assert registry.asked == ["a", "b", "c", "d"]
    await registry.find("a")
    assert registry.asked[4:] == ["a"]


async def test_one_that_is_renewed_is_no_more_the_oldest() -> None:
    registry = Registry()
    for name in ("a", "b", "c"):
        await registry.find(name)
    registry.clock.advance(1)
    await registry.find("a")
    await _turns()
    await registry.find("d")
    assert [name for name in "abcd" if registry.find.knows(name)] == ["a", "c", "d"]


@pytest.mark.parametrize("fails", [Unknown(), ConnectionError()])
async def test_a_renewal_that_fails_is_no_unheard_exception(
    fails: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry()
    await registry.find("a")
    registry.fails = fails
    registry.clock.advance(1)
    await registry.find("a")
    await _turns()
    assert "never retrieved" not in caplog.text


async def test_who_joins_late_hears_no_answer_that_is_too_old() -> None:
    registry = Registry()
    registry.open.clear()
    first = asyncio.create_task(registry.find("a"))
    await _turns()
    registry.said = "revoked"
    registry.clock.advance(2.5)
    late = asyncio.create_task(registry.find("a"))
    await _turns()
    registry.open.set()
    assert (await first, await late) == ("first", "revoked")
    assert len(registry.asked) == 2


async def test_strangers_are_asked_about_a_few_at_a_time_and_who_is_known_is_served() -> None:
    registry = Registry()
    await registry.find("known")
    registry.open.clear()
    gone = [asyncio.create_task(registry.find(f"stranger-{number}")) for number in range(1000)]
    await _turns()
    for one in gone:
        one.cancel()
    answers = await asyncio.gather(*gone, return_exceptions=True)
    assert len(registry.find._under_way) == 50
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 950
    registry.clock.advance(1)
    assert await registry.find("known") == "first"
    await _turns()
    assert registry.asked[-1] == "known", "renewed all the same"
    registry.open.set()
    await _turns()
    assert not registry.find._under_way


async def test_asking_is_nobodys_own() -> None:
    """Neither in the transaction of whoever came first, nor under the id of that request."""
    seen: list[object] = []

    async def look(_: str) -> str:
        seen.append((transaction_is_open.get(), structlog.contextvars.get_contextvars()))
        return "found"

    find = Remembered(look, MovableClock(datetime(2026, 1, 1, tzinfo=UTC)), seconds=2, most=3, waiting=3)
    opened = transaction_is_open.set(True)
    with structlog.contextvars.bound_contextvars(request_id="req_first"):
        assert await find("a") == "found"
    transaction_is_open.reset(opened)
    assert seen == [(False, {})]


async def test_an_asking_that_is_cancelled_before_it_begins_is_forgotten() -> None:
    registry = Registry()
    waiting = asyncio.create_task(registry.find("a"))
    await asyncio.sleep(0)
    registry.find._under_way["a"].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await registry.find("a") == "first"
