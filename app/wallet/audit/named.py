"""Operations by the ids that their callers gave them. A rollback may bear that of its bet (rule 37)."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Text, and_, any_, literal, or_

from app.plumbing.database import Reader
from app.wallet.queries import SOURCES, found_operations, select_operations
from app.wallet.tables import operations
from app.wallet.terms import Operation, of_same_id

__all__ = ["is_sent_as", "operations_by_their_id"]

# Of how many operations one id of theirs may be the name: two in each namespace.
_MOST_NAMESAKES: Final = 200


def is_sent_as(keys: Collection[str]) -> ColumnElement[bool]:
    """Whether an operation was sent under one of these ids."""
    own = [*keys]
    known_by = any_(_texts([*own, *map(of_same_id, own)]))
    # The ids by themselves, as the index is sorted by them; a transfer may be called what a rollback is.
    return and_(
        operations.c.key == known_by,
        or_(operations.c.source == "game", operations.c.key == any_(_texts(own))),
    )


def _texts(values: list[str]) -> BindParameter[list[str]]:
    """Many values as one array: a statement of ten thousand parameters is slow to prepare."""
    return literal(values, ARRAY(Text))


async def operations_by_their_id(reader: Reader, site_id: int, key: str) -> list[Operation]:
    """Every operation that an id of theirs stands for, in whatever namespace.

    The newest first, but a rollback that bears its bet's id behind the bet.
    """
    asked = select_operations(site_id).where(operations.c.source.in_(SOURCES), is_sent_as([key]))
    newest = (operations.c.recorded_at.desc(), operations.c.operation_id.desc())
    return await found_operations(
        reader, asked.order_by(operations.c.key != key, *newest).limit(_MOST_NAMESAKES)
    )
