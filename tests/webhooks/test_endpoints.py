"""What a site can do with an endpoint, and what each deed means for the events on their way."""

import json
from datetime import timedelta

import pytest
import standardwebhooks

from app import merchants, webhooks
from app.plumbing.addresses import BadPeerAddress
from app.webhooks import endpoints, terms
from app.webhooks.endpoints import EndpointNotActive, NewEndpoint, TooManyEndpoints
from app.webhooks.model import MOST_ENDPOINTS, SECRET_OVERLAP
from app.webhooks.terms import UnknownEventType
from tests.payments.peers import answering
from tests.webhooks.conftest import Post, changed, opened_site


async def test_an_event_as_it_arrives(live: Post) -> None:
    registered = await live.register()
    event_id = await live.publish(changed(7, type="deposit.completed", player="игрок", amount=150_000))
    row = await live.deliver(await live.way(event_id))
    assert (row.state, row.attempts, row.next_at) == ("delivered", 1, None)
    [heard] = live.good.heard
    assert (heard.path, heard.headers["content-type"]) == ("/events", "application/json")
    assert heard.headers["webhook-id"] == event_id
    # Somebody else's library believes it.
    assert standardwebhooks.Webhook(registered.secret).verify(heard.body.decode(), heard.headers) == {
        "id": event_id,
        "type": "deposit.completed",
        "api_version": "2026-11-01",
        "created_at": "2026-11-21T12:00:00.000Z",
        "sequence": 7,
        "data": {
            "object": {
                "id": "dep_1", "object": "deposit", "status": "processing", "player": "игрок",
                "amount": 150_000,
            },
            "previous_attributes": {"status": "pending"},
        },
    }  # fmt: skip
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(live.created.webhook_secret).verify(heard.body.decode(), heard.headers)


async def test_a_secret_is_rotated_with_nothing_rejected(live: Post) -> None:
    """Before, between and after: whoever knows the old secret or the new one believes every message."""
    registered = await live.register()
    old = standardwebhooks.Webhook(registered.secret)
    for number in range(1, 6):
        await live.sent(changed(number))
    secret = await live.do(endpoints.rotate, registered.endpoint_id)
    new = standardwebhooks.Webhook(secret)
    for number in range(6, 11):
        await live.sent(changed(number))
    third = standardwebhooks.Webhook(await live.do(endpoints.rotate, registered.endpoint_id))
    await live.sent(changed(11))
    heard = [(one.body.decode(), one.headers) for one in live.good.heard]
    assert len(heard) == 11
    for body, headers in heard:
        assert old.verify(body, headers)
    for body, headers in heard[5:]:
        assert new.verify(body, headers)
    assert third.verify(*heard[-1])
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        new.verify(*heard[0])


async def test_a_replaced_secret_signs_no_longer_than_the_overlap(post: Post) -> None:
    registered = await post.register()
    await post.do(endpoints.rotate, registered.endpoint_id)
    post.advance(SECRET_OVERLAP - timedelta(seconds=1))
    await post.sent(changed(1))
    post.advance(2)
    await post.sent(changed(2))
    signatures = [heard.headers["webhook-signature"].split(" ") for heard in post.good.heard]
    assert [len(found) for found in signatures] == [2, 1]
    assert all(found.startswith("v1,") for both in signatures for found in both)


async def test_a_paused_endpoint_keeps_its_events_in_order(post: Post) -> None:
    registered = await post.register()
    await post.do(endpoints.pause, registered.endpoint_id)
    ways = [await post.way(await post.publish(changed(number))) for number in (1, 2, 3)]
    for way in ways:
        row = await post.deliver(way)
        assert (row.state, row.next_at, row.attempts) == ("pending", None, 0)
    assert post.good.heard == []
    # Nobody looks for them meanwhile, for however long.
    post.advance(timedelta(days=3))
    assert await post.recover() == 0
    assert await post.do(endpoints.resume, registered.endpoint_id) == 3
    assert (await post.deliver(ways[2])).state == "pending", "the first ones go first"
    for way in ways:
        assert (await post.deliver(way)).state == "delivered"
    assert [heard.fields["sequence"] for heard in post.good.heard] == [1, 2, 3]
    assert await post.do(endpoints.resume, registered.endpoint_id) == 0


async def test_what_was_due_while_it_was_paused_is_sent_by_the_jobs_of_the_resumption(post: Post) -> None:
    registered = await post.register()
    post.good.manner = answering(b"", 500)
    way = await post.sent(changed(1))
    await post.do(endpoints.pause, registered.endpoint_id)
    await post.until_due(way)
    await post.deliver(way)
    before = await post.jobs()
    await post.do(endpoints.resume, registered.endpoint_id)
    assert await post.jobs() == before + 1
    post.good.manner = answering(b"")
    assert (await post.deliver(way)).state == "delivered"


async def test_a_removed_endpoint_gets_nothing_and_is_not_there(post: Post) -> None:
    registered = await post.register()
    way = await post.way(await post.publish(changed(1)))
    assert await post.do(endpoints.remove, registered.endpoint_id) == 1
    assert (await post.deliver(way)).state == "dropped"
    assert await post.publish(changed(2)) is None
    assert post.good.heard == []
    async with post.database.reading() as reader:
        assert await webhooks.endpoint_list(reader, post.created.site_id) == []
    for deed in (endpoints.pause, endpoints.resume, endpoints.rotate, endpoints.remove, endpoints.send_test):
        with pytest.raises(webhooks.EndpointNotFound):
            await post.do(deed, registered.endpoint_id)
    with pytest.raises(webhooks.WebhookNotFound):
        await post.do(webhooks.replay, way)


async def test_another_sites_endpoint_is_not_there(post: Post) -> None:
    registered = await post.register()
    post.created = await opened_site(post.pipes, post.good, post.bad, post.peers)
    for deed in (endpoints.pause, endpoints.resume, endpoints.rotate, endpoints.remove, endpoints.send_test):
        with pytest.raises(webhooks.EndpointNotFound):
            await post.do(deed, registered.endpoint_id)


async def test_one_event_is_replayed_with_its_id(post: Post) -> None:
    await post.register()
    way = await post.sent(changed(1))
    post.advance(timedelta(days=100))
    await post.do(webhooks.replay, way)
    row = await post.deliver(way)
    assert (row.state, row.attempts) == ("delivered", 1)
    first, second = post.good.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == row.event_id
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.body == second.body


async def test_a_time_is_replayed_to_one_endpoint_also_what_it_never_got(post: Post) -> None:
    early = await post.register(post.bad)
    ids: list[str | None] = []
    for number in range(1, 7):
        kind = "deposit.completed" if number % 2 else "dispute.opened"
        ids.append(await post.publish(changed(number, type=kind)))
        await post.deliver(await post.way(ids[-1], early.endpoint_id))
        post.advance(60)
    late = await post.register(types=("deposit.*",))
    since = post.clock.now() - timedelta(minutes=5)
    found = await post.do(endpoints.replay_events, late.endpoint_id, since=since, until=post.clock.now())
    assert (found.count, found.after) == (2, "")
    ways = [await post.way(ids[place], late.endpoint_id) for place in (2, 4)]
    assert (await post.deliver(ways[1])).state == "pending", "a replay keeps the order too"
    for way in ways:
        assert (await post.deliver(way)).state == "delivered"
    assert [heard.headers["webhook-id"] for heard in post.good.heard] == [ids[2], ids[4]]
    assert len(post.bad.heard) == 6
    # Again, and of these the chosen types: none.
    again = await post.do(
        endpoints.replay_events,
        late.endpoint_id,
        since=since,
        until=post.clock.now(),
        types=("deposit.expired",),
    )
    assert again.count == 0


async def test_a_long_time_is_replayed_in_pieces(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "_MOST_REPLAYED", 3)
    registered = await post.register()
    for number in range(1, 8):
        await post.publish(changed(number))
        post.advance(1)
    counts, after = [], "begin"
    while after:
        found = await post.do(
            endpoints.replay_events,
            registered.endpoint_id,
            since=post.clock.now() - timedelta(hours=1),
            until=post.clock.now(),
            after="" if after == "begin" else after,
        )
        counts.append(found.count)
        after = found.after
    assert counts == [3, 3, 1]
    assert len(await post.rows("SELECT 1 FROM webhook")) == 7


async def test_thin_and_too_large(post: Post) -> None:
    thin = await post.register(is_thin=True)
    whole = await post.register(post.bad)
    for number, note in enumerate(("short", "x" * 30_000), 1):
        event_id = await post.publish(changed(number, note=note))
        await post.deliver(await post.way(event_id, thin.endpoint_id))
        await post.deliver(await post.way(event_id, whole.endpoint_id))
    only_named = {"object": {"id": "dep_1", "object": "deposit"}, "previous_attributes": {}}
    assert [heard.fields["data"] for heard in post.good.heard] == [only_named] * 2
    short, large = [heard.fields["data"] for heard in post.bad.heard]
    assert short["object"]["note"] == "short"
    assert large == only_named
    assert all(len(heard.body) < 20_000 for heard in post.bad.heard)


async def test_a_test_reaches_one_endpoint_whatever_it_wants(post: Post) -> None:
    tested = await post.register(types=("dispute.lost",))
    await post.register(post.bad)
    event_id = await post.do(endpoints.send_test, tested.endpoint_id)
    assert (await post.deliver(await post.way(event_id))).state == "delivered"
    [heard] = post.good.heard
    assert (heard.fields["type"], heard.fields["sequence"]) == ("webhook.test", 1)
    assert heard.fields["data"]["object"]["id"] == tested.endpoint_id
    await post.do(endpoints.send_test, tested.endpoint_id)
    await post.do(endpoints.pause, tested.endpoint_id)
    with pytest.raises(EndpointNotActive, match="is paused"):
        await post.do(endpoints.send_test, tested.endpoint_id)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://shop.example.com/hooks", "https"),
        ("https://10.0.0.7/hooks", "name"),
        ("https://localhost/hooks", "local name"),
        ("https://shop.example.com:9000/hooks", "port 9000"),
        ("https://user:pw@shop.example.com/hooks", "user name"),
        ("ftp://shop.example.com/", "https"),
        ("https://169.254.169.254/latest/meta-data", "name"),
        ("", "https"),
    ],
)
async def test_an_address_that_may_not_be_called_is_not_registered(post: Post, url: str, reason: str) -> None:
    with pytest.raises(BadPeerAddress, match=reason):
        await post.do(endpoints.register, NewEndpoint(url))
    assert await post.rows("SELECT 1 FROM webhook_endpoint") == []


async def test_what_else_is_refused_at_registration(post: Post) -> None:
    for types, wrong in ((("deposit.compleeted",), "compleeted"), (("*",), r"\*"), (("deposit",), "deposit")):
        with pytest.raises(UnknownEventType, match=wrong):
            await post.register(types=types)
    for number in range(MOST_ENDPOINTS):
        await post.register(path=f"/{number}")
    with pytest.raises(TooManyEndpoints, match=str(MOST_ENDPOINTS)):
        await post.register()
    post.created = await opened_site(post.pipes, post.good, post.bad, post.peers)
    with pytest.raises(merchants.SiteNotFound):
        async with post.database.transaction() as tx:
            await endpoints.register(
                tx, 999_999, NewEndpoint("https://shop.example.com/"), at=post.clock.now()
            )


async def test_what_people_see_of_attempts(post: Post) -> None:
    await post.register()
    post.good.manner = answering(b"no thanks, card 4111111111111111", 503)
    way = await post.sent(changed(1))
    event_id = (await post.row(way)).event_id
    async with post.database.reading() as reader:
        [attempt] = await webhooks.attempts_at(reader, post.created.site_id, event_id)
        assert await webhooks.attempts_at(reader, post.created.site_id, way) == [attempt]
    assert (attempt.http_status, attempt.result) == (503, "not_heard")
    assert "4111111111111111" not in attempt.answer
    assert "4111111111111111" not in json.dumps(attempt.answer)


def test_the_catalogue_has_a_sentence_for_each_type() -> None:
    assert all(sentence.endswith(".") for sentence in terms.EVENT_TYPES.values())
    assert terms.checked_types(["deposit.*", "deposit.*", "webhook.test"]) == ("deposit.*", "webhook.test")
    assert terms.is_wanted((), "deposit.failed")
    assert terms.is_wanted(("deposit.*",), "deposit.failed")
    assert not terms.is_wanted(("deposit.*", "withdrawal.failed"), "transaction.failed")
