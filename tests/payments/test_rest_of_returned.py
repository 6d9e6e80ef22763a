"""More than one part of what was paid comes back, or a part of what had failed by then."""

from datetime import timedelta

from app import providers
from tests.payments.accounts import cases, decided
from tests.payments.banks import sent, told
from tests.payments.casework import R, only, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_not_all_back import SHORT, back_short, open_and_short
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, State, just, paid

DAY = timedelta(days=1)
HALF = AMOUNT.minor // 2


async def test_people_hear_of_the_second_half_of_a_withdrawal(stage: Stage, bank: Bank) -> None:
    """Its word is that of the first half, which people have accepted: nobody but they can tell the two."""
    _, reference = await open_and_short(stage, bank, HALF)
    await stage.later(DAY)
    await decided(stage, R.ACCEPTED, amount=kzt(HALF))
    stage.clock.advance(DAY)
    bank.moved.append((reference, kzt(-HALF)))
    for _ in range(2):
        await told(stage, bank, reference, "returned")
        await stage.later(DAY)
    assert await cases(stage) == ["taken_back"]
    assert await stage.credited() == FUNDS - HALF
    await decided(stage, R.NOT_PAID)
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("returned", FUNDS)


async def test_people_hear_of_the_second_half_of_a_refund(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(BACK))]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.provider.statuses = [providers.Result(State.RETURNED, "back-1", kzt(BACK // 2))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(BACK // 2))
    desk.world.clock.advance(600)
    for _ in range(2):
        await desk.carry_on(refund)
    its = await only(desk)
    assert await desk.figures(deposit) == (AMOUNT.minor, 0, BACK // 2, 0)
    await resolve(desk, its.case_id, R.NOT_PAID)
    assert await desk.figures(deposit) == (AMOUNT.minor, 0, 0, 0)


async def test_what_stays_paid_of_a_withdrawal_that_had_failed_is_taken(stage: Stage, bank: Bank) -> None:
    """The bank declined, paid all the same, and a part of it came back: people know of the rest."""
    await stage.fund()
    bank.manners = ["declines and pays"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(DAY)
    back_short(stage, bank, reference)
    await told(stage, bank, reference, "returned")
    assert await cases(stage) == ["amount_differs"]
    rest = AMOUNT.minor - SHORT
    await decided(stage, R.ACCEPTED, amount=kzt(rest))
    assert await cases(stage) == []
    row = await stage.row(found.payment_id)
    assert (row.sub_status, row.captured_minor, row.is_late) == ("completed", rest, True)
    assert await stage.credited() == FUNDS - rest
    await told(stage, bank, reference, "failed")
    await stage.later(DAY)
    assert await stage.credited() == FUNDS - rest


async def test_and_of_a_refund_that_had_failed(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [just(State.FAILED)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    assert (await desk.found(refund)).sub_status.value == "declined"
    desk.provider.statuses = [providers.Result(State.RETURNED, "back-1", kzt(BACK // 5))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    rest = BACK - BACK // 5
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(rest))
    assert await desk.figures(deposit) == (AMOUNT.minor, 0, rest, 0)
    assert await desk.balances() == {
        "player_cash": AMOUNT.minor - rest,
        "provider_clearing": rest - AMOUNT.minor,
    }
    assert await open_cases(desk) == []
