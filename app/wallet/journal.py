"""The journal: many callers, one transaction. Every operation of every wallet is decided and written here.

Concurrent calls of a site share a transaction (`batches`). One refused item never harms its neighbours. A
batch that fails runs again, then in halves, down to the one that cannot; a commit whose fate is unknown is
asked about by running the same batch again: what was written is then repeated from its rows, what was not is
done now.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

import asyncpg
import structlog

from app.kernel import ids
from app.plumbing.batching import Batcher, Overloaded
from app.plumbing.database import (
    BUSY_SQLSTATES,
    RETRY_LIMIT,
    CommitUnknown,
    DatabaseDown,
    Lanes,
    pause_seconds,
    sqlstate,
)
from app.plumbing.pipes import Pipes
from app.wallet.batches import Batches
from app.wallet.contract import Answer, Refused
from app.wallet.queries import operation_of
from app.wallet.terms import Ask, Code, Operation

__all__ = ["Journal"]

_MOST_TOGETHER: Final = 128
# About a fifth of a second of work; who comes on top hears 503 at once instead of waiting in vain.
_MOST_WAITING: Final = 1024
# Batches of a caller's own making, and voids: of one site, so that it does not take all there is. All sites'
# together use one lane less than there are: that one is for the calls that come one by one.
_MOST_RUNNING: Final = 8
_LANES: Final = 4
_RETRIED: Final = frozenset({"40001", "40P01", "23505"})  # serialization, deadlock, a key that raced
_TOO_SLOW: Final = "57014"  # statement_timeout: halves of it would be slow too

_VOID: Final = """
INSERT INTO wallet_operation (site_id, operation_id, source, within, key, type, code, applied, fingerprint,
  currency, amount_minor, win_minor, cash_minor, bonus_minor, balance_before_minor, balance_after_minor,
  sequence, provider_id, request_id, recorded_at)
VALUES ($1, $2, 'operator', '', $3, 'void', 'VOIDED', false, '', '', 0, 0, 0, 0, 0, 0, 0, '', $4, $5)
ON CONFLICT (site_id, source, within, key) DO NOTHING
"""
_STANDING: Final = """
SELECT o.*, q.site_login FROM wallet_operation o
  LEFT JOIN wallet w ON w.site_id = o.site_id AND w.wallet_id = o.wallet_id
  LEFT JOIN player q ON q.site_id = o.site_id AND q.player_id = w.player_id
 WHERE o.site_id = $1 AND o.source = 'operator' AND o.within = '' AND o.key = $2
"""
_log = structlog.get_logger("wallet")


def abreast(web_processes: int) -> int:
    """How many batches of a site one process has under way at once, where so many processes serve it.

    Of two, one is decided while the other is written. Several processes do that for each other: then one
    larger batch in each is better than two that meet the others' more often.
    """
    return 1 if web_processes > 1 else 2


@dataclass
class Journal:
    """What the wallet's routes, sweeps and commands post to.

    Args:
        pipes: the database and the clock.
        part: operations of a batch that are looked up and written at once.
        abreast: batches of one site's single calls that may be under way at once.
        connections: how many callers the process serves at once, whatever their site; one site's calls wait
            in half of them at most, so that it is refused itself before everybody is.
    """

    pipes: Pipes
    part: int = 200
    abreast: int = 2
    connections: int = 1_000
    lanes: Lanes = field(init=False)
    _batches: Batches = field(init=False)
    _batchers: dict[int, Batcher[Ask, Answer]] = field(default_factory=dict)
    _running: Counter[int] = field(default_factory=Counter)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LANES - 1))

    def __post_init__(self) -> None:
        """Connect nothing yet."""
        self.lanes = Lanes(self.pipes.database, size=_LANES)
        self._batches = Batches(self.lanes, self.pipes.clock, self.part)

    async def aclose(self) -> None:
        """Finish what has queued, and close the connections."""
        for batcher in self._batchers.values():
            await batcher.__aexit__()
        await self.lanes.__aexit__()

    async def post(self, site_id: int, ask: Ask) -> Answer:
        """Decide one operation, together with whatever else is asked at this site just now.

        Raises:
            Overloaded: too many are waiting; nothing was done.
            DatabaseDown: nothing was done.
            CommitUnknown: it may have been done; ask again with the same id.
        """
        batcher = self._batchers.get(site_id)
        if batcher is None:
            batcher = Batcher(
                lambda asks: self._done(site_id, asks),
                most=_MOST_TOGETHER,
                waiting=min(_MOST_WAITING, self.connections // 2),
                abreast=self.abreast,
                key=attrgetter("player"),
            )
            self._batchers[site_id] = batcher
        return await batcher(ask)

    async def run(self, site_id: int, asks: Sequence[Ask], *, all_or_none: bool = False) -> list[Answer]:
        """Decide operations in their order, in one transaction of their own.

        Args:
            site_id: whose.
            asks: one to a thousand.
            all_or_none: one refusal undoes all, and nothing is stored, not even refusals.

        Raises:
            Overloaded: too many batches of this site are waiting; nothing was done.
            DatabaseDown: nothing was done.
            CommitUnknown: they may have been done; ask again with the same ids.
        """
        async with self._turn(site_id):
            answers = await self._done(site_id, asks, all_or_none=all_or_none)
        told = []
        for ask, answer in zip(asks, answers, strict=True):
            if isinstance(answer, BaseException):
                _log.error("journal.item_failed", site_id=site_id, reason=repr(answer))
                answer = Answer(ask, Code.INTERNAL)  # noqa: PLW2901  its neighbours are answered
            told.append(answer)
        return told

    async def void(self, site_id: int, key: str, request_id: str) -> tuple[Operation, str, bool]:
        """Promise that a transfer which has not come will never be carried out.

        Args:
            site_id: whose.
            key: the operator's id of the transfer.
            request_id: of the call.

        Returns:
            the operation that stands under the id now (of type `void`, or the transfer, done or refused), the
            site's id of its player, and whether it had stood there before.

        Raises:
            Refused: IN_PROGRESS: the transfer is being written just now, and for long.
            Overloaded: too many voids or batches of this site are waiting; nothing was done.
            DatabaseDown: nothing was done.
            CommitUnknown: it may have been done; void it again.
        """
        at = self.pipes.clock.now()
        operation_id = ids.new("wop", at=at)
        try:
            async with self._turn(site_id), self.lanes.transaction() as raw:
                # Waits for a transfer that is just being written under the same id.
                await raw.execute(_VOID, site_id, operation_id, key, request_id, at)
                row = await raw.fetchrow(_STANDING, site_id, key)
        except asyncpg.PostgresError as error:
            if sqlstate(error) in BUSY_SQLSTATES:
                raise Refused(Code.IN_PROGRESS) from error
            raise
        return operation_of(row), row["site_login"] or "", row["operation_id"] != operation_id

    @asynccontextmanager
    async def _turn(self, site_id: int) -> AsyncIterator[None]:
        if self._running[site_id] >= _MOST_RUNNING:
            raise Overloaded(retry_after_seconds=1)
        self._running[site_id] += 1
        try:
            async with self._turns:
                yield
        finally:
            self._running[site_id] -= 1

    async def _done(
        self, site_id: int, asks: Sequence[Ask], *, all_or_none: bool = False
    ) -> list[Answer | BaseException]:
        """Run a batch until it is done, in halves if need be; an exception stands for an item that cannot."""
        ours: set[str] = set()
        may_be_done = False
        for run in range(1, RETRY_LIMIT + 1):
            answers: list[Answer] = []
            try:
                await self._batches.carry_out(site_id, asks, answers, all_or_none=all_or_none)
            except (CommitUnknown, DatabaseDown) as error:
                may_be_done |= isinstance(error, CommitUnknown)
                if not may_be_done:
                    raise
                if run == RETRY_LIMIT:
                    raise CommitUnknown("lost at COMMIT, and not found out since") from error
                _log.warning("journal.commit_unknown", site_id=site_id, items=len(asks))
                ours |= {one.operation.operation_id for one in answers if one.operation and not one.duplicate}
                await asyncio.sleep(pause_seconds(run))
            except asyncpg.PostgresError as error:
                if sqlstate(error) not in _RETRIED or run == RETRY_LIMIT:
                    # "Nothing was done" may be said of this run, but not of the one before.
                    if may_be_done:
                        raise CommitUnknown("lost at COMMIT, and not found out since") from error
                    return await self._halved(site_id, asks, error, all_or_none=all_or_none)
                _log.info("journal.again", site_id=site_id, items=len(asks), sqlstate=sqlstate(error))
                await asyncio.sleep(pause_seconds(run))
            else:
                for answer in answers if ours else ():
                    # What our own lost commit wrote is no repetition to who asked once.
                    answer.duplicate &= answer.operation is None or answer.operation.operation_id not in ours
                return [*answers]
        raise AssertionError("the last run returns or raises")

    async def _halved(
        self, site_id: int, asks: Sequence[Ask], error: asyncpg.PostgresError, *, all_or_none: bool
    ) -> list[Answer | BaseException]:
        if len(asks) > 1 and not all_or_none and sqlstate(error) != _TOO_SLOW:
            _log.warning("journal.halved", site_id=site_id, items=len(asks), sqlstate=sqlstate(error))
            middle = len(asks) // 2
            first = await self._half(site_id, asks[:middle])
            return [*first, *await self._half(site_id, asks[middle:])]
        if sqlstate(error) in BUSY_SQLSTATES:
            return [Answer(ask, Code.IN_PROGRESS) for ask in asks]
        return [error for _ in asks]

    async def _half(self, site_id: int, asks: Sequence[Ask]) -> list[Answer | BaseException]:
        """Run a part; what it cannot do it tells its own callers only, for the other part may be done."""
        try:
            return await self._done(site_id, asks)
        except (CommitUnknown, DatabaseDown) as error:
            return [error for _ in asks]
