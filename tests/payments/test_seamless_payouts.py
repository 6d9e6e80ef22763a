"""Where the merchant keeps the balance: nothing is held with us, and the merchant's money pays the player."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.payments.stage import Bank, Stage, opened
from tests.payments.world import AMOUNT


@pytest.fixture
async def seamless(database: Database, clock: MovableClock, bank: Bank) -> AsyncIterator[Stage]:
    async with opened(database, clock, bank, seamless=True) as made:
        yield made
        await made.settle()
        await invariants.hold(database)


async def payable(stage: Stage) -> int:
    rows = await stage.rows("SELECT balance_minor AS n FROM account WHERE purpose = 'merchant_payable'")
    return int(rows[0].n) if rows else 0


async def test_the_merchant_answers_for_the_balance(seamless: Stage, bank: Bank) -> None:
    found = await seamless.withdraw()
    assert found.hold_id is None
    await seamless.work()
    assert (await seamless.state(found.payment_id))[0] == "completed"
    assert await payable(seamless) == -AMOUNT.minor
    [reference] = await seamless.references(found.payment_id)
    bank.send_back(reference)
    await seamless.store_notice(bank.fact(reference, "returned"))
    await seamless.work()
    assert (await seamless.state(found.payment_id))[0] == "returned"
    assert await payable(seamless) == 0


async def test_a_decline_moves_nothing_and_late_success_is_the_merchants(seamless: Stage, bank: Bank) -> None:
    bank.manners = ["declines and pays"]
    found = await seamless.withdraw()
    await seamless.work()
    assert (await seamless.state(found.payment_id))[0] == "declined"
    assert await payable(seamless) == 0
    [reference] = await seamless.references(found.payment_id)
    await seamless.store_notice(bank.fact(reference))
    await seamless.work()
    assert await seamless.state(found.payment_id) == ("completed", "paid_after_release")
    assert await payable(seamless) == -AMOUNT.minor


async def test_open_after_all(seamless: Stage, bank: Bank) -> None:
    bank.manners = ["declines"]
    found = await seamless.withdraw()
    await seamless.work()
    [reference] = await seamless.references(found.payment_id)
    bank.pay(bank.book[reference])
    await seamless.store_notice(bank.fact(reference, "processing"))
    await seamless.work()
    await seamless.later(timedelta(hours=1))
    assert (await seamless.state(found.payment_id))[0] == "completed"
