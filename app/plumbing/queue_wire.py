"""How PgQueuer reaches the database: its statements, its connections, and what it is kept from doing."""

import asyncio
import json
from datetime import timedelta
from typing import Any, cast

import asyncpg
import structlog
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, Queries
from pgqueuer.adapters.persistence import schema_ddl
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.schema.queue import dedupe_predicate
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import JOB_STATUS, QueueEntrypoint, QueueManagerId
from pgqueuer.models import Job, TracebackRecord
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    Interval,
    LargeBinary,
    Text,
    bindparam,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from typing_extensions import override

from app.plumbing import metrics
from app.plumbing.database import Built

__all__ = ["NAMES", "NEW_JOB", "NEW_JOBS", "SCHEMA", "Connection", "Driver", "jobs_beside", "queries_over"]

SCHEMA = "queue"
NAMES = DBSettings(db_schema=SCHEMA)
_GATHER_SECONDS = 0.008  # between two claims of a worker that was given less than it asked for
# What PgQueuer's trigger tells of a job that is done, as a worker says it to itself; when, nobody reads.
_DONE = json.dumps(
    {
        "channel": NAMES.channel,
        "operation": "delete",
        "sent_at": "1970-01-01T00:00:00Z",
        "table": NAMES.queue_table,
        "type": "table_changed_event",
    }
)
_log = structlog.get_logger("queue")

_NO_HEADERS: ColumnElement[object] = literal_column("'null'::jsonb")
_jobs = table(
    NAMES.queue_table,
    column("priority", Integer),
    column("entrypoint", Text),
    column("payload", LargeBinary),
    column("execute_after"),
    column("dedupe_key", Text),
    column("headers"),
    column("status"),
    schema=SCHEMA,
)


def _unless_there(new: Insert) -> Insert:
    """Add none while one with the same key waits or runs; PostgreSQL knows the index by its condition."""
    predicate = schema_ddl.spelled(dedupe_predicate(NAMES), NAMES)
    return new.on_conflict_do_nothing(index_elements=["dedupe_key"], index_where=text(predicate))


# What PgQueuer's own `enqueue` writes, as statements that can be joined with others; but for a line in its
# log that a job was queued, which nobody reads.
NEW_JOB = Built(
    _unless_there(
        insert(_jobs).values(
            execute_after=func.now() + bindparam("after", type_=Interval),
            headers=_NO_HEADERS,
            status=literal_column("'queued'"),
        )
    )
)


def jobs_beside(rows: FromClause, name: str, *, urgent: bool = False) -> Insert:
    """Jobs for rows of another statement, of which this becomes a part: as `add_all` adds them.

    Args:
        rows: with a `payload` and a `dedupe_key`, a column each.
        name, urgent: as of `job`.
    """
    return _new_jobs(rows, literal(name, Text), literal(int(urgent), Integer))


def _new_jobs(each: FromClause, name: ColumnElement[str], priority: ColumnElement[int]) -> Insert:
    its: dict[str, ColumnElement[Any]] = {
        "priority": priority,
        "entrypoint": name,
        "payload": each.c.payload,
        "execute_after": func.now(),
        "dedupe_key": each.c.dedupe_key,
        "headers": _NO_HEADERS,
        "status": literal_column(f"'queued'::{NAMES.qualified.queue_status_type}"),
    }
    return _unless_there(insert(_jobs).from_select([*its], select(*its.values()).select_from(each)))


_given = func.unnest(
    bindparam("payloads", type_=ARRAY(LargeBinary)), bindparam("keys", type_=ARRAY(Text))
).table_valued(column("payload", LargeBinary), column("dedupe_key", Text))
NEW_JOBS = Built(
    _new_jobs(
        _given.render_derived(name="given"),
        bindparam("of_name", type_=Text),
        bindparam("of_priority", type_=Integer),
    )
)


# How long until the first job that waits is due; of each name the index gives one row, however many wait. The
# names are asked for in a subquery: seen by the planner, they would be planned for each time.
_FIRST_DUE = f"""
SELECT min(first.execute_after) - now() AS left
  FROM unnest((SELECT $1::text[])) AS its (name)
 CROSS JOIN LATERAL (
       SELECT execute_after FROM {NAMES.qualified.queue_table}
        WHERE entrypoint = its.name AND status = 'queued'
        ORDER BY execute_after LIMIT 1) AS first
"""  # noqa: S608  constant names


class _Queries(Queries):
    """What PgQueuer says to the database, but for what it does when a retry cannot be written.

    And in fewer words. It claims until there is nothing, and then asks what is due, what will be and what
    waits at all. Here, who was given less than was asked for looks first whether more has come since, and
    that look answers all of it: what comes after it is heard of by a notification, which nobody takes from
    the listener any more before he waits.

    Nor does it claim for each job alone while many come: a claim costs as much as a small job does, and so
    between two of them there is a moment in which more may gather. What comes to a worker at rest does not
    wait, nor does who was given all that was asked for.

    The database tells of new jobs alone: that a place is free again, and that a job is to be run again, a
    worker tells itself.
    """

    # What the look has found, for those who ask right behind it: the time left, or None if nothing waits.
    _looked: tuple[timedelta | None] | None = None
    _had_all: bool = False
    _leaves_some: bool = False  # for want of a place it waits, though something is due
    _has_freed: bool = False  # a place, since the last claim
    _claims_again_at: float = 0.0  # by the loop's clock

    @override
    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        had_all, self._had_all, self._looked = self._had_all, False, None
        await self._until_more_may_be_there()
        if self.driver.shutdown.is_set() or (had_all and not await self._is_due([*entrypoints])):
            return []
        self._looked, self._leaves_some, self._has_freed = None, False, False
        jobs = await super().dequeue(
            batch_size, entrypoints, queue_manager_id, global_concurrency_limit, heartbeat_timeout
        )
        self._had_all = 0 < len(jobs) < batch_size
        gathers = 0.0 if len(jobs) == batch_size else _GATHER_SECONDS
        self._claims_again_at = asyncio.get_running_loop().time() + gathers
        return jobs

    async def _until_more_may_be_there(self) -> None:
        left = self._claims_again_at - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.sleep(left)

    @override
    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        self._leaves_some = await self._is_due(entrypoints)
        self._look_again_if_one_may_begin()
        return int(self._leaves_some)

    @override
    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        return await self._first_due(entrypoints)

    @override
    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        return int(await self._first_due(entrypoints) is not None)

    async def _is_due(self, entrypoints: list[QueueEntrypoint]) -> bool:
        left = await self._first_due(entrypoints)
        return left is not None and left <= timedelta(0)

    async def _first_due(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        if self._looked is None:
            [row] = await self.driver.fetch(_FIRST_DUE, entrypoints)
            self._looked = (cast("timedelta | None", row["left"]),)
        return self._looked[0]

    @override
    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Write which jobs are over; their places are free for what is due."""
        await super().log_jobs(job_status)
        self._has_freed = True
        self._look_again_if_one_may_begin()

    def _look_again_if_one_may_begin(self) -> None:
        if self._leaves_some and self._has_freed:
            self._look_again()

    def _look_again(self) -> None:
        if isinstance(self.driver, Driver):
            self.driver.wake()

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
        else:
            self._look_again()


def queries_over(driver: AsyncpgDriver | AsyncpgPoolDriver) -> Queries:
    """What the queue can be asked and told through a connection or a pool."""
    return _Queries(
        driver,
        qbe=QueryBuilderEnvironment(NAMES),
        qbq=QueryQueueBuilder(NAMES),
        qbs=QuerySchedulerBuilder(NAMES),
    )


class Connection(asyncpg.Connection):  # type: ignore[misc]  # published without types
    """A connection that nobody leaves anything behind in: the queue sets, locks and opens nothing."""

    @override
    def get_reset_query(self) -> str:
        return ""


class Driver(AsyncpgPoolDriver):
    """Gives up on a server that says nothing: also when a connection is had from the pool, or given back.

    What was asked of such a connection is called off on a second one, which may be as silent. The pool waits
    for that without end, unless a time was named when the connection was taken.
    """

    def __init__(self, pool: asyncpg.Pool, seconds: float) -> None:
        """Use a pool, and wait for so long each time."""
        super().__init__(pool)
        self._seconds = seconds
        self._hears: NotifyCallback | None = None
        self._listens = asyncio.Event()

    @override
    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await super().add_listener(channel, callback)
        self._hears = callback
        self._listens.set()

    def wake(self) -> None:
        """Let the worker of this process look again."""
        if self._hears is not None:
            self._hears(_DONE)

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
        await self._listens.wait()  # whether it listens is what it asks itself: before, it would not hear
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)
