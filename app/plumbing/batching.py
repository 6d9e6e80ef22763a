"""Many callers, one unit of work: a worker takes whatever has queued and each caller gets its answer.

A call that comes while none is under way is handled after a few idle turns of the loop; under load batches
grow by themselves. The queue is bounded, and a caller that goes away never cancels the batch that carries its
item.

Callers who wait for their answers come in convoys: what was answered together asks again together. Taken as
it comes, the first of a convoy makes a batch of one and all others the next, and handler and callers wait for
each other by turns. So a batch waits for the rest of its convoy, a few milliseconds at most, and takes only
its share of what is waiting and under way, so that the batches abreast are of one size. And few do not begin
one more batch while another is under way, unless that takes long: what waits until one ends makes a larger
one, and costs less.

What would be in each other's way has one key, and is never in two batches at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from typing import Final, Generic, Self, TypeVar

import structlog

from app.kernel.errors import Refusal

__all__ = ["Batcher", "Overloaded"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")
_One = tuple[int, Item, "asyncio.Future[Answer]"]  # who waits: his number as he came, for what, his answer

# A turn of the loop may be busy with something else while the rest of a convoy is on its way.
_QUIET_TURNS: Final = 4
# A convoy is read in less; callers who trickle in while the loop is busy must not wait for each other.
_MOST_SECONDS: Final = 0.005
_LEAST_SHARE: Final = 8  # smaller ones are not made: a batch by itself costs more than so many items
_PATIENCE_SECONDS: Final = 0.02  # several times what a batch takes; one that takes longer has met something


class Overloaded(Refusal):
    """Too many requests are waiting; nothing was done. Try again in {retry_after_seconds} s."""


@dataclass
class Batcher(Generic[Item, Answer]):
    """Collects items and hands them to one handler, a list at a time.

    Args:
        handler: gets 1 to `most` items, returns as many answers in the same order; an answer that is an
            exception reaches its caller alone, what the handler raises reaches every caller.
        most: items in one batch.
        waiting: items that may wait; a further one is refused.
        abreast: batches under way at once. With two, one is decided while the other commits.
        key: what an item is about. One whose key is under way is parked until that batch ends; those of one
            key stay in their order.
        of_key: items of one key that may be parked; a further one is refused, so that nobody fills the room
            in which the others wait.
    """

    handler: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | BaseException]]]
    most: int = 128
    waiting: int = 4096
    abreast: int = 1
    key: Callable[[Item], Hashable] | None = None
    of_key: int = 256
    _queue: "deque[_One[Item, Answer]]" = field(default_factory=deque)
    # By keys that are under way: what waits for them, and is in nobody's convoy.
    _parked: "dict[Hashable, deque[_One[Item, Answer]]]" = field(default_factory=dict)
    _parked_items: int = 0
    _arrivals: Iterator[int] = field(default_factory=count)
    _workers: "set[asyncio.Task[None]]" = field(default_factory=set)
    _is_gathering: bool = False
    _under_way: int = 0  # items that the handler has
    _last: int = 0  # how many the batch before took
    _began_at: list[float] = field(default_factory=list)  # the batches under way, by the loop's clock
    _reminder: asyncio.TimerHandle | None = None  # that few have waited long enough
    _closed: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more, handle what has queued, then stop."""
        self._closed = True
        while self._workers:
            await asyncio.wait(self._workers)

    async def __call__(self, item: Item) -> Answer:
        """Queue one item and wait for its answer.

        Raises:
            Overloaded: the queue is full, or what waits for its key is as much as may; nothing was done.
            RuntimeError: it is closed.
        """
        if self._closed:
            raise RuntimeError("the batcher is closed")
        of_key = self._parked.get(self.key(item), ()) if self.key else ()
        if len(self._queue) + self._parked_items >= self.waiting or len(of_key) >= self.of_key:
            raise Overloaded(retry_after_seconds=1)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        one = (next(self._arrivals), item, future)
        if not self._parks(one):
            self._queue.append(one)
            self._begin()
        return await future

    def _begin(self) -> None:
        """Start a worker if one is needed; it takes nothing before this turn of the loop is over."""
        if not self._queue or len(self._workers) >= self.abreast or self._is_gathering:
            return
        if self._began_at and len(self._queue) < min(self.most, _LEAST_SHARE) and self._are_patient():
            return
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        # Not at the end of the work: a task that is cancelled before its first step has neither.
        worker.add_done_callback(self._ended)

    def _are_patient(self) -> bool:
        """Whether few still wait for what is under way; if so, they are looked at again in time."""
        loop, ends_at = asyncio.get_running_loop(), self._began_at[0] + _PATIENCE_SECONDS
        if loop.time() >= ends_at:
            return False
        if self._reminder is None:
            self._reminder = loop.call_at(ends_at, self._reminded)
        return True

    def _reminded(self) -> None:
        self._reminder = None
        self._begin()

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        """Replace a worker that has left somebody behind: it was cancelled, or they came as it ended."""
        self._workers.discard(worker)
        self._begin()

    async def _work(self) -> None:
        # Begun in the context of whoever came first: what is logged of a batch is none of that one request.
        structlog.contextvars.clear_contextvars()
        while self._queue and not self._is_gathering:
            await self._gather()
            await self._batch()

    async def _gather(self) -> None:
        """Wait until there are as many as in the batch before, or nobody comes any more."""
        clock = asyncio.get_running_loop().time
        self._is_gathering, ends_at = True, clock() + _MOST_SECONDS
        try:
            quiet, seen = 0, len(self._queue)
            while seen < self._last and quiet < _QUIET_TURNS and clock() < ends_at:
                await asyncio.sleep(0)
                quiet = quiet + 1 if len(self._queue) == seen else 0
                seen = len(self._queue)
        finally:
            self._is_gathering = False

    async def _batch(self) -> None:
        # One that takes long counts as if its callers came back soon: nobody knows better.
        share = len(self._queue) + self._under_way
        if share >= self.abreast * _LEAST_SHARE:
            share = -(-share // self.abreast)
        many = min(len(self._queue), self.most, share)
        taken = [self._queue.popleft() for _ in range(many)]
        keys = self._parted(taken)
        self._last, began_at = many, asyncio.get_running_loop().time()
        self._under_way += many
        self._begin()  # what is left has a worker of its own, if there is one: few have waited already
        self._began_at.append(began_at)
        try:
            answered = list(zip(taken, await self.handler([item for _, item, _ in taken]), strict=True))
        except Exception as error:  # noqa: BLE001  the callers decide what a failed batch means
            for *_, future in taken:
                _tell(future, error)
        else:
            for (*_, future), answer in answered:
                _tell(future, answer)
        finally:
            self._under_way -= many
            self._began_at.remove(began_at)
            self._joined(keys)
            for *_, future in taken:
                future.cancel()  # of no effect where there is an answer; nobody may wait for ever

    def _parks(self, one: "_One[Item, Answer]") -> bool:
        """Park it if its key is under way; whether that was done."""
        if self.key is None or not self._parked:
            return False
        waiting = self._parked.get(self.key(one[1]))
        if waiting is None:
            return False
        waiting.append(one)
        self._parked_items += 1
        return True

    def _parted(self, taken: "Sequence[_One[Item, Answer]]") -> set[Hashable]:
        """Mark the keys of a batch as under way, and park who waits for one of them."""
        if self.key is None:
            return set()
        keys = {self.key(item) for _, item, _ in taken}
        self._parked |= {key: deque() for key in keys}
        if self._queue:
            self._queue = deque([one for one in self._queue if not self._parks(one)])
        return keys

    def _joined(self, keys: set[Hashable]) -> None:
        """Let go of keys; who was parked for them is where he would be by when he came."""
        back = [one for key in keys for one in self._parked.pop(key)]
        self._parked_items -= len(back)
        if back:
            self._queue = deque(sorted((*back, *self._queue), key=itemgetter(0)))


def _tell(future: "asyncio.Future[Answer]", answer: Answer | BaseException) -> None:
    if future.done():
        return  # the caller went away
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
