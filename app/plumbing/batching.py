"""Many callers, one unit of work: a worker takes whatever has queued and each caller gets its answer.

No timer: a lone call is handled at once; under load batches grow by themselves. The queue is bounded, and a
caller that goes away never cancels the batch that carries its item.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from app.kernel.errors import Refusal

__all__ = ["Batcher", "Overloaded"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Overloaded(Refusal):
    """Too many requests are waiting; nothing was done. Try again in {retry_after_seconds} s."""


@dataclass
class Batcher(Generic[Item, Answer]):
    """Collects items and hands them to one handler, a list at a time and one list after the other.

    Args:
        handler: gets 1 to `most` items, returns as many answers in the same order; what it raises reaches
            every caller.
        most: items in one batch.
        waiting: items that may wait; a further one is refused.
    """

    handler: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]
    most: int = 128
    waiting: int = 4096
    _queue: "asyncio.Queue[tuple[Item, asyncio.Future[Answer]]]" = field(init=False)
    _worker: "asyncio.Task[None] | None" = None
    _closed: bool = False

    def __post_init__(self) -> None:
        """Bound the queue."""
        self._queue = asyncio.Queue(self.waiting)

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more, handle what has queued, then stop."""
        self._closed = True
        await self._queue.join()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})

    async def __call__(self, item: Item) -> Answer:
        """Queue one item and wait for its answer.

        Raises:
            Overloaded: the queue is full; nothing was done.
            RuntimeError: outside the `async with` block there is nobody who would answer.
        """
        if self._closed or self._worker is None or self._worker.done():
            raise RuntimeError("the batcher is closed")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((item, future))
        except asyncio.QueueFull:
            raise Overloaded(retry_after_seconds=1) from None
        return await future

    async def _work(self) -> None:
        while True:
            taken = [await self._queue.get()]
            while len(taken) < self.most and not self._queue.empty():
                taken.append(self._queue.get_nowait())
            try:
                answered = list(zip(taken, await self.handler([item for item, _ in taken]), strict=True))
            except Exception as error:  # noqa: BLE001  the callers decide what a failed batch means
                for _, future in taken:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in answered:
                    if not future.done():
                        future.set_result(answer)
            finally:
                for _, future in taken:
                    future.cancel()  # of no effect where there is an answer; nobody may wait for ever
                    self._queue.task_done()
