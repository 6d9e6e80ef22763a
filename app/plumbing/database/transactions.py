"""What is asked and told inside one transaction: `Reader` reads, `Transaction` writes too."""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import CursorResult, Row
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Executable

from app.plumbing.database.together import Write, joined

__all__ = ["Reader", "Transaction", "driver_connection"]

T = TypeVar("T")


class Reader:
    """What one snapshot of the database can be asked."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Wrap a connection; of a reader, its first statement begins the snapshot."""
        self._connection = connection
        self._known: dict[Hashable, Any] = {}

    async def once(self, what: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, asked the first time only; for settings, which hold for a whole transaction.

        Who changes `what` in a transaction says `forget`.
        """
        if what not in self._known:
            self._known[what] = await read()
        found: T = self._known[what]
        return found

    def forget(self, what: Hashable) -> None:
        """Let `once` ask again."""
        self._known.pop(what, None)

    async def all(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Row[Any]]:
        """Every row of a query."""
        return (await self._connection.execute(statement, parameters)).all()

    async def first(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> Row[Any] | None:
        """The first row of a query, or nothing."""
        return (await self._connection.execute(statement, parameters)).first()

    async def one(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Row[Any]:
        """The only row of a query.

        Anything else raises SQLAlchemy's `NoResultFound` or `MultipleResultsFound`.
        """
        return (await self._connection.execute(statement, parameters)).one()

    async def scalar(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401  a value of any column type
        """The first column of the first row, or None."""
        return (await self._connection.execute(statement, parameters)).scalar()

    @property
    def raw(self) -> asyncpg.Connection:
        """The asyncpg connection beneath, for set-based statements with arrays and for the queue.

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

    async def together(self, first: Write, *others: Write) -> Any:  # noqa: ANN401  its columns are attributes
        """Carry out writes that need nothing of each other in one trip; none sees what another has done.

        Returns:
            the row that the first returns, with columns as the driver reads them; None where it returns none.
        """
        sql, arguments = joined((first, *others))
        row = await self.raw.fetchrow(sql, *arguments)
        return None if row is None else SimpleNamespace(**row)


def driver_connection(connection: AsyncConnection) -> asyncpg.Connection:
    """The asyncpg connection beneath one of SQLAlchemy's that is open."""
    proxied = connection.sync_connection
    assert proxied is not None, "the connection is not open"
    found = proxied.connection.driver_connection
    assert isinstance(found, asyncpg.Connection)
    return found
