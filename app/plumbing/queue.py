"""Work for later, as rows: PgQueuer on the same PostgreSQL.

`add` writes a job through the transaction's own connection, so the job exists exactly if the transaction
commits. The `Worker` runs jobs at least once: every handler must bear a repeat. A handler that raises is
tried again with growing delays, then held as a dead letter until somebody revives it.
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
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, PgQueuer, Queries, RetryRequested
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.settings import DBSettings
from pgqueuer.models import Job, JobId, Schedule, TracebackRecord
from sqlalchemy import text
from typing_extensions import override

from app.plumbing import metrics
from app.plumbing.database import Database, Reader, Transaction, asyncpg_dsn, is_busy

__all__ = [
    "SCHEMA",
    "DeadLetter",
    "Worker",
    "add",
    "add_all",
    "dead_letters",
    "install_sql",
    "oldest_due_seconds",
    "revive",
    "unfinished",
    "uninstall_sql",
]

SCHEMA = "queue"
_NAMES = DBSettings(db_schema=SCHEMA)
_MINUTE, _HOUR = 60, 3_600  # seconds
_LONGEST_DELAY = timedelta(minutes=10)
_MOST_DOUBLINGS = 11  # of half a second: more than the longest delay
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


def install_sql() -> str:
    """The statements that create the queue's own schema; used by the migration."""
    return QueryBuilderEnvironment(_NAMES).build_install_query(create_schema=True)


def uninstall_sql() -> str:
    """The statements that drop what `install_sql` created."""
    return (
        f"{QueryBuilderEnvironment(_NAMES).build_uninstall_query()}; DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
    )


async def add(
    tx: Transaction,
    name: str,
    payload: Mapping[str, Any],
    *,
    after: timedelta = timedelta(0),
    key: str | None = None,
    urgent: bool = False,
) -> None:
    """Write one job in the caller's transaction.

    Args:
        tx: the transaction that decides whether the job exists.
        name: the handler's name, `<room>.<verb>`.
        payload: JSON-able facts, ids rather than contents.
        after: not before this long from now, by the database's clock.
        key: while a job with this key waits or runs, a second one is not added.
        urgent: before every job that is not, however long that has waited.
    """
    queries = _queries(AsyncpgDriver(tx.raw))
    body = json.dumps(payload, separators=(",", ":")).encode()
    await queries.enqueue([name], [body], [int(urgent)], [after], [key], on_conflict="skip")


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
    if payloads:
        count = len(payloads)
        bodies: list[bytes | None] = [json.dumps(one, separators=(",", ":")).encode() for one in payloads]
        await _queries(AsyncpgDriver(tx.raw)).enqueue(
            [name] * count,
            bodies,
            [int(urgent)] * count,
            [timedelta(0)] * count,
            [*keys] if keys else [None] * count,
            on_conflict="skip",
        )


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
    rows = await reader.all(
        text(
            f"SELECT id, entrypoint, payload, attempts FROM {SCHEMA}.pgqueuer "  # noqa: S608  a constant name
            "WHERE status = 'failed' ORDER BY id DESC LIMIT :limit"
        ),
        {"limit": limit},
    )
    return [
        DeadLetter(row.id, row.entrypoint, json.loads(row.payload or b"{}"), row.attempts) for row in rows
    ]


async def revive(tx: Transaction, ids: Sequence[int]) -> None:
    """Give dead letters another round of tries."""
    await _queries(AsyncpgDriver(tx.raw)).requeue_jobs([JobId(found) for found in ids])


class _Queries(Queries):
    """What PgQueuer says to the database, but for what it does when a retry cannot be written."""

    @override
    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Write that a job is tried again; PgQueuer makes a dead letter of one where this fails.

        The row stays taken then. Nobody gives a sign of life for it, so that it is taken up as any that was
        left: asked again here, the statement could meet a row that somebody else runs by then.
        """
        try:
            await super().retry_job(job, delay, traceback_record)
        except Exception as error:  # noqa: BLE001  whatever it was, the job is sound and its row is there
            metrics.JOBS.labels(job.entrypoint, "left").inc()
            _log.warning(
                "queue.retry_not_written", reason=repr(error), job=job.entrypoint, job_id=int(job.id)
            )


def _queries(driver: AsyncpgDriver | AsyncpgPoolDriver) -> Queries:
    return _Queries(
        driver,
        qbe=QueryBuilderEnvironment(_NAMES),
        qbq=QueryQueueBuilder(_NAMES),
        qbs=QuerySchedulerBuilder(_NAMES),
    )


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # published without types
    """A connection that nobody leaves anything behind in: the queue sets, locks and opens nothing."""

    @override
    def get_reset_query(self) -> str:
        return ""


class _Driver(AsyncpgPoolDriver):
    """Gives up on a server that says nothing: also when a connection is had from the pool, or given back.

    What was asked of such a connection is called off on a second one, which may be as silent. The pool waits
    for that without end, unless a time was named when the connection was taken.
    """

    def __init__(self, pool: asyncpg.Pool, seconds: float) -> None:
        super().__init__(pool)
        self._seconds = seconds

    @override
    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        async with self._pool.acquire(timeout=self._seconds) as connection:
            return [dict(row) for row in await connection.fetch(query, *args)]

    @override
    async def execute(self, query: str, *args: object) -> str:
        async with self._pool.acquire(timeout=self._seconds) as connection:
            return str(await connection.execute(query, *args))

    @override
    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)


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

    async def run(self) -> None:
        """Work until `stop`; a lost database is waited for and tried again."""
        delay = 0.2
        while not self._stopping.is_set():
            try:
                await self._run_once()
                delay = 0.2
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RuntimeError) as error:
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
            connection_class=_Connection,
            server_settings=self.database.settings.as_server_settings()
            | {"application_name": "cashier worker"},
            timeout=seconds,
            command_timeout=seconds,
        )
        try:
            await pool
            await self._work(_Driver(pool, seconds))
            await asyncio.wait_for(pool.close(), seconds)
        finally:
            pool.terminate()  # does nothing to a closed one; a silent server would not let it close

    async def _work(self, driver: _Driver) -> None:
        running = PgQueuer(driver, channel=_NAMES.channel, queries=_queries(driver))
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
        )

    def _guarded(self, name: str, registration: _Registration) -> Callable[[Job], Awaitable[None]]:
        async def run(job: Job) -> None:
            payload: Payload = json.loads(job.payload or b"{}")
            structlog.contextvars.bind_contextvars(job=name, job_id=int(job.id))
            try:
                await registration.handler(payload)
                metrics.JOBS.labels(name, "done").inc()
            except Exception as error:
                is_overdue = job.attempts + 1 >= registration.tries
                if is_overdue and not is_busy(error):
                    metrics.JOBS.labels(name, "dead").inc()
                    _log.exception("queue.dead_letter", payload=payload)
                    raise
                if is_overdue:
                    # The database was busy, the job may be sound: it is taken up again, and people hear.
                    metrics.ALARMS.labels("job_overdue").inc()
                metrics.JOBS.labels(name, "retried").inc()
                doubled = min(job.attempts, _MOST_DOUBLINGS)
                delay = min(timedelta(seconds=0.5 * 2**doubled), _LONGEST_DELAY)
                jittered = delay * random.uniform(0.5, 1.0)  # noqa: S311, TID251  jitter, not a secret
                _log.warning("queue.retry", reason=repr(error), tries=job.attempts + 1, delay=str(jittered))
                raise RetryRequested(delay=jittered, reason=repr(error)[:500]) from error
            finally:
                structlog.contextvars.unbind_contextvars("job", "job_id")

        return run


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
