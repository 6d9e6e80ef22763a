"""Attack: a test site's token asks for late answers, and every other site is refused."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from app import merchants
from app.kernel.clock import MovableClock
from app.main import create_app
from app.plumbing.database import Database
from app.plumbing.server import BoundedProtocol
from tests.wallet.counter import Counter, opened

LIMIT = 60  # of connections of this process; 1000 by default, and the attack scales with it


@pytest.fixture
async def sites(database: Database, clock: MovableClock) -> AsyncIterator[tuple[Counter, Counter, str]]:
    """A site that serves people, a test site, and where one process serves both."""
    async with opened(database, clock) as live:
        new = merchants.NewSite(
            name="An integrator's tests",
            currencies=("KZT",),
            callout_url="https://shop.example.com/callout",
            notify_url="https://shop.example.com/notify",
            is_test=True,
        )
        async with database.transaction() as tx:
            made = await merchants.create_site(tx, new, at=clock.now())
        testing = dataclasses.replace(live, site_id=made.site_id, tokens=made.tokens)
        config = uvicorn.Config(
            create_app(live.pipes),
            port=0,
            log_config=None,
            access_log=False,
            http=BoundedProtocol,
            limit_concurrency=LIMIT,
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        yield live, testing, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        await running


async def test_late_answers_on_a_test_site_keep_no_other_site_out(
    sites: tuple[Counter, Counter, str],
) -> None:
    live, testing, address = sites
    await testing.player("tester")
    headers = {"authorization": f"Bearer {testing.tokens['wallet']}", "x-sandbox-fault": "delay"}
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=address, trust_env=False, limits=limits) as attacker,
        httpx.AsyncClient(base_url=address, trust_env=False) as victim,
    ):

        async def late(number: int) -> int:
            body = {"playerExternalId": "tester", "currency": "KZT", "amount": 1, "transferId": f"t-{number}"}
            answer = await attacker.post("/v1/player/wallet/deposit", json=body, headers=headers)
            return answer.status_code

        asked = [asyncio.create_task(late(number)) for number in range(LIMIT - 1)]
        await asyncio.sleep(1.5)  # the delay is 3 s; all of these deposits were carried out long ago
        query = "SELECT count(*) AS done FROM wallet_operation WHERE site_id = :site"
        [found] = await live.rows(query, site=testing.site_id)
        of_live = {"authorization": f"Bearer {live.tokens['read']}"}
        status = (await victim.get("/v1/wallet/effect-matrix", headers=of_live)).status_code
        await asyncio.gather(*asked)
    assert status == 200, f"{found.done} deposits are done, and a site with nothing to do with them is refused"
