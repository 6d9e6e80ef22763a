"""What waits for longer than two weeks to be sent, and is sent then, is asked about like any other order."""

from datetime import timedelta

import pytest

from tests.payments.accounts import cases, decided
from tests.payments.banks import in_two_parts, parts, sent
from tests.payments.casework import R
from tests.payments.stage import Bank, Stage

DAY = timedelta(days=1)


async def noted(stage: Stage) -> None:
    for _ in await cases(stage):
        await decided(stage, R.NOTED)


async def test_an_order_that_leaves_after_two_weeks_is_asked_about(stage: Stage, bank: Bank) -> None:
    """It cannot be reached for two weeks, as people have noted; then its answer is lost, and it pays."""
    await stage.fund()
    bank.manners = ["never hears"]
    found = await sent(stage)
    for _ in range(15):
        await stage.later(DAY)
    await noted(stage)
    assert await stage.state(found.payment_id) == ("allocated", None)
    bank.manners = ["accepts silently"]
    await stage.later(DAY)
    assert len(bank.book) == 1
    [reference] = bank.book
    for _ in range(2):
        stage.clock.advance(timedelta(minutes=2))
        await stage.later(timedelta(minutes=1))
    bank.pay(bank.book[reference])  # and its notice is lost
    for _ in range(10):
        await stage.later(DAY)
    assert (await stage.state(found.payment_id), await cases(stage)) == (("completed", None), [])


async def test_a_part_that_waits_beside_a_silent_one_is_sent_after_two_weeks(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank is asked about the first for two weeks, while the second never leaves."""
    await in_two_parts(stage, monkeypatch)
    await stage.fund()
    bank.manners = ["accepts", "never hears"]
    await sent(stage)
    for _ in range(15):
        await stage.later(DAY)
    await noted(stage)
    assert [part.state for part in await parts(stage)] == ["provider_pending", "planned"]
    bank.manners = ["pays"]
    for _ in range(10):
        await stage.later(DAY)
    assert (await parts(stage))[1].state == "completed", await cases(stage)
