"""What the ledger does on its own."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY
from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.ledger import audit, operations
from app.ledger.jobs import expire_everywhere, register, seal_everything, verify_news
from app.plumbing.database import Database, Transaction
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker
from tests.ledger.examples import CASH, SITE, balance, deposit, holding, posted, settled


@pytest.fixture
def pipes(database: Database, clock: MovableClock) -> Pipes:
    return Pipes(database=database, http=_no_http(), clock=clock, public_url="https://cashier.example")


def _no_http() -> HttpClient:
    return object.__new__(HttpClient)  # the ledger never calls anybody


def alarms() -> float:
    """All of `cashier_alarms_total`: "things a person should look at"."""
    [family] = [one for one in REGISTRY.collect() if one.name == "cashier_alarms"]
    return sum(sample.value for sample in family.samples if sample.name == "cashier_alarms_total")


async def test_every_site_is_sealed_until_nothing_is_left(pipes: Pipes, now: datetime) -> None:
    for site_id in (1, 2):
        await posted(pipes.database, [deposit(f"k{number}") for number in range(3)], now, site_id=site_id)
    await settled(pipes.database)
    assert await seal_everything(pipes) == 2
    assert await seal_everything(pipes) == 0
    async with pipes.database.reading() as reader:
        assert (await ledger.seal_lag(reader, 2)).rows == 0


async def test_a_site_that_cannot_be_sealed_keeps_no_other_from_it(
    pipes: Pipes,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for site_id in (1, 2):
        await posted(pipes.database, [deposit("k")], now, site_id=site_id)
    await settled(pipes.database)
    seal = audit.seal

    async def fails_at_one(tx: Transaction, site_id: int, **more: Any) -> Any:  # noqa: ANN401  as it is
        if site_id == 1:
            raise RuntimeError("a statement of site 1 takes too long, each time")
        return await seal(tx, site_id, **more)

    monkeypatch.setattr(audit, "seal", fails_at_one)
    before = alarms()
    assert await seal_everything(pipes) == 1
    assert alarms() == before + 1
    async with pipes.database.reading() as reader:
        assert (await ledger.seal_lag(reader, 2)).rows == 0


async def test_a_site_whose_holds_cannot_be_given_back_keeps_no_other_from_it(
    pipes: Pipes, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for site_id in (1, 2):
        await posted(pipes.database, [deposit("a", 100)], clock.now(), site_id=site_id)
        async with pipes.database.transaction() as tx:
            wish = holding("h", 60, expires_at=clock.now() + timedelta(minutes=1))
            await ledger.hold(tx, site_id, wish, at=clock.now())
    clock.advance(60)
    expire_holds = operations.expire_holds

    async def fails_at_one(tx: Transaction, site_id: int, **more: Any) -> Any:  # noqa: ANN401  as it is
        if site_id == 1:
            raise RuntimeError("a statement of site 1 takes too long, each time")
        return await expire_holds(tx, site_id, **more)

    monkeypatch.setattr(operations, "expire_holds", fails_at_one)
    before = alarms()
    assert await expire_everywhere(pipes) == 1
    assert alarms() == before + 1


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
        before = alarms()
        with structlog.testing.capture_logs() as logs:
            assert not (await verify_news(pipes)).ok
        assert {(line["event"], line["log_level"]) for line in logs} == {("ledger.violation", "critical")}
        assert "I4" in {line["invariant"] for line in logs}
        assert alarms() == before + len(logs)


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
