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


async def _funded(shop_url: str, page: Page) -> None:
    """Give Aigerim 1500.00 KZT."""
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
    assert (await page.request.post(f"{shop_url}/cashier/notify", data=body)).ok


async def _asked(shop_url: str, page: Page, number: str, amount: int, purse: str) -> None:
    """Ask for a withdrawal, as the cashier does."""
    fields = {
        "action": "request_payout",
        "site_id": 7,
        "site_login": "aigerim",
        "amount": amount,
        "currency": "KZT",
        "payment_group_id": 1,
        "customer_purse": purse,
        "remember_customer_purse": 0,
        "transaction_id": number,
    }
    body = as_json(sha1_signed(fields, "salt"))
    answer = await page.request.post(f"{shop_url}/cashier/callout", data=body)
    assert (await answer.json())["code"] == 50


async def test_withdraw_by_keyboard_opens_the_cashier(serve: Serve, peer: Peer, page: Page) -> None:
    peer.answers = [KEY, TELLS_ITS_HEIGHT]
    shop_url = await _shop(serve, peer)
    await _funded(shop_url, page)
    await page.goto(shop_url)
    await page.get_by_role("button", name="Withdraw").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Withdraw", exact=True)).to_be_visible()
    await expect(page.locator("#cashier")).to_have_css("height", "456px")
    assert peer.heard[0]["query"]["force_action"] == "2"
    await _asked(shop_url, page, "2", 100_000, "555555...4444")
    await expect(page.locator("#gain")).to_have_text("Set aside for your withdrawal.")
    await expect(page.locator("#balance")).to_have_text("500.00")
    await expect(page.locator("#orders li").first).to_contain_text("Requested")
    await expect(page.locator("#orders li").first).to_contain_text("−1,000.00 KZT")


async def test_the_owner_decides_by_keyboard_while_the_list_grows(
    serve: Serve, peer: Peer, page: Page
) -> None:
    yes = {"success": True, "code": 0, "transaction_id": 1, "order_id": "1" * 30}
    peer.answers = [JSONResponse({"success": False, "errors": "Not yet."}, 409), JSONResponse(yes)]
    shop_url = await _shop(serve, peer)
    await _funded(shop_url, page)
    await page.goto(f"{shop_url}/owner")
    await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    await _asked(shop_url, page, "2", 50_000, "KZ86...0100")
    approve = page.get_by_role("button", name="Approve 500.00 KZT for Aigerim Sadykova")
    await approve.focus()
    # Another one arrives: the lists are written anew, and the focus stays.
    await _asked(shop_url, page, "3", 20_000, "+77011234567")
    await expect(page.locator("#undecided li")).to_have_count(2)
    await expect(approve).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#refused").get_by_role("alert")).to_have_text("Not yet.")
    await page.get_by_role("button", name="Try again 500.00 KZT for Aigerim Sadykova").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#decided")).to_contain_text("Approved, the cashier pays")
    await expect(page.locator("#decided")).to_contain_text("1" * 30)
    await page.get_by_role("button", name="Reject 200.00 KZT").click()
    await expect(page.locator("#decided")).to_contain_text("Rejected by you")
    await page.goto(shop_url)
    await expect(page.locator("#balance")).to_have_text("1,000.00")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 800), (360, 740)])
async def test_nothing_is_wider_than_the_screen(
    serve: Serve, peer: Peer, page: Page, width: int, height: int
) -> None:
    peer.answers = [KEY, TELLS_ITS_HEIGHT]
    shop_url = await _shop(serve, peer)
    await _funded(shop_url, page)
    await _asked(shop_url, page, "2", 100_000, "w" * 256)
    await page.set_viewport_size({"width": width, "height": height})
    for path in ("/", "/deposit", "/?player=nobody", "/owner"):
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
