"""A withdrawal of which something leaves late: each order has its own two weeks, what waits its turns."""

from datetime import timedelta

import pytest

from tests.payments.accounts import cases, decided, switch_off, switch_on
from tests.payments.banks import PART, in_two_parts, parts, sent
from tests.payments.casework import R
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT

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
    assert await cases(stage) == ["unresolved"]
    await noted(stage)
    assert [part.state for part in await parts(stage)] == ["provider_pending", "planned"]
    bank.manners = ["pays"]
    await stage.later(DAY)
    assert (await parts(stage))[1].state == "completed"
    for _ in range(14):
        await stage.later(DAY)
    assert await cases(stage) == []  # the silent one is theirs, as they have noted
    for _ in range(2):
        await stage.later(DAY)
    assert (await cases(stage), await stage.held()) == (["unresolved"], PART)  # and once more


async def test_a_part_that_left_later_is_asked_about_for_two_weeks_and_is_a_case_then(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are silent, and what people note of the first while the other is asked about ends nothing."""
    await in_two_parts(stage, monkeypatch)
    await stage.fund()
    bank.manners = ["accepts", "never hears"]
    await sent(stage)
    for _ in range(15):
        await stage.later(DAY)
    await noted(stage)
    bank.manners = ["accepts"]
    await stage.later(DAY)
    assert [part.state for part in await parts(stage)] == ["provider_pending", "provider_pending"]
    for _ in range(13):
        await stage.later(DAY)
        assert (await stage.payment()).ask_at is not None
    await noted(stage)
    for _ in range(4):
        await stage.later(DAY)
    assert (await cases(stage), (await stage.payment()).ask_at) == (["unresolved"], None)


async def test_a_part_in_time_calls_nobody_once_the_first_that_left_is_paid(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    await stage.fund()
    bank.manners = ["accepts", "never hears"]
    await sent(stage)
    for _ in range(10):
        await stage.later(DAY)
    bank.manners = ["accepts"]
    await stage.later(DAY)
    first, later = (part.present_attempt for part in await parts(stage))
    bank.pay(bank.book[first])
    for _ in range(10):
        await stage.later(DAY)
    assert ((await stage.payment()).sub_status, await cases(stage)) == ("partly_paid", [])
    bank.pay(bank.book[later])
    await stage.later(DAY)
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]


async def test_an_order_that_leaves_after_it_was_held_is_asked_about_within_minutes(
    stage: Stage, bank: Bank
) -> None:
    """It never left at first; then its account is off, and it is looked at every five minutes."""
    await stage.fund()
    bank.manners = ["never hears", "accepts silently"]
    found = await sent(stage)
    await switch_off(stage, ACCOUNT)
    for _ in range(20):
        await stage.later(timedelta(minutes=6))
    await switch_on(stage, ACCOUNT)
    await stage.later(timedelta(minutes=6))
    [reference] = bank.book
    bank.pay(bank.book[reference])
    await stage.later(timedelta(minutes=2))
    await stage.later(timedelta(minutes=6))
    assert await stage.state(found.payment_id) == ("completed", None)
