"""Withdrawals: parts beside each other, an earlier try that was paid, an account that moves."""

from datetime import timedelta
from typing import Any

import pytest

from app import payments, providers
from tests.payments.accounts import SECOND, cases, decided, order_out, tries
from tests.payments.banks import PART, in_two_parts, parts, sent, told
from tests.payments.desk import kzt
from tests.payments.stage import Bank, Stage
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, UNKNOWN, State

DAY = timedelta(days=1)


async def test_the_lost_order_of_each_part_is_a_case(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["loses the order"]
    found = await sent(stage)
    for _ in range(3):
        await stage.later(DAY)
    assert await cases(stage) == ["order_vanished"]
    await decided(stage, payments.Resolution.NOT_PAID, leg=1)
    assert [part.state for part in await parts(stage)] == ["declined", "unknown"]
    for _ in range(8):
        await stage.later(DAY)
    assert await cases(stage) == ["order_vanished"], await stage.state(found.payment_id)


async def test_that_an_earlier_try_of_each_part_is_paid_is_a_case(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bank that tells no number of its own. People have noted the first."""
    await in_two_parts(stage, monkeypatch)
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    found = await sent(stage)
    one, other, *_ = await tries(stage)
    assert {one.leg, other.leg} == {1, 2}
    for its in (one, other):
        bank.pay(bank.book[its.attempt_id])
    bank.words = ["nothing"]
    stage.clock.advance(5)
    fact: Any = {**bank.fact(one.attempt_id), "theirs": None}
    await stage.store_notice(fact, mark="a")
    await stage.work()
    assert await cases(stage) == ["second_payment"]
    await decided(stage, payments.Resolution.NOTED)
    stage.clock.advance(5)
    fact = {**bank.fact(other.attempt_id), "theirs": None}
    await stage.store_notice(fact, mark="b")
    await stage.work()
    seen = await cases(stage)
    next_ones = (await tries(stage))[2:]
    for its in next_ones:
        next_bank.pay(next_bank.book[its.attempt_id])
        await told(stage, next_bank, its.attempt_id, "succeeded", SECOND)
    now = await stage.state(found.payment_id)
    bank.moved[:] = bank.moved[2:]
    assert seen == ["second_payment"], now
