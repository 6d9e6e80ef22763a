"""What two people have denied of an earlier try is paid all the same, or holds the rest."""

from datetime import timedelta

import pytest

from tests.payments.accounts import SECOND, asked, cases, decided, raised, tries
from tests.payments.banks import sent, told
from tests.payments.casework import R
from tests.payments.questions import days
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_kept_back import first_is_paid, second_declines
from tests.payments.world import AMOUNT, Provider, State, World, fact, just, paid

DAY = timedelta(days=1)


@pytest.mark.parametrize("end", ["declined", "expired"])
async def test_a_deposit_is_not_credited_by_the_success_that_people_have_denied(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str], end: str
) -> None:
    """The first says that it was paid; two people with a proof say that it was not; by the second none came.

    Nobody sends anything again: our own schedule asks the first, who repeats its story.
    """
    first, next_one = both_tried
    provider.statuses = [paid("theirs-1")]
    await world.notice(fact(first))
    assert await cases(world) == ["second_payment"]
    world.clock.advance(60)
    await decided(world, R.NOT_PAID)
    world.clock.advance(60)
    if end == "declined":
        second.statuses = [just(State.FAILED)]
        await world.notice(fact(next_one, "failed"), account=SECOND)
    else:
        world.clock.advance(3600)
        second.statuses = second.cancels = [just(State.CANCELLED)]
        await asked(world)
    assert (await world.payment()).sub_status == end
    await days(world, 20)
    seen = (await world.payment()).sub_status, await cases(world), await world.credited()
    assert seen[2] == 0, seen


async def test_a_withdrawal_is_not_taken_by_the_success_that_people_have_denied(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The same of a withdrawal that was declined then, and given back: the first repeats its notice."""
    first, next_one = await first_is_paid(stage, bank, next_bank)
    await decided(stage, R.NOT_PAID, its=await raised(stage), provider_reference="bank-1")
    stage.clock.advance(60)
    await second_declines(stage, next_bank, next_one)
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("declined", FUNDS)
    stage.clock.advance(60)
    await told(stage, bank, first, "succeeded")
    await stage.later(DAY)
    seen = (await stage.payment()).sub_status, await cases(stage), await stage.credited()
    bank.moved.clear()  # what people knew
    assert seen[2] == FUNDS, seen


async def test_what_is_paid_under_another_number_than_was_denied_holds_the_rest(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """People deny it under its number; the first pays after all, under a new one; the second declines."""
    first, next_one = await first_is_paid(stage, bank, next_bank)
    bank.moved.clear()  # nothing had moved by that number
    await decided(stage, R.NOT_PAID, its=await raised(stage), provider_reference="bank-1")
    stage.clock.advance(60)
    bank.book[first].theirs = "bank-77"
    bank.pay(bank.book[first])
    await told(stage, bank, first, "succeeded")
    stage.clock.advance(60)
    await second_declines(stage, next_bank, next_one)
    await stage.later(DAY)
    seen = (await stage.payment()).sub_status, await cases(stage), await stage.held(), await stage.credited()
    assert seen[3] == FUNDS - AMOUNT.minor, seen


async def test_what_waits_is_sent_although_the_first_repeats_what_people_have_denied(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The order to the second had not left; people deny the first's success, which its provider repeats."""
    bank.manners, next_bank.manners = ["declines"], ["never hears", "pays"]
    await sent(stage)
    first, _ = await tries(stage)
    assert (await stage.payment()).sub_status == "allocated"
    bank.book[first.attempt_id].state = State.SUCCEEDED  # it says so, and nothing moved
    await told(stage, bank, first.attempt_id, "succeeded")
    its = None if await cases(stage) else await raised(stage)
    await decided(stage, R.NOT_PAID, its=its, provider_reference="bank-1")
    for _ in range(13):
        await stage.later(DAY)
    row = await stage.payment()
    assert row.sub_status == "completed", (row.sub_status, row.reason, await cases(stage))
