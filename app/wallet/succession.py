"""Large batches that move the same players' money: each is decided upon what those before it will leave.

In the database the later one would wait for the locks of the earlier one, and Python for both. So it does not
wait to decide, only to be sent, until one is left before it; for that one's locks PostgreSQL lets it wait. If
one before it is not written as it was decided, neither is this one.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.plumbing.database import RolledBack

__all__ = ["NotSure", "Place", "Succession"]


class NotSure(RolledBack):
    """What a batch was decided upon has changed, or is too little: nothing was done; locks are needed."""


@dataclass(slots=True, eq=False)
class Place:
    """A large batch among the others of its site.

    Args:
        players: whose money it moves.
        before: those under way that move any of the same.
        decided: it is known what it will leave.
        sent: PostgreSQL has all of it, or at least what locks.
        ended: it is over.
        mark: of its operations one, by our id: if that is recorded, all are.
        is_written: as it was decided while some before it were under way.
    """

    players: frozenset[str]
    before: "list[Place]"
    decided: asyncio.Event = field(default_factory=asyncio.Event)
    sent: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    mark: str = ""
    is_written: bool = False

    @property
    def is_first(self) -> bool:
        """Whether all before it are over."""
        return all(other.ended.is_set() for other in self.before)

    async def nearly_reached(self) -> None:
        """Wait until one before it is left, and that one stands behind nobody and is sent.

        PostgreSQL knows no order among several who wait for the same locks: the wrong one would find that
        what it was decided upon is not there yet.

        Raises:
            NotSure: one of the others has not left what it was to leave.
        """
        *others, last = self.before
        await _written(others)
        await _written(last.before)
        await last.sent.wait()

    async def reached(self) -> None:
        """Wait until all before it are over; without a connection, which those before it may need.

        Raises:
            NotSure: one of them has not left what it was to leave.
        """
        await _written(self.before)


@dataclass(slots=True)
class Succession:
    """The large batches under way in this process, by their sites, in the order that they came in."""

    _under_way: "defaultdict[int, list[Place]]" = field(default_factory=lambda: defaultdict(list))

    @asynccontextmanager
    async def place(self, site_id: int, players: frozenset[str]) -> AsyncIterator[Place]:
        """Wait until it is known what those before it leave, and stand in line until the block ends.

        Args:
            site_id: whose.
            players: whose money the batch moves, by the site's ids of them.
        """
        under_way = self._under_way[site_id]
        place = Place(players, [one for one in under_way if not players.isdisjoint(one.players)])
        under_way.append(place)
        try:
            for other in place.before:
                await other.decided.wait()
            # What is over is remembered, or looked up, as it is.
            place.before = [one for one in place.before if not one.ended.is_set()]
            yield place
        finally:
            under_way.remove(place)
            place.before = []  # or a place would be kept as long as anybody comes behind it
            for event in (place.ended, place.sent, place.decided):
                event.set()


async def _written(places: Iterable[Place]) -> None:
    """Wait until all of these are over.

    Raises:
        NotSure: one of them was not written.
    """
    ended = [*places]  # whoever ends forgets who stood before it
    for one in ended:
        await one.ended.wait()
    if not all(one.is_written for one in ended):
        raise NotSure
