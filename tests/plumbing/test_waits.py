import asyncio

from app.plumbing import waits


async def test_what_a_block_and_its_tasks_waited_for_others_is_added_up() -> None:
    async def asks() -> None:
        waits.add(0.25)

    with waits.counted() as outer:
        waits.add(0.5)
        await asyncio.gather(asyncio.create_task(asks()), asks())
        with waits.counted() as inner:
            waits.add(4)
    waits.add(8)
    assert (outer, inner) == ([1.0], [4.0])
