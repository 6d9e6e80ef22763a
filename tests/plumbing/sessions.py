"""Something to write, what PostgreSQL says about a test's sessions, and tasks cancelled at an exact place."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from app.plumbing import switches
from app.plumbing.database import Database, Transaction

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Execute = Callable[[Transaction, str], Awaitable[object]]

BUSY = text(
    "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database() "
    "AND state <> 'idle' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


async def write(tx: Transaction, name: str) -> None:
    await switches.set_switch(tx, 1, name, stopped=True, reason="a test", by="test", at=NOW)


async def written(database: Database) -> set[str]:
    async with database.reading() as reader:
        return {row.name for row in await reader.all(text("SELECT name FROM switch"))}


async def through_sqlalchemy(tx: Transaction, statement: str) -> object:
    return await tx.execute(text(statement))


async def through_asyncpg(tx: Transaction, statement: str) -> object:
    return await tx.raw.execute(statement)


both_ways = pytest.mark.parametrize("execute", [through_sqlalchemy, through_asyncpg])


async def nobody_is_busy(database: Database) -> None:
    """Wait until no session but our own is in a transaction; at most five seconds."""
    try:
        async with asyncio.timeout(5):
            while await busy(database):  # noqa: ASYNC110  what is waited for is in another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still busy: {await busy(database)}") from None


async def busy(database: Database) -> list[tuple[Any, ...]]:
    async with database.reading() as reader:
        return [tuple(row) for row in await reader.all(BUSY)]


def checked_out(database: Database) -> int:
    """Connections that somebody holds."""
    return int(database._engine.pool.checkedout())  # type: ignore[attr-defined]


@types.coroutine
def _counted(work: Coroutine[Any, Any, Any], stop_at: int) -> Generator[Any, Any, int]:
    inner = work.__await__()
    count = 0
    while True:
        try:
            waited_for = next(inner) if count == 0 else inner.send(None)
        except StopIteration:
            return count
        while True:
            count += 1
            if count == stop_at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001  whatever it is, the work shall see it
                try:
                    waited_for = inner.throw(error)
                except StopIteration:
                    return count
            else:
                break


async def cancelled_at(stop_at: int, work: Coroutine[Any, Any, Any]) -> bool:
    """Run `work` in a task that is cancelled when it waits for the `stop_at`-th time.

    Returns whether it was; otherwise the work came to its end before.
    """

    async def run() -> int:
        counting: Awaitable[int] = _counted(work, stop_at)
        return await counting

    try:
        return await asyncio.create_task(run()) >= stop_at
    except asyncio.CancelledError:
        return True
