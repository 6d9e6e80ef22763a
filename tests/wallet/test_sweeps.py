"""A round that its platform never ends is listed after the site's hours, and ended as the site wants it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet import sweeps
from app.wallet.rounds import close_round
from app.wallet.sweeps import sweep_stuck
from app.worker import create_worker
from tests import invariants
from tests.wallet.counter import Counter, Json, opened

HOURS = timedelta(hours=48, seconds=1)


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made
        await invariants.hold(database)


async def swept(counter: Counter, after: timedelta = HOURS) -> int:
    counter.clock.advance(after)
    return await sweep_stuck(counter.pipes, counter.journal)


async def told(counter: Counter, round_id: str = "r-1") -> Json:
    asked = {"playerExternalId": "aigerim", "providerId": "acme", "roundId": round_id}
    _, answer = await counter.get("/v1/transaction/round", **asked)
    return dict(answer["data"])


async def balance(counter: Counter) -> int:
    _, answer = await counter.get("/v1/player/wallet/balance", playerExternalId="aigerim", currency="KZT")
    return int(answer["data"]["balance"])


async def test_a_young_round_is_left_alone(counter: Counter) -> None:
    await counter.decide(stuck_action="refund")
    await counter.play("bet", amount=100)
    assert await swept(counter, timedelta(hours=47)) == 0
    assert (await told(counter))["state"] == "open"


async def test_by_default_it_is_listed_once_and_waits(counter: Counter) -> None:
    await counter.play("bet", amount=100)
    with capture_logs() as logs:
        assert [await swept(counter), await swept(counter)] == [1, 0]
    assert [log["round_id"] for log in logs if log["event"] == "round.stuck"] == ["r-1"]
    assert ((await told(counter))["state"], await balance(counter)) == ("open", 900)


async def test_a_refund_gives_back_every_bet_and_cancels(counter: Counter) -> None:
    await counter.decide(stuck_action="refund")
    await counter.play("bet", "b-1", amount=100)
    await counter.play("bet", "b-2", amount=200)
    assert await swept(counter) == 1
    found = await told(counter)
    assert (found["state"], found["reversed"], found["net"], await balance(counter)) == (
        "cancelled",
        300,
        0,
        1000,
    )
    assert [one["type"] for one in found["operations"]] == ["bet", "bet", "rollback", "rollback"]
    assert await swept(counter) == 0


async def test_a_refund_leaves_what_was_won_and_completes(counter: Counter) -> None:
    await counter.decide(stuck_action="refund")
    await counter.play("bet", "b-1", amount=100)
    await counter.play("bet", "b-2", amount=200)
    await counter.play("win", referenceId="b-1", amount=50)
    await swept(counter)
    found = await told(counter)
    assert (found["state"], found["reversed"], await balance(counter)) == ("completed", 200, 950)
    # What cannot be given back is not even asked for.
    assert not await counter.rows("SELECT 1 FROM wallet_operation WHERE code = 'ALREADY_SETTLED'")


async def test_closing_keeps_the_stake(counter: Counter) -> None:
    await counter.decide(stuck_action="close")
    await counter.play("bet", "b-1", amount=100)
    assert await swept(counter) == 1
    assert ((await told(counter))["state"], await balance(counter)) == ("completed", 900)
    assert (await counter.play("win", referenceId="b-1", amount=500))["code"] == "ROUND_CLOSED"


async def test_the_platforms_rollback_after_ours_moves_nothing(counter: Counter) -> None:
    await counter.decide(stuck_action="refund")
    await counter.play("bet", "b-1", amount=100)
    await swept(counter)
    assert (await counter.play("rollback", referenceId="b-1"))["code"] == "ALREADY_ROLLED_BACK"
    assert await balance(counter) == 1000


async def test_a_platform_may_have_its_own_hours(counter: Counter) -> None:
    await counter.decide("acme", stuck_action="refund", stuck_after_hours="1")
    await counter.play("bet", amount=100)
    await counter.play("bet", amount=100, providerId="other")
    assert await swept(counter, timedelta(hours=2)) == 1
    assert await balance(counter) == 900


@pytest.mark.parametrize("scope", ["player", "provider", "round"])
async def test_refunds_find_the_bet_wherever_ids_are_unique(
    database: Database, clock: MovableClock, scope: str
) -> None:
    async with opened(database, clock) as counter:
        await counter.decide(stuck_action="refund", id_scope=scope)
        await counter.player(cash=1000)
        await counter.play("bet", "b-1", amount=100)
        await swept(counter)
        assert ((await told(counter))["state"], await balance(counter)) == ("cancelled", 1000)


async def test_two_sweepers_at_once_refund_once(counter: Counter) -> None:
    await counter.decide(stuck_action="refund")
    for number in range(5):
        await counter.play("bet", amount=100, roundId=f"r-{number}")
    counter.clock.advance(HOURS)
    await asyncio.gather(*(sweep_stuck(counter.pipes, counter.journal) for _ in range(3)))
    assert await balance(counter) == 1000
    rows = await counter.rows("SELECT 1 FROM wallet_operation WHERE applied AND type = 'rollback'")
    assert len(rows) == 5


async def test_one_that_cannot_be_ended_keeps_nobody_waiting(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counter.decide(stuck_action="close")
    await counter.play("bet", amount=100)
    await counter.play("bet", amount=100, roundId="r-2")
    calls: list[object] = []

    async def first_fails(*args: object, **more: object) -> bool:
        calls.append(args)
        if len(calls) == 1:
            raise RuntimeError("planted")
        return bool(await close_round(*args, **more))  # type: ignore[arg-type]

    monkeypatch.setattr(sweeps, "close_round", first_fails)
    await swept(counter)
    assert sorted([(await told(counter, name))["state"] for name in ("r-1", "r-2")]) == ["completed", "open"]


async def test_the_worker_sweeps(counter: Counter) -> None:
    assert "wallet.sweep_stuck" in create_worker(counter.pipes)._tasks
