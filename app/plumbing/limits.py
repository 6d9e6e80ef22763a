"""How often somebody may come: for each a bucket of tokens, refilled at a steady rate, in this process."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from app.kernel.clock import Clock
from app.kernel.errors import Refusal

__all__ = ["Buckets", "TooManyRequests"]

_MOST_BUCKETS: Final = 100_000  # the longest unused are forgotten: a full bucket says the same


class TooManyRequests(Refusal):
    """Too many requests; try again in {retry_after_seconds} s."""


@dataclass(slots=True)
class Buckets:
    """Lets `burst` requests through at once and `per_second` in the long run, for each name apart.

    With several web processes each counts for itself.
    """

    clock: Clock
    per_second: float
    burst: int
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, name: str) -> None:
        """Count one request of `name`.

        Raises:
            TooManyRequests: its bucket is empty; the request should not be served.
        """
        now = self.clock.monotonic()
        tokens, at = self._left.pop(name, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - at) * self.per_second)
        taken = tokens >= 1
        self._left[name] = (tokens - 1 if taken else tokens, now)
        if len(self._left) > _MOST_BUCKETS:
            self._left.popitem(last=False)
        if not taken:
            raise TooManyRequests(retry_after_seconds=max(1, round((1 - tokens) / self.per_second)))

    def charge(self, name: str, more: int) -> None:
        """Count what a request of `name` that was let through holds beyond one; later ones wait for it."""
        tokens, at = self._left.get(name, (float(self.burst), self.clock.monotonic()))
        self._left[name] = (tokens - more, at)
