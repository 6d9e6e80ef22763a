"""Other people's books held against ours: only the lines on which they differ (wallet.md 3)."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Text, all_, and_, any_, literal, or_

from app.kernel import ids
from app.plumbing.database import Reader
from app.wallet.queries import select_operations, with_player
from app.wallet.rules import SUCCESSES
from app.wallet.tables import operations
from app.wallet.terms import SWEEPERS, Operation, Type

__all__ = ["Difference", "Item", "differences"]

# An operation's id is made at the instant that is recorded; clocks that differ by more are broken.
_MARGIN: Final = timedelta(seconds=60)


class Item(NamedTuple):
    """One line of somebody else's book; minor units. `win` is that of a bet and its win in one."""

    key: str
    amount: int
    currency: str
    win: int = 0


def _texts(values: Iterable[str]) -> BindParameter[list[str]]:
    """Many values as one array: a statement of ten thousand parameters is slow to prepare."""
    return literal(list(values), ARRAY(Text))


class Difference(NamedTuple):
    """A line on which two books disagree; None: the line is missing in that book.

    Args:
        key: its id.
        why: what is different: "amount" or "currency"; "refused_here": it moved no money here;
            "missing_here" and "missing_there"; "made_here": the house's own, which nobody has sent.
        here, there: the line in our book, and in theirs.
    """

    key: str
    why: str
    here: Operation | None
    there: Item | None


async def differences(
    reader: Reader,
    site_id: int,
    items: Sequence[Item],
    sources: Sequence[str],
    period: tuple[datetime, datetime] | None,
    *,
    provider: str = "",
    limit: int,
) -> list[Difference]:
    """Hold somebody's book against ours; only what differs.

    Args:
        reader: one snapshot.
        site_id: whose operations.
        items: their book.
        sources: the namespaces of their ids; an id that stands in several may agree with any of them.
        period: what moved money here in it must stand in their book too, or is told as made here; None: only
            their lines count.
        provider: the game platform whose book it is: ours has what came by it; empty: by any, and transfers.
        limit: differences at most.
    """
    here: dict[str, list[Operation]] = {}
    asked = select_operations(site_id).where(
        # A rollback need not name its platform, and one of what never came is of none.
        _is_of(sources, *((provider, "") if provider else ())),
        operations.c.key == any_(_texts([item.key for item in items])),
    )
    for row in await reader.all(asked):
        operation = with_player(row)
        here.setdefault(operation.key.key, []).append(operation)
    found = [told for item in items if (told := _compared(item, here.get(item.key, []))) is not None]
    if period is not None:
        theirs = {item.key for item in items}
        own = _is_of(sources, *filter(None, (provider,)))
        missing = await _only_here(reader, site_id, own, period, theirs, limit)
        found += [Difference(one.key.key, _why_only_here(one), one, None) for one in missing]
    return found[:limit]


def _is_of(sources: Sequence[str], *platforms: str) -> ColumnElement[bool]:
    """What a book of these namespaces must have: of games also what people took of bets with their wins.

    Only what came by one of the platforms, where some are named.
    """
    if platforms:
        return and_(_is_of(sources), operations.c.provider_id.in_(platforms))
    if "game" not in sources:
        return operations.c.source.in_(sources)
    # The sources by themselves, as the index of ids is sorted by them.
    is_play = or_(operations.c.source != "desk", operations.c.type == Type.REVERSE_WIN)
    return and_(operations.c.source.in_([*sources, "desk"]), is_play)


def _why_only_here(operation: Operation) -> str:
    """Whether a line is missing in their book, or cannot be in it: only an operator may send such an id.

    What is left for them is to write it into their book as well, under our id.
    """
    is_own = operation.key.source != "operator" and operation.key.key.startswith(SWEEPERS)
    return "made_here" if is_own else "missing_there"


def _compared(item: Item, here: Sequence[Operation]) -> Difference | None:
    """The least difference between a line and what stands here under its id."""
    whys = [(_why(item, operation), operation) for operation in here]
    if not whys:
        return Difference(item.key, "missing_here", None, item)
    why, operation = min(whys, key=lambda pair: ("", "amount", "currency", "refused_here").index(pair[0]))
    return Difference(item.key, why, operation, item) if why else None


def _why(item: Item, operation: Operation) -> str:
    if operation.code not in SUCCESSES:
        return "refused_here"
    if operation.currency != item.currency:
        return "currency"
    # What moved nothing is worth nothing in a book, whatever it was about.
    moved = (operation.amount, operation.win) if operation.applied else (0, 0)
    return "" if moved == (item.amount, item.win) else "amount"


async def _only_here(
    reader: Reader,
    site_id: int,
    is_of: ColumnElement[bool],
    period: tuple[datetime, datetime],
    theirs: Collection[str],
    limit: int,
) -> list[Operation]:
    """What moved money in a time and stands in nobody else's book, oldest first."""
    since, until = period
    # Ids ascend with the instants they were made at, and are what the primary key is sorted by.
    first, last = ids.new("wop", at=since - _MARGIN), ids.new("wop", at=until + _MARGIN)
    asked = select_operations(site_id).where(
        operations.c.applied,
        is_of,
        operations.c.operation_id.between(first, last),
        operations.c.recorded_at >= since,
        operations.c.recorded_at < until,
        operations.c.key != all_(_texts(theirs)),
    )
    rows = await reader.all(asked.order_by(operations.c.operation_id).limit(limit))
    return [with_player(row) for row in rows]
