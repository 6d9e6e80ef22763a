"""A key that passes from one request to another: given back at that moment, or taken over from a slow one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app.kernel.errors import Refusal
from app.plumbing import idempotency, metrics
from app.plumbing.database import Database, Transaction

CONTENT = {"amount": 100, "currency": "KZT"}
Told = dict[str, Any]


class NotNow(Refusal):
    """Not now."""


class Desk:
    """Asks under one key; each deed begins, and ends as it is told."""

    def __init__(self, database: Database, owner_database: Database) -> None:
        self.database = database
        self.owner_database = owner_database
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Future[Told]] = {}

    def ask(self, name: str, content: Told = CONTENT) -> asyncio.Task[Any]:
        async def deed() -> Told:
            self.begun.append(name)
            return await self.ends[name]

        self.ends[name] = asyncio.get_running_loop().create_future()
        return asyncio.create_task(self._asked(content, deed))

    async def _asked(self, content: Told, deed: Callable[[], Awaitable[Told]]) -> Any:  # noqa: ANN401  as it is
        return await idempotency.once(self.database, 1, "test", "key", content, deed)

    async def has_begun(self, name: str) -> None:
        while name not in self.begun:  # noqa: ASYNC110  what is waited for is the deed
            await asyncio.sleep(0.01)

    async def time_passes(self) -> None:
        async with self.owner_database.transaction() as tx:
            await tx.execute(text("UPDATE claim SET claimed_at = claimed_at - interval '2 minutes'"))

    async def two(self) -> tuple[asyncio.Task[Any], asyncio.Task[Any]]:
        """One that began two minutes ago, and one that has taken its key over."""
        first = self.ask("first")
        await self.has_begun("first")
        await self.time_passes()
        second = self.ask("second")
        await self.has_begun("second")
        return first, second

    async def answer(self) -> Told | None:
        async with self.database.reading() as reader:
            return await idempotency.earlier(reader, 1, "test", "key", CONTENT)


@pytest.fixture
def desk(database: Database, owner_database: Database) -> Desk:
    return Desk(database, owner_database)


def done_twice() -> float:
    return float(metrics.ALARMS.labels("idempotency_done_twice")._value.get())


async def test_a_key_that_is_freed_between_the_two_looks_is_claimed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is refused, and frees its key, behind the second one's first look."""
    async with database.transaction() as tx:
        await idempotency.claim(tx, 1, "test", "key", CONTENT)
    first = Transaction.write

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
            monkeypatch.setattr(Transaction, "write", and_then_freed)
            claimed = await idempotency.claim(tx, 1, "test", "key", CONTENT)
    assert not claimed.replayed


async def test_a_refusal_that_comes_too_late_does_not_free_anothers_key(desk: Desk) -> None:
    first, second = await desk.two()
    desk.ends["first"].set_exception(NotNow())
    with pytest.raises(NotNow):
        await first
    with pytest.raises(idempotency.IdempotencyInProgress):
        await desk.ask("third")
    desk.ends["second"].set_result({"number": 2})
    assert await second == ({"number": 2}, False)
    assert await desk.ask("third") == ({"number": 2}, True)
    assert desk.begun == ["first", "second"]


async def test_a_busy_database_too_late_does_not_let_go_of_anothers_key(desk: Desk) -> None:
    first, second = await desk.two()
    desk.ends["first"].set_exception(asyncpg.LockNotAvailableError("canceling statement due to lock timeout"))
    with pytest.raises(asyncpg.LockNotAvailableError):
        await first
    with pytest.raises(idempotency.IdempotencyInProgress):
        await desk.ask("third")
    desk.ends["second"].set_result({"number": 2})
    assert await second == ({"number": 2}, False)


async def test_what_was_done_late_is_the_answer_of_who_took_the_key_over_too(desk: Desk) -> None:
    """The second is refused, for what it asks is done by then: nobody hears that nothing was done."""
    first, second = await desk.two()
    desk.ends["first"].set_result({"number": 1})
    assert await first == ({"number": 1}, False)
    assert await desk.ask("third") == ({"number": 1}, True)
    desk.ends["second"].set_exception(NotNow())
    assert await second == ({"number": 1}, True)
    assert await desk.answer() == {"number": 1}


async def test_what_was_done_behind_a_refusal_is_not_done_again(desk: Desk) -> None:
    """Who took the key over was refused and freed it; then the first one has done it all the same."""
    first, second = await desk.two()
    desk.ends["second"].set_exception(NotNow())
    with pytest.raises(NotNow):
        await second
    assert await desk.answer() is None
    desk.ends["first"].set_result({"number": 1})
    assert await first == ({"number": 1}, False)
    assert await desk.ask("third") == ({"number": 1}, True)
    assert desk.begun == ["first", "second"]


async def test_two_that_did_the_same_give_one_answer_and_people_hear_of_another(desk: Desk) -> None:
    before = done_twice()
    first, second = await desk.two()
    desk.ends["second"].set_result({"number": 2})
    assert await second == ({"number": 2}, False)
    desk.ends["first"].set_result({"number": 1})
    assert await first == ({"number": 2}, True)
    assert await desk.answer() == {"number": 2}
    assert done_twice() == before + 1


async def test_what_was_done_late_leaves_another_request_its_key(desk: Desk) -> None:
    before = done_twice()
    first, second = await desk.two()
    desk.ends["second"].set_exception(NotNow())
    with pytest.raises(NotNow):
        await second
    other = desk.ask("other", {"amount": 7})
    await desk.has_begun("other")
    desk.ends["first"].set_result({"number": 1})
    assert await first == ({"number": 1}, False)
    desk.ends["other"].set_result({"number": 7})
    assert await other == ({"number": 7}, False)
    assert done_twice() == before + 1
