"""Nothing is given back while another try of the same was paid, or may be."""

from datetime import timedelta

import pytest

from app import payments, providers
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, cases, decided, raised, tries
from tests.payments.banks import PART, in_two_parts, parts, sent, told
from tests.payments.casework import R, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days, questioned
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_question_numbers import two_in_doubt
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import AMOUNT, UNKNOWN, State, fact, just, paid

DAY = timedelta(days=1)


async def first_is_paid(
    stage: Stage, bank: Bank, next_bank: Bank, manner: str = "accepts"
) -> tuple[str, str]:
    """The first declined, and says that it paid; people have noted it, for the second is under way."""
    bank.manners, next_bank.manners = ["declines"], [manner]
    await sent(stage)
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    await told(stage, bank, first.attempt_id, "succeeded")
    await decided(stage, R.NOTED)
    stage.clock.advance(5)
    return first.attempt_id, next_one.attempt_id


async def second_declines(stage: Stage, next_bank: Bank, reference: str) -> None:
    next_bank.book[reference].state = State.FAILED
    await told(stage, next_bank, reference, "failed", SECOND)


@pytest.mark.parametrize("noted", [True, False])
async def test_the_hold_is_not_given_back_while_the_first_says_that_it_paid(
    stage: Stage, bank: Bank, next_bank: Bank, noted: bool
) -> None:
    """The first declined and paid; the second, which waits, declines."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    await told(stage, bank, first.attempt_id, "succeeded")
    assert await cases(stage) == ["second_payment"]
    if noted:
        await decided(stage, payments.Resolution.NOTED)
    stage.clock.advance(5)
    next_bank.book[next_one.attempt_id].state = State.FAILED
    await told(stage, next_bank, next_one.attempt_id, "failed", SECOND)
    await stage.later(HOURS)
    for _ in range(10):
        await stage.later(DAY)
    seen = (
        await stage.state(found.payment_id),
        await cases(stage),
        await stage.credited(),
        await stage.held(),
    )
    assert seen[2] == FUNDS - AMOUNT.minor, seen


async def test_nor_where_two_people_say_that_the_second_was_not_paid(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """They are told of the first; what they say of that comes first."""
    first, next_one = await first_is_paid(stage, bank, next_bank, "loses the order")
    its = await raised(stage)
    with pytest.raises(ResolutionImpossible, match="decide about that one first, name bank-1"):
        await decided(stage, R.NOT_PAID)
    assert (await stage.credited(), await stage.held()) == (FUNDS - AMOUNT.minor, AMOUNT.minor)
    stage.clock.advance(timedelta(days=4))  # that proposal runs out
    await decided(stage, R.PAID, its=its, provider_reference="bank-1")
    leg = await stage.leg((await stage.payment()).payment_id)
    assert (leg.state, leg.present_attempt, await stage.held()) == ("completed", first, 0)
    assert await questioned(stage) == [next_one]


async def test_nor_while_the_first_is_asked_whether_it_is_over(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.words = ["nothing"]
    bank.book[first.attempt_id].state = State.PROCESSING
    stage.clock.advance(5)
    await told(stage, bank, first.attempt_id, "processing")
    assert await questioned(stage) == [first.attempt_id]
    stage.clock.advance(5)
    next_bank.book[next_one.attempt_id].state = State.FAILED
    await told(stage, next_bank, next_one.attempt_id, "failed", SECOND)
    assert await stage.held() == AMOUNT.minor, await stage.state(found.payment_id)
    bank.book[first.attempt_id].state = State.FAILED
    bank.words = ["truth"]
    await stage.later(HOURS)
    # Its own provider has answered, and what was said of the second counts.
    assert (await stage.state(found.payment_id), await stage.held()) == (("declined", None), 0)


async def test_once_people_say_that_the_first_was_not_paid_the_no_of_the_second_counts(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    first, next_one = await first_is_paid(stage, bank, next_bank)
    await second_declines(stage, next_bank, next_one)
    assert await cases(stage) == ["second_payment"]  # anew: they had noted it while the second was under way
    bank.moved.clear()  # it was a mistake of the bank's
    bank.book[first].state = State.FAILED
    await decided(stage, R.NOT_PAID)
    await stage.work()
    found = await stage.payment()
    assert (found.sub_status, found.is_questioned, await stage.held()) == ("declined", False, 0)


async def test_once_they_say_that_it_was_it_is_paid_of_what_was_held(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    first, next_one = await first_is_paid(stage, bank, next_bank)
    await second_declines(stage, next_bank, next_one)
    await decided(stage, R.PAID)
    leg = await stage.leg((await stage.payment()).payment_id)
    assert (leg.state, leg.present_attempt) == ("completed", first)
    assert (await stage.credited(), await stage.held(), await stage.owed()) == (FUNDS - AMOUNT.minor, 0, 0)
    for _ in range(3):
        await stage.later(HOURS)
    assert (await stage.payment()).is_questioned is False


async def test_who_only_notes_it_is_called_after_two_weeks_and_can_end_it_then(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    first, next_one = await first_is_paid(stage, bank, next_bank)
    await second_declines(stage, next_bank, next_one)
    await decided(stage, R.NOTED)
    bank.words = ["nothing"]
    for _ in range(17):
        await stage.later(DAY)
    assert await cases(stage) == ["unresolved"]
    assert await stage.held() == AMOUNT.minor
    bank.moved.clear()
    next_bank.words = ["nothing", "truth"]  # it is down at that very moment
    await decided(stage, R.NOT_PAID, provider_reference=first)
    await stage.work()
    assert await stage.held() == AMOUNT.minor
    await stage.later(HOURS)
    assert ((await stage.payment()).sub_status, await stage.held()) == ("declined", 0)


async def test_what_comes_back_is_not_given_back_either(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    """Both were paid, and one of them is here again: the player has the other."""
    first, next_one = await first_is_paid(stage, bank, next_bank)
    next_bank.pay(next_bank.book[next_one])
    await told(stage, next_bank, next_one, "succeeded", SECOND)
    stage.clock.advance(60)
    next_bank.send_back(next_one)
    await told(stage, next_bank, next_one, "returned", SECOND)
    found = await stage.payment()
    assert (found.sub_status, found.is_questioned) == ("completed", True)
    assert await stage.credited() == FUNDS - AMOUNT.minor
    assert await cases(stage) == ["second_payment"]
    bank.moved[:] = [(first, AMOUNT)]
    await decided(stage, R.NOT_PAID)
    bank.moved.clear()  # it was a mistake of the bank's
    bank.book[first].state = State.FAILED
    await stage.later(HOURS)
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("returned", FUNDS)


async def test_the_other_part_is_given_back_nevertheless(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    one, _, again, other = await tries(stage)
    bank.pay(bank.book[one.attempt_id])
    await told(stage, bank, one.attempt_id, "succeeded")
    stage.clock.advance(5)
    for its in (again, other):
        await second_declines(stage, next_bank, its.attempt_id)
    assert [part.state for part in await parts(stage)] == ["provider_pending", "declined"]
    assert await stage.held() == PART


async def test_of_a_refund_nothing_is_given_back_while_the_first_is_asked_about(desk: Desk) -> None:
    """The second is declined by its provider."""
    said: dict[str, providers.Result] = {}
    deposit, refund, first, next_one = await two_in_doubt(desk, said)
    said[next_one] = just(State.FAILED)
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert (await desk.balances()).get("player_held") == BACK, (await desk.found(refund)).sub_status
    said[first] = just(State.FAILED)
    await days(desk.world, 1)
    assert (await desk.found(refund)).sub_status.value == "declined"
    assert (await desk.figures(deposit), await questioned(desk.world)) == ((150_000, 0, 0, 0), [])


async def test_nor_while_the_first_says_that_it_paid(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    deposit, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: paid("back-1", kzt(BACK)), next_one: just(State.FAILED)}
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    [its] = await open_cases(desk)
    await resolve(desk, its.case_id, R.NOTED)
    await days(desk.world, 5)
    assert (await desk.balances()).get("player_held") == BACK, (await desk.found(refund)).sub_status
    [its] = await open_cases(desk)
    assert (its.kind.value, its.attempt_id) == ("second_payment", first)
    await resolve(desk, its.case_id, R.PAID)
    now = await desk.found(refund)
    assert (now.sub_status.value, now.present_attempt) == ("completed", first)
    assert await desk.figures(deposit) == (150_000, 0, BACK, 0)


async def test_what_a_refund_brings_back_is_kept_while_the_first_says_that_it_paid(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    deposit, refund, first, next_one = await tried(desk, paid("back-2", kzt(BACK)), said)
    assert (await desk.found(refund)).sub_status.value == "completed"
    said |= {first: paid("back-1", kzt(BACK)), next_one: just(State.FAILED)}
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    [its] = await open_cases(desk)
    await resolve(desk, its.case_id, R.NOTED)
    await desk.world.notice(fact(next_one, "failed", theirs="back-2"), mark="b")
    await days(desk.world, 2)
    assert (await desk.found(refund)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, BACK, 0)
    assert [one.kind.value for one in await open_cases(desk)] == ["second_payment"]


async def test_a_provider_that_says_unasked_by_a_notice_that_a_first_one_is_under_way_holds_it_too(
    desk: Desk,
) -> None:
    """Its answer to our question says so: nothing is given back, and nothing sent a second time."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: just(State.PROCESSING), next_one: just(State.NOT_FOUND)}
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert (await questioned(desk.world), len(desk.provider.refunds)) == ([first], 2)
    said[next_one] = just(State.FAILED)
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert (await desk.balances())["player_held"] == BACK
