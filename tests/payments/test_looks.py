"""Who looks at a payment makes us ask its provider, but not each time."""

import httpx
import pytest
from sqlalchemy import text

from app import payments
from app.main import create_app
from app.payments.asking import carry_on
from app.payments.sweeps import ASK
from tests.payments.world import Provider, World
from tests.plumbing.test_roles import member

LOOKS = 20


async def asked(world: World) -> int:
    """Do the job that a look has left, at once: the worker is fast. How many there were."""
    jobs = await world.jobs(ASK)
    payment_id = (await world.payment()).payment_id
    async with world.database.transaction() as tx:
        await tx.execute(text("DELETE FROM queue.pgqueuer WHERE entrypoint = :name"), {"name": ASK})
    for _ in range(jobs):
        await carry_on(world.pipes, world.site_id, payment_id)
    return jobs


@pytest.mark.parametrize(("seconds", "questions"), [(0, 1), (1, 4), (5, LOOKS)])
async def test_who_reloads_a_page_makes_us_ask_once_in_some_seconds(
    world: World, provider: Provider, seconds: int, questions: int
) -> None:
    token = await world.ask()
    app, before = create_app(world.pipes), len(provider.asked)
    page = f"/cashier/payment/{token}?returned=yes"
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="https://cashier.example.com"
    ) as http:
        for _ in range(LOOKS):
            assert (await http.get(page)).status_code == 200
            await asked(world)
            world.clock.advance(seconds)
    assert len(provider.asked) - before == questions


async def test_a_look_waits_for_nobody(world: World, clone_url: str) -> None:
    await world.ask()
    payment_id = (await world.payment()).payment_id
    async with member(clone_url, "cashier_app") as session, session.transaction():
        await session.execute("SELECT 1 FROM payment FOR UPDATE")
        await payments.ask_soon(world.pipes, world.site_id, payment_id)
    assert await asked(world) == 0  # somebody was at it
    await payments.ask_soon(world.pipes, world.site_id, payment_id)
    assert await asked(world) == 1
