"""What an audit of issue 4 found about late evidence (payments.md 1.5): each failed when it was written."""

import pytest

from app import players
from tests.payments.world import Provider, World, fact, paid


@pytest.mark.parametrize("status", [players.PlayerStatus.BLOCKED, players.PlayerStatus.CLOSED])
async def test_a_late_success_is_not_credited_to_a_player_who_may_not_have_it(
    world: World, provider: Provider, status: players.PlayerStatus
) -> None:
    """Late success: *credit if player still allowed, else return money*. A case for people would do, too."""
    await world.ask()
    await world.notice(fact(await world.reference(), "failed"))
    async with world.database.transaction() as tx:
        await players.set_status(tx, world.site_id, "aigerim", status)
    provider.statuses = [paid()]
    await world.notice(fact(await world.reference()), mark="late")
    assert await world.credited() == 0
    assert (await world.payment()).attention is not None
