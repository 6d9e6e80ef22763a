"""An endpoint that was paused for long can be resumed, and removed."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from app.plumbing.database import asyncpg_dsn
from app.webhooks import endpoints
from tests.webhooks.conftest import Post

pytestmark = pytest.mark.timeout(180)
# Ten events a second, paused on a Friday evening and found on Saturday morning.
BACKLOG = 500_000
FILL = """
    WITH told AS (INSERT INTO event (site_id, event_id, type, subject, sequence, object, previous_attributes,
        occurred_at, created_at)
        SELECT $1, 'evt_' || n, 'deposit.created', 'dep_' || n, 1, '{}', '{}', now(), now()
        FROM generate_series(1, $3::integer) n)
    INSERT INTO webhook (site_id, webhook_id, payment_id, sequence, endpoint_id, event_id, order_ends_at,
        created_at)
    SELECT $1, 'whd_' || n, 'dep_' || n, 1, $2, 'evt_' || n, now(), now()
        FROM generate_series(1, $3::integer) n
"""


@pytest.mark.parametrize("deed", [endpoints.resume, endpoints.remove])
async def test_a_backlog_of_any_size_can_be_let_go(
    post: Post, clone_url: str, deed: Callable[..., Awaitable[int]]
) -> None:
    """Each statement has five seconds (`SessionSettings`); the whole backlog is locked and changed by two."""
    endpoint_id = (await post.register()).endpoint_id
    await post.do(endpoints.pause, endpoint_id)
    owner = await asyncpg.connect(asyncpg_dsn(clone_url))
    await owner.execute(FILL, post.created.site_id, endpoint_id, BACKLOG)
    await owner.execute("ANALYZE webhook")
    await owner.close()
    assert await post.do(deed, endpoint_id) == BACKLOG
