"""A site, its tokens, and the product's own application in this process: what a wallet test talks to."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.engine import Row

from app import merchants
from app.kernel.clock import MovableClock
from app.main import create_app
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.wallet.decisions import set_policy
from app.wallet.journal import Journal

Json = dict[str, Any]


@dataclass
class Counter:
    """Where an operator and a game platform stand; each call returns the HTTP status and the envelope."""

    pipes: Pipes
    clock: MovableClock
    http: httpx.AsyncClient
    journal: Journal
    site_id: int
    tokens: Mapping[str, str]
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def post(self, path: str, body: object, *, scope: str = "wallet") -> tuple[int, Json]:
        headers = {"authorization": f"Bearer {self.tokens[scope]}"}
        answer = await self.http.post(path, json=body, headers=headers)
        return answer.status_code, answer.json()

    async def get(self, path: str, *, scope: object = "read", **params: object) -> tuple[int, Json]:
        headers = {"authorization": f"Bearer {self.tokens[str(scope)]}"}
        asked = {name: str(value) for name, value in params.items()}
        answer = await self.http.get(path, params=asked, headers=headers)
        return answer.status_code, answer.json()

    async def player(self, login: str = "aigerim", cash: int = 0, currency: str = "KZT") -> Json:
        """A player with a wallet and money in it."""
        status, made = await self.post("/v1/player/create", {"playerExternalId": login, "currency": currency})
        assert status == 200, made
        if cash:
            await self.deposit(cash, login=login, currency=currency)
        return dict(made["data"])

    async def deposit(
        self, amount: int, key: str = "", *, login: str = "aigerim", currency: str = "KZT"
    ) -> Json:
        return await self.transfer("deposit", amount, key, login=login, currency=currency)

    async def transfer(self, name: str, amount: int, key: str = "", **who: str) -> Json:
        body = {
            "playerExternalId": who.get("login", "aigerim"),
            "currency": who.get("currency", "KZT"),
            "amount": amount,
            "transferId": key or f"t-{next(self.numbers)}",
        }
        return (await self.post(f"/v1/player/wallet/{name}", body))[1]

    async def play(self, name: str, key: str = "", **more: object) -> Json:
        """A bet, win or rollback of the round r-1 of acme's game, unless said otherwise."""
        body: Json = {"transactionId": key or f"g-{next(self.numbers)}", "playerExternalId": "aigerim"}
        if name != "rollback":
            body |= {"currency": "KZT", "roundId": "r-1", "gameCode": "aviator", "providerId": "acme"}
        return (await self.post(f"/v1/game/{name}", body | more, scope="play"))[1]

    async def decide(self, provider: str = "", **decisions: str) -> None:
        """Decide something for the site or a platform, and let the processes hear of it."""
        async with self.pipes.database.transaction() as tx:
            await set_policy(tx, self.site_id, provider, decisions, at=self.clock.now())
        self.clock.advance(3)

    async def settled(self) -> None:
        """Wait until no transaction of this server, of whatever test, is older than what was written."""
        query = (
            "SELECT coalesce(max(recorded_in), 0) < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint "
            "AS is_so FROM wallet_operation"
        )
        while not (await self.rows(query))[0].is_so:  # noqa: ASYNC110  the database gets there, no event says so
            await asyncio.sleep(0.01)

    async def rows(self, query: str, **values: object) -> list[Row[Any]]:
        async with self.pipes.database.reading() as reader:
            return list(await reader.all(text(query), values))


@asynccontextmanager
async def opened(
    database: Database,
    clock: MovableClock,
    *,
    seamless: bool = False,
    currencies: tuple[str, ...] = ("KZT", "USD"),
) -> AsyncIterator[Counter]:
    """A counter on a fresh database."""
    async with HttpClient(clock) as outward:
        pipes = Pipes(database, outward, clock, "https://cashier.example.com")
        async with database.transaction() as tx:
            new = merchants.NewSite(
                name="Altyn Games",
                currencies=currencies,
                callout_url="https://shop.example.com/callout",
                notify_url="https://shop.example.com/notify",
                callback_url="https://shop.example.com/wallet" if seamless else "",
            )
            created = await merchants.create_site(tx, new, at=clock.now())
        # In parts of three, so that every batch here is decided in several.
        app = create_app(pipes, journal=Journal(pipes, part=3))
        journal = Journal(pipes, part=3)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as http,
        ):
            yield Counter(pipes, clock, http, journal, created.site_id, created.tokens)
            await journal.aclose()
