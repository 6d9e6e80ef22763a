"""Attack: a player who reloads one page makes us ask the provider as fast as the worker can."""

import httpx
from sqlalchemy import text

from app.main import create_app
from app.payments.asking import carry_on
from app.payments.sweeps import ASK
from tests.payments.world import Provider, World

LOOKS = 20  # within one second; nothing hinders more
A_FEW = 5  # questions that a person's impatience may cost


async def test_looking_at_a_payment_asks_its_provider_a_few_times_a_second_at_most(
    world: World, provider: Provider
) -> None:
    token = await world.ask()
    payment_id = (await world.payment()).payment_id
    app = create_app(world.pipes)
    before = len(provider.asked)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://cashier.example.com") as http:
        for _ in range(LOOKS):
            assert (await http.get(f"/cashier/payment/{token}?returned=yes")).status_code == 200
            if await world.jobs(ASK):  # the worker is fast: the job has run before the next look
                async with world.database.transaction() as tx:
                    await tx.execute(text("DELETE FROM queue.pgqueuer WHERE entrypoint = :name"), {"name": ASK})
                await carry_on(world.pipes, world.site_id, payment_id)
    asked = len(provider.asked) - before
    assert asked <= A_FEW, f"{asked} questions to the provider for {LOOKS} looks"
