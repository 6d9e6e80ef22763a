"""Statements that are built once: SQLAlchemy writes their text, and from then on the driver sends it alone.

What SQLAlchemy does for a statement each time (a copy, a cache's key, a context, a result) is more than
PostgreSQL does for most of ours.

Writes that need nothing of each other go out as one statement. They become data-modifying CTEs of the first:
PostgreSQL carries all of them out on one snapshot, so none sees what another has done; constraints hold when
the whole is done, and all of it is done or none.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import asyncpg
from sqlalchemy import ColumnElement, Select, literal_column
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine import Row
from sqlalchemy.sql.dml import UpdateBase

__all__ = ["Built", "Write", "joined"]

_DIALECT: Final = asyncpg_dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own way
_PLACE: Final = re.compile(r"\$(\d+)")
# Until the end of the transaction that runs it, which is the statement alone.
_NOT_FLUSHED: Final[ColumnElement[str]] = literal_column(
    "set_config('synchronous_commit', 'off', true)"
).label("not_flushed")


class _Found(asyncpg.Record):  # type: ignore[misc]  # published without types
    """A row with its columns as attributes."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  a value of any column type
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True, slots=True)
class _Place:
    """One parameter: what turns its value into the driver's, if anything.

    Without `is_given` its value is the `constant` that stands in the statement itself.
    """

    name: str
    convert: Callable[[Any], Any] | None
    is_given: bool
    constant: object


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as the driver takes it."""

    sql: str
    places: tuple[_Place, ...]

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The values of the places, in their order."""
        given = [parameters[one.name] if one.is_given else one.constant for one in self.places]
        return [
            value if one.convert is None else one.convert(value)
            for one, value in zip(self.places, given, strict=True)
        ]


class Built:
    """A statement of SQLAlchemy's that is built once, at the top of a module, and run often.

    Its parameters are named (`bindparam`), or of an INSERT or UPDATE the names of columns; no list of values
    is among them.
    """

    __slots__ = ("_statement", "_texts", "is_flushed")

    def __init__(self, statement: Select[*tuple[Any, ...]] | UpdateBase, *, is_flushed: bool = True) -> None:
        """Keep it; its text is written when it first runs, for each set of names that it is given.

        Args:
            statement: if not flushed and a SELECT, it finds a row where it writes: its setting is a column.
            is_flushed: what it has written is on the disk when it is answered. If not, a crash of PostgreSQL
                within the second may undo it and what was `joined` with it, unless something that came later
                was flushed: for what is done again then (decision 0031). It runs where each statement is a
                transaction (`Database.singly`, `Database.write`).
        """
        self.is_flushed = is_flushed
        if not is_flushed and isinstance(statement, Select):
            statement = statement.add_columns(_NOT_FLUSHED)
        elif not is_flushed and isinstance(statement, UpdateBase):
            statement = statement.returning(_NOT_FLUSHED)
        self._statement = statement
        self._texts: dict[tuple[str, ...], _Text] = {}

    def text(self, names: tuple[str, ...]) -> _Text:
        """As the driver takes it with values for these names."""
        found = self._texts.get(names)
        if found is None:
            found = self._texts[names] = self._written(names)
        return found

    async def rows(self, raw: Any, parameters: Mapping[str, Any]) -> list[Row[Any]]:  # noqa: ANN401  asyncpg has no types
        """Run it.

        Args:
            raw: an asyncpg connection.
            parameters: by name.

        Raises:
            KeyError: a parameter has no value.
        """
        text = self.text(tuple(parameters))
        found = await raw.fetch(text.sql, *text.arguments(parameters), record_class=_Found)
        return cast("list[Row[Any]]", found)

    def _written(self, names: tuple[str, ...]) -> _Text:
        compiled = self._statement.compile(dialect=_DIALECT, column_keys=list(names))
        assert compiled.positiontup is not None, "asyncpg numbers its parameters"
        assert "POSTCOMPILE" not in compiled.string, "a list of values has no fixed text"
        places = []
        for name in compiled.positiontup:
            bind = compiled.binds[name]
            convert = bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
            places.append(_Place(name, convert, bind.required or name in names, bind.value))
        return _Text(compiled.string, tuple(places))


# A statement that writes, and its parameters.
Write = tuple[Built, Mapping[str, Any]]


async def joined(raw: Any, writes: Sequence[Write]) -> Row[Any] | None:  # noqa: ANN401  asyncpg has no types
    """Carry out writes as one statement.

    Args:
        raw: an asyncpg connection.
        writes: at least one.

    Returns:
        the first row that the first of them returns, if any.

    Raises:
        KeyError: a parameter has no value.
    """
    shapes = tuple((statement, tuple(parameters)) for statement, parameters in writes)
    arguments: list[Any] = []
    for (statement, names), (_, parameters) in zip(shapes, writes, strict=True):
        arguments += statement.text(names).arguments(parameters)
    return cast("Row[Any] | None", await raw.fetchrow(_joined(shapes), *arguments, record_class=_Found))


@lru_cache(maxsize=512)
def _joined(shapes: tuple[tuple[Built, tuple[str, ...]], ...]) -> str:
    before, texts = 0, []
    for statement, names in shapes:
        text = statement.text(names)
        texts.append(_numbered_from(text.sql, before))
        before += len(text.places)
    first, *others = texts
    beside = ", ".join(f"beside_{number} AS ({text})" for number, text in enumerate(others, 1))
    return f"WITH {beside} {first}" if others else first


def _numbered_from(sql: str, before: int) -> str:
    return _PLACE.sub(lambda found: f"${int(found[1]) + before}", sql)
