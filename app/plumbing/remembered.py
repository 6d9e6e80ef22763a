"""What is asked of the database thousands of times a second and changes once a week: remembered for seconds.

However many want to know at once, one asks and all of them hear it. And what is still wanted is asked again
before it is too old, so that under load nobody waits. Otherwise everybody under way would ask at the same
instant, every few seconds, and the last would wait behind them all.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from app.kernel.clock import Clock
from app.kernel.errors import Refusal
from app.plumbing.batching import Overloaded

__all__ = ["Remembered"]

Value = TypeVar("Value")


class _Known(NamedTuple, Generic[Value]):
    """An answer, and the second at which it was asked for."""

    value: Value
    asked_at: float


@dataclass(slots=True)
class Remembered(Generic[Value]):
    """Answers by name; none is told when it is older than `seconds`.

    Args:
        ask: finds an answer. What it raises reaches everybody who waits; a refusal takes the place of what
            was known, after any other failure that is told until it is too old.
        clock: tells how old an answer is.
        seconds: how long an answer is told. From half of it on, who wants it makes it asked again.
        most: answers that are kept; the one asked for longest ago is forgotten.
        waiting: names that are asked about at once; a further one that is not known is refused.
    """

    ask: Callable[[str], Awaitable[Value]]
    clock: Clock
    seconds: float
    most: int
    waiting: int
    _known: "OrderedDict[str, _Known[Value]]" = field(default_factory=OrderedDict)
    _under_way: "dict[str, asyncio.Task[_Known[Value]]]" = field(default_factory=dict)

    async def __call__(self, name: str) -> Value:
        """The answer for a name.

        Raises:
            Overloaded: too many strangers are asked about; nothing was asked.
            Exception: whatever `ask` raises, where there is no answer young enough.
        """
        known, now = self._known.get(name), self.clock.monotonic()
        if known is None and len(self._under_way) >= self.waiting and name not in self._under_way:
            raise Overloaded(retry_after_seconds=1)
        while known is None or now - known.asked_at >= self.seconds:
            # Who goes away must not take the answer away from the others.
            known = await asyncio.shield(self._asked(name))
        if now - known.asked_at >= self.seconds / 2:
            _ = self._asked(name)
        return known.value

    def knows(self, name: str) -> bool:
        """Whether there was an answer, however old."""
        return name in self._known

    def _asked(self, name: str) -> "asyncio.Task[_Known[Value]]":
        """The asking that is under way, begun if there is none."""
        asking = self._under_way.get(name)
        if asking is None:
            # Nobody's own: not inside a transaction of whoever came first, and none of that request's log.
            asking = asyncio.create_task(self._ask(name), context=Context())
            self._under_way[name] = asking
            asking.add_done_callback(lambda done: self._ended(name, done))
        return asking

    async def _ask(self, name: str) -> "_Known[Value]":
        asked_at = self.clock.monotonic()
        try:
            value = await self.ask(name)
        except Refusal:
            self._known.pop(name, None)  # what was known is so no more
            raise
        known = self._known[name] = _Known(value, asked_at)
        self._known.move_to_end(name)
        if len(self._known) > self.most:
            self._known.popitem(last=False)
        return known

    def _ended(self, name: str, asking: "asyncio.Task[_Known[Value]]") -> None:
        del self._under_way[name]
        if not asking.cancelled():
            asking.exception()  # looked at: nobody may be waiting; who wants the answer next asks again
