"""A site with provider accounts, and somebody who knocks where their notices arrive."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.engine import Row

from app import merchants, providers
from app.kernel.clock import MovableClock
from app.plumbing import web
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.providers import routes
from tests.demo.servers import hmac_signed

SECRET = "a-secret-of-the-account"
BODY = json.dumps({"notice_id": "ntc_1", "reference": "att_1", "status": "pending"}, indent=3).encode()


@dataclass
class Gate:
    """A site with a provider account, and a client that stands for the provider."""

    database: Database
    clock: MovableClock
    site_id: int
    client: httpx.AsyncClient

    async def knock(
        self, body: bytes = BODY, *, signature: str | None = None, path: str = "", **headers: str
    ) -> httpx.Response:
        signed = hmac_signed(body, SECRET) if signature is None else signature
        sent = {"X-Sandbox-Signature": signed, "Content-Type": "application/json", **headers}
        return await self.client.post(path or f"/notices/{self.site_id}/main", content=body, headers=sent)

    async def rows(self, query: str = "SELECT * FROM notice ORDER BY received_at") -> list[Row[Any]]:
        async with self.database.reading() as reader:
            return list(await reader.all(text(query)))

    async def jobs(self) -> int:
        return len(await self.rows("SELECT 1 FROM queue.pgqueuer"))


@asynccontextmanager
async def opened(database: Database, clock: MovableClock) -> AsyncIterator[Gate]:
    """The door of notices, and the accounts main and open, of which the second has no secret."""
    new = merchants.NewSite(
        name="Altyn Games",
        currencies=("KZT",),
        callout_url="https://shop.example.com/callout",
        notify_url="https://shop.example.com/notify",
    )
    async with database.transaction() as tx:
        site_id = (await merchants.create_site(tx, new, at=clock.now())).site_id
        for name, secret in (("main", SECRET), ("open", "")):
            await providers.seed_account(
                tx,
                site_id,
                name,
                gateway="sandbox",
                base_url="https://pay.example.com",
                credentials={"account": "us", "secret": secret},
            )
    async with HttpClient(clock) as http:
        app = FastAPI(max_body_size=web.BODY_LIMIT_BYTES)
        web.install(app)
        intake = providers.Intake(database)
        pipes = Pipes(database, http, clock, "https://cashier.example.com")
        app.include_router(routes.router(pipes, intake))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
            yield Gate(database, clock, site_id, client)
        await intake.aclose()
