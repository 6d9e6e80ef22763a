"""Opens the pipes, once and in one way, for every process and for the tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.kernel.clock import Clock, SystemClock
from app.plumbing.database import Database, SessionSettings
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.settings import Settings

__all__ = ["opened", "pipes"]


def pipes(settings: Settings, *, clock: Clock | None = None, name: str = "cashier") -> Pipes:
    """The pipes of one process; nothing connects before the first use.

    Args:
        settings: this deployment's decisions.
        clock: another clock than the machine's, for tests and simulations.
        name: how the database names this process's sessions.
    """
    clock = clock or SystemClock()
    return Pipes(
        database=Database(
            settings.database_url, SessionSettings(application_name=name), pool_size=settings.pool_size
        ),
        http=HttpClient(clock=clock, allowed_private_peers=settings.allowed_private_peers),
        clock=clock,
        public_url=settings.public_url,
    )


@asynccontextmanager
async def opened(settings: Settings, *, name: str = "cashier") -> AsyncIterator[Pipes]:
    """The pipes for the time of a block; closed at its end."""
    made = pipes(settings, name=name)
    try:
        yield made
    finally:
        await made.http.aclose()
        await made.database.close()
