"""Time is handed in: routes and jobs hold a clock, everything below them is told the instant.

This module is the one place that looks at the machine's clock (ruff TID251 holds everybody else back).
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "MovableClock", "SystemClock"]


class Clock(Protocol):
    """Something that tells the time."""

    def now(self) -> datetime:
        """Return this instant, in UTC and aware of it."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only ever grow, to measure how long things take; their zero means nothing."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return this instant, in UTC and aware of it."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only ever grow, whatever happens to the wall clock."""
        return time.monotonic()


class MovableClock:
    """A clock that stands still until it is moved, for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        """Stand at `start`.

        Raises:
            ValueError: `start` has no time zone.
        """
        if start.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        self._start = start.astimezone(UTC)
        self._passed = timedelta()

    def now(self) -> datetime:
        """Return the instant at which the clock stands."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return the seconds the clock has been moved by so far."""
        return self._passed.total_seconds()

    def advance(self, seconds: float | timedelta) -> datetime:
        """Move forward by `seconds` (or by a duration) and return the new instant.

        Raises:
            ValueError: backwards; what was measured on a monotonic clock would become nonsense.
        """
        step = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        if step < timedelta():
            raise ValueError("time does not go backwards")
        self._passed += step
        return self.now()
