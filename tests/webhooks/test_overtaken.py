"""What was overtaken is not told; who is busy is left in peace; and money goes before news of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from app import providers, webhooks
from app.payments.steps import carry_on_soon
from app.payments.sweeps import ASK
from app.plumbing import queue
from app.plumbing.http import HttpClient, Reply
from app.plumbing.pipes import Pipes
from app.webhooks import deliveries, outbox, sweeps, turns
from tests.payments.peers import answering, hanging
from tests.webhooks.conftest import HEARD, Post, changed, opened_site


@asynccontextmanager
async def busy(post: Post) -> AsyncIterator[None]:
    """As many calls under way to the endpoint of failures as one worker makes at once."""
    post.bad.manner = hanging
    waiting = [
        asyncio.create_task(post.deliver(await post.announce(f"dep_slow_{number}", success=False)))
        for number in range(deliveries._AT_ONCE)
    ]
    try:
        async with asyncio.timeout(10):
            while len(post.bad.heard) < len(waiting):  # noqa: ASYNC110  what is waited for is a server
                await asyncio.sleep(0.01)
        yield
    finally:
        post.bad.hang_up()
        await asyncio.gather(*waiting)


async def pile_up(post: Post, site_id: int, count: int) -> None:
    """Webhooks that wait to be heard."""
    async with post.database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO webhook (site_id, webhook_id, payment_id, sequence, success, fields, next_at, "
                "created_at) SELECT :site_id, 'whd_' || n, 'dep_pile_' || n, 1, false, '{}', :at, :at "
                "FROM generate_series(1, :count) n"
            ),
            {"site_id": site_id, "count": count, "at": post.clock.now()},
        )


async def stands_aside(post: Post, payment_id: str) -> timedelta:
    """How long a webhook to the busy endpoint is put off."""
    webhook_id = await post.announce(payment_id, success=False)
    heard = len(post.bad.heard)
    row = await post.deliver(webhook_id)
    assert (row.state, row.attempts) == ("pending", 0)
    assert await post.attempts(webhook_id) == []
    assert len(post.bad.heard) == heard
    delay: timedelta = row.next_at - post.clock.now()
    return delay


async def test_a_webhook_that_a_newer_one_has_overtaken_is_not_sent(post: Post) -> None:
    post.bad.manner = answering({"code": 1})
    expired = await post.announce(success=False, sequence=3)
    await post.deliver(expired)
    paid = await post.announce(success=True, sequence=5)
    other = await post.announce("dep_2", success=False, sequence=1)
    await post.until_due(expired)
    post.bad.manner = answering(HEARD)
    row = await post.deliver(expired)
    assert (row.state, row.attempts, row.next_at) == ("superseded", 1, None)
    assert len(post.bad.heard) == 1
    assert (await post.deliver(paid)).state == "delivered"
    # Another payment's numbers say nothing about this one's.
    assert (await post.deliver(other)).state == "delivered"
    # It is closed: nobody finds it again, and a replay tells nothing that is no longer true.
    async with post.database.transaction() as tx:
        assert await sweeps.recover_forgotten(tx, now=post.clock.now() + timedelta(days=1)) == 0
    with pytest.raises(webhooks.WebhookOvertaken):
        await post.do(webhooks.replay, expired)
    assert (await post.deliver(expired)).state == "superseded"
    assert [heard.fields["status_id"] for heard in post.good.heard] == [4]
    assert len(post.bad.heard) == 2


async def test_replaying_what_was_heard_and_then_overtaken_does_not_unsay_it(post: Post) -> None:
    expired = await post.announce(success=False, sequence=3)
    heard = await post.deliver(expired)
    assert heard.state == "delivered"
    paid = await post.announce(success=True, sequence=5)
    assert (await post.deliver(paid)).state == "delivered"
    with pytest.raises(webhooks.WebhookOvertaken):
        await post.do(webhooks.replay, expired)
    row = await post.deliver(expired)
    assert len(post.bad.heard) == 1, "what is no longer true is not told again"
    assert (row.state, row.delivered_at) == ("delivered", heard.delivered_at)
    await post.do(webhooks.replay, paid)
    assert (await post.deliver(paid)).state == "delivered"
    assert len(post.good.heard) == 2


async def test_overtaken_while_it_was_under_way_is_not_repeated(post: Post) -> None:
    post.bad.manner = answering({"code": 1})

    async def meanwhile(_: object) -> None:
        await post.announce(success=True, sequence=4)

    post.bad.before = meanwhile
    expired = await post.announce(success=False, sequence=3)
    assert (await post.deliver(expired)).state == "pending"
    await post.until_due(expired)
    assert (await post.deliver(expired)).state == "superseded"
    assert len(post.bad.heard) == 1


async def test_an_older_notification_on_its_way_does_not_arrive_behind_a_newer_one(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker has decided to send "expired" and waits for a name or a connection; another sends "paid"."""
    told: list[str] = []
    call = HttpClient.call
    on_its_way, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow_to_connect(self: HttpClient, method: str, url: str, **more: object) -> Reply:
        if url.endswith("/failed"):
            on_its_way.set()
            await may_go_on.wait()
        told.append("expired" if url.endswith("/failed") else "paid")
        return await call(self, method, url, **more)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(HttpClient, "call", slow_to_connect)
    expired = asyncio.create_task(post.deliver(await post.announce(success=False, sequence=3)))
    await on_its_way.wait()
    paid = await post.announce(success=True, sequence=5)
    await post.deliver(paid)
    may_go_on.set()
    await expired
    if (await post.row(paid)).state != "delivered":  # it has stood aside, which is one way
        await post.until_due(paid)
        await post.deliver(paid)
    assert told[-1] == "paid"


async def test_who_comes_too_late_does_not_take_the_attempt_from_who_is_at_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped for half a minute writes down its failure while another makes the call."""
    call = HttpClient.call
    begun: list[asyncio.Event] = []

    async def slow(self: HttpClient, method: str, url: str, **more: object) -> Reply:
        if url.endswith("/failed"):
            begun.append(asyncio.Event())
            await begun[-1].wait()
        return await call(self, method, url, **more)  # type: ignore[arg-type]  # as it came

    async def under_way(count: int) -> None:
        async with asyncio.timeout(10):
            while len(begun) < count:  # noqa: ASYNC110  what is waited for happens in another task
                await asyncio.sleep(0.01)

    monkeypatch.setattr(HttpClient, "call", slow)
    expired = await post.announce(success=False, sequence=3)
    late = asyncio.create_task(post.deliver(expired))
    await under_way(1)
    post.advance(21)
    second = asyncio.create_task(post.deliver(expired))
    await under_way(2)
    post.bad.manner = answering({"code": 1})
    begun[0].set()
    await late
    paid = await post.announce(success=True, sequence=5)
    await post.deliver(paid)
    assert post.good.heard == [], "the older one is on its way still, and could arrive behind it"
    begun[1].set()
    await second
    assert [one.number for one in await post.attempts(expired)] == [1, 2]
    assert (await post.row(expired)).attempts == 1
    await post.until_due(paid)
    assert (await post.deliver(paid)).state == "delivered"
    assert (await post.row(expired)).state == "superseded"


async def test_who_stood_still_before_the_call_does_not_make_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes an attempt and is stopped for half a minute; meanwhile "paid" is told, as it may be."""
    send = deliveries._send
    expired = await post.announce(success=False, sequence=3)

    async def stopped(pipes: Pipes, sending: deliveries._Sending) -> None:
        if sending.row.webhook_id == expired:
            post.advance(21)
            paid = await post.announce(success=True, sequence=5)
            assert (await post.deliver(paid)).state == "delivered"
        await send(pipes, sending)

    monkeypatch.setattr(deliveries, "_send", stopped)
    await post.deliver(expired)
    assert [heard.fields["status_id"] for heard in post.good.heard] == [4]
    assert post.bad.heard == [], "it would be the last word that the merchant hears"
    assert (await post.row(expired)).state == "superseded"


async def test_what_a_newer_one_has_overtaken_before_it_was_sent_is_closed_by_it(post: Post) -> None:
    expired = await post.announce(success=False, sequence=3)
    paid = await post.announce(success=True, sequence=5)
    assert (await post.deliver(paid)).state == "delivered"
    row = await post.row(expired)
    assert (row.state, row.next_at) == ("superseded", None)
    assert (await post.deliver(expired)).attempts == 0
    assert post.bad.heard == []


async def test_an_event_is_sent_by_one_of_several_jobs(post: Post) -> None:
    await post.register()
    event = await post.way(await post.publish(changed(1)))
    await asyncio.gather(*(post.deliver(event) for _ in range(5)))
    assert len(post.good.heard) == 1


async def test_the_same_payment_at_another_site_overtakes_nothing(post: Post) -> None:
    peers = frozenset({post.good.peer, post.bad.peer})
    other = await opened_site(post.pipes, post.good, post.bad, peers)
    first = await post.announce(success=False, sequence=3)
    post.created, created = other, post.created
    await post.announce(success=True, sequence=5)
    post.created = created
    assert (await post.deliver(first)).state == "delivered"


async def test_the_longer_the_backlog_the_longer_a_busy_endpoint_is_left_in_peace(post: Post) -> None:
    peers = frozenset({post.good.peer, post.bad.peer})
    other = await opened_site(post.pipes, post.good, post.bad, peers)
    async with busy(post):
        assert timedelta(seconds=1) <= await stands_aside(post, "dep_early") <= timedelta(seconds=3)
        await pile_up(post, other.site_id, 3_000)
        # Another site's backlog is not this one's.
        assert timedelta(seconds=1) <= await stands_aside(post, "dep_still") <= timedelta(seconds=3)
        await pile_up(post, post.created.site_id, 3_000)
        assert timedelta(seconds=30) <= await stands_aside(post, "dep_late") <= timedelta(seconds=91)
        # The other endpoint of the same site is not busy.
        assert (await post.deliver(await post.announce("dep_good"))).state == "delivered"


async def test_a_backlog_beyond_counting_is_waited_for_no_longer(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_BACKLOG", 500)
    await pile_up(post, post.created.site_id, 3_000)
    async with busy(post):
        assert timedelta(seconds=5) <= await stands_aside(post, "dep_late") <= timedelta(seconds=15)


async def test_notices_and_questions_are_claimed_before_a_backlog_of_webhooks(live: Post) -> None:
    for number in range(60):
        await live.announce(f"dep_{number}")
    site_id = live.created.site_id
    async with live.database.transaction() as tx:
        await carry_on_soon(tx, site_id, "dep_asked")
        await providers.seed_account(
            tx,
            site_id,
            "main",
            gateway="sandbox",
            base_url="https://pay.example.com",
            credentials={"secret": "s"},
        )
        await tx.execute(
            text(
                "INSERT INTO notice (site_id, notice_id, account, dedupe_key, path, headers, body, "
                "received_at) VALUES (:site_id, 'ntc_1', 'main', 'd', '/', '{}', 'x', :at)"
            ),
            {"site_id": site_id, "at": live.clock.now() - timedelta(hours=1)},
        )
        assert await providers.recover_forgotten(tx, now=live.clock.now()) == 1
    claimed: list[str] = []
    worker = queue.Worker(live.database)

    def noting(name: str) -> None:
        async def note(_: queue.Payload) -> None:
            claimed.append(name)
            if len(claimed) == 62:
                worker.stop()

        worker.handle(name, note)

    for name in (outbox.DELIVER, ASK, providers.NOTICE_ARRIVED):
        noting(name)
    async with asyncio.timeout(20):
        await worker.run()
    # Claimed in tens; within one claim the order is nobody's promise.
    assert {ASK, providers.NOTICE_ARRIVED} < set(claimed[:10])
    assert claimed.count(outbox.DELIVER) == 60
