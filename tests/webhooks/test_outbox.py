"""Writing an event: in the transaction of the change, for whoever wants it, and cheap where nobody does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event as listening
from sqlalchemy.exc import IntegrityError

from app import webhooks
from app.plumbing.database import Built
from tests.webhooks.conftest import Post, changed, opened_site


@contextmanager
def counting(post: Post) -> Iterator[list[str]]:
    """The statements of a block."""
    said: list[str] = []

    async def noted(self: Built, raw: object, parameters: Mapping[str, Any]) -> list[Any]:
        said.append(self.text(tuple(parameters)).sql)
        return await rows(self, raw, parameters)

    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        said.append(statement)

    rows, engine = Built.rows, post.database._engine.sync_engine
    listening.listen(engine, "before_cursor_execute", note)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Built, "rows", noted)
            yield said
    finally:
        listening.remove(engine, "before_cursor_execute", note)


async def test_nobody_registered_costs_one_query_and_keeps_nothing(post: Post) -> None:
    with counting(post) as said:
        assert await post.publish(changed(1)) is None
    assert len([one for one in said if not one.startswith("SET LOCAL")]) == 1
    assert await post.rows("SELECT 1 FROM event") == []
    assert await post.jobs() == 0


async def test_each_endpoint_that_wants_it_gets_a_way_and_a_job(post: Post) -> None:
    everything = await post.register()
    deposits = await post.register(types=("deposit.*",))
    await post.register(types=("withdrawal.completed", "dispute.*"))
    event_id = await post.publish(changed(1))
    rows = await post.rows("SELECT * FROM webhook ORDER BY endpoint_id")
    assert {row.endpoint_id for row in rows} == {everything.endpoint_id, deposits.endpoint_id}
    assert {(row.event_id, row.payment_id, row.sequence) for row in rows} == {(event_id, "dep_1", 1)}
    assert await post.jobs() == 2


async def test_a_rolled_back_change_publishes_nothing(post: Post) -> None:
    await post.register()

    async def change() -> None:
        async with post.database.transaction() as tx:
            await webhooks.publish(tx, post.created.site_id, changed(1), at=post.clock.now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    assert await post.rows("SELECT 1 FROM event") == await post.rows("SELECT 1 FROM webhook") == []
    assert await post.jobs() == 0


async def test_another_site_hears_nothing(post: Post) -> None:
    await post.register()
    peers = frozenset({post.good.peer, post.bad.peer})
    other = await opened_site(post.pipes, post.good, post.bad, peers)
    async with post.database.transaction() as tx:
        assert await webhooks.endpoint_list(tx, other.site_id) == []
        assert await webhooks.publish(tx, other.site_id, changed(1), at=post.clock.now()) is None


async def test_two_types_of_one_change_and_the_same_twice(post: Post) -> None:
    await post.register()
    assert await post.publish(changed(1, type="deposit.failed"))
    assert await post.publish(changed(1, type="transaction.failed"))
    with pytest.raises(IntegrityError):
        await post.publish(changed(1, type="deposit.failed"))
