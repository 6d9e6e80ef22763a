"""A notice that comes again while its original is being read: answered at once, counted, and read once."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from app import payments, providers
from app.payments import notices
from app.payments.queries import Attempt, Payment
from app.plumbing.database import Transaction
from tests.payments import conftest
from tests.payments.world import ACCOUNT, AMOUNT, World, fact

provider = conftest.provider
world = conftest.world

# Of any test that runs beside: who has not begun to wait yet is no harm.
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted"


@asynccontextmanager
async def being_read(world: World, notice_id: str) -> AsyncIterator["asyncio.Task[None]"]:
    """Somebody is changing the payment; whoever reads the notice waits for that until the block is over."""
    found = await world.payment()
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with world.database.transaction() as tx:
            await payments.payment(tx, world.site_id, found.payment_id, lock=True)
            held.set()
            await let_go.wait()

    holding = asyncio.create_task(hold())
    await held.wait()
    reading = asyncio.create_task(payments.read_notice(world.pipes, world.site_id, notice_id))
    try:
        async with asyncio.timeout(1):
            while not await world.rows(WAITING):  # noqa: ASYNC110  the server does it
                await asyncio.sleep(0.01)
        yield reading
    finally:
        let_go.set()
        await asyncio.gather(holding, reading)


def raw(body: bytes) -> providers.RawNotice:
    return providers.RawNotice("/", {"x-told": "yes"}, body)


async def test_it_keeps_nobody_waiting(world: World) -> None:
    await world.deposit()
    notice_id = await world.store_notice(fact(await world.reference()))
    [same] = await world.rows("SELECT body FROM notice")
    intake, at = providers.Intake(world.database), world.clock.now()
    bodies = [same.body, *(b'{"facts": [], "mark": "%d"}' % number for number in range(8)), same.body]
    async with being_read(world, notice_id) as reading:
        async with asyncio.timeout(1):  # the lock's own time-out is 2 s
            answers = await asyncio.gather(
                *(intake.take(world.site_id, ACCOUNT, raw(body), at=at) for body in bodies)
            )
        assert not reading.done()
        assert [answer.status for answer in answers] == [200] * 10
        rows = await world.rows("SELECT body, arrivals, state FROM notice")
        assert {row.body: row.arrivals for row in rows} == dict.fromkeys(bodies, 1) | {same.body: 3}
    await intake.aclose()
    [row] = await world.rows("SELECT state, arrivals FROM notice WHERE body = :body", body=same.body)
    assert tuple(row) == ("read", 3)
    assert await world.credited() == AMOUNT.minor


async def test_read_by_many_at_once_it_counts_once(world: World) -> None:
    await world.deposit()
    stored = await world.store_notice(fact(await world.reference()), fact("att_of_nobody"))
    reading = (payments.read_notice(world.pipes, world.site_id, stored) for _ in range(8))
    await asyncio.gather(*reading)
    assert await world.credited() == AMOUNT.minor
    assert (await world.events()).count("deposit.completed") == 1
    [row] = await world.rows("SELECT state FROM notice")
    assert row.state == "orphan"
    assert len(await world.rows("SELECT 1 FROM payment_case")) == 1


@pytest.mark.parametrize("state", [providers.NoticeState.READ, providers.NoticeState.ORPHAN])
async def test_what_another_has_read_meanwhile_leaves_nothing_of_this_reading(
    world: World, monkeypatch: pytest.MonkeyPatch, state: providers.NoticeState
) -> None:
    await world.deposit()
    notice_id = await world.store_notice(fact(await world.reference()))

    async def close() -> None:
        async with world.database.transaction() as tx:
            assert await providers.close_notice(tx, world.site_id, notice_id, state, at=world.clock.now())

    find = notices.payment_of_reference

    async def closed_then_found(
        tx: Transaction, site_id: int, account: str, reference: str
    ) -> tuple[Payment, Attempt] | None:
        await asyncio.create_task(close(), context=contextvars.Context())  # of another process
        return await find(tx, site_id, account, reference)

    monkeypatch.setattr(notices, "payment_of_reference", closed_then_found)
    before = await world.payment()
    await payments.read_notice(world.pipes, world.site_id, notice_id)
    assert await world.payment() == before
    assert await world.credited() == 0
    [row] = await world.rows("SELECT state FROM notice")
    assert row.state == state


async def test_a_notice_is_closed_once_and_says_so(world: World) -> None:
    await world.deposit()
    notice_id = await world.store_notice(fact(await world.reference()))
    orphan, read, at = providers.NoticeState.ORPHAN, providers.NoticeState.READ, world.clock.now()
    async with world.database.transaction() as tx:
        said = [
            await providers.close_notice(tx, world.site_id, notice_id, orphan, at=at),
            await providers.close_notice(tx, world.site_id, notice_id, read, at=at),
            await providers.close_notice(tx, world.site_id, notice_id, read, at=at, was=orphan),
        ]
        assert said == [True, False, True]
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
