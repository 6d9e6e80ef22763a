"""One visible transaction at a time, never held across the network.

A deed opens its own transaction in plain sight (`async with database.transaction() as tx:`) and the commit is
the last line of that block. Four traps are closed here, each measured before this was written: a commit in a
web framework's teardown answers before it commits; a cancelled commit may still have happened, so it is
always waited for; SQLAlchemy's asyncpg driver begins lazily, so we begin ourselves and `raw` asserts
that one is open; PostgreSQL answers the COMMIT of a failed transaction with a silent ROLLBACK, so
its answer is read.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, TypeVar
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import CheckConstraint, MetaData, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from typing_extensions import override

from app.plumbing.database.built import Write
from app.plumbing.database.lending import (
    FAILURES,
    Lender,
    adapted,
    commit,
    refuse_a_closed_one,
    refuse_to_open_at_once,
    roll_back,
    to_the_end,
)
from app.plumbing.database.plans import Plans
from app.plumbing.database.transactions import Reader, Transaction, driver_connection
from app.plumbing.fence import NetworkInsideTransaction, forbid_network
from app.plumbing.fence import transaction_is_open as _open

__all__ = [
    "BUSY_SQLSTATES",
    "DOWN_CLASSES",
    "DOWN_SQLSTATES",
    "FAILURES",
    "RETRIED_SQLSTATES",
    "RETRY_LIMIT",
    "CheckedConnection",
    "CommitUnknown",
    "Database",
    "DatabaseDown",
    "NetworkInsideTransaction",
    "NotCommitted",
    "SessionSettings",
    "TransactionAlreadyOpen",
    "asyncpg_dsn",
    "checked",
    "forbid_network",
    "is_busy",
    "metadata",
    "pause_seconds",
    "sqlstate",
    "to_the_end",
]

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

RETRIED_SQLSTATES = frozenset({"40001", "40P01"})  # serialization failure, deadlock
RETRY_LIMIT = 5
# lock_not_available, query_canceled (statement_timeout), and what was run again as often as may be: rolled
# back, and likely to pass later.
BUSY_SQLSTATES = frozenset({"55P03", "57014"}) | RETRIED_SQLSTATES
# Fail before the caller's own deadline: who waits longer for a connection only makes the queue longer.
POOL_WAIT_SECONDS = 3
# The server ends statements after `statement_timeout`; this is for a server that no longer answers at all.
ANSWER_SECONDS = 10
# Connection exceptions, insufficient resources (disk, memory, connections), operator intervention.
DOWN_CLASSES = frozenset({"08", "53"})
DOWN_SQLSTATES = frozenset({"57P01", "57P02", "57P03"})
T = TypeVar("T")


class TransactionAlreadyOpen(RuntimeError):
    """A second transaction was opened inside the first.

    It would take a second connection and can deadlock the pool.
    """


class CommitUnknown(RuntimeError):
    """The connection was lost at COMMIT.

    It may have happened. Look the row up; never run the deed again blindly.
    """


class NotCommitted(RuntimeError):
    """A statement failed in the block and the block went on: PostgreSQL rolled everything back.

    To go on after a failed statement, put it into a savepoint or, better, write one that does not fail.
    """


class DatabaseDown(RuntimeError):
    """The database could not be reached, or was lost before COMMIT: this transaction did nothing."""


def sqlstate(error: BaseException) -> str:
    """The five-character SQLSTATE of an error of SQLAlchemy or asyncpg, or an empty string."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(original, "sqlstate", None) or "")


def is_busy(error: BaseException) -> bool:
    """Whether a transaction was rolled back for the database's load alone: soon the same may be done."""
    return isinstance(error, DatabaseDown) or sqlstate(error) in BUSY_SQLSTATES


def checked(column: str, values: type[StrEnum]) -> CheckConstraint:
    """A CHECK that a text column holds one of an enum's values; a test holds the two together.

    In the database the list stands in a function with the CHECK's name, `ck_payment_status`, and a new value
    is a migration that replaces that function; but for the tables that batches write. See
    migrations/sql/words.sql.
    """
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column, info={"enum": values, "column": column})


def pause_seconds(run: int) -> float:
    """How long to wait before a transaction runs again after its `run`-th time: full jitter, growing."""
    return random.uniform(0, 0.02 * 2**run)  # noqa: S311, TID251  jitter, not a secret


def asyncpg_dsn(url: str) -> str:
    """The same address in the form that asyncpg itself reads."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class CheckedConnection(asyncpg.Connection):  # type: ignore[misc]  # published without types
    """A connection that reads the answer to COMMIT."""

    @override
    async def execute(self, query: str, *arguments: object, timeout: float | None = None) -> str:
        answer = str(await super().execute(query, *arguments, timeout=timeout))
        if query == "COMMIT;" and answer != "COMMIT":
            raise NotCommitted("a statement failed and the block went on")
        return answer


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Settings of every connection of one engine: PostgreSQL's, times in milliseconds; the driver's own."""

    role: str = "cashier_app"
    application_name: str = "cashier"
    statement_timeout: int = 5_000
    lock_timeout: int = 2_000
    idle_in_transaction_session_timeout: int = 10_000
    answers_within: float = 0  # seconds that the server may take for a statement; 0: `ANSWER_SECONDS`
    extra: Mapping[str, str] = field(default_factory=dict)

    def as_server_settings(self) -> dict[str, str]:
        """The settings as PostgreSQL start-up parameters."""
        named = {
            "role": self.role,
            "application_name": self.application_name,
            "statement_timeout": str(self.statement_timeout),
            "lock_timeout": str(self.lock_timeout),
            "idle_in_transaction_session_timeout": str(self.idle_in_transaction_session_timeout),
            "client_connection_check_interval": "1000",
            "timezone": "UTC",
            "jit": "off",
        }
        return {name: value for name, value in (named | {**self.extra}).items() if value}


class Database:
    """One engine on one PostgreSQL database, as one role."""

    def __init__(self, url: str, settings: SessionSettings | None = None, *, pool_size: int = 10) -> None:
        """Prepare the engine; nothing connects before the first transaction.

        Args:
            url: `postgresql://...`, also with `?host=/socket/folder`.
            settings: session settings, by default those of the application's role.
            pool_size: connections kept and allowed; a further caller waits `POOL_WAIT_SECONDS`, then fails.
        """
        self.url: URL = make_url(url).set(drivername="postgresql+asyncpg")
        self.settings = settings or SessionSettings()
        self._engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,  # they hold what players and merchants told us; errors are logged
            connect_args={
                "connection_class": CheckedConnection,
                "server_settings": self.settings.as_server_settings(),
                "timeout": 5,
                "command_timeout": self.settings.answers_within or ANSWER_SECONDS,
            },
        )
        event.listen(self._engine.sync_engine, "checkout", refuse_a_closed_one)
        event.listen(self._engine.sync_engine, "do_connect", refuse_to_open_at_once)
        self._lender = Lender()
        # The same connections, lent at another isolation level.
        self._snapshots = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._plans: WeakKeyDictionary[asyncpg.Connection, Plans] = WeakKeyDictionary()

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin, hand out, and commit at the end of the block; any exception rolls back.

        Raises:
            DatabaseDown: no connection could be had, or it was lost before COMMIT.
            TransactionAlreadyOpen: inside another transaction of the same task.
            CommitUnknown: the connection was lost at COMMIT.
            NotCommitted: the block swallowed the failure of a statement.
        """
        async with self._connected(self._engine) as connection:
            await self._begin(connection)
            yield Transaction(connection)
            try:
                await to_the_end(commit(connection))
            except FAILURES as error:
                if sqlstate(error) and not _is_lost(connection, error):
                    raise  # the server lives and refused, so it certainly did not commit
                raise CommitUnknown("the connection was lost at COMMIT") from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        """One read-only snapshot: what others commit meanwhile is not seen.

        Raises:
            DatabaseDown: no connection could be had, or it was lost.
            TransactionAlreadyOpen: inside another transaction of the same task.
        """
        async with self._connected(self._snapshots) as connection:
            await self._begin(connection)
            yield Reader(connection)
            await to_the_end(roll_back(connection))  # what was read stays so, should it be lost by now

    @asynccontextmanager
    async def singly(self) -> AsyncIterator[Transaction]:
        """Statements that commit one by one, without the two trips of a transaction around them.

        For reads that need no common snapshot, and for writes that may be done again; of those, some are not
        even flushed (`Built`).

        Raises:
            DatabaseDown: no connection could be had, or it was lost; the last statement may have happened.
            TransactionAlreadyOpen: inside another transaction of the same task.
        """
        async with self._connected(self._alone) as connection:
            yield Transaction(connection, commits_each=True)

    async def write(self, *writes: Write) -> None:
        """Carry out writes that need nothing of each other as a transaction of their own: one trip.

        Raises:
            DatabaseDown: no connection could be had.
            CommitUnknown: the connection was lost; it may have happened.
            TransactionAlreadyOpen: inside another transaction of the same task.
        """
        async with self._connected(self._alone) as connection:
            try:
                await Transaction(connection, commits_each=True).write(*writes)
            except FAILURES as error:
                if sqlstate(error) and not _is_lost(connection, error):
                    raise
                raise CommitUnknown("the connection was lost with a statement") from error

    async def retried(
        self, work: Callable[[Transaction], Awaitable[T]], *, is_one_statement: bool = False
    ) -> T:
        """Run `work` in a transaction, and again from the start on a deadlock or serialization failure.

        At most `RETRY_LIMIT` runs, with full jitter between them. `work` must use the same ids in every run
        and have no effect but its rows. Where no more than one statement of it writes, and that may be done
        again, it needs no transaction around it (`singly`).
        """
        run = 0
        while True:
            try:
                async with self.singly() if is_one_statement else self.transaction() as tx:
                    return await work(tx)
            except (DBAPIError, asyncpg.PostgresError) as error:
                run += 1
                if sqlstate(error) not in RETRIED_SQLSTATES or run == RETRY_LIMIT:
                    raise
                await asyncio.sleep(pause_seconds(run))

    async def _begin(self, connection: AsyncConnection) -> None:
        """Make the transaction real before anyone takes the raw connection; SQLAlchemy has no word for it.

        SQLAlchemy's own part of it begins with the first statement that SQLAlchemy sends, if any: most
        transactions have none.
        """
        try:
            await adapted(connection)._start_transaction()  # noqa: SLF001  a statement of our own would be a trip
        except BaseException as error:
            # Nobody knows whether it has begun, and who came next would be inside it: it is not lent again.
            await to_the_end(connection.invalidate())
            if isinstance(error, (self._engine.dialect.loaded_dbapi.Error, *FAILURES, TimeoutError)):
                raise DatabaseDown("the database was lost") from error
            raise

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        if _open.get():
            raise TransactionAlreadyOpen
        try:
            connection = await self._lender.lend(engine)
        except (*FAILURES, PoolTimeout) as error:
            raise DatabaseDown("the database could not be reached") from error
        opened = _open.set(True)
        try:
            driver = driver_connection(connection)
            await self._plans.setdefault(driver, Plans()).used(driver)
            yield connection
        except BaseException as error:
            is_lost = isinstance(error, TimeoutError) or _is_lost(connection, error)
            # A server that did not answer may still do what it was asked: nobody else gets this connection.
            is_doubtful = is_lost or isinstance(error, CommitUnknown)
            await to_the_end(connection.invalidate() if is_doubtful else roll_back(connection))
            if is_lost:
                raise DatabaseDown("the database was lost") from error
            raise
        finally:
            _open.reset(opened)
            await self._lender.give_back(connection)


def _is_lost(connection: AsyncConnection, error: BaseException) -> bool:
    """Tell whether the connection or the server is gone, rather than a statement refused."""
    if sqlstate(error)[:2] in DOWN_CLASSES or sqlstate(error) in DOWN_SQLSTATES:
        return True
    return isinstance(error, FAILURES) and (
        connection.invalidated or driver_connection(connection).is_closed()
    )
