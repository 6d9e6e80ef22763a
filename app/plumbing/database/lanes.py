"""Few connections for batches: two or three set-based statements and what begins and commits; nothing else.

A pooled SQLAlchemy connection asks whether it lives, sets its lock time-out and resets itself around every
transaction: five round trips that a batch of thirty operations would pay for in full. A lane sets itself up
once and is thrown away when anything about it is in doubt.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import asyncpg

from app.plumbing.database.engine import (
    DOWN_CLASSES,
    DOWN_SQLSTATES,
    FAILURES,
    CheckedConnection,
    CommitUnknown,
    Database,
    DatabaseDown,
    SessionSettings,
    TransactionAlreadyOpen,
    asyncpg_dsn,
    sqlstate,
    to_the_end,
)
from app.plumbing.database.plans import Plans
from app.plumbing.fence import transaction_is_open

__all__ = ["Lanes", "RolledBack", "committed"]

T = TypeVar("T")

# The plans of a batch: lookups by index, made once for many batches, since planning one costs more than a
# batch of thirty itself. Also these are made anew as the tables grow (`Plans`).
_PLANS: Final[Mapping[str, str]] = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_memoize": "off",
}
_LOCK_MILLISECONDS: Final = 500
_FULL: Final = "53"  # no room on the disk or in memory


class RolledBack(Exception):
    """Ends a transaction without a commit and without a fault; all of its statements have ended by then."""


@dataclass
class Lanes:
    """A few connections of one process, for batches only.

    Args:
        database: whose address and session settings they take.
        size: how many batches may be under way at once.
    """

    database: Database
    size: int = 3
    _idle: list[asyncpg.Connection] = field(default_factory=list)
    _planned: dict[asyncpg.Connection, Plans] = field(default_factory=dict)
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Count what is free."""
        self._free = asyncio.Semaphore(self.size)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what is idle; nothing may be under way any more."""
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def transaction(self, *, rows: int = 1) -> AsyncIterator[asyncpg.Connection]:
        """Begin, hand out the connection, and commit at the end of the block; an exception rolls back.

        Args:
            rows: how many rows a table may grow by; plans are made anew after some thousands.

        Raises:
            DatabaseDown: no connection could be had, or it was lost before COMMIT.
            TransactionAlreadyOpen: inside another transaction of the same task.
            CommitUnknown: the connection was lost at COMMIT.
        """
        async with self.connection(rows=rows) as connection:
            await connection.execute("BEGIN;")
            yield connection
            await committed(connection, connection.execute("COMMIT;"))

    @asynccontextmanager
    async def connection(self, *, rows: int = 1) -> AsyncIterator[asyncpg.Connection]:
        """Hand out a connection without a transaction: each statement is one, so what writes is `committed`.

        Args:
            rows: as for `transaction`.

        Raises:
            DatabaseDown: no connection could be had, or it was lost while nothing was being written.
            TransactionAlreadyOpen: inside another transaction of the same task.
        """
        if transaction_is_open.get():
            raise TransactionAlreadyOpen
        async with self._free:
            opened = transaction_is_open.set(True)
            try:
                async with self._lent(rows) as connection:
                    yield connection
            finally:
                transaction_is_open.reset(opened)

    @asynccontextmanager
    async def _lent(self, rows: int) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._connected()
        try:
            await self._planned.setdefault(connection, Plans()).used(connection, rows)
            yield connection
        except BaseException as error:
            await to_the_end(self._given_up(connection, error))
            if _is_lost(connection, error):
                raise DatabaseDown("the database was lost") from error
            raise
        self._idle.append(connection)

    async def _given_up(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Roll back and keep the connection if a statement failed or it is meant so; else throw it away."""
        if isinstance(error, (asyncpg.PostgresError, RolledBack)) and not _is_lost(connection, error):
            try:
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK;")
            except FAILURES:
                self._dropped(connection)
            else:
                self._idle.append(connection)
        else:
            self._dropped(connection)

    def _dropped(self, connection: asyncpg.Connection) -> None:
        self._planned.pop(connection, None)
        connection.terminate()

    async def _connected(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._planned.pop(connection, None)
        settings = self.database.settings
        try:
            return await asyncpg.connect(
                asyncpg_dsn(self.database.url.render_as_string(hide_password=False)),
                connection_class=CheckedConnection,
                server_settings=_of_lane(settings),
                timeout=5,
                command_timeout=settings.statement_timeout / 1000 * 2,
            )
        except FAILURES as error:
            raise DatabaseDown("the database could not be reached") from error


def _of_lane(settings: SessionSettings) -> dict[str, str]:
    # A batch waits for its slowest lock, and so does everybody in it: soon given up, then tried in halves.
    lock_timeout = min(settings.lock_timeout, _LOCK_MILLISECONDS)
    return {**settings.as_server_settings(), **_PLANS, "lock_timeout": str(lock_timeout)}


async def committed(connection: asyncpg.Connection, statement: Coroutine[Any, Any, T]) -> T:
    """Await the statement that commits, to its end; what it raises otherwise was certainly not committed.

    Raises:
        CommitUnknown: the connection was lost meanwhile.
    """
    try:
        return await to_the_end(statement)
    except FAILURES as error:
        if sqlstate(error) and not _is_lost(connection, error):
            raise  # the server lives and refused
        if sqlstate(error).startswith(_FULL) and not connection.is_closed():
            raise  # so it did here; the connection is given up all the same
        raise CommitUnknown("the connection was lost at COMMIT") from error


def _is_lost(connection: asyncpg.Connection, error: BaseException) -> bool:
    """Tell whether the connection or the server is gone, rather than a statement refused."""
    if sqlstate(error)[:2] in DOWN_CLASSES or sqlstate(error) in DOWN_SQLSTATES:
        return True
    return isinstance(error, FAILURES) and bool(connection.is_closed())
