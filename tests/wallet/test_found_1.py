"""Found: what comes to a wallet of a site in seamless mode cannot leave it, and the mode cannot go back."""

from collections.abc import AsyncIterator

import pytest

from app import merchants, wallet
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player()
        yield made
        await invariants.hold(database)


async def switched(counter: Counter, url: str) -> list[str]:
    """As `cashier site wallet-mode` does it."""
    async with counter.pipes.database.transaction() as tx:
        blockers = await wallet.mode_blockers(tx, counter.site_id)
        if not blockers:
            await merchants.set_callback_url(tx, counter.site_id, url, at=counter.clock.now())
    return blockers


async def test_a_late_promo_win_at_a_seamless_site_can_leave_the_wallet(counter: Counter) -> None:
    assert await switched(counter, "https://games.example.com/ask") == []
    counter.clock.advance(3)
    won = await counter.play("win", "w-1", kind="promo", amount=50_000)
    assert (won["code"], won["data"]["balance"]) == ("OK", 50_000)
    left = (await counter.transfer("withdraw", 50_000, "out-1"))["code"]
    blockers = await switched(counter, "")
    assert left == "OK" or blockers == [], (left, blockers)


async def test_nothing_comes_in_behind_a_switch_of_the_mode(counter: Counter) -> None:
    await counter.deposit(100, "in-1")
    await counter.transfer("withdraw", 100, "out-1")  # the token and its site are remembered by now
    assert await switched(counter, "https://games.example.com/ask") == []
    assert (await counter.deposit(70_000, "in-2"))["code"] == "WRONG_WALLET_MODE"
