"""One batch, decided and written: without a lock where that can be (`unlocked`), else behind locks.

Behind locks: begin, lock and look up, decide, write, commit. So go rollbacks, what must read more, what is
done all or none, large batches of players who are not remembered, and whatever somebody else has changed
while it was decided without.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import asyncpg
import structlog

from app.kernel.clock import Clock
from app.plumbing import metrics
from app.plumbing.database import CommitUnknown, DatabaseDown, Lanes, RolledBack, Turns
from app.wallet import further, openings, statements
from app.wallet.audit import refused_wins
from app.wallet.contract import Answer
from app.wallet.memory import Memory, Recalled, left_by
from app.wallet.rules import SUCCESSES, Page
from app.wallet.sessions import Sessions
from app.wallet.sheets import Moved, Seen, Sheet
from app.wallet.succession import NotSure, Place, Succession
from app.wallet.terms import Ask, Leg, Type
from app.wallet.unlocked import Draft, Unlocked, decided, without_wallet

__all__ = ["Batches"]

_log = structlog.get_logger("wallet")


class _Way(StrEnum):
    """How a batch went."""

    REMEMBERED = "remembered"
    UNLOCKED = "unlocked"
    LOCKED = "locked"
    DISTURBED = "disturbed"  # nothing was done, and then it was locked


class _Undone(RolledBack):
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
    _sessions: Sessions = field(default_factory=Sessions)
    _unlocked: Unlocked = field(init=False)
    _succession: Succession = field(default_factory=Succession)

    def __post_init__(self) -> None:
        """All ways share what is remembered, and what is known of the houses."""
        self._unlocked = Unlocked(self.lanes, self.memory, self._houses, self.part, self._sessions)

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
                way = await self._small(site_id, asks, answers)
        except (CommitUnknown, DatabaseDown):
            self.memory.clear()
            raise
        metrics.BATCHES.labels(way).inc()

    async def _small(self, site_id: int, asks: Sequence[Ask], answers: list[Answer]) -> _Way:
        """Upon what is remembered, or looked up without locks; behind them where that will not do."""
        draft = self._draft(site_id, asks, answers)
        try:
            await self._unlocked.small(draft)
        except NotSure:
            answers.clear()
            self.memory.forget(site_id, asks)
            await self._locked(site_id, asks, answers)
            return _Way.DISTURBED
        await self._look_at(site_id, draft.page)
        return _Way.UNLOCKED if None in draft.recalled.seats else _Way.REMEMBERED

    async def _large(self, site_id: int, asks: Sequence[Ask], answers: list[Answer], place: Place) -> _Way:
        """Upon what is remembered, if that is most of it; else behind locks, and remembered from then on."""
        draft, way = self._draft(site_id, asks, answers, is_after_all=True), _Way.LOCKED
        if draft.recalled.seats.count(None) <= self.part:
            try:
                await self._unlocked.large(draft, place)
            except NotSure:
                answers.clear()
                way = _Way.DISTURBED
            else:
                await self._look_at(site_id, draft.page)
                return _Way.REMEMBERED
        with suppress(NotSure):
            await place.reached()
        await self._locked(site_id, asks, answers, joining=draft.recalled.joining_players())
        return way

    def _draft(
        self, site_id: int, asks: Sequence[Ask], answers: list[Answer], *, is_after_all: bool = False
    ) -> Draft:
        page = Page(now := self.clock.now())
        recalled = self.memory.recall(site_id, asks, page, is_after_all=is_after_all)
        return Draft(site_id, asks, answers, page, recalled, now)

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
                await self._know_sessions(raw, turns, site_id, asks, page)
                for number, part in enumerate(parts, 1):
                    rows = await loaded
                    seats = statements.seats_of(page, part, rows)
                    if lacking := without_wallet(part, seats):
                        rows = await _opened(raw, turns, site_id, page, part, lacking) or rows
                        seats = statements.seats_of(page, part, rows)
                    upon += statements.seen(rows) if joining is not None else ()
                    if number < len(parts):
                        loaded = turns.next(statements.load(raw, site_id, parts[number], (), at=page.at))
                        await turns.on()  # it is on its way while this part is decided
                    for one in further.lookups(raw, site_id, page, part, seats):
                        await turns.next(one)
                    answers += decided(page, part, seats)
                    sheet = page.torn_off(is_last=number == len(parts))
                    if sheet is not None:
                        undone.update([one.operation_id for one in sheet.written] if all_or_none else ())
                        rare += await self._write(raw, turns, site_id, page, sheet)
                        sheets.append(sheet)
                await turns.all()
                if all_or_none and any(answer.code not in SUCCESSES for answer in answers):
                    raise _Undone
        except _Undone:
            answers[:] = _not_done(answers, undone)
        else:
            _flag(site_id, rare)
            if joining is not None and not rare:
                self.memory.keep(left_by(site_id, page, sheets, answers, upon, Recalled.nothing(joining)))
            await self._look_at(site_id, page)

    async def _look_at(self, site_id: int, page: Page) -> None:
        """Let a person look at wins that were refused because the house had ended their round (rule 33).

        The page is written: whatever ails this, its callers are answered.
        """
        if not page.refused_wins:
            return
        try:
            async with self.lanes.database.reading() as reader:
                found = await refused_wins(reader, site_id, page.refused_wins)
        except Exception:  # noqa: BLE001  not to know is for a person to look at as well
            metrics.ALARMS.labels("win_refused").inc()
            _log.exception("wallet.win_refused", site_id=site_id, operation_ids=page.refused_wins)
            return
        for one in found:
            metrics.ALARMS.labels("win_refused").inc()
            told = {"operation_id": one.operation_id, "round_id": one.round_id, "amount_minor": one.amount}
            _log.warning("wallet.win_refused", site_id=site_id, currency=one.currency, **told)

    async def _know_sessions(
        self, raw: asyncpg.Connection, turns: Turns, site_id: int, asks: Sequence[Ask], page: Page
    ) -> None:
        if unknown := self._sessions.unknown(site_id, asks, page):
            await turns.next(self._sessions.find(raw, site_id, unknown, page))

    async def _write(
        self, raw: asyncpg.Connection, turns: Turns, site_id: int, page: Page, sheet: Sheet
    ) -> list[Moved]:
        """Send a sheet on its way; returns what a person should look at."""
        if not statements.know_houses(self._houses, site_id, page):
            await turns.next(statements.find_houses(raw, site_id, self._houses))
        rare = statements.rare(sheet)
        if rare:
            await turns.next(statements.open_rare(raw, site_id, rare, at=sheet.at))
        _ = turns.next(statements.write(site_id, sheet, self._houses).sent(raw))
        if sheet.grants:
            _ = turns.next(statements.count(raw, site_id, sheet.grants))
        if held := [one for one in rare if one.leg is Leg.HOLD_WIN]:
            _ = turns.next(statements.hold(raw, site_id, held))
        return rare


async def _opened(
    raw: asyncpg.Connection, turns: Turns, site_id: int, page: Page, part: Sequence[Ask], lacking: list[str]
) -> Sequence[Any]:
    """What is found once wallets were opened for money that is there without one; nothing where none was."""
    if not await turns.next(openings.open_due(raw, site_id, lacking, at=page.at)):
        return ()
    return await turns.next(statements.load(raw, site_id, part, lacking, at=page.at))


def _needs_locks(ask: Ask) -> bool:
    """What depends on what is not there, as a rollback does, or reads more than is confirmed."""
    is_prepaid = ask.policy.prepaid_float and ask.type is Type.DEPOSIT
    return ask.type is Type.ROLLBACK or ask.free_round is not None or is_prepaid


def _flag(site_id: int, rare: Sequence[Moved]) -> None:
    """Let a person look at wins over a cap, and at wins whose money was gone (rules 33, 45)."""
    for operation_id, leg, amount, wallet in rare:
        what = "win_held" if leg is Leg.HOLD_WIN else "wallet_debt"
        metrics.ALARMS.labels(what).inc()
        told = {"operation_id": operation_id, "player_id": wallet.player_id, "amount_minor": amount}
        _log.warning(f"wallet.{what}", site_id=site_id, currency=wallet.currency, **told)


def _not_done(answers: Sequence[Answer], undone: Collection[str]) -> list[Answer]:
    """Answers of a batch that was undone; what had been done before the batch stays done, and is told."""
    # As each wallet was before the first of its operations, and is again.
    balances: dict[int, int] = {}
    found = []
    for one in answers:
        known, refusal, balance = one.operation, None, None
        if known is not None and one.wallet is not None and known.operation_id in undone:
            balance = balances.setdefault(one.wallet.wallet_id, known.before)
            refusal, known = known, None
        elif not one.duplicate:
            known = None
        told = Answer(one.ask, one.code, None, known, known is not None, one.field, one.why)
        told.refusal, told.balance = refusal, balance
        found.append(told)
    return found
