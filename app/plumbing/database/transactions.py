"""What is asked and told inside one transaction: `Reader` reads, `Transaction` writes too."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy.engine import CursorResult, Row
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Executable

from app.plumbing.database.built import Built, Write, joined

__all__ = ["NOBODY", "Asked", "Reader", "Transaction", "driver_connection"]

T = TypeVar("T")


class Reader:
    """What one snapshot of the database can be asked."""

    def __init__(self, connection: AsyncConnection, *, commits_each: bool = False) -> None:
        """Wrap a connection; of a reader, its first statement begins the snapshot.

        Args:
            connection: it is open.
            commits_each: each statement is a transaction of its own.
        """
        self._connection = connection
        self._commits_each = commits_each
        self._known: dict[Hashable, Any] = {}

    async def once(self, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, asked the first time only; for settings, which hold for a whole transaction.

        Who changes `what` in a transaction says `forget`.
        """
        if what not in self._known:
            self._known[what] = await read()
        found: T = self._known[what]
        return found

    def know(self, what: Hashable, value: object) -> None:
        """Let `once` give this: it was read together with something else."""
        self._known[what] = value

    def forget(self, what: Hashable) -> None:
        """Let `once` ask again."""
        self._known.pop(what, None)

    async def all(
        self, statement: Executable | Built, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Every row of a query."""
        if isinstance(statement, Built):
            return await self._rows(statement, parameters)
        return (await self._connection.execute(statement, parameters)).all()

    async def first(
        self, statement: Executable | Built, parameters: Mapping[str, Any] | None = None
    ) -> Row[Any] | None:
        """The first row of a query, or nothing."""
        if isinstance(statement, Built):
            return next(iter(await self._rows(statement, parameters)), None)
        return (await self._connection.execute(statement, parameters)).first()

    async def one(
        self, statement: Executable | Built, parameters: Mapping[str, Any] | None = None
    ) -> Row[Any]:
        """The only row of a query.

        Anything else raises SQLAlchemy's `NoResultFound` or `MultipleResultsFound`.
        """
        if isinstance(statement, Built):
            return _only(await self._rows(statement, parameters))
        return (await self._connection.execute(statement, parameters)).one()

    async def scalar(self, statement: Executable | Built, parameters: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  a value of any column type
        """The first column of the first row, or None."""
        if isinstance(statement, Built):
            row = next(iter(await self._rows(statement, parameters)), None)
            return None if row is None else row[0]
        return (await self._connection.execute(statement, parameters)).scalar()

    def _check(self, statement: Built) -> None:
        """No other statement commits together with one that is not flushed."""
        assert statement.is_flushed or self._commits_each, "its transaction would not be flushed either"

    async def _rows(self, statement: Built, parameters: Mapping[str, Any] | None) -> Sequence[Row[Any]]:
        self._check(statement)
        return await statement.rows(driver_connection(self._connection), parameters or {})

    @property
    def raw(self) -> asyncpg.Connection:
        """The asyncpg connection beneath, for set-based statements with arrays and for PgQueuer.

        Whoever writes through it must be inside the transaction: the assertion is the fence against a job
        that commits by itself.
        """
        connection = driver_connection(self._connection)
        assert connection.is_in_transaction(), "the raw connection is not in a transaction"
        return connection


class Transaction(Reader):
    """What one open transaction can be asked and told; only `Database` begins and ends it."""

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run a statement that writes."""
        return await self._connection.execute(statement, parameters)

    async def write(self, *writes: Write) -> Row[Any] | None:
        """Carry out writes that need nothing of each other in one trip; none sees what another has done.

        Returns:
            the first row that the first of them returns, if any.
        """
        for statement, _ in writes:
            self._check(statement)
        return await joined(driver_connection(self._connection), writes)

    async def written(self, *writes: Write) -> Row[Any]:
        """The same where the first of them returns a row for certain."""
        row = await self.write(*writes)
        assert row is not None, "it returns the row that it has written"
        return row


class Asked(Exception):
    """Something was asked where nobody answers."""


class _Silence:
    """In place of a connection: whoever turns to it hears that nobody is there."""

    def __getattr__(self, name: str) -> object:
        raise Asked(name)


# For who decides without the database wherever that is possible, and hears from `Asked` where it is not.
NOBODY = Transaction(cast("AsyncConnection", _Silence()), commits_each=True)


def _only(rows: Sequence[Row[Any]]) -> Row[Any]:
    if not rows:
        raise NoResultFound("no row where there must be one")
    if len(rows) > 1:
        raise MultipleResultsFound("several rows where there must be one")
    return rows[0]


def driver_connection(connection: AsyncConnection) -> asyncpg.Connection:
    """The asyncpg connection beneath one of SQLAlchemy's that is open."""
    proxied = connection.sync_connection
    assert proxied is not None, "the connection is not open"
    found = proxied.connection.driver_connection
    assert isinstance(found, asyncpg.Connection)
    return found
