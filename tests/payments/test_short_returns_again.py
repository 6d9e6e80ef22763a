"""A part came back, which is known; the provider sends its word that it was paid once more."""

from datetime import timedelta

import pytest

from app import providers
from tests.payments.accounts import cases, decided
from tests.payments.banks import told
from tests.payments.casework import R, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_not_all_back import SHORT, open_and_short
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, State, fact, just

DAY = timedelta(days=1)
HALF = AMOUNT.minor // 2


@pytest.mark.parametrize("when", ["before the decision", "after it"])
async def test_half_came_back_and_both_notices_come_once_more(stage: Stage, bank: Bank, when: str) -> None:
    """Paid; half of it came back; people accept that the other half went. Both notices are sent again."""
    payment_id, reference = await open_and_short(stage, bank, HALF)
    await stage.later(DAY)
    assert (await stage.payment()).sub_status == "conflicted"
    paid = bank.fact(reference, "succeeded", minor=AMOUNT.minor)
    if when == "before the decision":
        await stage.store_notice(paid, mark="late")
        await stage.work()
        stage.clock.advance(60)
    await decided(stage, R.ACCEPTED, amount=kzt(AMOUNT.minor - HALF))
    assert await stage.credited() == FUNDS - (AMOUNT.minor - HALF)
    stage.clock.advance(DAY)
    if when == "after it":
        await stage.store_notice(paid, mark="again")
        await stage.work()
    await told(stage, bank, reference, "returned")
    await stage.later(DAY)
    seen = await stage.state(payment_id), await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - (AMOUNT.minor - HALF), seen


async def test_a_part_came_back_and_both_notices_come_once_more_without_a_sum(
    stage: Stage, bank: Bank
) -> None:
    """A third came back, the rest was accepted; the repeated "returned" names no sum."""
    payment_id, reference = await open_and_short(stage, bank)
    await stage.later(DAY)
    await decided(stage, R.ACCEPTED, amount=kzt(AMOUNT.minor - SHORT))
    stage.clock.advance(DAY)
    await stage.store_notice(bank.fact(reference, "succeeded", minor=AMOUNT.minor), mark="again")
    await stage.work()
    its: dict[str, object] = {
        "reference": reference,
        "state": "returned",
        "theirs": bank.book[reference].theirs,
    }
    bank.book[reference].amount = None  # type: ignore[assignment]
    await stage.store_notice(its, mark="again")
    await stage.work()
    await stage.later(DAY)
    seen = await stage.state(payment_id), await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - (AMOUNT.minor - SHORT), seen


async def test_half_of_a_refund_came_back_and_the_late_notice_says_that_it_was_paid(desk: Desk) -> None:
    """The notice of its success comes behind the answer that half of it came back."""
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [just(State.PROCESSING)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    reference = await desk.world.reference()
    desk.world.clock.advance(600)
    desk.provider.statuses = [providers.Result(State.RETURNED, "back-1", kzt(BACK // 2))]
    await desk.carry_on(refund)
    [its] = await open_cases(desk)
    await desk.world.notice(fact(reference, theirs="back-1", minor=BACK), mark="late")
    desk.world.clock.advance(60)
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(BACK - BACK // 2))
    before = await desk.figures(deposit), await desk.balances()
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert (await desk.figures(deposit), await desk.balances()) == before, await desk.found(refund)
