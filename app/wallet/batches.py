"""One batch, decided and written: without a lock where that can be, else behind locks.

Without: plain Python decides upon what is remembered or, of whom it is not, was looked up by one statement;
one statement locks, makes sure that nothing of it has changed, and writes all. One trip or two, and nobody
waits for locks while we think. Behind locks: begin, lock and look up, decide, write, commit: for rollbacks,
what must read more, what is done all or none, large batches, and those whose players somebody else has moved
meanwhile.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg
import structlog

from app.kernel.clock import Clock
from app.plumbing import metrics
from app.plumbing.database import CommitUnknown, DatabaseDown, Lanes, Turns, committed, sqlstate
from app.wallet import further, statements
from app.wallet.contract import Answer
from app.wallet.memory import Memory, Recalled
from app.wallet.rules import SUCCESSES, Page
from app.wallet.sheets import Moved, Seat, Seen, Sheet
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
        needs_locks = all_or_none or len(asks) > self.part or any(map(_needs_locks, asks))
        try:
            way = _Way.LOCKED if needs_locks else await self._unlocked(site_id, asks, answers)
            if way in {_Way.LOCKED, _Way.DISTURBED}:
                answers.clear()
                self.memory.forget(site_id, asks)
                await self._locked(site_id, asks, answers, all_or_none=all_or_none)
        except (CommitUnknown, DatabaseDown):
            self.memory.clear()
            raise
        metrics.BATCHES.labels(way).inc()

    async def _unlocked(self, site_id: int, asks: Sequence[Ask], answers: list[Answer]) -> _Way:
        """Decide upon what is remembered, or read without locks; nothing is done where that will not do."""
        async with self.lanes.connection(rows=len(asks)) as raw:
            now = self.clock.now()
            page = Page(now)
            recalled = self.memory.recall(site_id, asks, page)
            seats, upon = await self._looked_up(raw, site_id, page, asks, recalled, now)
            if further.is_needed(page, asks, seats):
                return _Way.DISTURBED
            if not statements.know_houses(self._houses, site_id, page):
                await statements.find_houses(raw, site_id, self._houses)
            answers += _decided(page, asks, seats)
            of_memory = zip(answers, recalled.seats, strict=True)
            if any(seat is not None and answer.operation is None for answer, seat in of_memory):
                # Not stored: its id, which nobody has looked for, would refuse nothing.
                return _Way.DISTURBED
            sheet = page.torn_off(is_last=True)
            if sheet is None:
                # Nothing confirms a refusal that is not stored; what it misses may be on its way just now.
                is_sure = all(one.duplicate or one.wallet is None for one in answers)
                return _Way.UNLOCKED if is_sure else _Way.DISTURBED
            if statements.rare(sheet):
                return _Way.DISTURBED
            writing = statements.write(
                raw, site_id, sheet, self._houses, upon=upon, expected=recalled.expected
            )
            try:
                await committed(raw, writing)
            except asyncpg.PostgresError as error:
                if sqlstate(error) == _CHANGED:
                    if recalled.wallets:
                        self.memory.was_old(site_id)
                elif not recalled.wallets or sqlstate(error) not in _UNEXPECTED:
                    raise
                return _Way.DISTURBED
        self.memory.keep(site_id, page, sheet, answers, upon, recalled)
        return _Way.UNLOCKED if None in recalled.seats else _Way.REMEMBERED

    async def _looked_up(
        self,
        raw: asyncpg.Connection,
        site_id: int,
        page: Page,
        asks: Sequence[Ask],
        recalled: Recalled,
        now: datetime,
    ) -> tuple[list[Seat], list[Seen]]:
        """Seats for all, and what was seen of whom: of those who are not remembered it is looked up."""
        strange = [ask for ask, seat in zip(asks, recalled.seats, strict=True) if seat is None]
        rows = await statements.load(raw, site_id, strange, (), at=now) if strange else ()
        found = iter(statements.seats_of(page, strange, rows))
        seats = [next(found) if seat is None else seat for seat in recalled.seats]
        return seats, [*recalled.seen(), *statements.seen(rows)]

    async def _locked(
        self, site_id: int, asks: Sequence[Ask], answers: list[Answer], *, all_or_none: bool
    ) -> None:
        undone: set[str] = set()
        rare: list[Moved] = []
        try:
            async with self.lanes.transaction(rows=len(asks)) as raw, Turns() as turns:
                page = Page(self.clock.now())
                parts = [asks[at : at + self.part] for at in range(0, len(asks), self.part)]
                locks = {ask.player for ask in asks}
                loaded = turns.next(statements.load(raw, site_id, parts[0], locks, at=page.at))
                for number, part in enumerate(parts, 1):
                    seats = statements.seats_of(page, part, await loaded)
                    if number < len(parts):
                        loaded = turns.next(statements.load(raw, site_id, parts[number], (), at=page.at))
                        await asyncio.sleep(0)  # it is on its way while this part is decided
                    for one in further.lookups(raw, site_id, page, part, seats):
                        await turns.next(one)
                    answers += _decided(page, part, seats)
                    sheet = page.torn_off(is_last=number == len(parts))
                    if sheet is not None:
                        undone.update([one.operation_id for one in sheet.written] if all_or_none else ())
                        rare += await self._write(raw, turns, site_id, page, sheet)
                await turns.all()
                if all_or_none and any(answer.code not in SUCCESSES for answer in answers):
                    raise _Undone
        except _Undone:
            answers[:] = [_not_done(one, undone) for one in answers]
        else:
            _flag(site_id, rare)

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
