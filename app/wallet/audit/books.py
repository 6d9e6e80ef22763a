"""Other people's books held against ours: only the lines on which they differ (wallet.md 3)."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Text, all_, and_, literal, or_

from app.kernel import ids
from app.plumbing.database import Reader
from app.wallet.audit.named import is_sent_as
from app.wallet.queries import select_operations, with_player
from app.wallet.rules import SUCCESSES
from app.wallet.tables import operations
from app.wallet.terms import SWEEPERS, Operation, Type, sent_as

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
        sources: the namespaces of their ids; one id may stand for operations in several, or of several
            players, and each of them is one line.
        period: what moved money here in it must stand in their book too, or is told as made here; None: only
            their lines count.
        provider: the game platform whose book it is: ours has what came by it; empty: by any, and transfers.
        limit: differences at most.
    """
    here: dict[str, list[Operation]] = {}
    asked = select_operations(site_id).where(
        # A rollback need not name its platform, and one of what never came is of none.
        _is_of(sources, *((provider, "") if provider else ())),
        is_sent_as([item.key for item in items]),
    )
    for row in await reader.all(asked):
        operation = with_player(row)
        here.setdefault(_their_id(operation), []).append(operation)
    pairs = _paired(items, here, period)
    found = [told for item, operation in pairs if (told := _compared(item, operation)) is not None]
    if period is not None:
        theirs = {operation.operation_id for _, operation in pairs if operation is not None}
        own = _is_of(sources, *filter(None, (provider,)))
        missing = await _only_here(reader, site_id, own, period, theirs, limit)
        found += [Difference(_their_id(one), _why_only_here(one), one, None) for one in missing]
    return found[:limit]


def _their_id(operation: Operation) -> str:
    return sent_as(operation.key.key, operation.reference)


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


def _paired(
    items: Sequence[Item], here: Mapping[str, Sequence[Operation]], period: tuple[datetime, datetime] | None
) -> list[tuple[Item, Operation | None]]:
    """Each line with an operation of its own: what is alike first, and of that what is of the period.

    Args:
        items: their book.
        here: what stands in ours, by their id.
        period: when it should be; None: whenever.
    """
    pairs: list[tuple[Item, Operation | None]] = [(item, None) for item in items]
    found = [one for operations in here.values() for one in operations]
    left = {one.operation_id: one for one in sorted(found, key=lambda one: not _is_in(one, period))}
    for asks, offers in _LIKENESSES:
        offered: dict[object, deque[Operation]] = {}
        for one in left.values():
            offered.setdefault((_their_id(one), offers(one)), deque()).append(one)
        for place, (item, operation) in enumerate(pairs):
            alike = offered.get((item.key, asks(item))) if operation is None else None
            if alike:
                pairs[place] = item, left.pop(alike.popleft().operation_id)
    return pairs


def _is_in(operation: Operation, period: tuple[datetime, datetime] | None) -> bool:
    return period is None or period[0] <= operation.recorded_at < period[1]


def _compared(item: Item, operation: Operation | None) -> Difference | None:
    """The difference between a line and what stands here for it."""
    if operation is None:
        return Difference(item.key, "missing_here", None, item)
    why = _why(item, operation)
    return Difference(item.key, why, operation, item) if why else None


def _why(item: Item, operation: Operation) -> str:
    if operation.code not in SUCCESSES:
        return "refused_here"
    if operation.currency != item.currency:
        return "currency"
    return "" if _moved(operation) == (item.amount, item.win) else "amount"


def _moved(operation: Operation) -> tuple[int, int]:
    """What moved nothing is worth nothing in a book, whatever it was about."""
    return (operation.amount, operation.win) if operation.applied else (0, 0)


# In what a line and an operation must be alike to be a pair, the most first; None: in nothing but the id.
_LIKENESSES: Final[Sequence[tuple[Callable[[Item], object], Callable[[Operation], object]]]] = (
    (
        lambda item: (item.currency, item.amount, item.win),
        lambda one: one.code in SUCCESSES and (one.currency, *_moved(one)),
    ),
    (lambda item: item.currency, lambda one: one.code in SUCCESSES and one.currency),
    (lambda _: True, lambda one: one.code in SUCCESSES),
    (lambda _: True, lambda _: True),
)


async def _only_here(
    reader: Reader,
    site_id: int,
    is_of: ColumnElement[bool],
    period: tuple[datetime, datetime],
    theirs: Collection[str],
    limit: int,
) -> list[Operation]:
    """What moved money in a time and is none of these that stand in somebody else's book, oldest first."""
    since, until = period
    # Ids ascend with the instants they were made at, and are what the primary key is sorted by.
    first, last = ids.new("wop", at=since - _MARGIN), ids.new("wop", at=until + _MARGIN)
    asked = select_operations(site_id).where(
        operations.c.applied,
        is_of,
        operations.c.operation_id.between(first, last),
        operations.c.recorded_at >= since,
        operations.c.recorded_at < until,
        operations.c.operation_id != all_(_texts(theirs)),
    )
    rows = await reader.all(asked.order_by(operations.c.operation_id).limit(limit))
    return [with_player(row) for row in rows]
