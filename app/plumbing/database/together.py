"""Writes that need nothing of each other, sent as one statement: one trip to the server instead of several.

They become data-modifying CTEs of the first. PostgreSQL carries all of them out on one snapshot, so none sees
what another has done; constraints hold when the whole statement is done, and all of it is done or none.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.sql.dml import UpdateBase

__all__ = ["Write", "joined"]

# A statement that writes, built once, and its parameters.
Write = tuple[UpdateBase, Mapping[str, Any]]

_DIALECT: Final = asyncpg_dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own way
_PLACE: Final = re.compile(r"\$(\d+)")
_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """One parameter of the whole: which statement's, and how its value becomes the driver's.

    Without `is_given` its value is the `constant` that stands in the statement itself.
    """

    statement: int
    name: str
    convert: _Convert | None
    is_given: bool
    constant: object


@dataclass(frozen=True, slots=True)
class _Text:
    """What several statements are together."""

    sql: str
    places: tuple[_Place, ...]


def joined(writes: Sequence[Write]) -> tuple[str, list[Any]]:
    """The text and the arguments of these writes as one; the rows are those of the first.

    Args:
        writes: at least one; the statements are kept, so they are ones that are built once.

    Raises:
        KeyError: a parameter without a value.
    """
    text = _text(tuple((statement, tuple(parameters)) for statement, parameters in writes))
    arguments = []
    for place in text.places:
        value = writes[place.statement][1][place.name] if place.is_given else place.constant
        arguments.append(value if place.convert is None else place.convert(value))
    return text.sql, arguments


@lru_cache(maxsize=512)
def _text(shapes: tuple[tuple[UpdateBase, tuple[str, ...]], ...]) -> _Text:
    texts: list[str] = []
    places: list[_Place] = []
    for number, (statement, names) in enumerate(shapes):
        compiled = statement.compile(dialect=_DIALECT, column_keys=list(names))
        assert compiled.positiontup is not None, "asyncpg numbers its parameters"
        before = len(places)
        for name in compiled.positiontup:
            bind = compiled.binds[name]
            convert = bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
            places.append(_Place(number, name, convert, bind.required or name in names, bind.value))
        texts.append(_moved(compiled.string, before))
    first, *others = texts
    beside = ", ".join(f"beside_{number} AS ({text})" for number, text in enumerate(others, 1))
    return _Text(f"WITH {beside} {first}" if others else first, tuple(places))


def _moved(sql: str, by: int) -> str:
    return _PLACE.sub(lambda found: f"${int(found[1]) + by}", sql)
