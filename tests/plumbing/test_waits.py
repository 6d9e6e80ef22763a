import asyncio

from app.plumbing import waits


async def test_what_a_task_and_those_it_starts_waited_for_others_is_added_up() -> None:
    async def asks() -> None:
        waits.add(0.25)

    async def another() -> list[float]:
        counter = waits.counted()
        waits.add(4)
        return counter

    ours = waits.counted()
    waits.add(0.5)
    await asyncio.gather(asyncio.create_task(asks()), asks())
    theirs = await asyncio.create_task(another())
    assert (ours, theirs) == ([1.0], [4.0])


async def test_a_task_that_nobody_counts_may_wait_too() -> None:
    waits.add(8)
