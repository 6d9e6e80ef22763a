"""What the ledger does on its own: seal what is recorded, verify what is kept, give expired holds back."""

from collections.abc import Awaitable, Callable

import structlog

from app.ledger import audit, operations, queries
from app.ledger.audit import Report
from app.plumbing import metrics
from app.plumbing.database import DatabaseDown
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker

__all__ = ["register"]

# 10 s: what an intruder could still change unseen is at most that young, and a batch of a quiet site stays
# small.
_SEAL_SECONDS = 10
_VERIFY_SECONDS = 60
_EXPIRE_SECONDS = 60
_HOLDS_AT_ONCE = 100
_log = structlog.get_logger("ledger")


def register(worker: Worker, pipes: Pipes) -> None:
    """Schedule sealing, verification and expiry."""

    async def seal() -> None:
        await seal_everything(pipes)

    async def verify() -> None:
        await verify_news(pipes)

    async def expire() -> None:
        await expire_everywhere(pipes)

    for seconds, name, task in (
        (_SEAL_SECONDS, "ledger.seal", seal),
        (_VERIFY_SECONDS, "ledger.verify", verify),
        (_EXPIRE_SECONDS, "ledger.expire_holds", expire),
    ):
        worker.every(seconds, name, task)


async def seal_everything(pipes: Pipes) -> int:
    """Seal until nothing complete is left, wherever that can be; returns the number of seals made."""

    async def at_one(site_id: int) -> int:
        made = 0
        while True:
            async with pipes.database.transaction() as tx:
                link = await audit.seal(tx, site_id, at=pipes.clock.now())
            if link is None:
                return made
            made += 1

    made = await _everywhere(pipes, "ledger.seal", at_one)
    async with pipes.database.reading() as reader:
        waiting = [await queries.seal_lag(reader, site_id) for site_id in await queries.sites(reader)]
    metrics.SEAL_LAG.set(sum(lag.rows for lag in waiting))
    return made


async def verify_news(pipes: Pipes) -> Report:
    """Verify what came since the last time; a violation is an alarm each time until it is repaired."""
    report = await audit.verified(pipes.database)
    for violation in report.violations:
        metrics.ALARMS.labels("ledger_violation").inc()
        _log.critical(
            "ledger.violation", invariant=violation.invariant, site_id=violation.site_id, what=violation.what
        )
    return report


async def expire_everywhere(pipes: Pipes) -> int:
    """Give back what expired holds still hold, at every site where that can be; returns how many."""

    async def at_one(site_id: int) -> int:
        given_back, full = 0, True
        while full:
            async with pipes.database.transaction() as tx:
                done = await operations.expire_holds(tx, site_id, at=pipes.clock.now(), limit=_HOLDS_AT_ONCE)
            given_back += len(done)
            full = len(done) == _HOLDS_AT_ONCE
        return given_back

    return await _everywhere(pipes, "ledger.expire_holds", at_one)


async def _everywhere(pipes: Pipes, name: str, at_one: Callable[[int], Awaitable[int]]) -> int:
    """Do something at each site, whatever becomes of it at another; people hear of a site where it fails."""
    async with pipes.database.reading() as reader:
        site_ids = list(await queries.sites(reader))
    count = 0
    for site_id in site_ids:
        try:
            count += await at_one(site_id)
        except DatabaseDown:
            raise  # nothing can be done at the others either
        except Exception:  # noqa: BLE001  the other sites' turn, and this one's again the next time
            metrics.ALARMS.labels("ledger_site_skipped").inc()
            _log.exception("ledger.site_skipped", task=name, site_id=site_id)
    return count
