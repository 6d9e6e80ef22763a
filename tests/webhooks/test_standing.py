"""What an endpoint's answers mean for it: failures, patience and its end, and what it may ask of us."""

from datetime import datetime, timedelta

import pytest

from app.plumbing import metrics
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker
from app.webhooks import deliveries, endpoints, jobs, rules, sweeps
from app.webhooks.model import EVENT_SCHEDULE, EndpointState, WhyDisabled
from tests.payments.peers import SILENCE_SECONDS, answering, hanging, resetting
from tests.webhooks.conftest import Post, changed


def counted(kind: str) -> float:
    return float(metrics.ALARMS.labels(kind)._value.get())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_enough(post: Post, status: int) -> None:
    await post.register()
    post.good.manner = answering(b"thank you", status)
    assert (await post.row(await post.sent(changed(1)))).state == "delivered"


@pytest.mark.parametrize(
    ("manner", "status", "reason"),
    [
        (answering(b"", 301, "Location: /elsewhere"), 301, ""),
        (answering(b"", 304), 304, ""),
        (answering(b"", 307, "Location: /elsewhere"), 307, ""),
        (answering(b"", 400), 400, ""),
        (answering(b"", 404), 404, ""),
        (answering({"code": 0}, 500), 500, ""),
        (resetting, None, "broken"),
        (hanging, None, "timed_out"),
    ],
)
async def test_anything_else_is_a_failure(
    post: Post, manner: object, status: int | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if manner is hanging:
        monkeypatch.setattr(deliveries, "DEADLINE_SECONDS", SILENCE_SECONDS)
    registered = await post.register()
    post.good.manner = manner  # type: ignore[assignment]
    row = await post.row(await post.sent(changed(1)))
    assert (row.state, row.attempts) == ("pending", 1)
    assert timedelta(seconds=5) <= row.next_at - post.clock.now() <= timedelta(seconds=5.5)
    [attempt] = await post.attempts(row.webhook_id)
    assert (attempt.http_status, attempt.reason) == (status, reason)
    assert [heard.path for heard in post.good.heard] == ["/events"], "a redirect is not followed"
    found = await post.endpoint(registered.endpoint_id)
    assert (found.state, found.failures) == (EndpointState.ACTIVE, 1)


async def test_the_whole_schedule(post: Post) -> None:
    await post.register()
    post.good.manner = answering(b"", 400)
    way = await post.way(await post.publish(changed(1)))
    began = post.clock.now()
    for planned in EVENT_SCHEDULE:
        row = await post.deliver(way)
        assert planned <= row.next_at - post.clock.now() <= planned * 1.1
        await post.until_due(way)
    row = await post.deliver(way)
    assert (row.state, row.attempts, row.next_at) == ("exhausted", 10, None)
    assert timedelta(hours=75) < post.clock.now() - began < timedelta(hours=84)
    assert len({heard.headers["webhook-id"] for heard in post.good.heard}) == 1
    assert len({heard.headers["webhook-timestamp"] for heard in post.good.heard}) == 10


async def test_after_five_days_of_nothing_but_failure_it_is_disabled(post: Post) -> None:
    registered = await post.register()
    witness = await post.register(post.bad)
    post.good.manner = answering(b"", 400)
    before = counted("webhook_endpoint_disabled")
    warned = counted("webhook_endpoint_failing")
    for hour in range(5 * 24):
        event_id = await post.publish(changed(1, f"dep_{hour}"))
        await post.deliver(await post.way(event_id, registered.endpoint_id))
        assert (await post.endpoint(registered.endpoint_id)).state is EndpointState.ACTIVE
        assert (counted("webhook_endpoint_failing") > warned) == (hour >= 24), "people hear of it before"
        post.advance(timedelta(hours=1))
    last = await post.way(await post.publish(changed(1, "dep_last")), registered.endpoint_id)
    await post.deliver(last)
    found = await post.endpoint(registered.endpoint_id)
    assert (found.state, found.why_disabled) == (EndpointState.DISABLED, WhyDisabled.FAILING)
    assert found.disabled_at == post.clock.now()
    assert counted("webhook_endpoint_disabled") == before + 1
    # The site's other endpoint is told; the dead one is not, and gets no more events.
    [told] = await post.rows("SELECT * FROM event WHERE type = 'webhook.endpoint_disabled'")
    assert told.subject == registered.endpoint_id
    assert told.object["why_disabled"] == "failing"
    [way] = await post.rows("SELECT * FROM webhook WHERE event_id = :id", id=told.event_id)
    assert way.endpoint_id == witness.endpoint_id
    await post.publish(changed(1, "dep_unheard"))
    ways = "SELECT endpoint_id FROM webhook WHERE payment_id = 'dep_unheard'"
    assert [row.endpoint_id for row in await post.rows(ways)] == [witness.endpoint_id]
    # What waits is held, and another chance begins with it.
    await post.until_due(last)
    assert (await post.deliver(last)).next_at is None
    post.good.manner = answering(b"")
    assert await post.do(endpoints.resume, registered.endpoint_id) > 100
    assert (await post.deliver(last)).state == "delivered"
    found = await post.endpoint(registered.endpoint_id)
    assert (found.state, found.failures, found.first_failed_at) == (EndpointState.ACTIVE, 0, None)
    assert (found.why_disabled, found.disabled_at) == (None, None)


async def test_one_success_begins_the_five_days_anew(post: Post) -> None:
    registered = await post.register()
    for day in range(10):
        post.good.manner = answering(b"", 200 if day == 4 else 400)
        for number in range(5):
            await post.sent(changed(1, f"dep_{day}_{number}"))
        found = await post.endpoint(registered.endpoint_id)
        if day == 4:
            assert (found.failures, found.first_failed_at) == (0, None)
        assert found.state is EndpointState.ACTIVE
        post.advance(timedelta(days=1))
    await post.sent(changed(1, "dep_last"))
    assert (await post.endpoint(registered.endpoint_id)).state is EndpointState.DISABLED


async def test_a_few_failures_far_apart_are_not_nothing_but_failure(post: Post) -> None:
    registered = await post.register()
    post.good.manner = answering(b"", 400)
    for week in range(9):
        await post.sent(changed(1, f"dep_{week}"))
        post.advance(timedelta(days=7))
    assert (await post.endpoint(registered.endpoint_id)).state is EndpointState.ACTIVE
    await post.sent(changed(1, "dep_tenth"))
    assert (await post.endpoint(registered.endpoint_id)).state is EndpointState.DISABLED


async def test_410_disables_at_once(post: Post) -> None:
    registered = await post.register()
    post.good.manner = answering(b"", 410)
    way = await post.sent(changed(1))
    found = await post.endpoint(registered.endpoint_id)
    assert (found.state, found.why_disabled) == (EndpointState.DISABLED, WhyDisabled.GONE)
    assert (await post.row(way)).state == "pending"
    with pytest.raises(endpoints.EndpointNotActive, match="is disabled"):
        await post.do(endpoints.pause, registered.endpoint_id)
    # A second 410 of a call that was under way says it no second time.
    assert len(await post.rows("SELECT 1 FROM event WHERE type = 'webhook.endpoint_disabled'")) == 1


@pytest.mark.parametrize(
    ("header", "at_least", "at_most"),
    [
        ("120", 120, 120),
        ("0", 5, 5.5),
        ("3600", 3600, 3600),
        ("99999999999999999999", 3600, 3600),
        ("Sat, 21 Nov 2026 12:10:00 GMT", 600, 600),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 5, 5.5),
        ("Fri, 31 Dec 2099 23:59:59 GMT", 3600, 3600),
        ("soon", 5, 5.5),
        ("-5", 5, 5.5),
        ("1e9", 5, 5.5),
    ],
)
async def test_retry_after_is_kept_and_clamped(
    post: Post, header: str, at_least: float, at_most: float
) -> None:
    await post.register()
    post.good.manner = answering(b"", 503, f"Retry-After: {header}")
    row = await post.row(await post.sent(changed(1)))
    waits = (row.next_at - post.clock.now()).total_seconds()
    assert at_least <= waits <= at_most


async def test_who_asks_to_be_left_in_peace_is_left_so_by_every_event(post: Post) -> None:
    registered = await post.register()
    post.good.manner = answering(b"", 429, "Retry-After: 90")
    await post.sent(changed(1, "dep_1"))
    post.good.manner = answering(b"")
    other = await post.sent(changed(1, "dep_2"))
    row = await post.row(other)
    assert (row.state, row.attempts) == ("pending", 0)
    assert row.next_at == post.clock.now() + timedelta(seconds=90)
    assert len(post.good.heard) == 1
    post.advance(90)
    assert (await post.deliver(other)).state == "delivered"
    # A lone 502 spares it for a moment only.
    post.good.manner = answering(b"", 502)
    await post.sent(changed(1, "dep_3"))
    found = await post.endpoint(registered.endpoint_id)
    assert found.throttle_ends_at == post.clock.now() + timedelta(seconds=5)


async def test_a_name_that_leads_inside_is_refused_at_the_dial(post: Post) -> None:
    """Registration sees a public name; what it points at is judged anew at every dial."""
    leads_to: list[str] = ["169.254.169.254"]

    async def resolve(_host: str, _port: int) -> list[str]:
        return leads_to

    way = await post.do(endpoints.register, endpoints.NewEndpoint("https://hooks.example.com/x"))
    webhook_id = await post.way(await post.publish(changed(1)))
    async with HttpClient(post.clock, resolve=resolve) as http:
        pipes = Pipes(post.database, http, post.clock, "https://cashier.example.com")
        for number, address in enumerate(("169.254.169.254", "10.0.0.1", "127.0.0.1", "::1"), 1):
            leads_to[:] = [address]
            await deliveries.deliver(pipes, post.created.site_id, webhook_id)
            row = await post.row(webhook_id)
            assert (row.state, row.attempts) == ("pending", number)
            post.advance(row.next_at - post.clock.now())
    attempts = await post.attempts(webhook_id)
    assert [attempt.reason for attempt in attempts] == ["refused_address"] * 4
    assert (await post.endpoint(way.endpoint_id)).failures == 4


async def test_a_crash_between_sending_and_writing_sends_again_with_the_same_id(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post.register()
    event_id = await post.publish(changed(1))
    way = await post.way(event_id)

    async def dies(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "_record", dies)
        with pytest.raises(SystemError):
            await post.deliver(way)
    assert (await post.row(way)).state == "pending"
    post.advance(20)  # it may be on its way until then
    assert (await post.deliver(way)).state == "delivered"
    assert [heard.headers["webhook-id"] for heard in post.good.heard] == [event_id] * 2
    assert post.good.heard[0].body == post.good.heard[1].body


async def test_a_forgotten_event_is_found_again(post: Post) -> None:
    await post.register()
    way = await post.way(await post.publish(changed(1)))
    post.advance(121)
    before = await post.jobs()
    assert await post.recover() == 1
    assert await post.jobs() == before + 1
    assert (await post.deliver(way)).state == "delivered"
    assert await post.recover() == 0


async def test_old_attempts_are_forgotten_and_newer_ones_kept(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post.register()
    old = [await post.sent(changed(number)) for number in (1, 2, 3)]
    post.advance(timedelta(days=89))
    new = await post.sent(changed(4))
    post.advance(timedelta(days=2))
    async with post.database.transaction() as tx:
        assert await sweeps.forget_attempts(tx, now=post.clock.now(), most=1) == 1
    # However many came since the last time: the worker goes on until none is left.
    monkeypatch.setattr(jobs, "_FORGOTTEN_AT_ONCE", 1)
    worker = Worker(post.database)
    jobs.register(worker, post.pipes)
    _, forget = worker.tasks["webhooks.forget"]
    await forget()
    assert [await post.attempts(one) for one in old] == [[], [], []]
    assert len(await post.attempts(new)) == 1
    assert (await post.row(old[0])).state == "delivered"


def test_patience_is_five_days_and_ten_failures() -> None:
    began = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
    five_days = began + timedelta(days=5)
    assert rules.why_disabled(rules.Answer(500), 10, began, five_days) is WhyDisabled.FAILING
    assert rules.why_disabled(rules.Answer(500), 9, began, five_days) is None
    assert rules.why_disabled(rules.Answer(500), 10, began, five_days - timedelta(seconds=1)) is None
    assert rules.why_disabled(rules.Answer(410), 1, began, began) is WhyDisabled.GONE
    assert rules.why_disabled(rules.Answer(), 10, began, five_days) is WhyDisabled.FAILING
