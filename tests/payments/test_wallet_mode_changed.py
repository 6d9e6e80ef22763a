"""Who keeps the balances of a site changes: what goes back of a deposit goes back to whom it was credited."""

from app import merchants
from app.wallet.audit import mode_blockers
from tests.payments.desk import Desk
from tests.payments.test_disputes import say
from tests.payments.world import paid


async def test_what_a_dispute_took_from_the_player_comes_back_to_the_player(desk: Desk) -> None:
    """All of the player's money is with the bank when the site changes to a wallet of its own."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    async with desk.world.database.transaction() as tx:
        assert await mode_blockers(tx, desk.site_id) == []
        peers = frozenset({desk.world.shop.peer})
        url = f"{desk.world.shop.url}/wallet"
        await merchants.set_callback_url(
            tx, desk.site_id, url, at=desk.world.clock.now(), allowed_private_peers=peers
        )
    await say(desk, deposit, "won")
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}


async def test_what_was_credited_to_the_merchant_is_not_taken_from_the_player(seamless: Desk) -> None:
    deposit = await seamless.deposit()
    async with seamless.world.database.transaction() as tx:
        assert await mode_blockers(tx, seamless.site_id) == []
        await merchants.set_callback_url(tx, seamless.site_id, "", at=seamless.world.clock.now())
    await say(seamless, deposit, "opened")
    assert await seamless.balances() == {}


async def test_what_was_credited_to_the_merchant_is_refunded_by_the_merchant(seamless: Desk) -> None:
    deposit = await seamless.deposit()
    async with seamless.world.database.transaction() as tx:
        await merchants.set_callback_url(tx, seamless.site_id, "", at=seamless.world.clock.now())
    seamless.provider.answers = seamless.provider.statuses = [paid("back-1")]
    await seamless.sent(deposit)
    assert await seamless.balances() == {}
