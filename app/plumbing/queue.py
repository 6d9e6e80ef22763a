"""Work for later, as rows: PgQueuer on the same PostgreSQL.

A job is a row of the transaction of what it is about (`add`, or `job` together with other writes), so it
exists exactly if that commits. The `Worker` runs jobs at least once: every handler must bear a repeat. A
handler that raises is tried again with growing delays, then held as a dead letter until somebody revives it.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import AsyncpgDriver, PgQueuer, RetryRequested
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.errors import FailingListenerError
from pgqueuer.models import Job, JobId, Schedule
from sqlalchemy import text

from app.kernel.masking import mask_excerpt
from app.plumbing import metrics
from app.plumbing.database import Database, Reader, Transaction, Write, asyncpg_dsn, is_busy
from app.plumbing.queue_wire import (
    NAMES,
    NEW_JOB,
    NEW_JOBS,
    SCHEMA,
    Connection,
    Driver,
    jobs_beside,
    queries_over,
)

__all__ = [
    "SCHEMA",
    "DeadLetter",
    "Task",
    "Worker",
    "add",
    "add_all",
    "dead_letters",
    "forget",
    "install_sql",
    "job",
    "jobs_beside",
    "oldest_due_seconds",
    "revive",
    "unfinished",
    "uninstall_sql",
]

_MINUTE, _HOUR = 60, 3_600  # seconds
_LONGEST_REASON = 500
_LONGEST_DELAY = timedelta(minutes=10)
_MOST_DOUBLINGS = 11  # of half a second: more than the longest delay
# A week: who looks into why a job failed, after a long weekend too.
_KEPT_DAYS = 7
_FORGOTTEN_AT_ONCE = 10_000
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RuntimeError, FailingListenerError)
_log = structlog.get_logger("queue")

Payload = dict[str, Any]
Handler = Callable[[Payload], Awaitable[None]]
Task = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed every try and waits for a person."""

    id: int
    name: str
    payload: Payload
    tries: int
    why: str = ""


def install_sql() -> str:
    """The statements that create the queue's own schema; used by the migration."""
    return QueryBuilderEnvironment(NAMES).build_install_query(create_schema=True)


def uninstall_sql() -> str:
    """The statements that drop what `install_sql` created."""
    return f"{QueryBuilderEnvironment(NAMES).build_uninstall_query()}; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"


def job(
    name: str,
    payload: Mapping[str, Any],
    *,
    after: timedelta = timedelta(0),
    key: str | None = None,
    urgent: bool = False,
) -> Write:
    """One job, to be written together with what it is about.

    Args:
        name: the handler's name, `<room>.<verb>`.
        payload: JSON-able facts, ids rather than contents.
        after: not before this long from now, by the database's clock.
        key: while a job with this key waits or runs, a second one is not added.
        urgent: before every job that is not, however long that has waited.
    """
    return NEW_JOB, {
        "priority": int(urgent),
        "entrypoint": name,
        "payload": _body(payload),
        "after": after,
        "dedupe_key": key,
    }


async def add(
    tx: Transaction,
    name: str,
    payload: Mapping[str, Any],
    *,
    after: timedelta = timedelta(0),
    key: str | None = None,
    urgent: bool = False,
) -> None:
    """Write one job in the caller's transaction, which decides whether it exists; arguments as of `job`."""
    assert tx.raw, "it asserts that a transaction is open: a job alone does not commit by itself"
    await tx.write(job(name, payload, after=after, key=key, urgent=urgent))


async def add_all(
    tx: Transaction,
    name: str,
    payloads: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str] = (),
    urgent: bool = False,
) -> None:
    """Write one job for each payload at once, as `add` would, to be run as soon as may be.

    Args:
        tx, name, urgent: as of `add`.
        payloads: one for each job.
        keys: as many, if any.
    """
    assert tx.raw, "as in `add`"
    assert len(keys) in {0, len(payloads)}, "a key for each, or none at all"
    if payloads:
        its = {"of_priority": int(urgent), "of_name": name}
        bodies = [_body(one) for one in payloads]
        await tx.write((NEW_JOBS, {**its, "payloads": bodies, "keys": [*keys] or [None] * len(bodies)}))


def _body(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


async def oldest_due_seconds(reader: Reader) -> float:
    """Age of the oldest job that could run now, in seconds; 0 when nothing waits."""
    found = await reader.scalar(
        text(
            f"SELECT extract(epoch FROM now() - min(execute_after)) FROM {SCHEMA}.pgqueuer "  # noqa: S608  a constant name
            "WHERE status = 'queued' AND execute_after <= now()"
        )
    )
    return float(found or 0)


async def unfinished(reader: Reader, name: str, *, most: int) -> int:
    """How many jobs of this name wait or run; counted up to `most`."""
    its = f"SELECT FROM {SCHEMA}.pgqueuer WHERE entrypoint = :name AND status"
    # Apart, because each of the two has an index of its own.
    both = f"{its} = 'queued' UNION ALL {its} = 'picked' LIMIT :most"
    counted = text(f"SELECT count(*) FROM ({both}) AS counted")  # noqa: S608
    return int(await reader.scalar(counted, {"name": name, "most": most}) or 0)


async def dead_letters(reader: Reader, limit: int = 100) -> Sequence[DeadLetter]:
    """Jobs that failed every try, newest first."""
    why = (
        f"SELECT traceback->>'exception_message' FROM {SCHEMA}.pgqueuer_log l "  # noqa: S608  a constant name
        "WHERE l.job_id = q.id AND l.status = 'failed' ORDER BY l.created DESC LIMIT 1"
    )
    rows = await reader.all(
        text(
            f"SELECT id, entrypoint, payload, attempts, ({why}) AS why FROM {SCHEMA}.pgqueuer q "  # noqa: S608
            "WHERE status = 'failed' ORDER BY id DESC LIMIT :limit"
        ),
        {"limit": limit},
    )
    return [
        DeadLetter(row.id, row.entrypoint, json.loads(row.payload or b"{}"), row.attempts, row.why or "")
        for row in rows
    ]


async def revive(tx: Transaction, ids: Sequence[int]) -> list[int]:
    """Give dead letters another round of tries; returns those that were some.

    Without their keys: of those that died of one key, and one that waits under it, only one could have it.
    """
    rows = await tx.all(
        text(
            f"SELECT id FROM {SCHEMA}.pgqueuer WHERE id = ANY(:ids) AND status = 'failed' "  # noqa: S608
            "ORDER BY id FOR UPDATE"
        ),
        {"ids": list(ids)},
    )
    found = [row.id for row in rows]
    without = text(f"UPDATE {SCHEMA}.pgqueuer SET dedupe_key = NULL WHERE id = ANY(:ids)")  # noqa: S608
    await tx.execute(without, {"ids": found})
    await queries_over(AsyncpgDriver(tx.raw)).requeue_jobs([JobId(one) for one in found])
    return found


async def forget(database: Database) -> int:
    """Drop what the queue noted of jobs that are long over, some at a time; returns how many rows."""
    count = 0
    for noted in ("pgqueuer_log", "pgqueuer_statistics"):
        is_old = f"created < now() - interval '{_KEPT_DAYS} days'"
        old = f"SELECT id FROM {SCHEMA}.{noted} WHERE {is_old} LIMIT :most"  # noqa: S608  constant names
        dropped = text(f"DELETE FROM {SCHEMA}.{noted} WHERE id IN ({old})")  # noqa: S608
        done = _FORGOTTEN_AT_ONCE
        while done == _FORGOTTEN_AT_ONCE:
            async with database.transaction() as tx:
                done = (await tx.execute(dropped, {"most": _FORGOTTEN_AT_ONCE})).rowcount
            count += done
    return count


class _Failed(Exception):
    """Why a job failed, as it may be kept: PgQueuer writes an error's text and those behind it to its log."""


@dataclass(slots=True)
class _Registration:
    handler: Handler
    tries: int


@dataclass(slots=True)
class Worker:
    """Runs jobs and schedules until stopped.

    Args:
        database: where the queue lives; the worker opens connections of its own to the same address.
        stale_after: a job whose worker gave no sign of life for so long is taken up by another.
        at_once: jobs running at the same time in this process.
        answers_within: a server that has not answered the queue for so long is given up, and dialled anew;
            longer than the server itself lets a statement run.
    """

    database: Database
    stale_after: timedelta = timedelta(seconds=30)
    at_once: int = 40
    answers_within: timedelta = timedelta(seconds=7)
    _handlers: dict[str, _Registration] = field(default_factory=dict)
    _tasks: dict[str, tuple[int, Task]] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _running: PgQueuer | None = None

    def handle(self, name: str, handler: Handler, *, tries: int = 10) -> None:
        """Let `handler` run the jobs called `name`; one that failed `tries` times is a dead letter."""
        self._handlers[name] = _Registration(handler, tries)

    def every(self, seconds: int, name: str, task: Task) -> None:
        """Run `task` about every `seconds` in one worker of the fleet.

        `seconds` divides a minute or an hour.
        """
        _cron(seconds)
        self._tasks[name] = (seconds, task)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Who runs which jobs, for a simulation that runs them in an order of its own."""
        return {name: registration.handler for name, registration in self._handlers.items()}

    @property
    def tasks(self) -> Mapping[str, tuple[int, Task]]:
        """What runs about every so many seconds, likewise."""
        return dict(self._tasks)

    def stop(self) -> None:
        """Claim nothing more, finish what runs, then return from `run`."""
        self._stopping.set()
        if self._running is not None:
            self._running.shutdown.set()
            self._running.connection.shutdown.set()

    async def run(self) -> None:
        """Work until `stop`; a lost database is waited for and tried again."""
        delay = 0.2
        while not self._stopping.is_set():
            try:
                await self._run_once()
                delay = 0.2
            except _LOST as error:
                _log.warning("queue.lost", reason=repr(error), retry_in_seconds=round(delay, 1))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay)
                delay = min(delay * 2, 5.0)

    async def _run_once(self) -> None:
        seconds = self.answers_within.total_seconds()
        pool = asyncpg.create_pool(
            asyncpg_dsn(self.database.url.render_as_string(hide_password=False)),
            min_size=2,
            max_size=4,
            connection_class=Connection,
            # Which jobs are taken, and how they ended, PostgreSQL may forget in a crash: they run again.
            server_settings=self.database.settings.as_server_settings()
            | {"application_name": "cashier worker", "synchronous_commit": "off"},
            timeout=seconds,
            command_timeout=seconds,
        )
        try:
            await pool
            await self._work(Driver(pool, seconds))
            await asyncio.wait_for(pool.close(), seconds)
        finally:
            pool.terminate()  # does nothing to a closed one; a silent server would not let it close

    async def _work(self, driver: Driver) -> None:
        running = PgQueuer(driver, channel=NAMES.channel, queries=queries_over(driver))
        for name, registration in self._handlers.items():
            running.entrypoint(name, on_failure="hold")(self._guarded(name, registration))
        for name, (seconds, task) in self._tasks.items():
            running.schedule(name, _cron(seconds))(_scheduled(name, task))
        self._running = running
        if self._stopping.is_set():
            return
        await running.run(
            dequeue_timeout=timedelta(seconds=1),
            batch_size=10,
            max_concurrent_tasks=self.at_once,
            heartbeat_timeout=self.stale_after,
            # Deaf, it would go on with what it looks for itself, each job up to a second late.
            shutdown_on_listener_failure=True,
            # Nobody reads its statistics: jobs are counted by `metrics`.
            log_aggregation_interval=timedelta(0),
        )

    def _guarded(self, name: str, registration: _Registration) -> Callable[[Job], Awaitable[None]]:
        async def run(job: Job) -> None:
            payload: Payload = json.loads(job.payload or b"{}")
            structlog.contextvars.bind_contextvars(job=name, job_id=int(job.id))
            try:
                await registration.handler(payload)
                metrics.JOBS.labels(name, "done").inc()
            except Exception as error:  # noqa: BLE001  told to the queue, without what must not be kept
                is_overdue = job.attempts + 1 >= registration.tries
                if is_overdue and not is_busy(error):
                    metrics.JOBS.labels(name, "dead").inc()
                    _log.exception("queue.dead_letter", payload=payload)
                    raise _Failed(_why(error)) from None
                if is_overdue:
                    # The database was busy, the job may be sound: it is taken up again, and people hear.
                    metrics.ALARMS.labels("job_overdue").inc()
                metrics.JOBS.labels(name, "retried").inc()
                doubled = min(job.attempts, _MOST_DOUBLINGS)
                delay = min(timedelta(seconds=0.5 * 2**doubled), _LONGEST_DELAY)
                jittered = delay * random.uniform(0.5, 1.0)  # noqa: S311, TID251  jitter, not a secret
                _log.warning("queue.retry", reason=repr(error), tries=job.attempts + 1, delay=str(jittered))
                raise RetryRequested(delay=jittered, reason=_why(error)) from None
            finally:
                structlog.contextvars.unbind_contextvars("job", "job_id")

        return run


def _why(error: Exception) -> str:
    """What may be kept of an error: its text may be a stranger's, and hold what must not be stored."""
    return mask_excerpt(repr(error).encode(errors="replace"), _LONGEST_REASON)


def _scheduled(name: str, task: Task) -> Callable[[Schedule], Awaitable[None]]:
    async def run(_: Schedule) -> None:
        try:
            await task()
            metrics.JOBS.labels(name, "done").inc()
        except Exception:  # noqa: BLE001  the next turn tries again
            metrics.JOBS.labels(name, "failed").inc()
            _log.exception("schedule.failed", schedule=name)

    return run


def _cron(seconds: int) -> str:
    if 0 < seconds < _MINUTE and _MINUTE % seconds == 0:
        return f"* * * * * */{seconds}"
    if seconds == _HOUR:
        return "0 * * * *"
    if 0 < seconds < _HOUR and seconds % _MINUTE == 0 and _HOUR % seconds == 0:
        return f"*/{seconds // _MINUTE} * * * *"
    raise ValueError(f"a schedule of {seconds} s divides neither a minute nor an hour")
