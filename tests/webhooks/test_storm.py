"""People and the worker at one endpoint at once: nothing is lost, nothing waits for ever, order holds."""

import asyncio
import random
from collections import defaultdict
from datetime import timedelta

import pytest

from app.plumbing.queue import dead_letters
from app.webhooks import endpoints, rules
from tests.payments.peers import Heard, answering
from tests.webhooks.conftest import Post, changed
from tests.webhooks.working import until, working

PAYMENTS, CHANGES = 12, 8


@pytest.mark.timeout(120)
async def test_pausing_resuming_and_rotating_under_way(live: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "EVENT_SCHEDULE", (timedelta(milliseconds=50),) * 50)
    registered = await live.register()
    chance = random.Random(11)

    async def choose(_: Heard) -> None:
        live.good.manner = answering(b"", 400 if chance.random() < 0.2 else 204)

    live.good.before = choose

    async def change() -> None:
        for number in range(1, CHANGES + 1):
            for payment in range(PAYMENTS):
                await live.publish(changed(number, f"dep_{payment}"))

    async def interfere() -> None:
        for _ in range(12):
            await live.do(endpoints.pause, registered.endpoint_id)
            await asyncio.sleep(0.1)
            await live.do(endpoints.rotate, registered.endpoint_id)
            await live.do(endpoints.resume, registered.endpoint_id)
            await asyncio.sleep(0.15)

    async def all_told() -> bool:
        told = await live.rows("SELECT count(*) AS n FROM webhook WHERE state = 'delivered'")
        return bool(told[0].n == PAYMENTS * CHANGES)

    async with working(live):
        await asyncio.gather(change(), interfere())
        await until(all_told, 90)
    newest: dict[str, int] = defaultdict(int)
    for heard in live.good.heard:
        subject, sequence = heard.fields["data"]["object"]["id"], heard.fields["sequence"]
        assert sequence <= newest[subject] + 1, "an event overtook the one before it"
        newest[subject] = max(newest[subject], sequence)
    assert dict(newest) == {f"dep_{payment}": CHANGES for payment in range(PAYMENTS)}
    async with live.database.reading() as reader:
        assert await dead_letters(reader) == []
