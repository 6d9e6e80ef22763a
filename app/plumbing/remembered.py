"""What is asked of the database thousands of times a second and changes once a week: remembered for seconds.

However many want to know at once, one asks and all of them hear it. And what is still wanted is asked again
before it is too old, so that under load nobody waits. Otherwise everybody under way would ask at the same
instant, every few seconds, and the last would wait behind them all.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from app.kernel.clock import Clock
from app.kernel.errors import Refusal

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
    """

    ask: Callable[[str], Awaitable[Value]]
    clock: Clock
    seconds: float
    most: int
    _known: "OrderedDict[str, _Known[Value]]" = field(default_factory=OrderedDict)
    _under_way: "dict[str, asyncio.Task[Value]]" = field(default_factory=dict)

    async def __call__(self, name: str) -> Value:
        """The answer for a name.

        Raises:
            Exception: whatever `ask` raises, where there is no answer young enough.
        """
        known, now = self._known.get(name), self.clock.monotonic()
        if known is None or now - known.asked_at >= self.seconds:
            # Who goes away must not take the answer away from the others.
            return await asyncio.shield(self._asked(name, now))
        if now - known.asked_at >= self.seconds / 2:
            _ = self._asked(name, now)
        return known.value

    def _asked(self, name: str, now: float) -> "asyncio.Task[Value]":
        """The asking that is under way, begun if there is none."""
        asking = self._under_way.get(name)
        if asking is None:
            asking = self._under_way[name] = asyncio.create_task(self._ask(name, now))
            asking.add_done_callback(_heard)
        return asking

    async def _ask(self, name: str, now: float) -> Value:
        try:
            value = await self.ask(name)
        except Refusal:
            self._known.pop(name, None)  # what was known is so no more
            raise
        finally:
            del self._under_way[name]
        self._known[name] = _Known(value, now)
        self._known.move_to_end(name)
        if len(self._known) > self.most:
            self._known.popitem(last=False)
        return value


def _heard(asking: "asyncio.Task[Value]") -> None:
    """Look at a failure that nobody waits for; who wants the answer next asks again."""
    with contextlib.suppress(asyncio.CancelledError):
        asking.exception()
