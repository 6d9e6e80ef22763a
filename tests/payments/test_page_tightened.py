"""A player is sent to a provider's page only where the account's page origin lets, as it is then."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app import providers
from app.main import create_app
from tests.payments.world import ACCOUNT, Provider, World, awaiting, fact, paid

PAGE = "https://pay.example.com/1"
ELSEWHERE = "https://pages.example.org"
NO = "The payment page cannot be opened"


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(world.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as made:
        yield made


async def tightened(world: World, origin: str) -> None:
    change, at = providers.AccountChange(page_origin=origin), world.clock.now()
    async with world.database.transaction() as tx:
        await providers.change_account(tx, world.site_id, ACCOUNT, change, by="machine:tests", at=at)


async def test_a_page_that_was_stored_before_is_looked_at_again(
    world: World, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.answers = provider.statuses = [awaiting(PAGE)]
    address = f"/cashier/payment/{await world.ask()}"
    assert PAGE in (await client.get(address)).text
    assert (await client.get(f"{address}/status")).json()["continue_url"] == PAGE
    await tightened(world, ELSEWHERE)
    page, status = await client.get(address), (await client.get(f"{address}/status")).json()
    assert page.status_code == 200
    assert NO in page.text
    assert PAGE not in page.text
    assert (status["headline"], status["continue_url"], status["final"]) == (NO, None, False)
    # It is no end: whoever is at the page already may pay.
    provider.statuses = [paid()]
    await world.notice(fact(await world.reference()))
    assert (await world.payment()).sub_status == "completed"
    assert NO not in (await client.get(address)).text


async def test_one_that_is_allowed_still_is_shown(
    world: World, provider: Provider, client: httpx.AsyncClient
) -> None:
    provider.answers = provider.statuses = [awaiting(PAGE)]
    address = f"/cashier/payment/{await world.ask()}"
    await tightened(world, "https://pay.example.com")
    assert PAGE in (await client.get(address)).text
    await tightened(world, ELSEWHERE)
    assert PAGE not in (await client.get(address)).text
    await tightened(world, "")
    assert PAGE in (await client.get(address)).text
