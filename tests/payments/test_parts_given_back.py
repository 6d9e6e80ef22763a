"""Two parts of a withdrawal never left and are given back; one of them was paid all the same."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from app import payments
from app.kernel.money import Money
from tests.payments.stage import FUNDS, Bank, BankOrder, Stage
from tests.payments.test_paid_again import in_two_parts, tell
from tests.payments.world import AMOUNT, State

FIRST, SECOND = 100_000, 50_000


@pytest.fixture
async def cancelled(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Sequence[str]]:
    """Its id, and our references of both parts."""
    bank.manners = ["never hears"]
    payout = await in_two_parts(stage, monkeypatch)
    assert (await stage.state(payout))[0] == "allocated"
    anna = await stage.operator("anna")
    await payments.cancel_for_staff(stage.pipes, stage.site_id, payout, anna, reason="asked for")
    assert (await stage.state(payout), await stage.credited()) == (("by_operator", None), FUNDS)
    return payout, await stage.references(payout)


async def arrived(stage: Stage, reference: str, amount: int, *, is_paid: bool = True) -> None:
    """The bank has heard of a part after all, and tells."""
    order = BankOrder(reference, f"bank-{reference}", Money(amount, "KZT"), State.PROCESSING)
    stage.bank.book[reference] = order
    if is_paid:
        stage.bank.pay(order)
    await tell(stage, reference, "succeeded" if is_paid else "processing")


async def parts(stage: Stage) -> list[tuple[str, bool]]:
    rows = await stage.rows("SELECT state, is_released FROM payout_leg ORDER BY leg")
    return [(row.state, row.is_released) for row in rows]


async def test_it_is_completed_by_the_part_that_was_paid(
    stage: Stage, cancelled: tuple[str, Sequence[str]]
) -> None:
    payout, (first, _) = cancelled
    await arrived(stage, first, FIRST)
    done = await stage.row(payout)
    assert (done.sub_status, done.captured_minor, done.is_late) == ("completed", FIRST, True)
    assert done.attention == "paid_unapproved"
    assert await parts(stage) == [("completed", True), ("planned", True)]
    assert (await stage.credited(), await stage.held()) == (FUNDS - FIRST, 0)


async def test_then_the_other_is_paid_too(stage: Stage, cancelled: tuple[str, Sequence[str]]) -> None:
    payout, both = cancelled
    for reference, amount in zip(both, (FIRST, SECOND), strict=True):
        await arrived(stage, reference, amount)
    done = await stage.row(payout)
    assert (done.sub_status, done.captured_minor) == ("completed", AMOUNT.minor)
    assert await parts(stage) == [("completed", True), ("completed", True)]
    assert (await stage.credited(), await stage.held()) == (FUNDS - AMOUNT.minor, 0)


@pytest.mark.parametrize("is_paid", [True, False])
async def test_the_other_is_not_sent_any_more(
    stage: Stage, bank: Bank, cancelled: tuple[str, Sequence[str]], *, is_paid: bool
) -> None:
    payout, (first, _) = cancelled
    orders = len(bank.payouts)
    await arrived(stage, first, FIRST, is_paid=is_paid)
    for _ in range(5):
        await payments.carry_on(stage.pipes, stage.site_id, payout)
        await stage.later(timedelta(hours=3))
    assert len(bank.payouts) == orders
    assert (await parts(stage))[1] == ("planned", True)
