"""A merchant who is not understood, which people have noted, is forgotten with the player's money."""

from datetime import timedelta

from tests.payments.accounts import cases, decided
from tests.payments.casework import R
from tests.payments.peers import answering
from tests.payments.stage import Stage

DAY = timedelta(days=1)


async def test_a_merchant_who_stays_silent_after_the_note_is_a_case_again(stage: Stage) -> None:
    await stage.fund()
    stage.merchant.says = [answering({"code": 9})] * 1_000
    found = await stage.withdraw()
    for _ in range(3):
        await stage.later(DAY)
    assert await cases(stage) == ["merchant_silent"]
    await decided(stage, R.NOTED)
    for _ in range(60):
        await stage.later(DAY)
    seen = await stage.state(found.payment_id), await cases(stage), await stage.held()
    assert seen[1], seen
