"""Found: where ids are unique per player, reconciling hides a line that stands in one book only."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.decide(id_scope="player")
        await made.player(cash=1000)
        await made.player("bolat", cash=1000)
        yield made
        await invariants.hold(database)


async def reconciled(counter: Counter, lines: int) -> list[Json]:
    now = counter.clock.now()
    period = {
        "from": (now - timedelta(hours=1)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat(),
    }
    line = {"id": "1", "amount": 100, "currency": "KZT"}
    body = {"items": [line] * lines, "period": period, "source": "game"}
    _, told = await counter.post("/v1/reconcile", body, scope="read")
    return list(told["data"]["differences"])


async def test_a_bet_that_only_we_have_is_told(counter: Counter) -> None:
    await counter.play("bet", "1", amount=100)
    await counter.play("bet", "1", amount=100, playerExternalId="bolat")
    assert [one["difference"] for one in await reconciled(counter, 1)] == ["missing_there"]


async def test_a_bet_that_only_they_have_is_told(counter: Counter) -> None:
    await counter.play("bet", "1", amount=100)
    assert [one["difference"] for one in await reconciled(counter, 2)] == ["missing_here"]
