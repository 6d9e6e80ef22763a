"""What waits for an endpoint that was paused for long: any number of events, some by each statement."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import CursorResult

from app.plumbing.database import Transaction
from app.webhooks import endpoints
from tests.webhooks.conftest import Post, changed

FILL = """
    WITH told AS (INSERT INTO event (site_id, event_id, type, subject, sequence, object, previous_attributes,
        occurred_at, created_at)
        SELECT :site, 'evt_' || n, 'deposit.created', 'dep_' || n / 3, n, '{}', '{}', now(), now()
        FROM generate_series(1, :count) n)
    INSERT INTO webhook (site_id, webhook_id, payment_id, sequence, endpoint_id, event_id, order_ends_at,
        created_at)
    SELECT :site, 'whd_' || n, 'dep_' || n / 3, n, :endpoint, 'evt_' || n, now(), now()
        FROM generate_series(1, :count) n
"""


@pytest.mark.parametrize("deed", [endpoints.resume, endpoints.remove])
@pytest.mark.parametrize("count", [0, 29, 30])
async def test_a_backlog_of_any_size_can_be_let_go(
    post: Post, monkeypatch: pytest.MonkeyPatch, deed: Callable[..., Awaitable[int]], count: int
) -> None:
    """A statement has five seconds (`SessionSettings`): none changes more than some."""
    endpoint_id = (await post.register()).endpoint_id
    await post.do(endpoints.pause, endpoint_id)
    async with post.database.transaction() as tx:
        await tx.execute(text(FILL), {"site": post.created.site_id, "endpoint": endpoint_id, "count": count})
    sizes: list[int] = []
    execute = Transaction.execute

    async def counted(self: Transaction, *asked: Any) -> CursorResult[Any]:  # noqa: ANN401  as it is
        done = await execute(self, *asked)
        sizes.append(done.rowcount)
        return done

    monkeypatch.setattr(endpoints, "_HELD_AT_ONCE", 10)
    monkeypatch.setattr(Transaction, "execute", counted)
    assert await post.do(deed, endpoint_id) == count
    assert max(sizes) <= 10
    left = "SELECT webhook_id FROM webhook WHERE state = 'pending' AND next_at IS NULL"
    assert await post.rows(left) == []


async def test_what_is_put_aside_while_its_endpoint_is_resumed_is_sent(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that still found it paused, behind the first look at what waits."""
    endpoint_id = (await post.register()).endpoint_id
    await post.do(endpoints.pause, endpoint_id)
    change = endpoints._change
    put_aside: list[str] = []

    async def late() -> None:
        put_aside.append(await post.sent(changed(1)))

    async def and_meanwhile(*asked: Any, **values: Any) -> None:  # noqa: ANN401  as it is
        await asyncio.create_task(late(), context=contextvars.Context())
        await change(*asked, **values)

    monkeypatch.setattr(endpoints, "_change", and_meanwhile)
    assert await post.do(endpoints.resume, endpoint_id) == 1
    assert (await post.deliver(put_aside[0])).state == "delivered"
