"""One player does not have the merchant asked so often that the others' deposits find no place."""

from app.cashier.routes import PLAYER_AT_ONCE
from tests.cashier import test_views
from tests.cashier.test_views import Browser
from tests.payments import conftest
from tests.payments.peers import answering

provider = conftest.provider
world = conftest.world
browser = test_views.browser


async def test_who_sends_deposits_without_end_is_slowed_down(browser: Browser) -> None:
    """What the merchant refuses is over at once, so that no limit on unfinished deposits counts it."""
    browser.world.shop.manner = answering({"code": 20, "message": "not today"})
    seen = [(await browser.send(form_token=f"form-{number}")).status_code for number in range(25)]
    assert seen == [303] * PLAYER_AT_ONCE + [429] * (25 - PLAYER_AT_ONCE)
    assert await browser.payments() == len(browser.world.shop.heard) == PLAYER_AT_ONCE
    # Another player goes on.
    other = Browser(browser.world, browser.client, await test_views.key_of(browser.world, "bolat"))
    assert (await other.send(form_token="form-1")).status_code == 303
    browser.world.clock.advance(5)
    assert (await browser.send(form_token="form-later")).status_code == 303
    assert (await browser.send(form_token="form-latest")).status_code == 429
