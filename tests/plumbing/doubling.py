"""What the tests of batches share: a handler that can be held up, and turns of the loop."""

import asyncio
from collections.abc import Sequence

from app.plumbing.batching import Batcher

__all__ = ["Doubling", "blocked", "turns"]


class Doubling:
    """Doubles numbers, and can be made to wait or to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.failure: BaseException | None = None

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        async with asyncio.timeout(10):  # a test that fails would otherwise wait at its end
            await self.may_go_on.wait()
        if self.failure is not None:
            raise self.failure
        return [2 * item for item in items]


async def blocked(batcher: Batcher[int, int], doubling: Doubling) -> asyncio.Task[int]:
    """Keep the batcher busy with the item 0 until `may_go_on`."""
    doubling.may_go_on.clear()
    first = asyncio.create_task(batcher(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert doubling.batches == [[0]]
    return first


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
