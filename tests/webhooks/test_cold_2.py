"""What was heard stays on record as heard, whoever replays it later."""

from app import webhooks
from tests.webhooks.conftest import Post


async def test_replaying_what_was_heard_and_then_overtaken_does_not_unsay_it(post: Post) -> None:
    expired = await post.announce(success=False, sequence=3)
    heard = await post.deliver(expired)
    assert heard.state == "delivered"
    assert (await post.deliver(await post.announce(success=True, sequence=5))).state == "delivered"
    try:
        async with post.database.transaction() as tx:
            await webhooks.replay(tx, post.created.site_id, expired, at=post.clock.now())
    except webhooks.WebhookNotFound:
        pass  # a refusal is an answer too
    row = await post.deliver(expired)
    assert len(post.bad.heard) == 1, "what is no longer true is not told again"
    assert (row.state, row.delivered_at) == ("delivered", heard.delivered_at)
