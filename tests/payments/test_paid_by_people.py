"""Two people with a proof have said that it was paid; its provider repeats the no that they have read."""

from datetime import timedelta

from tests.payments.accounts import cases, decided, raised
from tests.payments.banks import sent, told
from tests.payments.casework import R, open_cases, resolve
from tests.payments.casework import raised as of_case
from tests.payments.desk import Desk
from tests.payments.questions import days
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, Provider, State, World, fact, just

DAY = timedelta(days=1)


async def test_a_deposit_that_people_have_credited_is_not_reversed_by_the_old_no(
    world: World, provider: Provider
) -> None:
    """The provider declined; the player's bank has the proof; the provider sends its notice once more."""
    await world.deposit()
    reference = await world.reference()
    provider.statuses = [just(State.FAILED)]
    await world.notice(fact(reference, "failed"))
    assert (await world.payment()).sub_status == "declined"
    await decided(world, R.PAID, its=await raised(world), provider_reference="theirs-1")
    assert (await world.payment()).sub_status == "completed"
    world.clock.advance(60)
    await world.notice(fact(reference, "failed"), mark="again")
    await days(world, 3)
    seen = (await world.payment()).sub_status, await world.credited(), await cases(world)
    assert seen[:2] == ("completed", AMOUNT.minor), seen


async def test_a_withdrawal_that_people_know_to_be_paid_is_not_given_back_by_the_old_no(
    stage: Stage, bank: Bank
) -> None:
    """The bank paid and says no; people have the player's bank statement; it sends its notice once more."""
    await stage.fund()
    bank.manners = ["declines and pays"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    bank.words = ["failed"]
    assert await stage.state(found.payment_id) == ("declined", None)
    await decided(stage, R.PAID, its=await raised(stage), provider_reference="bank-1")
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert await stage.credited() == FUNDS - AMOUNT.minor
    stage.clock.advance(60)
    await told(stage, bank, reference, "failed")
    await stage.later(DAY)
    seen = await stage.state(found.payment_id), await stage.credited(), await cases(stage)
    assert seen[1] == FUNDS - AMOUNT.minor, seen


async def test_nor_one_of_which_nobody_knew(stage: Stage, bank: Bank) -> None:
    """The bank did not answer, and people had the proof; then it says no: a case at most, they outrank it."""
    await stage.fund()
    bank.manners, bank.words = ["accepts silently"], ["nothing"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    bank.pay(bank.book[reference])
    await decided(stage, R.PAID, its=await raised(stage), provider_reference="bank-1")
    assert (await stage.state(found.payment_id))[0] == "completed"
    stage.clock.advance(60)
    bank.words = ["failed"]
    await told(stage, bank, reference, "failed")
    await stage.later(DAY)
    seen = await stage.state(found.payment_id), await stage.credited(), await cases(stage)
    assert seen[1] == FUNDS - AMOUNT.minor, seen


async def test_a_refund_that_people_know_to_be_paid_is_not_undone_by_the_old_no(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [just(State.FAILED)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    assert (await desk.found(refund)).sub_status.value == "declined"
    reference = await desk.world.reference()
    desk.world.clock.advance(60)
    its = await of_case(desk, refund)
    await resolve(desk, its.case_id, R.PAID, provider_reference="back-1")
    before = await desk.figures(deposit), await desk.balances()
    assert before[0] == (AMOUNT.minor, 0, BACK, 0)
    desk.world.clock.advance(60)
    await desk.world.notice(fact(reference, "failed", theirs="back-1"), mark="again")
    assert (await desk.figures(deposit), await desk.balances()) == before, await open_cases(desk)
