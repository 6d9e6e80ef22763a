"""Attack: a tenant's failing address at another tenant's host keeps the other's notifications back."""

from dataclasses import replace

from app import merchants
from tests.payments.peers import answering
from tests.webhooks.conftest import HEARD, Post

TRIES = 6  # one more than opens a breaker


async def test_another_sites_broken_address_at_the_same_host_keeps_nobody_elses_notifications_back(
    post: Post,
) -> None:
    new = merchants.NewSite(
        name="The attacker",
        currencies=("KZT",),
        callout_url=f"{post.good.url}/something-that-fails",
        notify_url=f"{post.good.url}/something-that-fails",
    )
    async with post.database.transaction() as tx:
        created = await merchants.create_site(tx, new, at=post.clock.now(), allowed_private_peers=post.peers)
    attacker = replace(post, created=created)
    post.good.manner = answering(b"no such page", 500)
    for number in range(TRIES):
        await attacker.deliver(await attacker.announce(f"dep_{number}"))
    post.good.manner = answering(HEARD)
    row = await post.deliver(await post.announce("dep_of_the_victim"))
    assert row.state == "delivered"
