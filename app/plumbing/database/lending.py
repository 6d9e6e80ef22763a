"""What is done with a connection of the pool when it is lent, at the end of a transaction, and given back.

SQLAlchemy takes and returns it in a greenlet, with a stack of its own from the system, in case that something
must be waited for; and what is not to be broken off is a task of ours. That was two thirds of what lending
costs, so both are done only where there is something to wait for.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.exc import DBAPIError, DisconnectionError, MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util.concurrency import in_greenlet

__all__ = [
    "FAILURES",
    "adapted",
    "commit",
    "give_back",
    "lend",
    "refuse_a_closed_one",
    "refuse_to_open_at_once",
    "roll_back",
    "to_the_end",
]

FAILURES = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
T = TypeVar("T")


def refuse_a_closed_one(driver: Any, _entry: object, _lent: object) -> None:  # noqa: ANN401  SQLAlchemy's adapter
    """Let the pool replace a connection that the server has closed; asking the server would cost two trips.

    One that died in silence is found by its first statement, within `ANSWER_SECONDS`.
    """
    if driver.driver_connection.is_closed():
        raise DisconnectionError


def refuse_to_open_at_once(*_: object) -> None:
    """Let nobody begin to open a connection where that cannot be waited for (`lend`)."""
    if not in_greenlet():
        raise MissingGreenlet


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


async def lend(engine: AsyncEngine) -> AsyncConnection:
    """A connection of the pool: at once where one is there and open, for then nothing is waited for.

    Raises:
        sqlalchemy.exc.TimeoutError: none was given back in time.
        OSError, asyncpg.PostgresError, sqlalchemy.exc.DBAPIError: a new one could not be opened.
    """
    its = engine.sync_engine
    if isinstance(its.pool, AsyncAdaptedQueuePool) and its.pool.checkedin():
        try:
            return AsyncConnection(engine, its.connect())
        except MissingGreenlet:
            """The server has closed it, and a new one is waited for."""
    return await engine.connect()


async def give_back(connection: AsyncConnection) -> None:
    """Return a connection to its pool: at once where nothing is left to roll back, so nothing to wait for."""
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
