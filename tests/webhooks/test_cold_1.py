"""Two types tell of one change: both go as soon as what held them back is heard."""

from tests.payments.peers import answering
from tests.webhooks.conftest import Post, changed


async def test_both_events_of_one_change_are_woken(post: Post) -> None:
    await post.register()
    first = await post.way(await post.publish(changed(1)))
    types = ("deposit.failed", "transaction.failed")
    failed, beside = [await post.way(await post.publish(changed(2, type=name))) for name in types]
    post.good.manner = answering(b"", 500)
    await post.deliver(first)
    for waiting in (failed, beside):
        assert (await post.deliver(waiting)).attempts == 0
    post.good.manner = answering(b"")
    post.advance(6)
    assert (await post.deliver(first)).state == "delivered"
    for woken in (failed, beside):
        assert (await post.row(woken)).next_at == post.clock.now()
        assert (await post.deliver(woken)).state == "delivered"
