"""Found: a rollback that names no platform is answered in the site's unit, not in its platform's."""

from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """Acme writes major units, at a site that writes minor ones."""
    async with opened(database, clock) as made:
        await made.player(cash=100_000)
        await made.decide("acme", amount_unit="major")
        yield made
        await invariants.hold(database)


async def test_a_rollback_is_answered_in_its_platforms_unit_or_must_name_it(counter: Counter) -> None:
    bet = (await counter.play("bet", "b-1", amount=10))["data"]
    assert (bet["amount"], bet["balance"]) == (10.0, 990.0)
    back = await counter.play("rollback", "k-1", referenceId="b-1")
    if back["code"] == "VALIDATION":
        assert back["data"]["field"] == "providerId"
        return
    assert (back["data"]["amount"], back["data"]["balance"]) == (10.0, 1000.0)
