"""Who stands before whom among large batches, and what ends a wait. Pure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.wallet.succession import NotSure, Place, Succession


class Line:
    """Batches of one site, each in its own task of the loop; a name is one letter for each player."""

    def __init__(self) -> None:
        self.succession = Succession()
        self.stack = AsyncExitStack()

    async def joined(self, players: str, site_id: int = 1) -> Place:
        """A batch that stands in line at once: those before it have decided."""
        async with asyncio.timeout(1):
            return await self.stack.enter_async_context(self.succession.place(site_id, frozenset(players)))

    def joining(self, players: str) -> "asyncio.Task[Place]":
        return asyncio.create_task(self.joined(players))


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line()
    async with made.stack:
        yield made


async def _turn() -> None:
    """Let whoever can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


def _ended(place: Place, *, is_written: bool) -> None:
    place.is_written = is_written
    place.ended.set()
    place.decided.set()


async def test_who_moves_nobody_elses_players_stands_behind_nobody(line: Line) -> None:
    await line.joined("ab")
    assert (await line.joined("cd")).is_first
    assert (await line.joined("ab", site_id=2)).is_first, "another site's players are others"


async def test_who_moves_one_player_of_it_waits_until_the_one_before_has_decided(line: Line) -> None:
    first = await line.joined("ab")
    second = line.joining("bc")
    await _turn()
    assert not second.done()
    first.decided.set()
    its = await second
    assert its.before == [first]
    assert not its.is_first


async def test_who_stands_behind_several_waits_for_all(line: Line) -> None:
    first, second = await line.joined("a"), await line.joined("b")
    third = line.joining("ab")
    first.decided.set()
    await _turn()
    assert not third.done()
    second.decided.set()
    its = await third
    reached = asyncio.create_task(its.reached())
    _ended(first, is_written=True)
    await _turn()
    assert not reached.done(), "the other one is not written yet"
    assert not its.is_first
    _ended(second, is_written=True)
    await reached
    assert its.is_first


@pytest.mark.parametrize("which", [0, 1])
async def test_one_that_was_not_written_is_enough(line: Line, which: int) -> None:
    before = [await line.joined("a"), await line.joined("b")]
    for one in before:
        one.decided.set()
    its = await line.joined("ab")
    for number, one in enumerate(before):
        _ended(one, is_written=number != which)
    with pytest.raises(NotSure):
        await its.reached()


async def test_all_are_waited_for_though_the_first_was_not_written(line: Line) -> None:
    """Or who goes behind locks would take them while the others still need them."""
    first, second = await line.joined("a"), await line.joined("b")
    first.decided.set()
    second.decided.set()
    its = await line.joined("ab")
    reached = asyncio.create_task(its.reached())
    _ended(first, is_written=False)
    await _turn()
    assert not reached.done()
    _ended(second, is_written=True)
    with pytest.raises(NotSure):
        await reached


async def test_who_stands_behind_one_goes_on_when_that_is_sent(line: Line) -> None:
    first = await line.joined("a")
    first.decided.set()
    its = await line.joined("a")
    near = asyncio.create_task(its.nearly_reached())
    await _turn()
    assert not near.done(), "it would be there before it"
    first.sent.set()
    await near


async def test_who_stands_behind_several_goes_on_when_one_is_left(line: Line) -> None:
    """PostgreSQL keeps no order among those who wait for the same locks."""
    first = await line.joined("a")
    first.decided.set()
    second = await line.joined("a")
    second.decided.set()
    its = await line.joined("a")
    for one in (first, second):
        one.sent.set()
    near = asyncio.create_task(its.nearly_reached())
    await _turn()
    assert not near.done()
    _ended(first, is_written=True)
    await near
    assert not its.is_first


async def test_nor_does_the_one_before_wait_for_somebody_else(line: Line) -> None:
    first, second = await line.joined("a"), line.joining("ab")
    first.decided.set()
    (await second).decided.set()
    its = await line.joined("b")
    (await second).sent.set()
    near = asyncio.create_task(its.nearly_reached())
    await _turn()
    assert its.before == [await second]
    assert not near.done(), "its locks are still somebody's whom this one has nothing to do with"
    _ended(first, is_written=False)
    with pytest.raises(NotSure):
        await near


async def test_what_is_over_before_is_found_as_it_is(line: Line) -> None:
    """How it ended is nobody's matter who has not recalled anything yet."""
    first = await line.joined("a")
    second = line.joining("a")
    await _turn()
    _ended(first, is_written=False)
    its = await second
    assert its.before == []
    await its.reached()


async def test_a_place_that_ends_lets_those_behind_it_go_on() -> None:
    succession = Succession()
    async with succession.place(1, frozenset("a")) as first:
        first.decided.set()
        async with succession.place(1, frozenset("a")) as second:
            assert second.before == [first]
    assert first.ended.is_set()
    assert second.ended.is_set()
    assert second.sent.is_set(), "or whoever fails before it is sent would hold up others"
    async with succession.place(1, frozenset("a")) as third:
        assert third.before == [], "nobody is left in line"


async def test_who_fails_before_it_has_decided_holds_up_nobody() -> None:
    succession = Succession()
    with pytest.raises(ZeroDivisionError):
        async with succession.place(1, frozenset("a")):
            raise ZeroDivisionError
    async with asyncio.timeout(1), succession.place(1, frozenset("a")) as after:
        assert after.is_first


async def test_who_gives_up_in_line_leaves_it() -> None:
    succession = Succession()

    async def stood() -> None:
        async with succession.place(1, frozenset("a")):
            raise AssertionError("it has given up")

    async with succession.place(1, frozenset("a")):
        waiting = asyncio.create_task(stood())
        await _turn()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), succession.place(1, frozenset("a")) as after:
        assert after.before == []
