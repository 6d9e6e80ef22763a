"""What is wrong at one site is heard of, and keeps nobody else's books waiting."""

import contextlib
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from app import ledger
from app.ledger import audit
from app.ledger.jobs import seal_everything, verify_news
from app.plumbing.database import Database, Transaction
from app.plumbing.pipes import Pipes
from tests.ledger.examples import deposit, posted, settled
from tests.ledger.test_jobs import pipes  # noqa: F401  a fixture


def alarms() -> float:
    """All of `cashier_alarms_total`: "things a person should look at"."""
    [family] = [one for one in REGISTRY.collect() if one.name == "cashier_alarms"]
    return sum(sample.value for sample in family.samples if sample.name == "cashier_alarms_total")


async def test_a_violated_invariant_is_counted_as_an_alarm(
    pipes: Pipes,  # noqa: F811
    owner_database: Database,
    now: datetime,
) -> None:
    await posted(pipes.database, [deposit("a", 100)], now)
    async with owner_database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text("UPDATE account SET balance_minor = balance_minor + 1"))
    before = alarms()
    assert not (await verify_news(pipes)).ok
    assert alarms() > before


async def test_a_site_that_cannot_be_sealed_keeps_no_other_from_it(
    pipes: Pipes,  # noqa: F811
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
    for _ in range(2):
        with contextlib.suppress(RuntimeError):  # whether it is said by an exception is not the question
            await seal_everything(pipes)
    async with pipes.database.reading() as reader:
        assert (await ledger.seal_lag(reader, 2)).rows == 0
