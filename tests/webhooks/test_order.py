"""The events of one payment arrive in order at each endpoint, for as long as order is worth waiting for."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

import pytest

from app.webhooks import rules
from app.webhooks.model import ORDER_KEPT
from tests.payments.peers import Heard, Manner, Server, answering, hanging
from tests.webhooks.conftest import Post, changed
from tests.webhooks.working import until, working


def by_message(server: Server, decide: Callable[[Heard], Manner]) -> None:
    """Let a server answer each message as the test decides."""

    async def choose(heard: Heard) -> None:
        server.manner = decide(heard)

    server.before = choose


def told(server: Server, subject: str = "dep_1") -> list[int]:
    """The sequences of a payment as they arrived."""
    bodies = [heard.fields for heard in server.heard]
    return [body["sequence"] for body in bodies if body["data"]["object"]["id"] == subject]


async def test_a_later_event_waits_for_the_earlier_and_goes_when_that_is_heard(post: Post) -> None:
    await post.register()
    first, second, third = [await post.way(await post.publish(changed(number))) for number in (1, 2, 3)]
    post.good.manner = answering(b"", 500)
    await post.deliver(first)
    for later in (third, second):
        row = await post.deliver(later)
        assert (row.state, row.attempts) == ("pending", 0)
    assert told(post.good) == [1]
    post.good.manner = answering(b"")
    post.advance(6)
    assert (await post.deliver(first)).state == "delivered"
    # Its being heard woke the next one, and only that: the third waits for the second.
    assert (await post.row(second)).next_at == post.clock.now()
    assert (await post.row(third)).next_at > post.clock.now()
    await post.deliver(third)
    assert (await post.deliver(second)).state == "delivered"
    assert (await post.deliver(third)).state == "delivered"
    assert told(post.good) == [1, 1, 2, 3]


async def test_order_is_given_up_after_ten_minutes(post: Post) -> None:
    await post.register()
    by_message(post.good, lambda heard: answering(b"", 500 if heard.fields["sequence"] == 1 else 200))
    poisoned, second = [await post.way(await post.publish(changed(number))) for number in (1, 2)]
    await post.deliver(poisoned)
    await post.deliver(second)
    post.advance(6)
    await post.deliver(poisoned)
    assert (await post.row(second)).next_at - post.clock.now() == ORDER_KEPT - timedelta(seconds=6)
    assert told(post.good) == [1, 1]
    post.advance(ORDER_KEPT - timedelta(seconds=9))
    assert (await post.deliver(second)).state == "pending"
    post.advance(3)
    assert (await post.deliver(second)).state == "delivered"
    # From here on the poisoned one holds nobody back, and is still tried itself.
    third = await post.sent(changed(3))
    assert (await post.row(third)).state == "delivered"
    assert (await post.deliver(poisoned)).state == "pending"
    assert told(post.good) == [1, 1, 2, 3, 1]


async def test_another_payment_and_another_endpoint_wait_for_nothing(post: Post) -> None:
    here = await post.register()
    there = await post.register(post.bad)
    by_message(post.good, lambda heard: answering(b"", 500 if "dep_1" in str(heard.body) else 200))
    for number in (1, 2):
        event_id = await post.publish(changed(number))
        await post.deliver(await post.way(event_id, here.endpoint_id))
        await post.deliver(await post.way(event_id, there.endpoint_id))
    await post.deliver(await post.way(await post.publish(changed(1, "dep_2")), here.endpoint_id))
    assert (told(post.good), told(post.good, "dep_2"), told(post.bad)) == ([1], [1], [1, 2])


async def test_an_exhausted_event_lets_the_next_go(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "EVENT_SCHEDULE", ())
    await post.register()
    by_message(post.good, lambda heard: answering(b"", 500 if heard.fields["sequence"] == 1 else 200))
    first, second = [await post.way(await post.publish(changed(number))) for number in (1, 2)]
    await post.deliver(second)
    assert (await post.deliver(first)).state == "exhausted"
    assert (await post.row(second)).next_at == post.clock.now()
    assert (await post.deliver(second)).state == "delivered"


async def test_two_types_of_one_change_wait_for_each_other_in_no_way(post: Post) -> None:
    await post.register()
    post.good.manner = answering(b"", 500)
    await post.sent(changed(1, type="deposit.failed"))
    post.good.manner = answering(b"")
    beside = await post.sent(changed(1, type="transaction.failed"))
    assert (await post.row(beside)).state == "delivered"


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


async def test_closing_and_waiting_at_once_loses_no_wake_up(post: Post) -> None:
    """Whoever waits is woken by whoever closes, in whichever order the two transactions run."""
    await post.register()
    for number in range(40):
        subject = f"dep_{number}"
        pair = [await post.way(await post.publish(changed(place, subject))) for place in (1, 2)]
        await asyncio.gather(*(post.deliver(webhook_id) for webhook_id in pair))
        first, second = [await post.row(webhook_id) for webhook_id in pair]
        assert first.state == "delivered"
        assert second.state == "delivered" or second.next_at <= post.clock.now()
        assert told(post.good, subject) in ([1], [1, 2])


async def test_the_worker_keeps_the_order_of_many_payments_at_a_failing_endpoint(
    live: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "EVENT_SCHEDULE", (timedelta(milliseconds=50),) * 50)
    await live.register()
    chance = random.Random(7)
    # Failures that open no breaker: an answer of 4xx is a disagreement with a peer that works.
    by_message(live.good, lambda _: answering(b"", 400 if chance.random() < 0.3 else 200))
    for number in range(1, 9):
        for payment in range(10):
            await live.publish(changed(number, f"dep_{payment}"))
    async with working(live):

        async def all_told() -> bool:
            return not await live.rows("SELECT 1 FROM webhook WHERE state <> 'delivered'")

        await until(all_told, 40)
    first_heard: dict[str, list[int]] = defaultdict(list)
    for heard in live.good.heard:
        body = heard.fields
        sequences = first_heard[body["data"]["object"]["id"]]
        if body["sequence"] not in sequences:
            sequences.append(body["sequence"])
    assert dict(first_heard) == {f"dep_{payment}": list(range(1, 9)) for payment in range(10)}
    assert len(live.good.heard) > 90, "nothing failed, so nothing was shown"


async def test_one_dead_endpoint_delays_no_other(live: Post) -> None:
    """Sixty events wait for a server that never answers; the same sixty are elsewhere at once."""
    await live.register(live.bad)
    await live.register(live.good)
    live.bad.manner = hanging
    for number in range(60):
        await live.publish(changed(1, f"dep_{number}"))
    async with working(live):
        began = asyncio.get_running_loop().time()

        async def all_there() -> bool:
            return len(live.good.heard) >= 60

        await until(all_there, 14)
        took = asyncio.get_running_loop().time() - began
        assert 0 < len(live.bad.heard) < 60
    assert took < 12


async def test_two_endpoints_at_one_address_do_not_share_their_fate(post: Post) -> None:
    dead = await post.register(path="/dead")
    alive = await post.register(path="/alive")
    by_message(post.good, lambda heard: answering(b"", 500 if heard.path == "/dead" else 200))
    for number in range(12):
        event_id = await post.publish(changed(1, f"dep_{number}"))
        await post.deliver(await post.way(event_id, dead.endpoint_id))
        assert (await post.deliver(await post.way(event_id, alive.endpoint_id))).state == "delivered"
    # The dead one's breaker opened after five; the live one's did not.
    assert [heard.path for heard in post.good.heard].count("/dead") == 5
