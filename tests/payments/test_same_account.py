"""Two tries of a withdrawal at one account: the first, which seemed not to have left, is paid after all."""

from typing import Any

import pytest

from app import payments, staff
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import cases, decided, tries
from tests.payments.stage import FUNDS, Bank, BankOrder, Stage
from tests.payments.world import AMOUNT, State

R = payments.Resolution


async def told(stage: Stage, reference: str, state: str) -> None:
    """A notice of the bank, and what follows from it."""
    await stage.store_notice(stage.bank.fact(reference, state), mark=str(next(stage.keys)))
    await stage.work()


async def tried_twice(stage: Stage, second_one: str) -> tuple[Any, str, str]:
    """The withdrawal and its two tries: the first seemed to have left nothing, and the bank knew nothing."""
    await stage.fund()
    stage.bank.manners = ["never hears", second_one]
    found = await stage.withdraw()
    await stage.work()
    await stage.later(600)
    first, next_one = await tries(stage)
    assert first.account == next_one.account
    return found, first.attempt_id, next_one.attempt_id


def pays_the_first(bank: Bank, first: str, theirs: str = "bank-late") -> None:
    """The bank had it in a drawer, of which it knew nothing."""
    bank.pay(BankOrder(first, theirs, AMOUNT, State.PROCESSING))


async def test_once_the_first_is_paid_the_decline_of_the_second_gives_nothing_back(
    stage: Stage, bank: Bank
) -> None:
    found, first, next_one = await tried_twice(stage, "declines")
    assert (await stage.state(found.payment_id))[0] == "declined"
    pays_the_first(bank, first)
    await told(stage, first, "succeeded")
    assert await stage.state(found.payment_id) == ("completed", "paid_after_release")
    for _ in range(2):
        await told(stage, next_one, "failed")
        await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
        stage.clock.advance(60)
    assert (await stage.row(found.payment_id)).sub_status == "completed"
    assert await stage.credited() == FUNDS - AMOUNT.minor
    assert await cases(stage) == ["paid_after_release"]


async def returned_and_paid(stage: Stage, bank: Bank) -> tuple[Any, str, str]:
    """The second was paid and came back; the first was paid after all, and that is a case."""
    found, first, next_one = await tried_twice(stage, "pays")
    assert (await stage.state(found.payment_id))[0] == "completed"
    bank.send_back(next_one)
    await told(stage, next_one, "returned")
    assert ((await stage.state(found.payment_id))[0], await stage.credited()) == ("returned", FUNDS)
    pays_the_first(bank, first)
    await told(stage, first, "succeeded")
    assert await cases(stage) == ["second_payment"]
    # What the second paid and brought back is nothing, when the bank's books are held against ours.
    bank.moved[:] = [(first, AMOUNT)]
    return found, first, next_one


@pytest.mark.parametrize("number", ["", "bank-late"])
@pytest.mark.parametrize("resolution", [R.PAID, R.ACCEPTED])
async def test_people_accept_the_first_after_the_second_came_back(
    stage: Stage, bank: Bank, resolution: R, number: str
) -> None:
    found, first, next_one = await returned_and_paid(stage, bank)
    amount = AMOUNT if resolution is R.ACCEPTED else None
    await decided(stage, resolution, amount=amount, provider_reference=number)
    leg = await stage.leg(found.payment_id)
    assert (leg.state, leg.provider_reference, leg.present_attempt) == ("completed", "bank-late", first)
    assert (await stage.credited(), await stage.owed()) == (FUNDS - AMOUNT.minor, 0)
    # Whatever the bank says of the second now, it came back long ago; what it says of the first counts.
    for _ in range(2):
        await told(stage, next_one, "returned")
        await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
        stage.clock.advance(60)
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.send_back(first)
    await told(stage, first, "returned")
    assert ((await stage.state(found.payment_id))[0], await stage.credited()) == ("returned", FUNDS)
    bank.moved.clear()


async def test_while_the_second_is_paid_the_first_is_only_noted(stage: Stage, bank: Bank) -> None:
    """The player has it twice. No word of people takes a second time what he was paid out once."""
    found, first, next_one = await tried_twice(stage, "pays")
    pays_the_first(bank, first)
    await told(stage, first, "succeeded")
    assert await cases(stage) == ["second_payment"]
    for resolution in (R.PAID, R.ACCEPTED):
        amount = AMOUNT if resolution is R.ACCEPTED else None
        with pytest.raises(ResolutionImpossible):
            await decided(stage, resolution, amount=amount)
        stage.clock.advance(1)
        [its] = await stage.rows("SELECT case_id FROM payment_case WHERE state = 'open'")
        by = await stage.operator(f"nobody{resolution.value}")
        await payments.decide_case(
            stage.pipes, stage.site_id, its.case_id, by, staff.Verdict.REJECT, reason="no"
        )
        stage.clock.advance(1)
    await decided(stage, R.NOTED)
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.moved[:] = [(next_one, AMOUNT)]  # what both paid is a person's now


async def test_people_accept_the_first_while_nobody_knows_of_the_second(stage: Stage, bank: Bank) -> None:
    """From then on the second is the earlier one: paid as well it is a case, and moves nothing."""
    found, first, next_one = await tried_twice(stage, "accepts silently")
    bank.words = ["nothing"]
    pays_the_first(bank, first)
    await told(stage, first, "succeeded")
    assert await cases(stage) == ["second_payment"]
    await decided(stage, R.PAID)
    leg = await stage.leg(found.payment_id)
    assert (leg.state, leg.provider_reference, leg.present_attempt) == ("completed", "bank-late", first)
    assert (await stage.credited(), await stage.held()) == (FUNDS - AMOUNT.minor, 0)
    stage.clock.advance(1)
    await told(stage, next_one, "failed")
    assert (await stage.row(found.payment_id)).sub_status == "completed"
    bank.pay(bank.book[next_one])
    await told(stage, next_one, "succeeded")
    assert await stage.state(found.payment_id) == ("completed", "second_payment")
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.moved[:] = [(first, AMOUNT)]
