"""A round that its platform forgets is listed after the site's hours, and ended as the site wants it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app import wallet
from app.kernel.clock import MovableClock
from app.plumbing import metrics
from app.plumbing.database import Database
from app.wallet import sweeps
from app.wallet.rounds import close_round, stuck_rounds
from app.wallet.sweeps import sweep_stuck
from app.worker import create_worker
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.test_free_rounds import grant

HOURS = timedelta(hours=48, seconds=1)
PLAY = {
    "playerExternalId": "aigerim",
    "currency": "KZT",
    "roundId": "r-1",
    "gameCode": "aviator",
    "providerId": "acme",
}


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


async def swept_behind(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], Awaitable[object]]
) -> None:
    """Sweep what was found stuck before the platform's deed."""
    counter.clock.advance(HOURS)
    async with counter.pipes.database.reading() as reader:
        found = await stuck_rounds(reader, counter.site_id, now=counter.clock.now(), only_due=True)
    await deed()

    async def earlier(*_: object, **__: object) -> object:
        return found

    monkeypatch.setattr("app.wallet.sweeps.stuck_rounds", earlier)
    await sweep_stuck(counter.pipes, counter.journal)
    monkeypatch.undo()


@pytest.mark.parametrize("action", ["close", "refund"])
async def test_a_free_bet_that_comes_meanwhile_keeps_its_win(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    await counter.decide(stuck_action=action)
    await counter.play("bet", "b-1", amount=100)

    async def spin() -> None:
        await grant(counter)
        assert (await counter.play("bet", "f-1", amount=0, freeRoundId="gift"))["code"] == "OK"

    await swept_behind(counter, monkeypatch, spin)
    assert (await counter.play("win", "w-1", referenceId="f-1", amount=500))["code"] == "OK"


@pytest.mark.parametrize("action", ["close", "refund"])
async def test_a_win_that_comes_meanwhile_is_not_the_last(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    await counter.decide(stuck_action=action)
    await counter.play("bet", "b-1", amount=100)

    async def win() -> None:
        assert (await counter.play("win", "w-1", referenceId="b-1", amount=5))["code"] == "OK"

    await swept_behind(counter, monkeypatch, win)
    last = await counter.play("win", "w-2", referenceId="b-1", amount=500, isRoundFinished=True)
    assert last["code"] == "OK"


@pytest.mark.parametrize("action", ["close", "refund"])
async def test_a_round_that_is_played_for_days_is_not_stuck(counter: Counter, action: str) -> None:
    await counter.decide(stuck_action=action)
    await counter.play("bet", "b-1", amount=100)
    for number in range(2, 5):
        assert await swept(counter, timedelta(hours=40)) == 0
        await counter.play("bet", f"b-{number}", amount=100)
    assert ((await told(counter))["state"], await balance(counter)) == ("open", 600)
    assert (await counter.play("win", referenceId="b-1", amount=50))["code"] == "OK"
    assert await swept(counter) == 1
    assert (await told(counter))["state"] == "completed"


async def test_one_that_waits_is_listed_again_once_it_was_played_and_forgotten_again(
    counter: Counter,
) -> None:
    await counter.play("bet", amount=100)
    assert await swept(counter) == 1
    counter.clock.advance(1)
    await counter.play("bet", amount=100)
    assert [await swept(counter, timedelta(hours=1)), await swept(counter), await swept(counter)] == [0, 1, 0]


async def test_a_refund_that_was_not_finished_is_taken_up_at_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own rollbacks are nothing that has happened in the round."""
    await counter.decide(stuck_action="refund")
    await counter.play("bet", "b-1", amount=100)
    await counter.play("bet", "b-2", amount=200)
    await counter.play("win", referenceId="b-1", amount=50)

    async def fails(*_: object, **__: object) -> bool:
        raise RuntimeError("planted")

    monkeypatch.setattr(sweeps, "close_round", fails)
    assert await swept(counter) == 1
    monkeypatch.undo()
    assert ((await told(counter))["state"], await balance(counter)) == ("open", 950)
    with capture_logs() as logs:
        assert await swept(counter, timedelta(minutes=5)) == 1
    assert (await told(counter))["state"] == "completed"
    assert "round.stuck" not in [log["event"] for log in logs], "it was listed"


def alarms() -> float:
    return float(metrics.ALARMS.labels("win_refused")._value.get())


async def refused(counter: Counter) -> list[tuple[str, int]]:
    async with counter.pipes.database.reading() as reader:
        found = await wallet.refused_wins(reader, counter.site_id)
    return [(one.key, one.amount) for one in found]


@pytest.mark.parametrize(("action", "code"), [("close", "ROUND_CLOSED"), ("refund", "ROLLED_BACK")])
async def test_a_win_that_we_are_the_reason_not_to_pay_is_shown_to_people(
    counter: Counter, action: str, code: str
) -> None:
    await counter.decide(stuck_action=action)
    await counter.play("bet", "b-1", amount=100)
    await swept(counter)
    before = alarms()
    with capture_logs() as logs:
        assert (await counter.play("win", "w-1", referenceId="b-1", amount=500))["code"] == code
        assert (await counter.play("win", "w-1", referenceId="b-1", amount=500))["code"] == code
    assert alarms() == before + 1, "a repeat is no other win"
    [log] = [log for log in logs if log["event"] == "wallet.win_refused"]
    assert (log["round_id"], log["amount_minor"]) == ("r-1", 500)
    assert await refused(counter) == [("w-1", 500)]


async def test_a_win_of_a_settled_bet_in_a_round_that_we_refunded_is_shown_too(counter: Counter) -> None:
    await counter.decide(stuck_action="refund")
    await counter.play("bet", "b-1", amount=100)
    await counter.play("bet", "b-2", amount=100)
    await counter.play("win", "w-1", referenceId="b-1", amount=5)
    await swept(counter)
    operations = [
        {"type": "win", "transactionId": f"w-{number}", "referenceId": "b-1", "amount": number, **PLAY}
        for number in range(2, 8)
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": operations}, scope="play")
    assert {one["code"] for one in told["data"]["results"]} == {"ROUND_CLOSED"}
    assert sorted(await refused(counter)) == [(f"w-{number}", number) for number in range(2, 8)]


async def test_what_happens_in_an_ended_round_does_not_hide_the_win_that_we_refused(counter: Counter) -> None:
    await counter.decide(stuck_action="close", reverse_wins="true")
    await counter.play("bet", "b-1", amount=100)
    await counter.play("win", "w-1", referenceId="b-1", amount=50)
    await swept(counter)
    await counter.play("win", "w-2", referenceId="b-1", amount=500)
    await counter.play("win", "w-3", kind="promo", amount=7)
    assert (await counter.play("rollback", referenceId="w-1"))["data"]["type"] == "reverse_win"
    before = alarms()
    assert (await counter.play("win", "w-4", referenceId="b-1", amount=5))["code"] == "ROUND_CLOSED"
    assert alarms() == before + 1
    assert sorted(await refused(counter)) == [("w-2", 500), ("w-4", 5)], "both are of one instant"


async def test_a_win_that_its_platform_is_the_reason_not_to_pay_alarms_nobody(counter: Counter) -> None:
    before = alarms()
    await counter.play("bet", "b-1", amount=100)
    await counter.play("rollback", referenceId="b-1")
    assert (await counter.play("win", referenceId="b-1", amount=500))["code"] == "ROLLED_BACK"
    await counter.play("bet", "b-2", amount=100, roundId="r-2")
    await swept(counter)  # it is listed, and its platform ends it
    await counter.play("win", referenceId="b-2", amount=5, roundId="r-2", isRoundFinished=True)
    late = await counter.play("win", referenceId="b-2", amount=500, roundId="r-2")
    assert late["code"] == "ROUND_CLOSED"
    assert (alarms(), await refused(counter)) == (before, [])


async def test_the_worker_sweeps(counter: Counter) -> None:
    assert "wallet.sweep_stuck" in create_worker(counter.pipes)._tasks
