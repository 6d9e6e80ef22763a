"""What an audit of issue 4 found: each test failed when it was written."""

from tests.payments.peers import answering
from tests.webhooks.conftest import Post, changed


async def test_both_events_of_one_change_are_woken_by_the_one_before(post: Post) -> None:
    """A change that is told by two types (`deposit.failed` and `transaction.failed`) and waited as such.

    Only one of the two was woken; its twin, and whatever comes after, stood still for ten minutes.
    """
    await post.register()
    first = await post.way(await post.publish(changed(1)))
    post.good.manner = answering(b"", 500)
    await post.deliver(first)
    twins = [
        await post.way(await post.publish(changed(2, type=type_)))
        for type_ in ("deposit.failed", "transaction.failed")
    ]
    after = await post.way(await post.publish(changed(3)))
    for one in (*twins, after):
        await post.deliver(one)
    post.good.manner = answering(b"")
    post.advance(6)
    await post.deliver(first)
    # As the worker does: whatever is due, as long as something is.
    for _ in range(4):
        for one in (*twins, after):
            if (await post.row(one)).next_at == post.clock.now():
                await post.deliver(one)
    assert [(await post.row(one)).state for one in (*twins, after)] == ["delivered"] * 3
