"""What is told of a withdrawal while we are on our way to its bank: no doubt of ours asks a second one."""

import pytest

from app import payments, providers
from tests.payments.banks import another_bank, sent, through_both_banks, tries
from tests.payments.stage import Bank, Stage
from tests.payments.world import NEVER_LEFT

State = providers.State


@pytest.fixture
def second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.fixture(autouse=True)
async def through_both(stage: Stage, second: Bank) -> None:
    await through_both_banks(stage)


async def test_a_time_out_does_not_undo_the_decline_that_came_before_it(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has paid; it says that it declined, our call times out, and it can be reached no more."""
    bank.manners = ["pays silently"]

    async def down(*_: object) -> providers.Result:
        return NEVER_LEFT

    async def declined(order: providers.PayoutOrder) -> None:
        await stage.store_notice({"reference": order.reference, "state": "failed", "code": "91"})
        monkeypatch.setattr(bank, "status", down)
        [notice] = await stage.rows("SELECT notice_id FROM notice")
        await payments.read_notice(stage.pipes, stage.site_id, notice.notice_id)

    bank.before = declined
    found = await sent(stage)
    [only] = await tries(stage)
    assert (only.state, only.error_code, only.is_over, second.payouts) == ("failed", "91", True, [])
    assert found.sub_status == "allocated"
