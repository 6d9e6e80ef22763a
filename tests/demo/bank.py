"""The sandbox provider of a test: a running provider, its merchant, and what the merchant heard."""

import json
from typing import Any

import httpx

from tests.demo.servers import Peer, as_json, hmac_signed, until

SECRET = "the-account-secret"
START = 10**12


def signed(content: bytes, secret: str = SECRET) -> str:
    """Sign with the account's secret."""
    return hmac_signed(content, secret)


class Sandbox:
    """A running provider, its merchant, and what the merchant heard."""

    def __init__(self, url: str, peer_url: str, peer: Peer, http: httpx.AsyncClient) -> None:
        self.url, self.peer_url, self.peer, self.http = url, peer_url, peer, http

    async def ask(self, deadline_seconds: float = 5.0, /, **changed: object) -> httpx.Response:
        """Ask for a deposit of 1,500.00 KZT."""
        asked = {"description": "Altyn Games", "return_url": f"{self.peer_url}/back"}
        return await self.place("deposits", deadline_seconds, **asked | changed)

    async def pay_out(self, deadline_seconds: float = 5.0, /, **changed: object) -> httpx.Response:
        """Ask for a payout of 1,500.00 KZT to a telephone."""
        asked = {"method": "mobile_operator", "destination": {"phone": "+77011234567"}}
        return await self.place("payouts", deadline_seconds, **{"reference": "att_out", **asked, **changed})

    async def refund(self, deadline_seconds: float = 5.0, /, **changed: object) -> httpx.Response:
        """Ask for a refund of 1,500.00 KZT of the deposit att_1."""
        asked = {"reference": "att_back", "original_reference": "att_1"}
        return await self.place("refunds", deadline_seconds, **asked | changed)

    async def place(self, kind: str, deadline_seconds: float = 5.0, /, **changed: object) -> httpx.Response:
        """Place an order of 1,500.00 KZT."""
        asked = {"reference": "att_1", "amount_minor": 150_000, "currency": "KZT"}
        return await self.post(
            f"/v1/{kind}", {**asked, "notice_url": f"{self.peer_url}/notice", **changed}, deadline_seconds
        )

    async def post(self, path: str, content: object, deadline_seconds: float = 5.0) -> httpx.Response:
        """Send signed JSON."""
        body = as_json(content)
        headers = {"X-Sandbox-Account": "altyn", "X-Sandbox-Signature": signed(body)}
        return await self.http.post(self.url + path, content=body, headers=headers, timeout=deadline_seconds)

    async def get(
        self, path: str, deadline_seconds: float = 5.0, *, account: str = "altyn"
    ) -> httpx.Response:
        """Ask with a signature over the path and query."""
        secret = SECRET if account == "altyn" else "other-secret"
        headers = {"X-Sandbox-Account": account, "X-Sandbox-Signature": signed(path.encode(), secret)}
        return await self.http.get(self.url + path, headers=headers, timeout=deadline_seconds)

    async def token(self, number: str) -> str:
        """Have a card kept."""
        return str((await self.post("/v1/cards", {"number": number})).json()["token"])

    async def balance(self, currency: str = "KZT") -> int:
        """How much more the merchant has than at the beginning."""
        return int((await self.get(f"/v1/balance?currency={currency}")).json()["available_minor"]) - START

    async def decide(self, order_id: str, **pressed: str) -> httpx.Response:
        """Press a button at the bank's desk."""
        return await self.http.post(f"{self.url}/desk/{order_id}", data=pressed)

    async def query(self, reference: str = "att_1", *, deadline_seconds: float = 5.0) -> httpx.Response:
        """Ask how an order stands."""
        return await self.get(f"/v1/orders/{reference}", deadline_seconds)

    async def cancel(self, reference: str = "att_1") -> httpx.Response:
        """Cancel a deposit."""
        path = f"/v1/deposits/{reference}/cancel"
        headers = {"X-Sandbox-Account": "altyn", "X-Sandbox-Signature": signed(path.encode())}
        return await self.http.post(self.url + path, headers=headers)

    async def press(self, page_url: str, script: str) -> httpx.Response:
        """Press a button of the player's page."""
        return await self.http.post(page_url, data={"script": script})

    async def state(self) -> dict[str, Any]:
        """Ask what the provider knows."""
        answer: dict[str, Any] = (await self.http.get(f"{self.url}/demo/state")).json()
        return answer

    async def heard(self, count: int) -> list[dict[str, Any]]:
        """Wait for `count` notices and return what all notices said."""

        async def enough() -> bool:
            return len(self.peer.heard) >= count

        await until(enough)
        return [json.loads(notice["body"]) for notice in self.peer.heard]


async def paid(sandbox: Sandbox, **changed: object) -> dict[str, Any]:
    """A deposit that was approved."""
    answer: dict[str, Any] = (await sandbox.ask(description="[script:approve]", **changed)).json()
    assert answer["status"] == "approved"
    return answer
