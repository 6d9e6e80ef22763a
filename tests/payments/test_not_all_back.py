"""What comes back with another sum than went is for people, and nothing is given back by it."""

from datetime import timedelta

import pytest

from app import payments, providers
from app.kernel.money import Money
from app.payments.doubts import MayBePaid
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import cases, decided, raised, switch_off
from tests.payments.banks import sent, told
from tests.payments.casework import R, only, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_accepted_sums import told_sums
from tests.payments.test_kept_back import first_is_paid, second_declines
from tests.payments.test_refund_tries import BACK
from tests.payments.world import ACCOUNT, AMOUNT, State, fact, just, paid

DAY = timedelta(days=1)
SHORT = 50_000


def back_short(stage: Stage, bank: Bank, reference: str, minor: int = SHORT) -> None:
    """The bank paid the order, and only so much of it came back; its word names what came back."""
    order = bank.book[reference]
    if order.state is not State.SUCCEEDED:
        bank.pay(order)
    order.state, order.amount = State.RETURNED, Money(minor, "KZT")
    bank.moved.append((reference, -order.amount))


async def open_and_short(
    stage: Stage, bank: Bank, minor: int = SHORT, manner: str = "accepts"
) -> tuple[str, str]:
    """A withdrawal of which the bank says first that so much came back; its id, and the try's."""
    await stage.fund()
    bank.manners = [manner]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(DAY)
    back_short(stage, bank, reference, minor)
    await told(stage, bank, reference, "returned")
    return found.payment_id, str(reference)


@pytest.mark.parametrize("manner", ["accepts", "accepts silently"])
async def test_short_while_it_is_open(stage: Stage, bank: Bank, manner: str) -> None:
    payment_id, _ = await open_and_short(stage, bank, manner=manner)
    seen = (await stage.state(payment_id), await cases(stage), await stage.credited())
    assert seen[2] == FUNDS - AMOUNT.minor, seen
    assert seen[1], seen


async def test_short_after_it_was_declined(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners = ["declines and pays"]
    found = await sent(stage)
    assert await stage.state(found.payment_id) == ("declined", None)
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(DAY)
    back_short(stage, bank, reference)
    await told(stage, bank, reference, "returned")
    assert await cases(stage), (await stage.state(found.payment_id), await stage.credited())


async def test_short_of_an_earlier_try_keeps_nothing_back(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    first, next_one = await first_is_paid(stage, bank, next_bank)
    back_short(stage, bank, first)
    await told(stage, bank, first, "returned")
    stage.clock.advance(60)
    await second_declines(stage, next_bank, next_one)
    seen = (await stage.payment()).sub_status, await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - AMOUNT.minor, seen


async def test_short_and_one_person_calls_it_off(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners, bank.words = ["pays and says it never heard"], ["nothing"]
    found = await sent(stage)
    await switch_off(stage, ACCOUNT)
    await stage.later(60)
    [reference] = await stage.references(found.payment_id)
    assert (await stage.payment()).sub_status == "allocated"
    bank.words = ["truth"]
    stage.clock.advance(60)
    back_short(stage, bank, reference)
    await told(stage, bank, reference, "returned")
    by = await stage.operator("canceller")
    try:
        await payments.cancel_for_staff(stage.pipes, stage.site_id, found.payment_id, by, reason="off")
    except MayBePaid:
        return
    seen = await stage.state(found.payment_id), await cases(stage), await stage.credited()
    assert seen[2] == FUNDS - AMOUNT.minor, seen


async def completed_and_short(stage: Stage, bank: Bank) -> str:
    await stage.fund()
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(DAY)
    back_short(stage, bank, reference)
    await told(stage, bank, reference, "returned")
    assert await cases(stage) == ["amount_differs"]
    return str(reference)


async def test_the_case_tells_what_came_back(stage: Stage, bank: Bank) -> None:
    await completed_and_short(stage, bank)
    async with stage.database.reading() as reader:
        [its] = await payments.cases_of_site(reader, stage.site_id)
    assert its.theirs["amount"] == str(Money(SHORT, "KZT")), its.theirs


async def test_another_short_sum_is_news(stage: Stage, bank: Bank) -> None:
    """First a part of it came back, which people noted; then more of it."""
    reference = await completed_and_short(stage, bank)
    await decided(stage, R.NOTED)
    stage.clock.advance(DAY)
    order = bank.book[reference]
    order.amount = Money(AMOUNT.minor - SHORT, "KZT")
    bank.moved.append((reference, -order.amount))
    await told(stage, bank, reference, "returned")
    assert await cases(stage) == ["amount_differs"], await stage.state((await stage.payment()).payment_id)


async def test_a_refund_that_comes_back_short_while_it_is_open(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.PROCESSING)]
    desk.provider.statuses = [just(State.PROCESSING)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.world.clock.advance(600)
    desk.provider.statuses = [providers.Result(State.RETURNED, "back-1", kzt(BACK // 2))]
    await desk.carry_on(refund)
    seen = (await desk.found(refund)).sub_status.value, await open_cases(desk), await desk.figures(deposit)
    assert seen[1], seen


async def test_people_accept_what_of_it_stays_paid(stage: Stage, bank: Bank) -> None:
    """The rest is the player's again, once, however often the bank repeats its word."""
    reference = await completed_and_short(stage, bank)
    found = (await stage.payment()).payment_id
    await decided(stage, R.ACCEPTED, amount=AMOUNT - Money(SHORT, "KZT"))
    row, leg = await stage.row(found), await stage.leg(found)
    assert (row.sub_status, row.captured_minor, row.refunded_minor) == ("completed", AMOUNT.minor, SHORT)
    assert (leg.state, leg.captured_minor) == ("completed", AMOUNT.minor - SHORT)
    assert await stage.credited() == FUNDS - AMOUNT.minor + SHORT
    for _ in range(2):
        stage.clock.advance(DAY)
        await told(stage, bank, reference, "returned")
    assert (await cases(stage), await stage.credited()) == ([], FUNDS - AMOUNT.minor + SHORT)
    of_type_5 = "SELECT fields->'amount' AS amount FROM webhook WHERE fields->>'type_id' = '5'"
    assert [row.amount for row in await stage.rows(of_type_5)] == [SHORT]


async def test_more_of_it_comes_back_and_then_all(stage: Stage, bank: Bank) -> None:
    reference = await completed_and_short(stage, bank)
    found = (await stage.payment()).payment_id
    await decided(stage, R.ACCEPTED, amount=AMOUNT - Money(SHORT, "KZT"))
    stage.clock.advance(DAY)
    order = bank.book[reference]
    order.amount = Money(AMOUNT.minor - SHORT, "KZT")
    bank.moved.append((reference, -order.amount))
    await told(stage, bank, reference, "returned")
    assert await cases(stage) == ["taken_back"]
    await decided(stage, R.NOT_PAID)
    row = await stage.row(found)
    assert (row.captured_minor, row.refunded_minor) == (AMOUNT.minor, AMOUNT.minor)
    assert await stage.credited() == FUNDS


@pytest.mark.parametrize("rest", [AMOUNT.minor, AMOUNT.minor + 1])
async def test_no_more_stays_than_went(stage: Stage, bank: Bank, rest: int) -> None:
    await completed_and_short(stage, bank)
    with pytest.raises(ResolutionImpossible, match="say how much less stays there"):
        await decided(stage, R.ACCEPTED, amount=Money(rest, "KZT"))
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_nothing_comes_back_of_which_nobody_told(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    await sent(stage)
    its = await raised(stage)
    with pytest.raises(ResolutionImpossible, match="nobody has told"):
        await decided(stage, R.ACCEPTED, its=its, amount=Money(1, "KZT"))
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_of_a_refund_too(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(BACK))]
    refund = (await desk.sent(deposit, BACK)).payment_id
    await desk.carry_on(refund)
    assert (await desk.found(refund)).sub_status.value == "completed"
    [order] = desk.provider.refunds
    desk.provider.statuses = [providers.Result(State.RETURNED, "back-1", kzt(BACK // 2))]
    await desk.world.notice(fact(order.reference, "returned", minor=BACK // 2, currency="KZT"))
    await desk.carry_on(refund)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(BACK - BACK // 2))
    now_is = await desk.found(refund)
    assert now_is.captured == kzt(BACK - BACK // 2)
    assert await told_sums(desk, now_is.number) == [(5, 4, BACK, BACK), (5, 24, BACK, BACK - BACK // 2)]
    assert (await desk.figures(deposit))[2] == BACK - BACK // 2
    assert (await desk.balances())["player_cash"] == 150_000 - BACK + BACK // 2
