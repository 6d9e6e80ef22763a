"""A book of ten thousand lines is held against ours, and charged as what it holds."""

import json
from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.wallet.counter import Counter, opened

LINES, BOOKS = 10_000, 7  # where a site may ask for 50,000 operations at once


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def test_books_are_charged_as_what_they_hold(counter: Counter) -> None:
    """The clock of the bucket stands still: a batch of so many operations would be refused by now."""
    book = {"items": [{"id": f"t-{n}", "amount": 1, "currency": "KZT"} for n in range(LINES)]}
    content, headers = json.dumps(book), {"authorization": f"Bearer {counter.tokens['read']}"}
    statuses = [
        (await counter.http.post("/v1/reconcile", content=content, headers=headers)).status_code
        for _ in range(BOOKS)
    ]
    assert statuses == [200] * 5 + [429] * 2


async def test_ten_thousand_lines_are_held_against_ours(counter: Counter) -> None:
    items = [{"id": f"none-{number}", "amount": 1, "currency": "KZT"} for number in range(10_000)]
    status, told = await counter.post("/v1/reconcile", {"items": items}, scope="read")
    assert (status, told["data"]["checked"]) == (200, 10_000)
    assert {one["difference"] for one in told["data"]["differences"]} == {"missing_here"}
