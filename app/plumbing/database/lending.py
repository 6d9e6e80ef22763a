"""What is done with a connection of the pool when it is lent, at the end of a transaction, and given back.

SQLAlchemy takes and returns one in a greenlet, with a stack of its own from the system, in case that
something must be waited for; and what is not to be broken off is a task of ours. Where a connection is there,
and where one is given back with nothing left to roll back, there is nothing to wait for, and neither is
needed.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util.concurrency import in_greenlet

__all__ = [
    "FAILURES",
    "Lender",
    "adapted",
    "commit",
    "refuse_a_closed_one",
    "refuse_to_open_at_once",
    "roll_back",
    "to_the_end",
]

FAILURES = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
T = TypeVar("T")


def refuse_a_closed_one(driver: Any, _entry: object, _lent: object) -> None:  # noqa: ANN401  SQLAlchemy's adapter
    """Let the pool replace a connection that the server has closed; asking the server would cost two trips.

    One that died in silence is found by its first statement, within `engine.ANSWER_SECONDS`.
    """
    if driver.driver_connection.is_closed():
        raise DisconnectionError


class _NotAtOnce(Exception):
    """A connection would have to be opened, where that cannot be waited for."""


def refuse_to_open_at_once(*_: object) -> None:
    """Let nobody begin to open a connection where that cannot be waited for (`Lender`)."""
    if not in_greenlet():
        raise _NotAtOnce


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
    """Whether a transaction is open, whoever has begun it."""
    return adapted(connection)._transaction is not None  # noqa: SLF001  its own rollback looks at it


class Lender:
    """Lends the connections of one pool, and takes them back."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._waiting = 0

    async def lend(self, engine: AsyncEngine) -> AsyncConnection:
        """A connection: at once where the pool has an open one.

        Raises:
            sqlalchemy.exc.TimeoutError: none was given back in time.
            OSError, asyncpg.PostgresError, sqlalchemy.exc.DBAPIError: a new one could not be opened.
        """
        its = engine.sync_engine
        if isinstance(its.pool, AsyncAdaptedQueuePool) and its.pool.checkedin():
            with contextlib.suppress(_NotAtOnce):  # the one that is there has been lost since
                return AsyncConnection(engine, its.connect())
        self._waiting += 1
        try:
            return await engine.connect()
        finally:
            self._waiting -= 1

    async def give_back(self, connection: AsyncConnection) -> None:
        """Return a connection: at once where nothing is left to roll back.

        Who gets it next is woken, and has it when he runs. So where anybody waits he is let run first: who
        returns one and soon wants the next would take it before him, again and again.
        """
        its, somebody_waits = connection.sync_connection, self._waiting > 0
        if its is None or its.closed or its.invalidated or _is_begun(connection):
            await to_the_end(connection.close())
            return
        its.close()
        if somebody_waits:
            await asyncio.sleep(0)


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
