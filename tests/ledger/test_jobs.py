"""What the ledger does on its own."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
import structlog
from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.ledger.jobs import expire_everywhere, register, seal_everything, verify_news
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker
from tests.ledger.examples import CASH, SITE, balance, deposit, holding, posted, settled


@pytest.fixture
def pipes(database: Database, clock: MovableClock) -> Pipes:
    return Pipes(database=database, http=_no_http(), clock=clock, public_url="https://cashier.example")


def _no_http() -> HttpClient:
    return object.__new__(HttpClient)  # the ledger never calls anybody


async def test_every_site_is_sealed_until_nothing_is_left(pipes: Pipes, now: datetime) -> None:
    for site_id in (1, 2):
        await posted(pipes.database, [deposit(f"k{number}") for number in range(3)], now, site_id=site_id)
    await settled(pipes.database)
    assert await seal_everything(pipes) == 2
    assert await seal_everything(pipes) == 0
    async with pipes.database.reading() as reader:
        assert (await ledger.seal_lag(reader, 2)).rows == 0


async def test_expired_holds_are_given_back(pipes: Pipes, clock: MovableClock) -> None:
    await posted(pipes.database, [deposit("a", 100)], clock.now())
    async with pipes.database.transaction() as tx:
        wish = holding("h", 60, expires_at=clock.now() + timedelta(minutes=1))
        await ledger.hold(tx, SITE, wish, at=clock.now())
    assert await expire_everywhere(pipes) == 0
    clock.advance(60)
    assert await expire_everywhere(pipes) == 1
    assert await balance(pipes.database, CASH) == 100


async def test_a_violation_is_an_alarm_until_it_is_repaired(
    pipes: Pipes, owner_database: Database, now: datetime
) -> None:
    await posted(pipes.database, [deposit("a", 100)], now)
    assert (await verify_news(pipes)).ok
    async with owner_database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text("UPDATE account SET balance_minor = balance_minor + 1"))
    for _ in range(2):
        with structlog.testing.capture_logs() as logs:
            assert not (await verify_news(pipes)).ok
        assert {(line["event"], line["log_level"]) for line in logs} == {("ledger.violation", "critical")}
        assert "I4" in {line["invariant"] for line in logs}


async def test_the_worker_is_told(pipes: Pipes, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {}
    worker = Worker(pipes.database)
    monkeypatch.setattr(Worker, "every", lambda _, every, name, task: tasks.update({name: (every, task)}))
    register(worker, pipes)
    assert {name: every for name, (every, _) in tasks.items()} == {
        "ledger.seal": 10,
        "ledger.verify": 60,
        "ledger.expire_holds": 60,
    }
    await posted(pipes.database, [deposit("a", 100)], now)
    await settled(pipes.database)
    for _, task in tasks.values():
        await task()
    async with pipes.database.reading() as reader:
        assert (await ledger.seal_lag(reader, SITE)).rows == 0
