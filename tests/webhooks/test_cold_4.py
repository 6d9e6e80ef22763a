"""The last word that a merchant hears of a payment is the last that was said, with several workers too."""

import asyncio

import pytest

from app.plumbing.http import HttpClient, Reply
from tests.webhooks.conftest import Post


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
