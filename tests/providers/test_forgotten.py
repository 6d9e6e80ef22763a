"""The net under notices: one whose job died is read all the same, and its money counts once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app import providers
from app.payments import jobs
from app.plumbing import metrics, queue
from app.providers.tables import provider_accounts
from tests.payments import conftest
from tests.payments.world import AMOUNT, World, fact

provider = conftest.provider
world = conftest.world

JUST_FORGOTTEN = timedelta(minutes=5, seconds=1)


def counted() -> float:
    return float(metrics.ALARMS.labels("notice_forgotten")._value.get())


async def recovered(world: World) -> int:
    """One turn of the sweep."""
    async with world.database.transaction() as tx:
        return await providers.recover_forgotten(tx, now=world.clock.now())


async def lose_the_jobs(world: World) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(text("DELETE FROM queue.pgqueuer"))


async def stored(world: World) -> str:
    """A deposit whose notice of success has arrived and is unread."""
    await world.deposit()
    return await world.store_notice(fact(await world.reference()))


async def notice_state(world: World) -> str:
    [row] = await world.rows("SELECT state FROM notice")
    return str(row.state)


async def run_until(world: World, worker: queue.Worker, query: str) -> None:
    """Let a worker run until the query finds something."""
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(20):
            while not await world.rows(query):  # noqa: ASYNC110  the worker does it
                await asyncio.sleep(0.02)
    finally:
        worker.stop()
        await running


async def dead(world: World) -> None:
    """The reading fails until its job is a dead letter."""

    async def hopeless(_: queue.Payload) -> None:
        raise RuntimeError("always")

    worker = queue.Worker(world.database)
    worker.handle(providers.NOTICE_ARRIVED, hopeless, tries=1)
    await run_until(world, worker, "SELECT 1 FROM queue.pgqueuer WHERE status = 'failed'")


async def test_a_lost_job_is_left_again_and_the_money_counts(world: World) -> None:
    await stored(world)
    await lose_the_jobs(world)
    before = counted()
    for passed, found in ((timedelta(minutes=5), 0), (timedelta(seconds=1), 1)):
        world.clock.advance(passed)
        assert await recovered(world) == found
    assert counted() == before + 1
    [job] = await world.rows("SELECT entrypoint, priority FROM queue.pgqueuer WHERE status = 'queued'")
    assert job.entrypoint == providers.NOTICE_ARRIVED
    assert job.priority > 0, "it has waited long enough"


async def test_a_dead_letter_does_not_keep_the_notice_from_being_read(world: World) -> None:
    """The real queue: the job fails every try, the sweep leaves another, the real handler reads it."""
    await stored(world)
    await dead(world)
    assert (await notice_state(world), await world.credited()) == ("new", 0)
    world.clock.advance(JUST_FORGOTTEN)
    assert await recovered(world) == 1
    assert await world.jobs(providers.NOTICE_ARRIVED) == 1
    worker = queue.Worker(world.database)
    jobs.register(worker, world.pipes)
    worker._tasks.clear()
    await run_until(world, worker, "SELECT 1 FROM notice WHERE state = 'read'")
    assert await world.credited() == AMOUNT.minor
    assert await world.told() == [4]


async def test_looking_again_and_again_leaves_one_job(world: World) -> None:
    await stored(world)
    for _ in range(5):
        world.clock.advance(JUST_FORGOTTEN)
        assert await recovered(world) == 1
    assert await world.jobs(providers.NOTICE_ARRIVED) == 1


async def test_two_looking_at_once_leave_one_job(world: World) -> None:
    await stored(world)
    await lose_the_jobs(world)
    world.clock.advance(JUST_FORGOTTEN)
    await asyncio.gather(*(recovered(world) for _ in range(4)))
    assert await world.jobs(providers.NOTICE_ARRIVED) == 1


@pytest.mark.parametrize("state", [state for state in providers.NoticeState if state != "new"])
async def test_what_was_read_to_whatever_end_is_left_alone(
    world: World, state: providers.NoticeState
) -> None:
    notice_id = await stored(world)
    await lose_the_jobs(world)
    async with world.database.transaction() as tx:
        await providers.close_notice(tx, world.site_id, notice_id, state, at=world.clock.now())
    world.clock.advance(timedelta(days=1))
    assert await recovered(world) == 0
    assert await world.jobs(providers.NOTICE_ARRIVED) == 0


async def test_the_worker_looks_every_minute(world: World) -> None:
    await stored(world)
    await lose_the_jobs(world)
    world.clock.advance(JUST_FORGOTTEN)
    worker = queue.Worker(world.database)
    jobs.register(worker, world.pipes)
    seconds, look = worker._tasks["providers.recover_forgotten"]
    assert seconds == 60
    await look()
    assert await world.jobs(providers.NOTICE_ARRIVED) == 1


async def test_the_worker_forgets_former_secrets_every_minute(world: World) -> None:
    async with world.database.transaction() as tx:
        ended = {"former_secret": "old", "former_secret_ends_at": world.clock.now()}
        await tx.execute(update(provider_accounts).values(ended))
    worker = queue.Worker(world.database)
    jobs.register(worker, world.pipes)
    seconds, forget = worker._tasks["providers.forget_former_secrets"]
    assert seconds == 60
    await forget()
    [row] = await world.rows("SELECT former_secret FROM provider_account")
    assert row.former_secret is None
