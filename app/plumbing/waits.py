"""How long a request waited for others: what remains of its time is our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["add", "counted"]

_seconds: ContextVar[list[float] | None] = ContextVar("seconds waited for others", default=None)


@contextmanager
def counted() -> Iterator[list[float]]:
    """Count within the block and the tasks it starts; the list's one number is in seconds."""
    counter = [0.0]
    token = _seconds.set(counter)
    try:
        yield counter
    finally:
        _seconds.reset(token)


def add(seconds: float) -> None:
    """Note a call to somebody else; of no effect where nobody counts."""
    counter = _seconds.get()
    if counter is not None:
        counter[0] += seconds
