import asyncio
import inspect

import pytest

from app.plumbing.database import Turns


async def test_each_begins_when_the_one_before_has_ended() -> None:
    seen: list[str] = []

    async def call(name: str) -> str:
        seen.append(f"{name} begins")
        await asyncio.sleep(0)
        seen.append(f"{name} ends")
        return name

    async with Turns() as turns:
        first, second = turns.next(call("a")), turns.next(call("b"))
        assert (await second, await first) == ("b", "a")
    assert seen == ["a begins", "a ends", "b begins", "b ends"]


async def test_the_block_ends_when_all_have_ended() -> None:
    seen: list[str] = []

    async def call() -> None:
        await asyncio.sleep(0)
        seen.append("done")

    async with Turns() as turns:
        _ = turns.next(call())
    assert seen == ["done"]


async def test_behind_a_failure_nobody_is_carried_out_and_all_hear_it() -> None:
    seen: list[str] = []

    async def fails() -> None:
        raise ValueError("no")

    async def call() -> None:
        seen.append("carried out")

    async def story() -> None:
        async with Turns() as turns:
            _ = turns.next(fails())
            with pytest.raises(ValueError, match="no"):
                await turns.next(call())
            _ = turns.next(call())

    with pytest.raises(ValueError, match="no"):
        await story()
    assert not seen


async def test_what_runs_is_given_up_when_the_block_is_left_by_an_exception() -> None:
    given_up = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up.set()
            raise

    async def story() -> None:
        async with Turns() as turns:
            _ = turns.next(call())
            await asyncio.sleep(0)
            raise KeyError

    with pytest.raises(KeyError):
        await story()
    assert given_up.is_set()


async def test_calls_that_are_given_up_before_they_begin_are_closed() -> None:
    async def call() -> None: ...

    made = call()

    async def given_up() -> None:
        async with Turns() as turns:
            _ = turns.next(made)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await given_up()
    assert inspect.getcoroutinestate(made) == inspect.CORO_CLOSED
