"""Telling the merchant until heard: real sockets, the real worker, and every attempt on record."""

import asyncio
import hashlib
import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import standardwebhooks
from sqlalchemy import text

from app import merchants, webhooks
from app.kernel import signing
from app.plumbing import metrics
from app.webhooks import deliveries, sweeps
from app.webhooks.model import SCHEDULE
from tests.payments.peers import SILENCE_SECONDS, answering, dripping, hanging, resetting
from tests.webhooks.conftest import HEARD, Post, opened_site
from tests.webhooks.test_outbox import counting
from tests.webhooks.working import working


def sha1_of(fields: dict[str, object], salt: str) -> str:
    """The protocol's rule, written out once more."""
    string = "".join(f"{name}:{fields[name]};" for name in sorted(fields) if name != "signature")
    return hashlib.sha1((string + salt).encode(), usedforsecurity=False).hexdigest()


def counted(kind: str) -> float:
    return float(metrics.ALARMS.labels(kind)._value.get())


async def test_heard_at_once(post: Post) -> None:
    webhook_id = await post.announce()
    row = await post.deliver(webhook_id)
    assert (row.state, row.attempts, row.next_at) == ("delivered", 1, None)
    assert row.delivered_at == post.clock.now()
    [heard] = post.good.heard
    assert heard.path == "/notify"
    assert heard.headers["content-type"] == "application/json"
    assert heard.fields["signature"] == sha1_of(heard.fields, post.created.salt)
    assert heard.fields["amount"] == 150_000
    [attempt] = await post.attempts(webhook_id)
    assert (attempt.number, attempt.result, attempt.http_status) == (1, "heard", 200)
    assert (attempt.url, json.loads(attempt.answer)) == (f"{post.good.url}/notify", HEARD)
    # Whoever runs the job again finds nothing to do.
    await post.deliver(webhook_id)
    assert len(post.good.heard) == 1


async def test_the_site_of_a_notification_is_read_with_it(post: Post) -> None:
    """It names the address and signs; asked for by itself it would be a round trip of each notification."""
    webhook_id = await post.announce()
    with counting(post) as said:
        assert (await post.deliver(webhook_id)).state == "delivered"
    assert len([one for one in said if "site_salt" in one]) == 1


async def test_failures_go_to_their_own_address(post: Post) -> None:
    await post.deliver(await post.announce(success=False))
    assert [heard.path for heard in post.bad.heard] == ["/failed"]
    assert post.good.heard == []


@pytest.mark.parametrize("post", [{"message_format": merchants.MessageFormat.FORM}], indirect=True)
async def test_as_a_form(post: Post) -> None:
    await post.deliver(await post.announce())
    [heard] = post.good.heard
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    assert heard.fields["site_login"] == "игрок"
    assert heard.fields["signature"] == sha1_of(heard.fields, post.created.salt)
    assert heard.body == urlencode(heard.fields).encode()


@pytest.mark.parametrize("post", [{"dialect": "P"}, {"dialect": "G"}], indirect=True)
async def test_in_the_sites_dialect(post: Post) -> None:
    await post.deliver(await post.announce())
    fields = post.good.heard[0].fields
    async with post.database.reading() as reader:
        site = await merchants.site(reader, post.created.site_id)
    assert fields["signature"] == signing.sign(fields, post.created.salt, site.dialect)


async def test_the_standard_headers_are_right_for_somebody_elses_library(live: Post) -> None:
    webhook_id = await live.announce()
    await live.deliver(webhook_id)
    [heard] = live.good.heard
    library = standardwebhooks.Webhook(live.created.webhook_secret)
    assert library.verify(heard.body.decode(), heard.headers) == heard.fields
    assert heard.headers["webhook-id"] == webhook_id
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library.verify(heard.body.decode().replace("150000", "950000"), heard.headers)


@pytest.mark.parametrize(
    ("manner", "result", "status", "reason"),
    [
        (answering({"code": 1}), "not_heard", 200, ""),
        (answering(HEARD, 500), "not_heard", 500, ""),
        (answering(b"thank you, card 4111111111111111\x00"), "not_heard", 200, ""),
        (answering(HEARD, 302, "Location: /elsewhere"), "not_heard", 302, ""),
        (answering(HEARD, 410), "not_heard", 410, ""),
        (resetting, "no_answer", None, "broken"),
        (hanging, "no_answer", None, "timed_out"),
        (dripping, "no_answer", None, "timed_out"),
        (answering(b" " * 70_000), "no_answer", None, "too_large"),
    ],
    ids=["code 1", "500", "text", "redirect", "gone", "reset", "hang", "drip", "large"],
)
async def test_not_heard(
    post: Post, manner: object, result: str, status: int | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "timed_out":
        monkeypatch.setattr(deliveries, "DEADLINE_SECONDS", SILENCE_SECONDS)
    post.good.manner = manner  # type: ignore[assignment]
    webhook_id = await post.announce()
    row = await post.deliver(webhook_id)
    assert (row.state, row.attempts) == ("pending", 1)
    assert timedelta(seconds=45) <= row.next_at - post.clock.now() <= timedelta(seconds=49.5)
    [attempt] = await post.attempts(webhook_id)
    assert (attempt.result, attempt.http_status, attempt.reason) == (result, status, reason)
    assert "4111111111111111" not in attempt.answer
    assert [heard.path for heard in post.good.heard] == ["/notify"], "a redirect is not followed"
    # Before its time a job does nothing.
    await post.deliver(webhook_id)
    assert len(await post.attempts(webhook_id)) == 1


async def test_the_whole_schedule_and_its_end(post: Post) -> None:
    post.good.manner = answering({"code": 1})
    webhook_id = await post.announce()
    before = counted("webhook_exhausted")
    for number in range(1, len(SCHEDULE) + 1):
        row = await post.deliver(webhook_id)
        assert (row.state, row.attempts) == ("pending", number)
        planned = SCHEDULE[number - 1]
        assert planned <= row.next_at - post.clock.now() <= planned * 1.1
        await post.until_due(webhook_id)
    row = await post.deliver(webhook_id)
    assert (row.state, row.attempts, row.next_at) == ("exhausted", 30, None)
    assert counted("webhook_exhausted") == before + 1
    assert len(await post.attempts(webhook_id)) == 30
    assert len({heard.headers["webhook-id"] for heard in post.good.heard}) == 1
    assert len({heard.headers["webhook-timestamp"] for heard in post.good.heard}) == 30
    await post.deliver(webhook_id)
    assert len(post.good.heard) == 30
    # A person replays it: the same id, the schedule from its start, the attempts numbered on.
    post.good.manner = answering(HEARD)
    async with post.database.transaction() as tx:
        await webhooks.replay(tx, post.created.site_id, webhook_id, at=post.clock.now())
    row = await post.deliver(webhook_id)
    assert (row.state, row.attempts) == ("delivered", 1)
    assert [attempt.number for attempt in await post.attempts(webhook_id)] == list(range(1, 32))


async def test_replaying_what_was_heard_and_what_is_not_there(post: Post) -> None:
    webhook_id = await post.announce()
    await post.deliver(webhook_id)
    async with post.database.transaction() as tx:
        await webhooks.replay(tx, post.created.site_id, webhook_id, at=post.clock.now())
    await post.deliver(webhook_id)
    assert len(post.good.heard) == 2
    for site_id, stranger in ((post.created.site_id, "whd_nobody"), (post.created.site_id + 1, webhook_id)):
        with pytest.raises(webhooks.WebhookNotFound):
            async with post.database.transaction() as tx:
                await webhooks.replay(tx, site_id, stranger, at=post.clock.now())


async def test_a_rotated_salt_signs_the_next_attempt(post: Post) -> None:
    post.good.manner = answering({"code": 1})
    webhook_id = await post.announce()
    await post.deliver(webhook_id)
    async with post.database.transaction() as tx:
        salt = await merchants.rotate_salt(tx, post.created.site_id, at=post.clock.now())
    await post.until_due(webhook_id)
    await post.deliver(webhook_id)
    first, second = (heard.fields for heard in post.good.heard)
    assert first["signature"] == sha1_of(first, post.created.salt)
    assert second["signature"] == sha1_of(second, salt)
    # Both are known as ours: neither comes back as a request.
    rows = await post.rows("SELECT signature FROM issued_signature")
    assert {row.signature for row in rows} == {first["signature"], second["signature"]}


async def test_a_rolled_back_change_tells_nobody(post: Post) -> None:

    async def change() -> None:
        async with post.database.transaction() as tx:
            site = await merchants.site(tx, post.created.site_id)
            told = webhooks.Notification("dep_1", 1, True, {"status_id": 4})
            await webhooks.announce(tx, site, told, at=post.clock.now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change()
    assert await post.jobs() == 0
    assert await post.rows("SELECT 1 FROM webhook") == []


async def test_a_crash_after_sending_sends_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least once: the receiver knows a repeat by its webhook-id."""

    async def dies(*_: object) -> None:
        raise SystemError

    webhook_id = await post.announce()
    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "_record", dies)
        with pytest.raises(SystemError):
            await post.deliver(webhook_id)
    assert (await post.row(webhook_id)).state == "pending"
    # For all that anybody knows it is on its way still; a job comes back when it cannot be any more.
    jobs = await post.jobs()
    await post.deliver(webhook_id)
    assert len(post.good.heard) == 1
    assert await post.jobs() == jobs + 1
    post.advance(20)
    await post.deliver(webhook_id)
    assert [heard.headers["webhook-id"] for heard in post.good.heard] == [webhook_id] * 2
    assert (await post.row(webhook_id)).state == "delivered"


async def test_of_several_jobs_at_once_one_sends(post: Post) -> None:
    post.good.manner = answering({"code": 1})
    webhook_id = await post.announce()
    await asyncio.gather(*(post.deliver(webhook_id) for _ in range(5)))
    numbers = [attempt.number for attempt in await post.attempts(webhook_id)]
    assert numbers == [1]
    assert len(post.good.heard) == 1
    # What is due next is due once: the other jobs find that it is not their time.
    assert (await post.row(webhook_id)).next_at > post.clock.now()
    await post.deliver(webhook_id)
    assert len(post.good.heard) == len(numbers)


async def test_what_was_forgotten_is_found_again(post: Post) -> None:
    webhook_id = await post.announce()
    async with post.database.transaction() as tx:
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
    for passed, found in ((120, 0), (1, 1)):
        post.advance(passed)
        async with post.database.transaction() as tx:
            assert await sweeps.recover_forgotten(tx, now=post.clock.now()) == found
    assert await post.jobs() == 1
    assert (await post.deliver(webhook_id)).state == "delivered"
    async with post.database.transaction() as tx:
        assert await sweeps.recover_forgotten(tx, now=post.clock.now() + timedelta(days=1)) == 0


async def test_looking_again_and_again_does_not_breed_jobs(post: Post) -> None:
    """A worker that is behind finds one more job a webhook, not one more a minute."""
    await post.announce()
    for _ in range(20):
        post.advance(121)
        async with post.database.transaction() as tx:
            await sweeps.recover_forgotten(tx, now=post.clock.now())
    assert await post.jobs() == 2


async def test_the_open_breaker_moves_the_webhook_and_counts_nothing(post: Post) -> None:
    post.good.manner = resetting
    for number in range(5):
        await post.deliver(await post.announce(f"dep_{number}"))
    late = await post.announce("dep_late")
    row = await post.deliver(late)
    assert (row.state, row.attempts) == ("pending", 0)
    assert timedelta(seconds=15) <= row.next_at - post.clock.now() <= timedelta(seconds=45)
    assert await post.attempts(late) == []
    assert len(post.good.heard) == 5
    # A second job of the same webhook finds it moved and leaves none of its own.
    before = await post.jobs()
    await post.deliver(late)
    assert await post.jobs() == before
    # Callouts to the same server have a line of their own.
    assert {state.peer.split()[0] for state in post.pipes.http.peers()} == {"webhooks"}
    # The merchant heals: the webhook gets through.
    post.good.manner = answering(HEARD)
    post.advance(60)
    assert (await post.deliver(late)).state == "delivered"


async def test_one_hanging_endpoint_does_not_delay_another(live: Post) -> None:
    """Sixty webhooks wait for a server that never answers; one for another server is there at once."""
    live.bad.manner = hanging
    for number in range(60):
        await live.announce(f"dep_{number}", success=False)
    async with working(live):
        async with asyncio.timeout(10):
            while len(live.bad.heard) < 3:  # noqa: ASYNC110  what is waited for is in another server
                await asyncio.sleep(0.02)
        began = asyncio.get_running_loop().time()
        webhook_id = await live.announce("dep_good")
        async with asyncio.timeout(10):
            while (await live.row(webhook_id)).state != "delivered":  # noqa: ASYNC110  the worker does it
                await asyncio.sleep(0.05)
        took = asyncio.get_running_loop().time() - began
    assert took < 3


async def test_every_webhook_is_delivered_by_the_worker(live: Post) -> None:
    other = await opened_site(live.pipes, live.good, live.bad, frozenset({live.good.peer, live.bad.peer}))
    assert other.site_id != live.created.site_id
    for number in range(30):
        await live.announce(f"dep_{number}", success=number % 2 == 0)
    async with working(live), asyncio.timeout(20):
        while await live.rows("SELECT 1 FROM webhook WHERE state <> 'delivered'"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    heard = [heard.headers["webhook-id"] for heard in (*live.good.heard, *live.bad.heard)]
    assert len(heard) == len(set(heard)) == 30
