"""A circuit breaker: stop calling a peer that fails, try again with one call, go back when that is answered.

Pure: the clock is handed in and nothing is called from here. The caller asks `admit()` before each call and
reports how it ended. What counts as a failure is the caller's decision.

    closed --(too many failures)--> open --(time)--> half-open --(the one probe answered)--> closed
                                     ^---(the one probe failed: longer)---'
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from app.kernel.clock import Clock

__all__ = ["Breaker", "BreakerRules", "BreakerState", "Permit"]

Permit = NewType("Permit", int)
"""Leave for one call, given back with how it ended; one from before the breaker opened no longer counts."""


class BreakerState(StrEnum):
    """What a breaker does with the next call."""

    CLOSED = "closed"  # admits it
    OPEN = "open"  # refuses it
    HALF_OPEN = "half_open"  # admits one, and refuses the others until that one has ended


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens and for how long; times in seconds."""

    failures_in_a_row: int = 5  # a dead peer is known after five calls
    failure_share: float = (
        0.5  # a half-dead peer (one of two machines behind a name) never fails five in a row
    )
    least_calls: int = 20  # below this a share says nothing
    window_seconds: float = 30.0  # the share is counted in windows of this length, each from zero
    open_seconds: float = 5.0  # a restart of a small server is over by then
    longest_open_seconds: float = (
        60.0  # doubled at each failed probe up to here: a healed peer waits no longer
    )


class Breaker:
    """The memory of how calls to one peer ended."""

    def __init__(self, clock: Clock, rules: BreakerRules | None = None) -> None:
        """Begin closed."""
        self._clock = clock
        self._rules = rules or BreakerRules()
        self._generation = 0
        self.close()

    def close(self) -> None:
        """Forget every failure and admit calls again; also the operator's way to shorten the wait."""
        self._generation += 1
        self._open_until: float | None = None
        self._open_seconds = self._rules.open_seconds
        self._probing = False
        self._start_counting()
        self.failures_in_a_row = 0

    @property
    def state(self) -> BreakerState:
        """What the next call would meet."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock.monotonic() < self._open_until else BreakerState.HALF_OPEN

    @property
    def refuses(self) -> bool:
        """Whether `admit` would say no; asking changes nothing."""
        state = self.state
        return state is BreakerState.OPEN or (state is BreakerState.HALF_OPEN and self._probing)

    @property
    def seconds_to_probe(self) -> float:
        """How long until one call is tried again; 0 unless open."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock.monotonic())

    def admit(self) -> Permit | None:
        """Leave for one call, or None. Each permit comes back by exactly one of the three reports below."""
        if self.refuses:
            return None
        self._probing = self._open_until is not None
        return Permit(self._generation)

    def succeeded(self, permit: Permit) -> None:
        """The peer answered."""
        if permit != self._generation:
            return
        if self._open_until is not None:
            self.close()
            return
        self.failures_in_a_row = 0
        self._count(failed=False)

    def failed(self, permit: Permit) -> None:
        """The peer could not be reached, did not answer in time, or says itself that it is broken."""
        if permit != self._generation:
            return
        if self._open_until is not None:
            self._open_seconds = min(2 * self._open_seconds, self._rules.longest_open_seconds)
            self._open()
            return
        self.failures_in_a_row += 1
        self._count(failed=True)
        rules = self._rules
        too_many = self._calls >= rules.least_calls and self._failures >= rules.failure_share * self._calls
        if too_many or self.failures_in_a_row >= rules.failures_in_a_row:
            self._open()

    def abandoned(self, permit: Permit) -> None:
        """The caller gave up or never reached the peer: nothing was learnt."""
        if permit == self._generation:
            self._probing = False

    def _open(self) -> None:
        self._generation += (
            1  # calls still under way were begun in another time; their ends must not speak for this one
        )
        self._open_until = self._clock.monotonic() + self._open_seconds
        self._probing = False

    def _count(self, *, failed: bool) -> None:
        if self._clock.monotonic() - self._counted_from >= self._rules.window_seconds:
            self._start_counting()
        self._calls += 1
        self._failures += failed

    def _start_counting(self) -> None:
        self._counted_from = self._clock.monotonic()
        self._calls = 0
        self._failures = 0
