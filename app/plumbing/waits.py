"""How long a request waited for others: what remains of its time is our own."""

from contextvars import ContextVar

__all__ = ["add", "counted"]

_seconds: ContextVar[list[float] | None] = ContextVar("seconds waited for others", default=None)


def counted() -> list[float]:
    """Count from here on in this task and those it starts; the list's one number is in seconds."""
    counter = [0.0]
    _seconds.set(counter)
    return counter


def add(seconds: float) -> None:
    """Note a call to somebody else; of no effect where nobody counts."""
    counter = _seconds.get()
    if counter is not None:
        counter[0] += seconds
