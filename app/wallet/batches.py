"""One batch, decided and written: without a lock where that can be, else behind locks.

Without: plain Python decides upon what is remembered or, of whom it is not, was looked up by one statement;
one statement locks, makes sure that nothing of it has changed, and writes all. One trip or two, and nobody
waits for locks while we think. Of a large batch a part is written so while the next is decided, and the next
batch is decided while this one is written. Behind locks: begin, lock and look up, decide, write, commit: for
rollbacks, what must read more, what is done all or none, large batches of players who are not remembered, and
those whose players somebody else has moved meanwhile.
"""

from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import asyncpg
import structlog

from app.kernel.clock import Clock
from app.plumbing import metrics
from app.plumbing.database import CommitUnknown, DatabaseDown, Lanes, Turns, committed, sqlstate
from app.wallet import further, statements
from app.wallet.contract import Answer
from app.wallet.memory import Ahead, Expected, Memory, Recalled
from app.wallet.rules import SUCCESSES, Page
from app.wallet.sheets import Moved, Seat, Seen, Sheet
from app.wallet.succession import NotAsRemembered, Place, Succession
from app.wallet.terms import Ask, Leg, Type

__all__ = ["Batches"]

_CHANGED: Final = "40001"  # by `wallet_confirm`, and `wallet_write` of a row that it missed
# By `wallet_expect`; or an id that is recorded, which is not looked for where its player is remembered.
_UNEXPECTED: Final = frozenset({"W0001", "23505"})
_log = structlog.get_logger("wallet")


class _Way(StrEnum):
    """How a batch went."""

    REMEMBERED = "remembered"
    UNLOCKED = "unlocked"
    LOCKED = "locked"
    DISTURBED = "disturbed"  # nothing was done, and then it was locked


class _Undone(Exception):
    """Ends a transaction whose items were to be done all or none."""


class _Found(NamedTuple):
    """What a batch is decided upon where nothing is locked.

    Args:
        seats: one for each ask.
        upon: how the wallets were seen.
        expected: what nobody has looked for.
    """

    seats: list[Seat]
    upon: list[Seen]
    expected: Expected


@dataclass(slots=True)
class Batches:
    """Carries batches out.

    Args:
        lanes: the connections, and so how many batches may be under way at once.
        clock: what operations are dated by.
        part: operations that are looked up and written at once: while one part is decided, PostgreSQL is at
            another.
        memory: of this process; nobody else's batches may keep in it.
    """

    lanes: Lanes
    clock: Clock
    part: int
    memory: Memory = field(default_factory=Memory)
    _houses: statements.Houses = field(default_factory=dict)
    _succession: Succession = field(default_factory=Succession)

    async def carry_out(
        self, site_id: int, asks: Sequence[Ask], answers: list[Answer], *, all_or_none: bool
    ) -> None:
        """Decide everything, and write it in one transaction.

        Args:
            site_id: whose.
            asks: in their order.
            answers: empty; has those of the asks before the commit.
            all_or_none: one refusal undoes all.

        Raises:
            DatabaseDown: nothing was done.
            CommitUnknown: it may have been done.
            asyncpg.PostgresError: the database refused; nothing was done.
        """
        try:
            if all_or_none or any(map(_needs_locks, asks)):
                self.memory.forget(site_id, asks)
                await self._locked(site_id, asks, answers, all_or_none=all_or_none)
                way = _Way.LOCKED
            elif len(asks) > self.part:
                players = frozenset(ask.player for ask in asks)
                async with self._succession.place(site_id, players) as place:
                    way = await self._large(site_id, asks, answers, place)
            else:
                way = await self._unlocked(site_id, asks, answers)
                if way is _Way.DISTURBED:
                    answers.clear()
                    self.memory.forget(site_id, asks)
                    await self._locked(site_id, asks, answers)
        except (CommitUnknown, DatabaseDown):
            self.memory.clear()
            raise
        metrics.BATCHES.labels(way).inc()

    async def _unlocked(self, site_id: int, asks: Sequence[Ask], answers: list[Answer]) -> _Way:
        """Decide upon what is remembered, or read without locks; nothing is done where that will not do."""
        async with self.lanes.connection(rows=len(asks)) as raw:
            now = self.clock.now()
            recalled = self.memory.recall(site_id, asks, page := Page(now))
            found = await self._found(raw, site_id, asks, page, recalled, now)
            if further.is_needed(page, asks, found.seats):
                return _Way.DISTURBED
            answers += _decided(page, asks, found.seats)
            if _is_unsure(answers, recalled.seats):
                return _Way.DISTURBED
            sheet = page.torn_off(is_last=True)
            if sheet is None:
                # Nothing confirms a refusal that is not stored; what it misses may be on its way just now.
                is_sure = all(one.duplicate or one.wallet is None for one in answers)
                return _Way.UNLOCKED if is_sure else _Way.DISTURBED
            if statements.rare(sheet):
                return _Way.DISTURBED
            try:
                await committed(raw, self._confirmed(raw, site_id, sheet, found))
            except asyncpg.PostgresError as error:
                return self._disturbed(site_id, recalled, error)
        self.memory.keep(site_id, page, [sheet], answers, found.upon, recalled)
        return _Way.UNLOCKED if None in recalled.seats else _Way.REMEMBERED

    async def _large(self, site_id: int, asks: Sequence[Ask], answers: list[Answer], place: Place) -> _Way:
        """More than one part: upon what is remembered, if that is most of it; else behind locks."""
        now, way = self.clock.now(), _Way.LOCKED
        recalled = self.memory.recall(site_id, asks, page := Page(now), is_after_all=True)
        if recalled.seats.count(None) <= self.part:
            try:
                await self._in_parts(site_id, asks, answers, place, page, recalled, now)
            except NotAsRemembered:
                way = _Way.DISTURBED
            except asyncpg.PostgresError as error:
                way = self._disturbed(site_id, recalled, error)
            else:
                return _Way.REMEMBERED
            answers.clear()
        with suppress(NotAsRemembered):
            await place.reached()
        # Somebody else may have moved whom we knew: they are remembered as this batch finds and leaves them.
        await self._locked(site_id, asks, answers, joining=recalled.joining_players())
        return way

    async def _in_parts(
        self,
        site_id: int,
        asks: Sequence[Ask],
        answers: list[Answer],
        place: Place,
        page: Page,
        recalled: Recalled,
        now: datetime,
    ) -> None:
        """Decide part by part; what is decided while PostgreSQL is busy goes with the next statement.

        Raises:
            NotAsRemembered: it must be looked up; nothing was done.
        """
        sheets: list[Sheet] = []
        ahead: Ahead | None = None
        try:
            async with self.lanes.transaction(rows=len(asks)) as raw, Turns() as turns:
                if None in recalled.seats:
                    await place.reached()  # they are not looked up before
                found = await self._found(raw, site_id, asks, page, recalled, now)
                if further.is_needed(page, asks, found.seats):
                    raise NotAsRemembered
                _ = turns.next(place.reached())
                for at in range(0, len(asks), self.part):
                    await turns.on()
                    decided = _decided(page, asks[at : at + self.part], found.seats[at : at + self.part])
                    if _is_unsure(decided, recalled.seats[at : at + self.part]):
                        raise NotAsRemembered
                    answers += decided
                    is_last = len(answers) == len(asks)
                    sheet = page.torn_off(is_last=is_last) if is_last or turns.is_idle else None
                    if sheet is None:
                        continue
                    if statements.rare(sheet):
                        raise NotAsRemembered
                    # With the first, all that the batch is decided upon is locked and confirmed.
                    _ = turns.next(self._confirmed(raw, site_id, sheet, None if sheets else found))
                    sheets.append(sheet)
                if not sheets:
                    raise NotAsRemembered
                ahead = self.memory.keep_ahead(site_id, page, sheets, answers, found.upon, recalled)
                place.decided.set()
                await turns.all()
            place.is_written = True
        finally:
            if ahead is not None:
                self.memory.ended(ahead, is_written=place.is_written)

    async def _found(
        self,
        raw: asyncpg.Connection,
        site_id: int,
        asks: Sequence[Ask],
        page: Page,
        recalled: Recalled,
        now: datetime,
    ) -> _Found:
        """Look up, without locks, those who are not remembered."""
        strange = [ask for ask, seat in zip(asks, recalled.seats, strict=True) if seat is None]
        rows = await statements.load(raw, site_id, strange, (), at=now) if strange else ()
        of_strange = iter(statements.seats_of(page, strange, rows))
        seats = [next(of_strange) if seat is None else seat for seat in recalled.seats]
        if not statements.know_houses(self._houses, site_id, page):
            await statements.find_houses(raw, site_id, self._houses)
        return _Found(seats, [*recalled.seen(), *statements.seen(rows)], recalled.expected)

    def _confirmed(
        self, raw: asyncpg.Connection, site_id: int, sheet: Sheet, found: _Found | None
    ) -> Coroutine[Any, Any, Any]:
        """The call that writes a sheet if all that was found still stands; None: it is confirmed already."""
        upon, expected = (None, None) if found is None else (found.upon, found.expected)
        return statements.write(raw, site_id, sheet, self._houses, upon=upon, expected=expected)

    def _disturbed(self, site_id: int, recalled: Recalled, error: asyncpg.PostgresError) -> _Way:
        """What an error means to a batch that had locked nothing.

        Raises:
            asyncpg.PostgresError: it is none that locks would prevent.
        """
        if sqlstate(error) == _CHANGED:
            if recalled.wallets:
                self.memory.was_old(site_id)
        elif not recalled.wallets or sqlstate(error) not in _UNEXPECTED:
            raise error
        return _Way.DISTURBED

    async def _locked(
        self,
        site_id: int,
        asks: Sequence[Ask],
        answers: list[Answer],
        *,
        all_or_none: bool = False,
        joining: set[str] | None = None,
    ) -> None:
        """Lock, then decide.

        Args:
            site_id, asks, answers, all_or_none: as for `carry_out`.
            joining: players whose rounds had several bets, where the batch is to be remembered.
        """
        undone: set[str] = set()
        rare: list[Moved] = []
        sheets: list[Sheet] = []
        upon: list[Seen] = []
        page = Page(self.clock.now())
        try:
            async with self.lanes.transaction(rows=len(asks)) as raw, Turns() as turns:
                parts = [asks[at : at + self.part] for at in range(0, len(asks), self.part)]
                locks = {ask.player for ask in asks}
                loaded = turns.next(statements.load(raw, site_id, parts[0], locks, at=page.at))
                for number, part in enumerate(parts, 1):
                    rows = await loaded
                    seats = statements.seats_of(page, part, rows)
                    upon += statements.seen(rows) if joining is not None else ()
                    if number < len(parts):
                        loaded = turns.next(statements.load(raw, site_id, parts[number], (), at=page.at))
                        await turns.on()  # it is on its way while this part is decided
                    for one in further.lookups(raw, site_id, page, part, seats):
                        await turns.next(one)
                    answers += _decided(page, part, seats)
                    sheet = page.torn_off(is_last=number == len(parts))
                    if sheet is not None:
                        undone.update([one.operation_id for one in sheet.written] if all_or_none else ())
                        rare += await self._write(raw, turns, site_id, page, sheet)
                        sheets.append(sheet)
                await turns.all()
                if all_or_none and any(answer.code not in SUCCESSES for answer in answers):
                    raise _Undone
        except _Undone:
            answers[:] = [_not_done(one, undone) for one in answers]
        else:
            _flag(site_id, rare)
            if joining is not None and not rare:
                self.memory.keep(site_id, page, sheets, answers, upon, Recalled.nothing(joining))

    async def _write(
        self, raw: asyncpg.Connection, turns: Turns, site_id: int, page: Page, sheet: Sheet
    ) -> list[Moved]:
        """Send a sheet on its way; returns what a person should look at."""
        if not statements.know_houses(self._houses, site_id, page):
            await turns.next(statements.find_houses(raw, site_id, self._houses))
        rare = statements.rare(sheet)
        if rare:
            await turns.next(statements.open_rare(raw, site_id, rare, at=sheet.at))
        _ = turns.next(statements.write(raw, site_id, sheet, self._houses))
        if sheet.grants:
            _ = turns.next(statements.count(raw, site_id, sheet.grants))
        if held := [one for one in rare if one.leg is Leg.HOLD_WIN]:
            _ = turns.next(statements.hold(raw, site_id, held))
        return rare


def _needs_locks(ask: Ask) -> bool:
    """What depends on what is not there, as a rollback does, or reads more than is confirmed."""
    is_prepaid = ask.policy.prepaid_float and ask.type is Type.DEPOSIT
    return ask.type is Type.ROLLBACK or ask.free_round is not None or is_prepaid


def _is_unsure(decided: Sequence[Answer], remembered: Sequence[Seat | None]) -> bool:
    """Whether memory alone refuses anybody without a record: its id, not looked for, would refuse nothing."""
    answered = zip(decided, remembered, strict=True)
    return any(seat is not None and answer.operation is None for answer, seat in answered)


def _decided(page: Page, asks: Sequence[Ask], seats: Sequence[Seat]) -> list[Answer]:
    decided = []
    for ask, seat in zip(asks, seats, strict=True):
        code, operation, wallet, duplicate, wrong = page.post(ask, seat)
        decided.append(Answer(ask, code, wallet, operation, duplicate, wrong))
    return decided


def _flag(site_id: int, rare: Sequence[Moved]) -> None:
    """Let a person look at wins over a cap, and at wins whose money was gone (rules 33, 45)."""
    for operation_id, leg, amount, wallet in rare:
        what = "win_held" if leg is Leg.HOLD_WIN else "wallet_debt"
        metrics.ALARMS.labels(what).inc()
        told = {"operation_id": operation_id, "player_id": wallet.player_id, "amount_minor": amount}
        _log.warning(f"wallet.{what}", site_id=site_id, currency=wallet.currency, **told)


def _not_done(answer: Answer, undone: Collection[str]) -> Answer:
    """An answer of a batch that was undone; what had been done before the batch stays done, and is told."""
    known = answer.operation if answer.duplicate else None
    if known is not None and known.operation_id in undone:
        known = None
    return Answer(answer.ask, answer.code, None, known, known is not None, answer.field)
