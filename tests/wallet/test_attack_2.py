"""Attack: a book of ten thousand lines costs as much as thousands of calls and is counted as one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.wallet.counter import Counter, opened

LINES, BOOKS = 10_000, 6
ALLOWED = 20_000  # operations at once, of one site (app.wallet.access)


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def test_books_are_charged_as_what_they_hold(counter: Counter) -> None:
    """The clock of the bucket stands still: a batch of so many operations would be refused by now."""
    book = {"items": [{"id": f"t-{n}", "amount": 1, "currency": "KZT"} for n in range(LINES)]}
    content, headers = json.dumps(book), {"authorization": f"Bearer {counter.tokens['read']}"}
    longest, is_over = 0.0, False

    async def looking() -> None:
        nonlocal longest
        while not is_over:
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)

    watch = asyncio.create_task(looking())
    statuses = [
        (await counter.http.post("/v1/reconcile", content=content, headers=headers)).status_code
        for _ in range(BOOKS)
    ]
    is_over = True
    await watch
    assert 429 in statuses, (
        f"{LINES * BOOKS} lines passed where {ALLOWED} operations may; "
        f"each book held everybody in this process up for as long as {longest * 1000:.0f} ms"
    )
