"""Who took over an abandoned key keeps it, whatever the one who had it before says in the end."""

import asyncio

import pytest
from sqlalchemy import text

from app.kernel.errors import Refusal
from app.plumbing import idempotency
from app.plumbing.database import Database


class NotNow(Refusal):
    """Not now."""


async def test_a_refusal_that_comes_too_late_does_not_free_anothers_key(
    database: Database, owner_database: Database
) -> None:
    asked = (database, 1, "test", "key", {"amount": 100})
    may_refuse, may_answer = asyncio.Event(), asyncio.Event()
    begun: list[str] = []

    async def slow() -> dict[str, int]:
        begun.append("slow")
        await may_refuse.wait()
        raise NotNow

    async def second() -> dict[str, int]:
        begun.append("second")
        await may_answer.wait()
        return {"number": 2}

    async def third() -> dict[str, int]:
        begun.append("third")
        return {"number": 3}

    first = asyncio.create_task(idempotency.once(*asked, slow))
    while not begun:  # noqa: ASYNC110  what is waited for is the deed
        await asyncio.sleep(0.01)
    async with owner_database.transaction() as tx:  # its machine slept for two minutes
        await tx.execute(text("UPDATE claim SET claimed_at = claimed_at - interval '2 minutes'"))
    taking_over = asyncio.create_task(idempotency.once(*asked, second))
    while len(begun) < 2:  # noqa: ASYNC110  what is waited for is the deed
        await asyncio.sleep(0.01)
    may_refuse.set()
    with pytest.raises(NotNow):
        await first
    with pytest.raises(idempotency.IdempotencyInProgress):
        await idempotency.once(*asked, third)
    may_answer.set()
    assert await taking_over == ({"number": 2}, False)
    assert await idempotency.once(*asked, third) == ({"number": 2}, True)
    assert begun == ["slow", "second"]
