"""Found: what a batch's earlier parts gave back to the float is not there for a deposit in a later part."""

from collections.abc import AsyncIterator

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """All that was prepaid is with a player."""
    async with opened(database, clock) as made:
        async with database.transaction() as tx:
            await wallet.fund_float(tx, made.site_id, Money(1200, "KZT"), "f-1", at=clock.now())
        await made.decide(prepaid_float="true")
        await made.player(cash=1200)
        await made.player("bolat")
        yield made
        await invariants.hold(database)


@pytest.mark.parametrize("before", [2, 3])
async def test_a_deposit_stays_within_what_the_whole_batch_left(counter: Counter, before: int) -> None:
    """In parts of three: behind two withdrawals the deposit is in their part, behind three in the next."""
    who = {"playerExternalId": "aigerim", "currency": "KZT"}
    items: list[Json] = [
        {"type": "withdraw", "amount": 400, "transferId": f"o-{number}", **who} for number in range(before)
    ]
    items.append({"type": "deposit", "amount": 800, "transferId": "i-1", **who, "playerExternalId": "bolat"})
    _, told = await counter.post("/v1/player/wallet/batch", {"operations": items})
    assert told["data"]["results"][-1]["code"] == "OK"
