"""What is told of a deposit while we are on our way to its provider: no doubt of ours asks another one."""

import pytest

from app import providers
from tests.payments.accounts import SECOND, asked, listed, through_both_accounts, tries
from tests.payments.world import NEVER_LEFT, UNKNOWN, Provider, World, fact

State = providers.State


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return listed(monkeypatch, SECOND)


@pytest.fixture(autouse=True)
async def through_both(world: World, second: Provider) -> None:
    await through_both_accounts(world)


async def test_a_time_out_does_not_undo_the_decline_that_came_before_it(
    world: World, provider: Provider, second: Provider
) -> None:
    """It was declined by notice, our call times out, and the provider can be reached no more."""

    async def declined(order: providers.DepositOrder) -> None:
        await world.notice(fact(order.reference, "failed", code="91"))

    provider.during_deposit = declined
    provider.answers = provider.statuses = [UNKNOWN]
    await world.ask()
    [only] = await tries(world)
    assert (only.state, only.error_code, only.is_over) == ("failed", "91", True)
    provider.statuses = [NEVER_LEFT]
    await asked(world)
    assert second.orders == []
    assert len(await tries(world)) == 1
