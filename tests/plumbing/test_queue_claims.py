"""A worker claims what is due in few words, and overlooks nothing that comes meanwhile."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from pgqueuer import AsyncpgDriver
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter
from typing_extensions import override

from app.plumbing import queue
from app.plumbing.database import Database, asyncpg_dsn
from app.plumbing.queue_wire import Connection, queries_over
from tests.plumbing.test_queue import added

NAMES = [QueueEntrypoint("test.job"), QueueEntrypoint("test.other")]
LATER = timedelta(minutes=5)


class Counting(AsyncpgDriver):
    """Notes what it is asked: the claims, and the looks at what is due."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(connection)
        self.asked: list[str] = []

    @override
    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        self.asked.append("claim" if "UPDATE" in query else "look")
        return await super().fetch(query, *args)


class Claimer:
    """Asks as PgQueuer's loop does."""

    def __init__(self, driver: Counting) -> None:
        self._driver, self._queries, self._id = driver, queries_over(driver), QueueManagerId(uuid.UUID(int=7))

    async def claim(self, *, most: int = 10, at_once: int = 40) -> list[Job]:
        found = {name: EntrypointExecutionParameter(concurrency_limit=0) for name in NAMES}
        return await self._queries.dequeue(most, found, self._id, at_once, timedelta(seconds=30))

    async def before_it_waits(self) -> tuple[int, timedelta | None, int]:
        found = await self._queries.eligible_queued_work(NAMES)
        return found, await self._queries.next_deferred_eta(NAMES), await self._queries.queued_work(NAMES)

    def rest(self) -> None:
        """As after a while without jobs."""
        vars(self._queries)["_claims_again_at"] = 0.0

    def asked(self) -> list[str]:
        said, self._driver.asked = self._driver.asked, []
        return said


@pytest.fixture
async def claimer(clone_url: str) -> Any:  # noqa: ANN401  asyncpg has no types
    """A worker's connection."""
    connection = await asyncpg.connect(asyncpg_dsn(clone_url), connection_class=Connection)
    yield Claimer(Counting(connection))
    await connection.close()


async def deferred(database: Database, name: str, after: timedelta) -> None:
    async with database.transaction() as tx:
        await queue.add(tx, name, {}, after=after)


async def test_what_was_all_is_one_claim_and_one_look(database: Database, claimer: Claimer) -> None:
    for number in range(3):
        await added(database, number)
    assert len(await claimer.claim()) == 3
    assert await claimer.claim() == []
    assert await claimer.before_it_waits() == (0, None, 0)
    assert claimer.asked() == ["claim", "look"]


async def test_woken_for_nothing_it_claims_once_and_looks_once(claimer: Claimer) -> None:
    for _ in range(2):
        assert await claimer.claim() == []
        assert await claimer.before_it_waits() == (0, None, 0)
        assert claimer.asked() == ["claim", "look"]


async def test_what_came_after_the_claim_is_claimed(database: Database, claimer: Claimer) -> None:
    await added(database, 1)
    assert len(await claimer.claim()) == 1
    await added(database, 2, name="test.other")
    assert len(await claimer.claim()) == 1
    assert claimer.asked() == ["claim", "look", "claim"]
    assert await claimer.claim() == []
    await added(database, 3)  # its notification is heard: nobody takes it from the listener any more
    assert await claimer.before_it_waits() == (0, None, 0)
    assert len(await claimer.claim()) == 1


async def test_a_full_claim_is_followed_by_another_at_once(database: Database, claimer: Claimer) -> None:
    for number in range(4):
        await added(database, number)
    assert [len(await claimer.claim(most=2)) for _ in range(3)] == [2, 2, 0]
    assert claimer.asked() == ["claim"] * 3


async def test_who_has_no_place_left_is_told_that_there_is_more(database: Database, claimer: Claimer) -> None:
    for number in range(3):
        await added(database, number)
    assert [len(await claimer.claim(at_once=2)) for _ in range(2)] == [2, 0]
    found, _, waits = await claimer.before_it_waits()
    assert (found, waits) == (1, 1)


async def test_the_first_that_will_be_due_is_known(database: Database, claimer: Claimer) -> None:
    for number in range(30):
        await deferred(database, "test.job", LATER + timedelta(seconds=number))
    await deferred(database, "test.other", LATER * 2)
    await deferred(database, "test.nobodys", timedelta(seconds=1))
    assert await claimer.claim() == []
    found, eta, waits = await claimer.before_it_waits()
    assert (found, waits) == (0, 1)
    assert eta is not None
    assert LATER - timedelta(seconds=30) < eta <= LATER
    await added(database, 1, name="test.other")
    await added(database, 2, name="test.nobodys")
    assert len(await claimer.claim()) == 1
    assert await claimer.claim() == []


async def test_what_its_worker_left_is_claimed_though_nothing_waits(
    database: Database, claimer: Claimer
) -> None:
    await added(database, 1)
    [left] = await claimer.claim()
    async with database.transaction() as tx:
        await tx.raw.execute("UPDATE queue.pgqueuer SET heartbeat = now() - interval '1 h'")
    assert await claimer.claim() == []  # looks; nothing is due
    assert await claimer.before_it_waits() == (0, None, 0)
    assert [job.id for job in await claimer.claim()] == [left.id]


async def test_between_two_claims_more_may_gather(
    database: Database, claimer: Claimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was given less than he asked for does not come for each job alone; who rested comes at once."""
    await added(database, 1)
    monkeypatch.setattr("app.plumbing.queue_wire._GATHER_SECONDS", 60.0)
    assert len(await claimer.claim()) == 1, "at once"
    again = asyncio.create_task(claimer.claim())
    await added(database, 2)
    await added(database, 3)
    assert claimer.asked() == ["claim"], "it waits"
    again.cancel()
    monkeypatch.setattr("app.plumbing.queue_wire._GATHER_SECONDS", 0.0)
    claimer.rest()
    assert len(await claimer.claim()) == 2


async def test_a_moment_lies_between_two_claims(database: Database, claimer: Claimer) -> None:
    loop = asyncio.get_running_loop()
    await added(database, 1)
    await added(database, 2)
    await claimer.claim()
    began = loop.time()
    await claimer.claim()
    assert loop.time() - began > 0.004


async def test_who_was_given_all_he_asked_for_comes_at_once(
    database: Database, claimer: Claimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.plumbing.queue_wire._GATHER_SECONDS", 60.0)
    await added(database, 1)
    await added(database, 2)
    assert [len(await claimer.claim(most=1)) for _ in range(2)] == [1, 1]
