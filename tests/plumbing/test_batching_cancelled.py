"""A worker of a batcher that is cancelled before its first step: whoever it was begun for gets an answer."""

import asyncio
from collections.abc import Sequence

from app.plumbing.batching import Batcher


async def doubled(items: Sequence[int]) -> list[int]:
    return [2 * item for item in items]


async def cancelled_at_once(batcher: Batcher[int, int]) -> asyncio.Task[int]:
    """Call with the item 1, and cancel the worker that was begun for it; the call."""
    calling = asyncio.create_task(batcher(1))
    await asyncio.sleep(0)
    [worker] = batcher._workers
    worker.cancel()
    return calling


async def test_it_is_replaced() -> None:
    async with Batcher(doubled) as batcher:
        calling = await cancelled_at_once(batcher)
        async with asyncio.timeout(1):
            assert [await calling, await batcher(2)] == [2, 4]


async def test_it_is_replaced_while_the_batcher_closes() -> None:
    async with Batcher(doubled) as batcher:
        calling = await cancelled_at_once(batcher)
    assert calling.done()
    assert await calling == 2


async def test_it_is_replaced_also_when_nobody_calls_after_it() -> None:
    async with Batcher(doubled, abreast=2) as batcher:
        for _ in range(3):
            calling = await cancelled_at_once(batcher)
            async with asyncio.timeout(1):
                assert await calling == 2
