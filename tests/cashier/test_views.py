"""The pages over HTTP: what nobody's browser would send, and a time zone that is a folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest

from app import merchants, players
from app.cashier.views import DeedNotOffered
from app.kernel import ids
from app.main import create_app
from tests.payments import conftest
from tests.payments.world import Provider, World, fact

provider = conftest.provider
world = conftest.world

FORM = {"content-type": "application/x-www-form-urlencoded"}
ODD_TOKENS = [
    "",
    "\x00",
    "a\x00b",
    "a\n",
    "a b",
    "a;b",
    "../a",
    "токен",
    "a" * 129,
    "\u202e",
    "\ud800",
    "'; DROP TABLE payment; --",
]
ODD_METHODS = [
    "",
    "\x00",
    "card\x00",
    "card\n",
    "CARD",
    " card",
    "кар",
    "c" * 65,
    "../card",
    "\ud800",
    "card'",
]


@dataclass
class Browser:
    """A player who came with a key, and the raw way to send what a form would not."""

    world: World
    client: httpx.AsyncClient
    key: str

    async def send(self, **fields: str) -> httpx.Response:
        good = {"key": self.key, "form_token": "form-1", "method": "card", "amount": "1500", "lang": "en"}
        body = urlencode({**good, **fields}, errors="surrogatepass")
        return await self.client.post("/cashier/deposit", content=body, headers=FORM)

    async def payments(self) -> int:
        return len(await self.world.rows("SELECT 1 FROM payment"))


async def key_of(world: World, site_login: str = "aigerim") -> str:
    """A player's key."""
    fields = {
        "site_login": site_login,
        "currency": "KZT",
        "customer_ip": "127.0.0.1",
        "language": "en",
        "signature": ids.secret(),
    }
    async with world.database.transaction() as tx:
        site = await merchants.site(tx, world.site_id)
        return await players.obtain_key(tx, site, fields, at=world.clock.now())


@pytest.fixture
async def browser(world: World) -> AsyncIterator[Browser]:
    key = await key_of(world)
    transport = httpx.ASGITransport(create_app(world.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        yield Browser(world, client, key)


async def refused_form(browser: Browser, provider: Provider, **fields: str) -> None:
    """The form again, with its words of refusal; nothing was written and nobody asked."""
    answer = await browser.send(**fields)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "<form" in answer.text
    assert "content-security-policy" in answer.headers
    assert await browser.payments() == 0
    assert await browser.world.rows("SELECT 1 FROM claim") == []
    assert provider.asked == []
    assert browser.world.shop.heard == []


@pytest.mark.parametrize("token", ODD_TOKENS, ids=ascii)
async def test_a_form_token_that_is_none(browser: Browser, provider: Provider, token: str) -> None:
    await refused_form(browser, provider, form_token=token)


@pytest.mark.parametrize("method", ODD_METHODS, ids=ascii)
async def test_a_method_that_is_none(browser: Browser, provider: Provider, method: str) -> None:
    await refused_form(browser, provider, method=method)


@pytest.mark.parametrize("method", ["nothing", "c" * 64, "qr"])
async def test_a_method_that_is_not_offered(browser: Browser, provider: Provider, method: str) -> None:
    await refused_form(browser, provider, method=method)


@pytest.mark.parametrize(
    "amount", ["", "\x00", "1500\x00", "-1", "1e9", "١٥٠٠", "9" * 5_000, "\ud800"], ids=ascii
)
async def test_an_amount_that_is_none(browser: Browser, provider: Provider, amount: str) -> None:
    await refused_form(browser, provider, amount=amount)


@pytest.mark.parametrize("token", ["a", "A-z_9", "a" * 128])
async def test_a_form_token_that_is_one(browser: Browser, token: str) -> None:
    for _ in range(2):
        answer = await browser.send(form_token=token)
        assert answer.status_code == 303, answer.text
    assert await browser.payments() == 1


@pytest.mark.parametrize("odd", ["\x00", "1-\x00", "\ud800", "a" * 10_000, "٣-x"], ids=ascii)
async def test_a_key_or_a_language_that_is_none(browser: Browser, odd: str) -> None:
    assert (await browser.send(key=odd)).status_code == 401
    assert (await browser.send(lang=odd)).status_code == 303
    query = urlencode({"key": odd, "lang": odd}, errors="surrogatepass")
    assert (await browser.client.get(f"/open?{query}")).status_code == 401


@pytest.mark.parametrize("token", ["%00", "101-%00", "101-x", "x", "99999999999-x", "%ED%A0%80", "101-%0a"])
async def test_a_view_token_that_is_none(browser: Browser, token: str) -> None:
    for path in (f"/cashier/payment/{token}", f"/cashier/payment/{token}?returned=yes"):
        answer = await browser.client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
    assert (await browser.client.get(f"/cashier/payment/{token}/status")).status_code == 404


@pytest.mark.parametrize("zone", ["America", "Etc", "No/Such_Zone", "A" * 64])
async def test_a_time_zone_that_is_none_is_utc(browser: Browser, world: World, zone: str) -> None:
    view_token = await world.ask(await world.session(timezone=zone))
    address = f"/cashier/payment/{view_token}"
    for path in (address, f"{address}/status"):
        assert (await browser.client.get(path)).status_code == 200
    await world.notice(fact(await world.reference()))
    page = await browser.client.get(f"{address}?lang=ru")
    assert page.status_code == 200
    assert "12:00 (UTC)" in page.text


async def test_a_time_zone_that_is_one_is_the_players(browser: Browser, world: World) -> None:
    view_token = await world.ask(await world.session(timezone="Asia/Almaty"))
    await world.notice(fact(await world.reference()))
    page = await browser.client.get(f"/cashier/payment/{view_token}?lang=ru")
    assert "17:00 (UTC+5)" in page.text


async def test_too_many_open_deposits_are_told_on_the_page(browser: Browser) -> None:
    for number in range(10):
        assert (await browser.send(form_token=f"form-{number}")).status_code == 303
    answer = await browser.send(form_token="form-more")
    assert answer.status_code == 422
    assert "<form" in answer.text
    assert await browser.payments() == 10


def test_what_the_site_did_not_open_is_said_in_words() -> None:
    assert str(DeedNotOffered(deed="withdraw")) == "The site did not open the cashier to withdraw."
    assert str(DeedNotOffered(deed="deposit")) == "The site did not open the cashier to deposit."
