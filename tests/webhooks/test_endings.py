"""A heard notification is closed by one statement; who meets somebody else there takes the long way."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app import webhooks
from app.plumbing.database import asyncpg_dsn
from app.webhooks import deliveries
from tests.payments.peers import answering
from tests.webhooks.conftest import HEARD, Post


@pytest.fixture
async def other(clone_url: str) -> Any:  # noqa: ANN401  asyncpg has no types
    """A connection of somebody else."""
    connection = await asyncpg.connect(asyncpg_dsn(clone_url))
    yield connection
    await connection.close()


async def closed_meanwhile(post: Post, webhook_id: str, other: Any, *statements: str) -> None:  # noqa: ANN401
    """Deliver it while somebody else has its row, and does this with it before giving it free."""

    has_it = asyncio.Event()

    async def locked(_: object) -> None:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM webhook WHERE webhook_id = $1 FOR UPDATE", webhook_id)
        has_it.set()

    async def waited_for() -> bool:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(await other.fetchval(waits))

    post.good.before = locked
    delivering = asyncio.create_task(post.deliver(webhook_id))
    async with asyncio.timeout(5):
        await has_it.wait()  # the connection is asked one thing at a time
        while not await waited_for():
            await asyncio.sleep(0.02)
            await other.execute("SELECT pg_stat_clear_snapshot()")
    for statement in statements:
        await other.execute(statement)
    await other.execute("COMMIT")
    await delivering


ATTEMPT = (
    "INSERT INTO webhook_attempt (site_id, webhook_id, number, url, result, attempted_at) "
    "SELECT site_id, webhook_id, 1, 'https://late.example', 'no_answer', now() FROM webhook"
)


async def test_who_notes_a_late_attempt_at_the_same_time_loses_neither(post: Post, other: Any) -> None:  # noqa: ANN401
    webhook_id = await post.announce()
    await closed_meanwhile(post, webhook_id, other, ATTEMPT)
    row = await post.row(webhook_id)
    assert (row.state, row.attempts, row.next_at, row.attempt_ends_at) == ("delivered", 1, None, None)
    noted = [(one.number, one.result) for one in await post.attempts(webhook_id)]
    assert noted == [(1, "no_answer"), (2, "heard")]


async def test_an_attempt_that_another_has_taken_by_now_is_only_noted(post: Post, other: Any) -> None:  # noqa: ANN401
    webhook_id = await post.announce()
    taken = "UPDATE webhook SET attempt_ends_at = now() + interval '1 h'"
    await closed_meanwhile(post, webhook_id, other, taken)
    row = await post.row(webhook_id)
    assert (row.state, row.attempts, row.delivered_at) == ("pending", 0, None)
    assert [one.result for one in await post.attempts(webhook_id)] == ["heard"]


async def test_one_that_is_closed_by_now_stays_as_it_is(post: Post, other: Any) -> None:  # noqa: ANN401
    webhook_id = await post.announce()
    closed = "UPDATE webhook SET state = 'superseded', next_at = NULL"
    await closed_meanwhile(post, webhook_id, other, closed)
    assert (await post.row(webhook_id)).state == "superseded"
    assert [one.result for one in await post.attempts(webhook_id)] == ["heard"]


async def test_one_that_is_replayed_while_it_is_heard_counts_from_its_start(post: Post) -> None:
    webhook_id = await post.announce()
    post.good.manner = answering({"code": 1})
    await post.deliver(webhook_id)
    await post.until_due(webhook_id)
    post.good.manner = answering(HEARD)

    async def replayed(_: object) -> None:
        async with post.database.transaction() as tx:
            await webhooks.replay(tx, post.created.site_id, webhook_id, at=post.clock.now())

    post.good.before = replayed
    row = await post.deliver(webhook_id)
    assert (row.state, row.attempts) == ("delivered", 1)
    assert [one.number for one in await post.attempts(webhook_id)] == [1, 2]


async def test_what_is_heard_needs_no_lock_and_what_is_not_does(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ways = []
    recorded = deliveries._recorded

    async def counted(*arguments: Any) -> object:  # noqa: ANN401
        long_ways.append(1)
        return await recorded(*arguments)

    monkeypatch.setattr(deliveries, "_recorded", counted)
    await post.deliver(await post.announce())
    await post.deliver(await post.announce("dep_2", success=False))
    assert long_ways == []
    post.good.manner = answering({"code": 1})
    again = await post.announce("dep_3")
    await post.deliver(again)
    assert long_ways == [1]
    post.advance(timedelta(seconds=50))
    post.good.manner = answering(HEARD)
    row = await post.deliver(again)
    assert (row.state, row.attempts, long_ways) == ("delivered", 2, [1])
    assert (row.next_at, row.attempt_ends_at, row.delivered_at) == (None, None, post.clock.now())
    async with post.database.reading() as reader:
        assert await reader.scalar(text("SELECT count(*) FROM webhook WHERE state = 'delivered'")) == 3
