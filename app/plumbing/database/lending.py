"""What is done with a connection of the pool when it is lent, at the end of a transaction, and given back."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["FAILURES", "adapted", "commit", "give_back", "refuse_a_closed_one", "roll_back", "to_the_end"]

FAILURES = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
T = TypeVar("T")


def refuse_a_closed_one(driver: Any, _entry: object, _lent: object) -> None:  # noqa: ANN401  SQLAlchemy's adapter
    """Let the pool replace a connection that the server has closed; asking the server would cost two trips.

    One that died in silence is found by its first statement, within `ANSWER_SECONDS`.
    """
    if driver.driver_connection.is_closed():
        raise DisconnectionError


def adapted(connection: AsyncConnection) -> Any:  # noqa: ANN401  SQLAlchemy's adapter
    """SQLAlchemy's own of the driver's connection, which knows the transaction that was begun beneath it."""
    assert connection.sync_connection is not None, "the connection is not open"
    return connection.sync_connection.connection.dbapi_connection


async def commit(connection: AsyncConnection) -> None:
    """Commit what was begun, by SQLAlchemy or beneath it."""
    if connection.in_transaction():
        await connection.commit()
        return
    its = adapted(connection)
    await its._call_and_discard(its._transaction.commit)  # noqa: SLF001  as its own commit does


async def roll_back(connection: AsyncConnection) -> None:
    """Roll back what SQLAlchemy has begun; what was begun beneath it is rolled back when it is given back."""
    try:
        await connection.rollback()
    except FAILURES:
        # A broken connection has no transaction, and must not return to the pool.
        await connection.invalidate()


def _is_begun(connection: AsyncConnection) -> bool:
    """Whether a transaction is open that was begun beneath SQLAlchemy's connection."""
    return adapted(connection)._transaction is not None  # noqa: SLF001  its own rollback looks at it


async def give_back(connection: AsyncConnection) -> None:
    """Return a connection to its pool: at once where nothing is left to roll back, so nothing to wait for.

    SQLAlchemy's own way there is a greenlet, and ours to its end a task: nearly half of what lending costs.
    """
    its = connection.sync_connection
    if its is None or its.closed or its.invalidated or _is_begun(connection):
        await to_the_end(connection.close())
    else:
        its.close()


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work` however often the caller is cancelled: a half-sent COMMIT must not be left behind."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report it; the caller is gone
    raise cancelled
