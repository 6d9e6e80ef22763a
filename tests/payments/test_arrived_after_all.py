"""Of what seemed not to have left us its provider speaks in no word that we know, when all is over."""

from datetime import timedelta

import pytest

from app import payments
from tests.payments.accounts import SECOND, cases, switch_off, tries
from tests.payments.banks import sent
from tests.payments.desk import Desk
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK
from tests.payments.world import NEVER_LEFT, State, fact, just

DAY = timedelta(days=1)


@pytest.mark.parametrize("then", ["pays", "declines", "called off"])
async def test_a_question_that_opens_when_a_withdrawal_is_over_is_asked(
    stage: Stage, bank: Bank, next_bank: Bank, then: str
) -> None:
    """The first had it and paid; the second paid as well, or declined, or it was called off."""
    bank.manners, bank.words = ["pays and says it never heard"], ["not_found"]
    next_bank.manners = [then if then != "called off" else "never hears"]
    if then == "called off":
        await switch_off(stage, SECOND)
    found = await sent(stage)
    if then == "called off":
        by = await stage.operator("canceller")
        await payments.cancel_for_staff(
            stage.pipes, stage.site_id, found.payment_id, by, reason="the player wants it"
        )
    else:
        for _ in range(3):
            await stage.later(60)
    assert (await stage.payment()).status in {"completed", "failed", "cancelled"}
    first, *_ = await tries(stage)
    bank.words = ["truth"]
    stage.clock.advance(60)
    await stage.store_notice({"reference": first.attempt_id, "state": "unknown", "theirs": "bank-1"})
    await stage.work()
    opened = await questioned(stage)
    for _ in range(30):
        await stage.later(DAY)
    row = await stage.payment()
    seen = row.sub_status, opened, await questioned(stage), row.ask_at, await cases(stage)
    bank.moved[:] = [one for one in bank.moved if one[0] != first.attempt_id]  # for the fixture
    assert seen[-1], seen


async def test_nor_when_a_refund_is(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    reference = await desk.world.reference()
    await payments.cancel_refund(desk.pipes, desk.site_id, refund, desk.maker, reason="not needed")
    desk.world.clock.advance(60)
    desk.provider.statuses = [just(State.UNKNOWN)]
    await desk.world.notice(fact(reference, "unknown", theirs="back-1"))
    assert await questioned(desk.world) == [reference]
    await days(desk.world, 30)
    assert await cases(desk.world), (await desk.found(refund)).ask_at
