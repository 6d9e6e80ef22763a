"""What fails or hangs at one site keeps no other site's notifications back."""

import asyncio
from dataclasses import replace

from app import merchants
from app.webhooks import deliveries
from tests.payments.peers import answering, hanging
from tests.webhooks.conftest import HEARD, Post, changed
from tests.webhooks.working import until

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


async def test_a_site_with_many_servers_that_hang_leaves_the_workers_places_to_others(live: Post) -> None:
    """A server that answers at the last moment opens no breaker, and could hold its places for ever."""
    live.bad.manner = hanging
    for number in range(10):
        await live.register(live.bad, path=f"/{number}")
    for number in range(4):
        await live.publish(changed(1, f"dep_{number}"))
    waiting = await live.rows("SELECT webhook_id FROM webhook")
    assert len(waiting) == 40, "as many as a worker has places"
    jobs = [asyncio.create_task(live.deliver(row.webhook_id)) for row in waiting]

    most = deliveries._OF_SITE_AT_ONCE + 9  # a first call to each other endpoint

    async def only_some_are_held() -> bool:
        held = sum(not job.done() for job in jobs)
        return held <= most and held == len(live.bad.heard)

    try:
        await until(only_some_are_held, seconds=10)
        assert deliveries._OF_SITE_AT_ONCE <= len(live.bad.heard) <= most
        assert {heard.path for heard in live.bad.heard} == {f"/{number}" for number in range(10)}
        rows = await live.rows("SELECT webhook_id FROM webhook WHERE attempt_ends_at IS NOT NULL")
        assert len(rows) == len(live.bad.heard), "who stood aside has given the attempt back"
        # Nor do they keep back what the site itself is notified of.
        assert (await live.deliver(await live.announce())).state == "delivered"
    finally:
        live.bad.hang_up()
        await asyncio.gather(*jobs)
