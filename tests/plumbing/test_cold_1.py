"""A key that is given back at the very moment somebody else asks for it."""

from typing import Any

import pytest
from sqlalchemy import text

from app.plumbing import idempotency
from app.plumbing.database import Database, Transaction

CONTENT = {"amount": 100, "currency": "KZT"}


async def test_a_key_that_is_freed_between_the_two_looks_is_claimed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is refused, and frees its key, behind the second one's first look."""
    async with database.transaction() as tx:
        await idempotency.claim(tx, 1, "test", "key", CONTENT)
    first = Transaction.first

    async def and_then_freed(self: Transaction, *asked: Any) -> Any:  # noqa: ANN401  as it is
        found = await first(self, *asked)
        monkeypatch.undo()
        await other.execute(text("DELETE FROM claim"))
        await other._connection.commit()
        return found

    # Two connections, as two requests have; a task of its own for the second would only blur the order.
    engine = database._engine
    async with engine.connect() as connection:
        other = Transaction(connection)
        async with database.transaction() as tx:
            monkeypatch.setattr(Transaction, "first", and_then_freed)
            claimed = await idempotency.claim(tx, 1, "test", "key", CONTENT)
    assert not claimed.replayed
