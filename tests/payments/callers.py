"""The application over HTTP, and tokens of everybody who calls our own API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app import merchants, staff
from app.main import create_app
from app.plumbing.pipes import Pipes

Json = dict[str, Any]


@dataclass
class Callers:
    """The application, a token of the site's server, and people."""

    pipes: Pipes
    site_id: int
    http: httpx.AsyncClient
    reads: str

    async def person(self, login: str, *roles: staff.Role) -> str:
        new = staff.NewOperator(login, login.title(), frozenset(roles or {staff.Role.FINANCE}))
        async with self.pipes.database.transaction() as tx:
            return (await staff.create_operator(tx, new, at=self.pipes.clock.now()))[1]

    async def get(self, token: str, path: str, **query: Any) -> tuple[int, Json]:  # noqa: ANN401
        answer = await self.http.get(path, params=query, headers={"authorization": f"Bearer {token}"})
        return answer.status_code, answer.json()

    async def post(self, token: str, path: str, body: Json, key: str | None = "k-1") -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        return await self.http.post(path, json=body, params={"site_id": self.site_id}, headers=headers)


@asynccontextmanager
async def calling(pipes: Pipes, site_id: int) -> AsyncIterator[Callers]:
    """The application on these pipes."""
    app = create_app(pipes)
    async with pipes.database.transaction() as tx:
        _, reads = await merchants.create_token(tx, site_id, merchants.Scope.READ, at=pipes.clock.now())
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as http,
    ):
        yield Callers(pipes, site_id, http, reads)
