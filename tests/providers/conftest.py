"""Where providers knock."""

from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.providers.gate import Gate, opened


@pytest.fixture
async def gate(database: Database, clock: MovableClock) -> AsyncIterator[Gate]:
    """A site with provider accounts, and a client that stands for the provider."""
    async with opened(database, clock) as made:
        yield made
