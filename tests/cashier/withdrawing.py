"""A player whose browser runs no script, on the way through a withdrawal."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest

from app import merchants, players
from app.kernel import ids
from app.main import create_app
from tests.cashier.test_pages import Elements
from tests.payments.stage import Stage

FORM = {"content-type": "application/x-www-form-urlencoded"}
CARD = {"method": "card", "to_card_number": "4111 1111 1111 1111"}
WALLET = {"method": "e_wallet", "to_e_wallet_wallet": "aigerim77"}


@dataclass
class Browser:
    """A player who came with a key, and whose browser runs no script."""

    stage: Stage
    client: httpx.AsyncClient
    key: str

    async def post(self, path: str, **fields: str) -> httpx.Response:
        good = {"key": self.key, "form_token": "form-1", "amount": "1500", "lang": "en", **WALLET}
        return await self.client.post(path, content=urlencode({**good, **fields}), headers=FORM)

    async def review(self, **fields: str) -> httpx.Response:
        return await self.post("/cashier/withdraw/review", **fields)

    async def confirm(self, reviewed: httpx.Response, **fields: str) -> httpx.Response:
        """Press the button of the page that shows it once more."""
        assert reviewed.status_code == 200, reviewed.text
        sent = {found["name"]: found["value"] for found in Elements(reviewed.text).all("input")}
        return await self.client.post(
            "/cashier/withdraw", content=urlencode({**sent, **fields}), headers=FORM
        )

    async def withdraw(self, **fields: str) -> str:
        """Go all the way; returns the address of the payment's page."""
        done = await self.confirm(await self.review(**fields))
        assert done.status_code == 303, done.text
        return done.headers["location"]

    async def shown(self, address: str) -> str:
        page = await self.client.get(address)
        assert page.status_code == 200, page.text
        return page.text.replace("\u00a0", " ").replace("\u202f", " ").replace("&#39;", "'")

    async def nothing_happened(self) -> None:
        assert await self.stage.rows("SELECT 1 FROM payment") == []
        assert await self.stage.rows("SELECT 1 FROM claim") == []
        assert await self.stage.held() == 0
        assert self.stage.merchant.asked == []


def errors_of(page: httpx.Response) -> dict[str, str]:
    """The sentences that stand at their fields."""
    found = re.findall(
        r'<p class="error" id="([a-z_]+)-error" role="alert"\s+>.*?<span data-error-text>([^<]*)',
        page.text,
        re.DOTALL,
    )
    return {name: text.replace("\u00a0", " ").replace("&#39;", "'") for name, text in found}


async def key_of(stage: Stage, **wishes: str) -> str:
    fields = {
        "site_login": "aigerim",
        "currency": "KZT",
        "customer_ip": "127.0.0.1",
        "language": "en",
        "signature": ids.secret(),
        **wishes,
    }
    async with stage.database.transaction() as tx:
        site = await merchants.site(tx, stage.site_id)
        return await players.obtain_key(tx, site, fields, at=stage.clock.now())


@pytest.fixture
async def browser(stage: Stage) -> AsyncIterator[Browser]:
    key = await key_of(stage)
    transport = httpx.ASGITransport(create_app(stage.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        yield Browser(stage, client, key)
