"""Batches that lock nothing while they are decided: what they are decided upon is confirmed at the end.

Plain Python decides upon what is remembered or, of whom it is not, was looked up by one statement; one
statement locks, makes sure that nothing of it has changed, and writes all. Of a large batch a part is written
so while the next is decided; and where others are written before it, all of it is decided meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from app.plumbing.database import BUSY_SQLSTATES, Lanes, Turns, committed, sqlstate
from app.wallet import further, openings, statements
from app.wallet.contract import Answer
from app.wallet.memory import Left, Memory, Recalled, left_by
from app.wallet.rules import Page
from app.wallet.sessions import Sessions
from app.wallet.sheets import Seat, Seen, Sheet
from app.wallet.succession import NotSure, Place
from app.wallet.terms import Ask

__all__ = ["Draft", "Unlocked", "decided", "without_wallet"]

_CHANGED: Final = "40001"  # by `wallet_confirm`, `wallet_follow`, and who writes and misses a row
# By `wallet_expect`, and by `wallet_write` of a round that is no new one; or an id that is recorded, which is
# not looked for where its player is remembered.
_UNEXPECTED: Final = frozenset({"W0001", "23505"})


class Draft(NamedTuple):
    """A batch that is decided without locks.

    Args:
        site_id: whose.
        asks: in their order.
        answers: has those of the asks that are decided.
        page: with what is known of them.
        recalled: what of it is remembered.
        now: this instant; the page's may be later, as that of somebody's last movement.
    """

    site_id: int
    asks: Sequence[Ask]
    answers: list[Answer]
    page: Page
    recalled: Recalled
    now: datetime


class _Found(NamedTuple):
    """What a draft is decided upon: a seat for each ask, and how the wallets were seen."""

    seats: list[Seat]
    seen: list[Seen]


@dataclass(slots=True)
class Unlocked:
    """Carries out drafts.

    Args:
        lanes: the connections.
        memory: where drafts are recalled from, and kept.
        houses: accounts of the houses that are known by now.
        part: operations of a large batch that are decided at once.
        sessions: those that are known by now.
    """

    lanes: Lanes
    memory: Memory
    houses: statements.Houses
    part: int
    sessions: Sessions

    async def small(self, draft: Draft) -> None:
        """Decide a batch and write it by one statement.

        Raises:
            NotSure: that will not do, and nothing was done.
            DatabaseDown, CommitUnknown, asyncpg.PostgresError: as for `Batches.carry_out`.
        """
        async with self._judged(draft), self.lanes.connection(rows=len(draft.asks)) as raw:
            found = await self._found(raw, draft)
            self._decide(draft, found, 0, len(draft.asks))
            sheet = draft.page.torn_off(is_last=True)
            if sheet is None:
                # Nothing confirms a refusal that is not stored; what it misses may be on its way just now.
                if all(one.duplicate or one.wallet is None for one in draft.answers):
                    return
                raise NotSure
            await committed(raw, self._writing(draft, found, sheet).sent(raw))
        self.memory.keep(_left(draft, found, [sheet]))

    async def large(self, draft: Draft, place: Place) -> None:
        """Decide a batch of more than one part, and write it after those before it.

        Args:
            draft: most of it is remembered.
            place: among the large batches of its site.

        Raises:
            NotSure: as for `small`; or one before it was not written as it was to be.
            DatabaseDown, CommitUnknown, asyncpg.PostgresError: as for `Batches.carry_out`.
        """
        unknown = self.sessions.unknown(draft.site_id, draft.asks, draft.page)
        is_remembered = not unknown and None not in draft.recalled.seats
        if not is_remembered or not statements.know_houses(self.houses, draft.site_id, draft.page):
            await place.reached()  # nothing is looked up before
        async with self._judged(draft):
            if place.is_first:
                await self._in_parts(draft, place)
            else:
                await self._behind(draft, place)

    async def _in_parts(self, draft: Draft, place: Place) -> None:
        """Whatever is decided while PostgreSQL is busy goes with the next statement."""
        sheets: list[Sheet] = []
        with ExitStack() as kept:
            async with self.lanes.transaction(rows=len(draft.asks)) as raw, Turns() as turns:
                found = await self._found(raw, draft)
                for at in range(0, len(draft.asks), self.part):
                    is_last = at + self.part >= len(draft.asks)
                    try:
                        self._decide(draft, found, at, at + self.part)
                        sheet = draft.page.torn_off(is_last=is_last) if is_last or turns.is_idle else None
                        if sheet is not None:
                            # With the first, all that the batch is decided upon is locked and confirmed.
                            writing = self._writing(draft, None if sheets else found, sheet)
                            _ = turns.next(writing.sent(raw))
                            sheets.append(sheet)
                    except NotSure:
                        # What is under way is not cancelled: that may strike the next one's statement.
                        await turns.all()
                        raise
                    await turns.on()
                if not sheets:
                    raise NotSure
                place.sent.set()
                kept.enter_context(self._kept_ahead(draft, found, sheets, place))
                await turns.all()

    async def _behind(self, draft: Draft, place: Place) -> None:
        """Everything at once, as soon as PostgreSQL is at the last before it."""
        found = _Found([one for one in draft.recalled.seats if one is not None], draft.recalled.seen())
        for at in range(0, len(draft.asks), self.part):
            self._decide(draft, found, at, at + self.part)
            await asyncio.sleep(0)  # others are served, and the batch before it has its next statement
        sheet = draft.page.torn_off(is_last=True)
        if sheet is None:
            raise NotSure
        writing = self._writing(draft, found, sheet, after=place.before[-1].mark)
        with self._kept_ahead(draft, found, [sheet], place):
            await place.nearly_reached()
            try:
                async with self.lanes.connection(rows=len(draft.asks)) as raw:
                    place.sent.set()
                    await committed(raw, writing.sent(raw))
            except asyncpg.PostgresError as error:
                await place.reached()  # if the one before it was not written, that is why
                if sqlstate(error) in BUSY_SQLSTATES and sqlstate(error) != _CHANGED:
                    raise NotSure from error  # it may have waited for that one alone
                raise

    @contextmanager
    def _kept_ahead(
        self, draft: Draft, found: _Found, sheets: Sequence[Sheet], place: Place
    ) -> Iterator[None]:
        """What a draft leaves is known to the next one; to everybody, if the block ends without a fault."""
        left = _left(draft, found, sheets)
        place.mark = sheets[0].written[0].operation_id
        self.memory.keep_ahead(left)
        place.decided.set()
        try:
            yield
            place.is_written = True
        finally:
            self.memory.ended(left, is_written=place.is_written)

    async def _found(self, raw: asyncpg.Connection, draft: Draft) -> _Found:
        """Look up, without locks, those who are not remembered.

        Raises:
            NotSure: more must be looked up than is confirmed.
        """
        recalled, page, asks = draft.recalled, draft.page, draft.asks
        strange = [ask for ask, seat in zip(asks, recalled.seats, strict=True) if seat is None]
        rows = await statements.load(raw, draft.site_id, strange, (), at=draft.now) if strange else ()
        of_strange = iter(statements.seats_of(page, strange, rows))
        seats = [next(of_strange) if seat is None else seat for seat in recalled.seats]
        lacking = without_wallet(draft.asks, seats) if strange else ()
        if lacking and await openings.are_due(raw, draft.site_id, lacking):
            raise NotSure
        if unknown := self.sessions.unknown(draft.site_id, asks, page):
            await self.sessions.find(raw, draft.site_id, unknown, page)
        if not statements.know_houses(self.houses, draft.site_id, page):
            await statements.find_houses(raw, draft.site_id, self.houses)
        return _Found(seats, [*recalled.seen(), *statements.seen(rows)])

    def _decide(self, draft: Draft, found: _Found, first: int, end: int) -> None:
        """Decide some of the asks.

        Raises:
            NotSure: free rounds and the like are looked up behind locks; a refusal from memory that leaves no
                record would be no refusal the next time, since its id is not looked for.
        """
        asks, seats = draft.asks[first:end], found.seats[first:end]
        if further.is_needed(draft.page, asks, seats):
            raise NotSure
        answers = decided(draft.page, asks, seats)
        remembered = draft.recalled.seats[first:end]
        told = zip(answers, remembered, strict=True)
        if any(seat is not None and answer.operation is None for answer, seat in told):
            raise NotSure
        draft.answers.extend(answers)

    def _writing(
        self, draft: Draft, found: _Found | None, sheet: Sheet, *, after: str | None = None
    ) -> statements.Writing:
        """What writes a sheet if all that was found still stands; None: that is confirmed already.

        Args:
            draft, found, sheet: the draft's.
            after: an operation that must be recorded by then; None: it was decided upon nobody's promise.

        Raises:
            NotSure: it moves money between accounts that few players have.
        """
        if statements.rare(sheet):
            raise NotSure
        seen, expected = (None, None) if found is None else (found.seen, draft.recalled.expected)
        return statements.write(draft.site_id, sheet, self.houses, upon=seen, expected=expected, after=after)

    @asynccontextmanager
    async def _judged(self, draft: Draft) -> AsyncIterator[None]:
        """Turn what PostgreSQL refuses of a draft, and might not behind locks, into `NotSure`."""
        try:
            yield
        except asyncpg.PostgresError as error:
            remembered = bool(draft.recalled.wallets)
            if sqlstate(error) == _CHANGED:
                if remembered:
                    self.memory.was_old(draft.site_id)
            elif not remembered or sqlstate(error) not in _UNEXPECTED:
                raise
            raise NotSure from error


def _left(draft: Draft, found: _Found, sheets: Sequence[Sheet]) -> Left:
    """How a draft leaves its wallets, once these sheets of it are written."""
    return left_by(draft.site_id, draft.page, sheets, draft.answers, found.seen, draft.recalled)


def without_wallet(asks: Sequence[Ask], seats: Sequence[Seat]) -> list[str]:
    """The players who have no wallet of the currency that is asked for, or none at all."""
    together = zip(asks, seats, strict=True)
    return [ask.player for ask, seat in together if seat.is_known and seat.wallet is None]


def decided(page: Page, asks: Sequence[Ask], seats: Sequence[Seat]) -> list[Answer]:
    """Decide asks one after the other; seats are theirs."""
    answers = []
    for ask, seat in zip(asks, seats, strict=True):
        code, operation, wallet, duplicate, wrong, why = page.post(ask, seat)
        answers.append(Answer(ask, code, wallet, operation, duplicate, wrong, why))
    return answers
