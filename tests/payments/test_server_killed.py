"""PostgreSQL is killed: what was not on the disk is done again, and nothing twice; what was is there."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from app import merchants, payments, players, providers
from app.kernel.clock import MovableClock
from app.plumbing import embedded, queue, schema
from app.plumbing.database import Database, asyncpg_dsn
from app.webhooks.deliveries import deliver
from tests import invariants
from tests.conftest import ROOT, database_url
from tests.payments.questions import agree
from tests.payments.world import AMOUNT, Provider, State, World, fact, just, opened
from tests.plumbing.test_queue import added, until, working

_PAUSE = timedelta(seconds=30)
_USED = "SELECT used_at FROM cashier_session"
_WRITER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"


@dataclass
class Mortal:
    """A server of our own, whose log reaches the disk by flushed commits alone."""

    server: embedded.Embedded
    writer: psutil.Process | None = None

    @property
    def url(self) -> str:
        return database_url(self.server.url, "cashier")

    async def hold_its_writer(self) -> None:
        """From now on nobody but who commits puts anything on the disk; waits until there is one anew."""
        former = self.writer.pid if self.writer is not None else 0

        async def is_held() -> bool:
            try:
                pid = await self._asked(_WRITER)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return False  # it is not back yet
            if pid in {None, former}:
                return False
            self.writer = psutil.Process(pid)
            self.writer.suspend()
            return True

        await until(is_held)

    async def fall(self) -> None:
        """Be killed, and come back: PostgreSQL ends all of its processes where one of them was."""
        assert self.writer is not None
        self.writer.kill()
        await self.hold_its_writer()

    async def end(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.writer is not None:
                self.writer.resume()
        await asyncio.to_thread(self.server.stop)

    async def _asked(self, question: str) -> Any:  # noqa: ANN401  whatever it is
        connection = await asyncpg.connect(asyncpg_dsn(self.server.url))
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()


@asynccontextmanager
async def mortal(folder: Path) -> AsyncIterator[Mortal]:
    made = Mortal(await asyncio.to_thread(embedded.start, folder))
    try:
        connection = await asyncpg.connect(asyncpg_dsn(made.server.url))
        await connection.execute(embedded.creation("cashier"))
        await connection.close()
        await asyncio.to_thread(schema.upgrade, made.url)
        await made.hold_its_writer()
        yield made
    finally:
        await made.end()
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)


@pytest.fixture
async def server() -> AsyncIterator[Mortal]:
    async with mortal(ROOT / "var" / f"test-killed-{psutil.Process().pid}") as made:
        yield made


@pytest.fixture
async def doomed(server: Mortal, clock: MovableClock, provider: Provider) -> AsyncIterator[World]:
    async with Database(server.url, pool_size=5) as database, opened(database, clock, provider) as made:
        yield made
        await invariants.hold(database)
        await agree(made)


async def a_key(world: World) -> str:
    fields = {"site_login": "aigerim", "currency": "KZT", "customer_ip": "127.0.0.1", "signature": "its own"}
    async with world.database.transaction() as tx:
        site = await merchants.site(tx, world.site_id)
        return await players.obtain_key(tx, site, fields, at=world.clock.now())


async def carried_on(world: World) -> None:
    """Time passes, and a sweep asks about what is open."""
    world.clock.advance(_PAUSE)
    found = await world.payment()
    await payments.carry_on(world.pipes, world.site_id, found.payment_id)


async def test_what_was_not_flushed_is_done_again(server: Mortal, doomed: World) -> None:
    world = doomed
    await world.ask()
    await world.notice(fact(await world.reference()))
    [told] = await world.rows("SELECT webhook_id FROM webhook")
    await deliver(world.pipes, world.site_id, told.webhook_id)
    assert [one.state for one in await world.rows("SELECT state FROM webhook")] == ["delivered"]
    await server.fall()
    assert (await world.payment()).sub_status == "completed"
    assert [one.state for one in await world.rows("SELECT state FROM webhook")] == ["pending"]
    world.clock.advance(_PAUSE)
    await deliver(world.pipes, world.site_id, told.webhook_id)
    assert [one.state for one in await world.rows("SELECT state FROM webhook")] == ["delivered"]
    heard = [one.headers["webhook-id"] for one in world.shop.heard if one.path == "/notify"]
    assert heard == [told.webhook_id] * 2
    assert await world.credited() == AMOUNT.minor


async def test_that_a_provider_has_had_the_order_is_not_lost(
    server: Mortal, doomed: World, provider: Provider
) -> None:
    """Of an order that it has confirmed and does not know afterwards people decide; it is not failed."""
    provider.answers = [providers.Result(State.PROCESSING, "theirs-1")]
    provider.statuses = [just(State.NOT_FOUND)]
    await doomed.ask()
    await server.fall()
    assert [one.provider_reference for one in await doomed.rows("SELECT * FROM attempt")] == ["theirs-1"]
    for _ in range(5):
        await carried_on(doomed)
    found = await doomed.payment()
    assert (found.sub_status, found.attention) == ("provider_pending", "order_vanished")


async def test_the_page_that_was_told_once_is_not_lost(server: Mortal, doomed: World) -> None:
    await doomed.ask()
    await server.fall()
    found = await doomed.payment()
    assert (found.sub_status, found.continue_url) == ("awaiting_player", "https://pay.example.com/1")


async def test_a_key_was_used_a_moment_earlier(server: Mortal, doomed: World) -> None:
    key = await a_key(doomed)
    at_first = await doomed.rows(_USED)
    for _ in range(2):
        async with doomed.database.singly() as tx:
            await players.use_key(tx, key, now=doomed.clock.advance(_PAUSE))
        assert await doomed.rows(_USED) != at_first
        await server.fall()
        assert await doomed.rows(_USED) == at_first


async def test_a_job_that_was_done_runs_again(server: Mortal, doomed: World) -> None:
    """Its worker lives through it, and claims anew what it has done already."""
    seen: list[int] = []

    async def note(payload: queue.Payload) -> None:
        seen.append(payload["n"])

    async def nothing_is_left() -> bool:
        return bool(seen) and not (await doomed.rows("SELECT count(*) AS n FROM queue.pgqueuer"))[0].n

    worker = queue.Worker(doomed.database)
    worker.handle("test.job", note)
    await added(doomed.database, 1)
    async with working(worker):
        await until(nothing_is_left)
        await server.fall()
        await until(lambda: len(seen) == 2)
        await until(nothing_is_left)
    assert seen == [1, 1]


async def test_what_is_flushed_takes_with_it_what_came_before(server: Mortal, doomed: World) -> None:
    key, now = await a_key(doomed), doomed.clock.advance(_PAUSE)
    async with doomed.database.singly() as tx:
        await players.use_key(tx, key, now=now)
    await added(doomed.database, 1)
    await server.fall()
    assert [one.used_at for one in await doomed.rows(_USED)] == [now]
