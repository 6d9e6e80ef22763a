"""Both tries of a withdrawal are said to be paid, and neither was."""

from tests.payments.accounts import SECOND, decided, raised, tries
from tests.payments.banks import sent, told
from tests.payments.casework import R
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import State


async def test_people_deny_the_one_and_then_the_other(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    """The first counts by then: that the second was not paid moves nothing, and lets the first be denied."""
    bank.manners = next_bank.manners = ["declines"]
    await sent(stage)
    first, next_one = await tries(stage)
    for its_bank, one, account in ((bank, first, "main"), (next_bank, next_one, SECOND)):
        its_bank.book[one.attempt_id].state = State.SUCCEEDED  # it says so, and nothing moved
        await told(stage, its_bank, one.attempt_id, "succeeded", account)
    row = await stage.payment()
    assert (row.sub_status, row.attention) == ("completed", "second_payment")
    stage.clock.advance(60)
    numbers = [one.provider_reference for one in await tries(stage)]
    await decided(stage, R.NOT_PAID, its=await raised(stage), provider_reference=numbers[1])
    assert (await stage.payment()).sub_status == "completed"
    await decided(stage, R.NOT_PAID, its=await raised(stage), provider_reference=numbers[0])
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("returned", FUNDS)
