"""A running demo shop, and everything a cashier does to it."""

import base64
from typing import Any

import httpx

from tests.demo.servers import sha1_signed

SALT = "shop-salt"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Shop:
    """A running shop and everything a cashier does to it."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url, self.http = url, http

    async def ask(self, **changed: object) -> httpx.Response:
        """Ask check_deposit."""
        fields: dict[str, object] = {
            "action": "check_deposit",
            "site_id": 7,
            "site_login": "aigerim",
            "amount": 150_000,
            "currency": "KZT",
            "payment_group_id": 1,
            "payment_type_id": 1,
            "transaction_id": "1001",
        } | changed
        return await self.http.post(f"{self.url}/cashier/callout", json=sha1_signed(fields, SALT))

    def result(self, external_id: str, **changed: object) -> dict[str, object]:
        """Write a signed webhook."""
        fields: dict[str, object] = {
            "site_id": 7,
            "amount": 150_000,
            "currency": "KZT",
            "completed_at": "2026-11-21T12:00:00+00:00",
            "site_login": "aigerim",
            "type_id": 3,
            "status_id": 4,
            "transaction_id": 1001,
            "external_id": external_id,
        } | changed
        return sha1_signed(fields, SALT)

    async def tell(self, external_id: str, **changed: object) -> httpx.Response:
        """Send a webhook."""
        return await self.http.post(f"{self.url}/cashier/notify", json=self.result(external_id, **changed))

    async def behave(self, **manners: str) -> None:
        """Tell the shop to misbehave."""
        (await self.http.post(f"{self.url}/demo/behaviour", json=manners)).raise_for_status()

    async def state(self) -> dict[str, Any]:
        """Ask what the shop knows."""
        answer: dict[str, Any] = (await self.http.get(f"{self.url}/demo/state")).json()
        return answer

    async def balance(self) -> int:
        """Ask for Aigerim's balance in minor units."""
        minor: int = (await self.state())["balances_minor"]["aigerim"]
        return minor

    async def ask_payout(self, **changed: object) -> httpx.Response:
        """Ask request_payout."""
        fields: dict[str, object] = {
            "action": "request_payout",
            "site_id": 7,
            "site_login": "aigerim",
            "amount": 100_000,
            "currency": "KZT",
            "payment_group_id": 1,
            "payment_type_id": 1,
            "customer_purse": "555555...4444",
            "remember_customer_purse": 0,
            "customer_ip": "127.0.0.1",
            "transaction_id": "2001",
        } | changed
        return await self.http.post(f"{self.url}/cashier/callout", json=sha1_signed(fields, SALT))

    async def tell_payout(self, external_id: str, **changed: object) -> dict[str, Any]:
        """Send a webhook about a withdrawal, and return the answer."""
        told = {"amount": 100_000, "type_id": 11, "transaction_id": 2001} | changed
        answer: dict[str, Any] = (await self.tell(external_id, **told)).json()
        return answer

    async def decide(self, external_id: str, decision: str, **headers: str) -> httpx.Response:
        """Press the owner's button."""
        url = f"{self.url}/owner/withdrawals/{external_id}"
        return await self.http.post(url, data={"decision": decision}, headers=headers)

    async def withdrawal(self, external_id: str = "") -> dict[str, Any]:
        """Ask what the shop knows about a withdrawal; about the last one if none is named."""
        known = {asked["external_id"]: asked for asked in (await self.state())["withdrawals"]}
        found: dict[str, Any] = known[external_id or [*known][-1]]
        return found
