"""Two people have said that it was not paid; its provider tells the success that they have read again."""

from datetime import timedelta

from app import providers
from tests.payments.accounts import SECOND, asked, cases, decided, raised
from tests.payments.banks import told
from tests.payments.casework import R, open_cases, resolve
from tests.payments.casework import raised as of_case
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_kept_back import first_is_paid, second_declines
from tests.payments.test_not_all_back import back_short
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, Provider, State, World, fact, just, paid

DAY = timedelta(days=1)


async def test_a_refund_is_not_taken_again(desk: Desk) -> None:
    """Its provider says that it was paid; the player's bank has the proof that nothing came."""
    deposit = await desk.deposit()
    word = paid("back-1", kzt(BACK))
    desk.provider.answers, desk.provider.statuses = [just(State.PROCESSING)], [word]
    refund = (await desk.sent(deposit, BACK)).payment_id
    reference = await desk.world.reference()
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert (await desk.found(refund)).sub_status.value == "completed"
    its = await of_case(desk, refund)
    await resolve(desk, its.case_id, R.NOT_PAID)
    assert (await desk.found(refund)).sub_status.value == "declined"
    before = await desk.figures(deposit), await desk.balances()
    desk.world.clock.advance(60)
    await desk.world.notice(fact(reference, theirs="back-1", minor=BACK), mark="again")
    desk.world.clock.advance(60)
    await desk.carry_on(refund)
    seen = (await desk.found(refund)).sub_status.value, await open_cases(desk)
    assert (await desk.figures(deposit), await desk.balances()) == before, seen


async def test_a_withdrawal_is_not_taken_again(stage: Stage, bank: Bank) -> None:
    """The bank names two sums for it, the second as it was ordered; people know that nothing went."""
    await stage.fund()
    bank.manners = ["accepts"]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    order = bank.book[reference]
    order.state = State.SUCCEEDED  # it says so, and nothing moved
    await stage.store_notice(bank.fact(reference, minor=AMOUNT.minor - 1), mark="odd")
    await stage.work()
    await told(stage, bank, reference, "succeeded")
    assert (await stage.state(found.payment_id))[0] == "conflicted"
    stage.clock.advance(60)
    await decided(stage, R.NOT_PAID, its=await raised(stage))
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("declined", FUNDS)
    stage.clock.advance(60)
    await told(stage, bank, reference, "succeeded")
    await stage.later(DAY)
    seen = (await stage.payment()).sub_status, await cases(stage), await stage.credited()
    assert seen[2] == FUNDS, seen


async def test_a_deposit_is_not_credited_after_all(world: World, provider: Provider) -> None:
    await world.deposit()
    reference = await world.reference()
    provider.statuses = [paid("theirs-1")]
    await world.notice(fact(reference, minor=AMOUNT.minor - 1))
    assert (await world.payment()).sub_status == "conflicted"
    await world.notice(fact(reference), mark="as ordered")
    world.clock.advance(60)
    await decided(world, R.NOT_PAID)
    assert (await world.payment()).sub_status == "declined"
    world.clock.advance(60)
    await world.notice(fact(reference), mark="again")
    await days(world, 3)
    seen = (await world.payment()).sub_status, await cases(world), await world.credited()
    assert seen[2] == 0, seen


async def test_another_sum_than_was_denied_is_news(world: World, provider: Provider) -> None:
    """The provider named a wrong sum, of which nothing had come; then all of it comes, under that number."""
    await world.deposit()
    reference = await world.reference()
    provider.statuses = [paid("theirs-1", kzt(AMOUNT.minor - 1))]
    await world.notice(fact(reference, minor=AMOUNT.minor - 1))
    await decided(world, R.NOT_PAID)
    assert (await world.payment()).sub_status == "declined"
    world.clock.advance(60)
    await asked(world)
    assert ((await world.payment()).sub_status, await cases(world)) == ("declined", [])
    provider.statuses = [paid("theirs-1")]
    world.clock.advance(60)
    await world.notice(fact(reference), mark="all of it")
    assert ((await world.payment()).sub_status, await world.credited()) == ("completed", AMOUNT.minor)


async def test_the_success_that_was_denied_is_known_though_it_was_told_without_its_number(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """People deny it; its provider repeats it, once with no number and then with the one that they read."""
    first, next_one = both_tried
    nameless = providers.Result(State.SUCCEEDED, None, AMOUNT)
    provider.statuses = [nameless]
    await world.notice(fact(first))
    assert await cases(world) == ["second_payment"]
    world.clock.advance(60)
    await decided(world, R.NOT_PAID)
    world.clock.advance(60)
    await asked(world)
    provider.statuses = [paid("theirs-1")]
    world.clock.advance(60)
    second.statuses = [just(State.FAILED)]
    await world.notice(fact(next_one, "failed"), account=SECOND)
    await days(world, 20)
    seen = (await world.payment()).sub_status, await cases(world), await world.credited()
    assert seen[2] == 0, seen


async def test_nothing_is_given_back_when_a_part_of_what_was_denied_comes_back(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """People deny it; then a part of it comes back, so the rest has gone; the second declines."""
    first, next_one = await first_is_paid(stage, bank, next_bank)
    await decided(stage, R.NOT_PAID, its=await raised(stage), provider_reference="bank-1")
    stage.clock.advance(60)
    back_short(stage, bank, first)
    await told(stage, bank, first, "returned")
    stage.clock.advance(60)
    await second_declines(stage, next_bank, next_one)
    await stage.later(DAY)
    seen = (await stage.payment()).sub_status, await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - AMOUNT.minor, seen
