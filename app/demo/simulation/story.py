"""What happened, in order, and who must hear of it: the timeline of a simulation and its first violation."""

import hashlib
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.kernel.clock import MovableClock

__all__ = ["Deed", "Killed", "Timeline", "Violated"]

Deed = Callable[[], Awaitable[None]]


class Killed(BaseException):
    """The process died here: nothing may catch it but the simulation, which goes on as the next process."""


class Violated(BaseException):
    """Something that must always hold does not, and no room may swallow it.

    `number` is the public number of the payment.
    """

    def __init__(self, what: str, number: str = "") -> None:
        """Say what does not hold, and of which payment."""
        super().__init__(what)
        self.what, self.number = what, number


@dataclass(slots=True)
class Timeline:
    """Events by simulated time, and the lines of the story that they leave."""

    clock: MovableClock
    events: list[tuple[datetime, int, Deed]] = field(default_factory=list)
    lines: list[tuple[datetime, str, str]] = field(default_factory=list)
    made: int = 0

    def after(self, seconds: float, deed: Deed) -> None:
        """Let something happen so much later."""
        self.made += 1
        heapq.heappush(self.events, (self.clock.now() + timedelta(seconds=seconds), self.made, deed))

    def next_at(self) -> datetime | None:
        """When the next event is due."""
        return self.events[0][0] if self.events else None

    def take(self) -> Deed:
        """Remove the next event, and let its time come; one that is overdue happens now."""
        at, _, deed = heapq.heappop(self.events)
        self.reach(at)
        return deed

    def reach(self, at: datetime) -> None:
        """Let time pass until then; what took longer took longer."""
        self.clock.advance(max(at - self.clock.now(), timedelta()))

    def tell(self, number: str, what: str) -> None:
        """Add a line about a payment, by its public number; none: about everybody."""
        self.lines.append((self.clock.now(), number, what))

    def of(self, number: str) -> list[str]:
        """The story of one payment."""
        return [f"{at:%m-%d %H:%M:%S.%f}  {what}" for at, about, what in self.lines if about == number]

    def digest(self) -> str:
        """One number for the whole story."""
        whole = "\n".join(f"{at.isoformat()} {number} {what}" for at, number, what in self.lines)
        return hashlib.sha256(whole.encode()).hexdigest()
