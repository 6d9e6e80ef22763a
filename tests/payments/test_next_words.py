"""What was decided, noted or known of a part is not undone by the provider's next word."""

from datetime import timedelta

import pytest

from app import providers
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import asked, cases, decided, raised, tries
from tests.payments.banks import sent, told
from tests.payments.casework import R, open_cases, resolve
from tests.payments.desk import Desk, kzt, planted
from tests.payments.questions import days, questioned
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_kept_back import first_is_paid, second_declines
from tests.payments.test_not_all_back import SHORT, back_short, open_and_short
from tests.payments.test_question_pages import first_in_conflict
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, Provider, State, World, fact, just, paid

DAY = timedelta(days=1)
HALF = AMOUNT.minor // 2


async def test_half_came_back_is_accepted_and_told_once_more(stage: Stage, bank: Bank) -> None:
    """Half of it came back; people accept that the other half went; the bank repeats its notice."""
    payment_id, reference = await open_and_short(stage, bank, HALF)
    await stage.later(DAY)
    assert (await stage.payment()).sub_status == "conflicted"
    await decided(stage, R.ACCEPTED, amount=kzt(AMOUNT.minor - HALF))
    assert await stage.credited() == FUNDS - (AMOUNT.minor - HALF)
    stage.clock.advance(DAY)
    await told(stage, bank, reference, "returned")
    await stage.later(DAY)
    assert await stage.credited() == FUNDS - (AMOUNT.minor - HALF), await stage.state(payment_id)


async def test_half_of_a_refund_likewise(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.PROCESSING)]
    desk.provider.statuses = [just(State.PROCESSING)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.world.clock.advance(600)
    desk.provider.statuses = [providers.Result(State.RETURNED, "back-1", kzt(BACK // 2))]
    await desk.carry_on(refund)
    [its] = await open_cases(desk)
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(BACK - BACK // 2))
    before = await desk.figures(deposit), await desk.balances()
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert (await desk.figures(deposit), await desk.balances()) == before


@pytest.mark.parametrize("word", ["succeeded", "returned"])
async def test_what_people_denied_keeps_nothing_back_when_it_is_said_once_more(
    stage: Stage, bank: Bank, next_bank: Bank, word: str
) -> None:
    first, next_one = await first_is_paid(stage, bank, next_bank)
    if word == "returned":
        back_short(stage, bank, first)
        await told(stage, bank, first, "returned")
        stage.clock.advance(60)
    await second_declines(stage, next_bank, next_one)
    while await cases(stage):
        try:
            await decided(stage, R.NOT_PAID, provider_reference="bank-1")
        except ResolutionImpossible:  # about a try that is decided by now
            stage.clock.advance(timedelta(days=4))
            await decided(stage, R.NOTED)
    await stage.work()
    for _ in range(3):
        await stage.later(DAY)
    assert ((await stage.payment()).sub_status, await cases(stage)) == ("declined", [])
    bank.moved.clear()  # what people knew


async def test_a_noted_conflict_of_a_deposit_is_not_forgotten_when_the_other_try_answers(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """The player paid another sum by the first; people note it; then the second's provider says no."""
    first, _ = both_tried
    await first_in_conflict(world, provider, second, first)
    world.clock.advance(60)
    while await cases(world):
        await decided(world, R.NOTED)
    assert await questioned(world)
    second.statuses, second.cancels = [just(State.CANCELLED)], [just(State.CANCELLED)]
    await days(world, 2)
    assert await questioned(world) == []
    await days(world, 60)
    row = await world.payment()
    assert await cases(world), (row.sub_status, row.ask_at, row.attention)


@pytest.mark.parametrize("manner", ["accepts", "pays"])
async def test_short_by_its_notice_and_no_sum_in_its_answer(stage: Stage, bank: Bank, manner: str) -> None:
    """The notice names what came back; the answer to our question, none at all."""
    await stage.fund()
    bank.manners = [manner]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(DAY)
    back_short(stage, bank, reference)
    await stage.store_notice(bank.fact(reference, "returned"))
    bank.book[reference].amount = None  # type: ignore[assignment]
    await stage.work()
    await stage.later(60)
    seen = await stage.state(found.payment_id), await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - AMOUNT.minor, seen


async def test_short_and_accepted_and_no_sum_in_a_later_answer(stage: Stage, bank: Bank) -> None:
    """People know that a part of it went for good; then its bank says "returned" and names no sum."""
    payment_id, reference = await open_and_short(stage, bank)
    await stage.later(DAY)
    await decided(stage, R.ACCEPTED, amount=kzt(AMOUNT.minor - SHORT))
    stage.clock.advance(DAY)
    await stage.store_notice(bank.fact(reference, "returned"), mark="again")
    bank.book[reference].amount = None  # type: ignore[assignment]
    await stage.work()
    seen = await stage.state(payment_id), await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - (AMOUNT.minor - SHORT), seen


async def test_nor_when_its_provider_says_after_the_note_that_it_was_paid_as_ordered(
    world: World, provider: Provider
) -> None:
    """Another sum was told by notice, which people noted; the player opens the page, and we ask."""
    await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference, minor=AMOUNT.minor - 1))
    world.clock.advance(60)
    await decided(world, R.NOTED)
    assert (await world.payment()).ask_at is not None
    provider.statuses = [paid("theirs-1")]
    await asked(world)
    await days(world, 60)
    row = await world.payment()
    assert await cases(world), (row.sub_status, row.ask_at, row.attention)


async def test_what_people_denied_and_is_forgotten_lets_the_rest_go_on(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The first declined, and is under way again; the second never heard of it. People say that the first was
    not paid; it repeats its word once, and knows nothing of it then.
    """
    bank.manners, next_bank.manners = ["declines"], ["never hears", "pays"]
    bank.words = ["truth"]
    await sent(stage)
    first, _ = await tries(stage)
    assert (await stage.payment()).sub_status == "allocated"
    bank.words = ["processing"]
    stage.clock.advance(5)
    await told(stage, bank, first.attempt_id, "processing")
    await stage.later(600)
    its = None if await cases(stage) else await raised(stage)
    await decided(stage, R.NOT_PAID, its=its, provider_reference="bank-1")
    await stage.later(600)
    bank.book.pop(first.attempt_id, None)
    bank.words = ["not_found"]
    for _ in range(5):
        await stage.later(DAY)
    assert (await stage.payment()).sub_status == "completed"


async def test_what_people_denied_of_a_try_that_nobody_had_heard_of_is_paid_after_all(
    stage: Stage, bank: Bank
) -> None:
    """No answer was kept of it when they decided; then its bank says that it was paid."""
    await stage.fund()
    bank.manners, bank.words = ["pays silently"], ["nothing"]
    await sent(stage)
    [one] = await tries(stage)
    await planted(stage.database, "UPDATE attempt SET state = NULL, decided = 'not_paid'")
    bank.words = ["truth"]
    await told(stage, bank, one.attempt_id, "succeeded")
    [now] = await tries(stage)
    assert ((await stage.payment()).sub_status, now.said_paid) == ("completed", True)
