"""The pages of the demo servers as a person meets them, in a real Chromium."""

from collections.abc import AsyncIterator

import pytest
from fastapi.responses import HTMLResponse, JSONResponse
from playwright.async_api import Page, async_playwright, expect

from app.demo import merchant, provider, wire
from tests.browser import chromium
from tests.demo.servers import Peer, Serve, as_json, hmac_signed, sha1_signed

pytestmark = pytest.mark.browser

KEY = JSONResponse({"success": True, "errors": None, "key": "K"})


def _tells_its_height(height: int) -> HTMLResponse:
    message = f'{{action: "select_menu", action_info: {{width: 300, height: {height}}}}}'
    return HTMLResponse(f"<!doctype html><title>t</title><script>parent.postMessage({message}, '*')</script>")


TELLS_ITS_HEIGHT = _tells_its_height(456)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page whose console must stay free of refusals by the content security policy."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.find(), args=flags)
        opened = await browser.new_page()
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        yield opened
        await browser.close()
    assert [text for text in said if "Content Security Policy" in text or "Error:" in text] == []


async def _shop(serve: Serve, peer: Peer) -> str:
    cashier_url = await serve(peer.app)
    settings = merchant.MerchantSettings(cashier_url, "http://127.0.0.1:1", 7, "salt", "KZT", "")
    return await serve(merchant.create_app(settings))


async def test_balance_and_orders_change_while_one_looks(serve: Serve, peer: Peer, page: Page) -> None:
    shop_url = await _shop(serve, peer)
    await page.goto(shop_url)
    await expect(page.locator("#balance")).to_have_text("0.00")
    await expect(page.locator("#no-orders")).to_be_visible()
    fields = {
        "site_id": 7,
        "site_login": "aigerim",
        "amount": 150_000,
        "currency": "KZT",
        "transaction_id": 1,
        "external_id": "order_1",
        "type_id": 3,
        "status_id": 4,
    }
    body = as_json(sha1_signed(fields, "salt"))
    answer = await page.request.post(f"{shop_url}/cashier/notify", data=body)
    assert await answer.json() == {"code": 0}
    await expect(page.locator("#balance")).to_have_text("1,500.00")
    await expect(page.locator("#orders li")).to_have_count(1)
    await expect(page.locator("#orders")).to_contain_text("Paid")


async def test_deposit_by_keyboard_opens_the_cashier_as_high_as_it_asks(
    serve: Serve, peer: Peer, page: Page
) -> None:
    peer.answers = [KEY, TELLS_ITS_HEIGHT, _tells_its_height(999)]
    await page.goto(await _shop(serve, peer))
    await page.get_by_role("button", name="Deposit").focus()
    await page.keyboard.press("Enter")
    frame = page.locator("#cashier")
    await expect(frame).to_have_css("height", "456px")
    # Neither the shop's own window nor another frame of the cashier's origin is heard.
    await page.evaluate('postMessage({action: "select_menu", action_info: {height: 999}}, "*")')
    await page.evaluate(
        """() => new Promise((loaded) => {
            const other = document.createElement("iframe");
            other.src = document.getElementById("cashier").src;
            other.onload = loaded;
            document.body.append(other);
        })"""
    )
    await page.wait_for_timeout(100)
    await expect(frame).to_have_css("height", "456px")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 800)])
async def test_nothing_is_wider_than_the_screen(
    serve: Serve, peer: Peer, page: Page, width: int, height: int
) -> None:
    peer.answers = [KEY, TELLS_ITS_HEIGHT]
    shop_url = await _shop(serve, peer)
    await page.set_viewport_size({"width": width, "height": height})
    for path in ("/", "/deposit", "/?player=nobody"):
        await page.goto(shop_url + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_player_approves_by_keyboard_and_lands_at_the_merchant(
    serve: Serve, peer: Peer, page: Page
) -> None:
    peer.answers = [HTMLResponse("<!doctype html><title>back</title><p>back at the merchant")]
    peer_url = await serve(peer.app)
    settings = provider.ProviderSettings("", {"altyn": "k"}, frozenset({wire.peer_of(peer_url)}))
    provider_url = await serve(provider.create_app(settings))
    asked = {
        "reference": "att_1",
        "amount_minor": 150_000,
        "currency": "KZT",
        "return_url": f"{peer_url}/back",
        "notice_url": f"{peer_url}/notice",
    }
    body = as_json(asked)
    headers = {"X-Sandbox-Account": "altyn", "X-Sandbox-Signature": hmac_signed(body, "k")}
    answer = await page.request.post(f"{provider_url}/v1/deposits", data=body, headers=headers)
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.goto(provider_url + (await answer.json())["redirect_url"])
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Approve")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("back at the merchant")).to_be_visible()
    await page.go_back()
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("This payment is approved.")
