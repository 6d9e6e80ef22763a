"""What an operation names decides where it belongs: its round, its platform, its player, its batch."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.contract import instant
from app.wallet.journal import Journal
from app.wallet.rounds import stuck_rounds
from app.wallet.schemas import transfer_ask
from app.wallet.sweeps import sweep_stuck
from app.wallet.terms import Code, Policy, Type
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made
        await invariants.hold(database)


async def stands(counter: Counter, login: str = "aigerim") -> int:
    _, answer = await counter.get("/v1/player/wallet/balance", playerExternalId=login, currency="KZT")
    return int(answer["data"]["balance"])


async def round_of(counter: Counter) -> Json:
    asked = {"playerExternalId": "aigerim", "providerId": "acme", "roundId": "r-1"}
    _, answer = await counter.get("/v1/transaction/round", **asked)
    return dict(answer["data"])


async def test_another_platform_gets_round_no_closed_round(counter: Counter) -> None:
    await counter.play("bet", "b1", amount=300, isRoundFinished=True)
    win = await counter.play("win", "w1", referenceId="b1", amount=500, providerId="other")
    assert (win["code"], win["data"]["field"]) == ("VALIDATION", "providerId")
    back = await counter.play("rollback", "k1", referenceId="b1", providerId="other")
    assert back["code"] == "TRANSACTION_NOT_FOUND"
    assert (await counter.play("rollback", "k2", referenceId="b1"))["code"] == "ALREADY_SETTLED"
    assert await stands(counter) == 700


async def test_a_rollback_that_names_no_platform_belongs_to_its_bets_round(counter: Counter) -> None:
    await counter.play("bet", "b1", amount=300)
    assert (await counter.play("rollback", "k1", referenceId="b1"))["code"] == "OK"
    found = await round_of(counter)
    assert (found["state"], found["reversed"], found["net"]) == ("cancelled", 300, 0)
    operations = [(one["externalId"], one["roundId"]) for one in found["operations"]]
    assert operations == [("b1", "r-1"), ("k1", "r-1")]


async def test_the_finish_flag_of_a_rollback_says_nothing(counter: Counter) -> None:
    await counter.play("bet", "b1", amount=100)
    await counter.play("bet", "b2", amount=200)
    await counter.play("rollback", "k1", referenceId="b1", isRoundFinished=True)
    assert (await round_of(counter))["state"] == "open"
    assert (await counter.play("rollback", "k2", referenceId="b2"))["code"] == "OK"


async def test_platforms_that_differ_on_rollbacks_are_named_by_them(counter: Counter) -> None:
    await counter.decide("acme", reverse_wins="true")
    await counter.play("bet", "b1", amount=100)
    await counter.play("win", "w1", referenceId="b1", amount=50)
    refused = await counter.play("rollback", "k1", referenceId="w1")
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "providerId")
    taken = await counter.play("rollback", "k1", referenceId="w1", providerId="acme")
    assert (taken["code"], taken["data"]["type"]) == ("OK", "reverse_win")
    assert await stands(counter) == 900
    assert (await round_of(counter))["win"] == 0


async def test_one_id_of_two_platforms_is_a_conflict(counter: Counter) -> None:
    await counter.play("bet", "1001", amount=100)
    assert (await counter.play("bet", "1001", amount=100, providerId="beta"))["code"] == "ID_CONFLICT"


@pytest.mark.parametrize("kind", ["win", "jackpot", "promo"])
async def test_a_win_that_was_rolled_back_before_it_came_moves_no_money(counter: Counter, kind: str) -> None:
    await counter.play("bet", "b1", amount=100)
    assert (await counter.play("rollback", "k1", referenceId="w1"))["code"] == "NOTHING_TO_REVERSE"
    win = await counter.play("win", "w1", referenceId="b1", amount=500, kind=kind)
    assert win["code"] == "ROLLED_BACK"
    assert await stands(counter) == 900


async def test_a_jackpot_settles_no_bet(counter: Counter) -> None:
    await counter.play("bet", "b1", amount=100)
    await counter.play("win", "j1", referenceId="b1", amount=5, kind="jackpot")
    assert (await counter.play("rollback", "k1", referenceId="b1"))["code"] == "OK"


async def test_a_rollback_of_another_players_bet_leaves_no_tombstone_on_it(counter: Counter) -> None:
    await counter.player("bob")
    await counter.play("rollback", "k1", referenceId="b1", playerExternalId="bob")
    assert (await counter.play("bet", "b1", amount=100))["code"] == "ROLLED_BACK"
    # The other way round, as two processes may do it at once: the bet is there, and counts.
    await counter.play("bet", "b2", amount=100)
    strange = await counter.play("rollback", "k2", referenceId="b2", playerExternalId="bob")
    assert strange["code"] == "TRANSACTION_NOT_FOUND"
    assert (await counter.play("rollback", "k3", referenceId="b2"))["code"] == "OK"


async def test_nobody_takes_the_sweepers_ids(counter: Counter) -> None:
    refused = await counter.play("rollback", "sweeper-wop_1", referenceId="b1")
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "transactionId")


async def test_a_bet_that_comes_while_a_stuck_round_is_swept_keeps_it_open(
    counter: Counter, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await counter.decide(stuck_action="refund")
    await counter.play("bet", "b1", amount=100)
    clock.advance(timedelta(hours=49))
    async with counter.pipes.database.reading() as reader:
        found = await stuck_rounds(reader, counter.site_id, now=clock.now(), only_due=True)
    await counter.play("bet", "b2", amount=200)

    async def earlier(*_: object, **__: object) -> object:
        return found

    monkeypatch.setattr("app.wallet.sweeps.stuck_rounds", earlier)
    await sweep_stuck(counter.pipes, counter.journal)
    monkeypatch.undo()
    assert ((await round_of(counter))["state"], await stands(counter)) == ("open", 700)
    clock.advance(timedelta(hours=49))
    await sweep_stuck(counter.pipes, counter.journal)
    assert ((await round_of(counter))["state"], await stands(counter)) == ("cancelled", 1000)


async def test_one_header_is_not_the_id_of_every_transfer_of_a_batch(counter: Counter) -> None:
    transfer = {"type": "deposit", "playerExternalId": "aigerim", "currency": "KZT", "amount": 100}
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}", "idempotency-key": "k-1"}
    answer = await counter.http.post(
        "/v1/player/wallet/batch", json={"operations": [transfer, transfer]}, headers=headers
    )
    codes = [one["code"] for one in answer.json()["data"]["results"]]
    assert codes == ["TRANSFER_ID_REQUIRED", "TRANSFER_ID_REQUIRED"]
    await counter.decide(legacy_transfers="true")
    answer = await counter.http.post(
        "/v1/player/wallet/batch", json={"operations": [transfer, transfer]}, headers=headers
    )
    assert [one["data"]["duplicate"] for one in answer.json()["data"]["results"]] == [False, False]
    assert await stands(counter) == 1200


async def test_all_or_none_says_of_nothing_that_it_was_done(counter: Counter) -> None:
    done = {
        "type": "deposit",
        "playerExternalId": "aigerim",
        "currency": "KZT",
        "amount": 7,
        "transferId": "d1",
    }
    await counter.deposit(7, "d1")
    operations = [
        done,
        {**done, "transferId": "d2"},
        {**done, "type": "withdraw", "amount": 10**6, "transferId": "w1"},
    ]
    body = {"operations": operations, "allOrNone": True}
    status, answer = await counter.post("/v1/player/wallet/batch", body)
    assert (status, answer["code"]) == (402, "INSUFFICIENT_FUNDS")
    told = [
        (one["code"], one["data"]["applied"], one["data"]["duplicate"]) for one in answer["data"]["results"]
    ]
    assert told == [
        ("OK", True, True),
        ("INSUFFICIENT_FUNDS", False, False),
        ("INSUFFICIENT_FUNDS", False, False),
    ]
    assert await stands(counter) == 1007
    assert (await counter.deposit(7, "d2"))["data"]["duplicate"] is False


async def test_an_older_clock_does_not_date_an_operation_before_the_last(
    counter: Counter, clock: MovableClock
) -> None:
    await counter.decide(free_rounds="platform")
    last = await counter.play("bet", "f1", amount=0, freeRoundId="gift")
    slow = Journal(replace(counter.pipes, clock=MovableClock(clock.now() - timedelta(seconds=30))))
    body = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 1, "transferId": "late"}
    [answer] = await slow.run(counter.site_id, [transfer_ask(Type.DEPOSIT, body, Policy(), "req")])
    await slow.aclose()
    assert answer.operation is not None
    assert instant(answer.operation.recorded_at) >= last["data"]["recordedAt"]


async def test_everything_of_a_site_in_the_other_mode_but_wins_and_rollbacks_is_refused(
    counter: Counter,
) -> None:
    await counter.play("bet", "b1", amount=100)
    async with counter.pipes.database.transaction() as tx:
        await tx.raw.execute("UPDATE site SET callback_url = 'https://games.example/ask'")
    counter.clock.advance(3)
    bet = {
        "type": "bet",
        "transactionId": "b2",
        "playerExternalId": "aigerim",
        "currency": "KZT",
        "amount": 1,
    }
    play = {"roundId": "r-1", "gameCode": "aviator", "providerId": "acme"}
    win = {**bet, "type": "win", "transactionId": "w1", "referenceId": "b1"}
    body = {"operations": [{**bet, **play}, {**win, **play}]}
    _, answer = await counter.post("/v1/game/batch", body, scope="play")
    assert [one["code"] for one in answer["data"]["results"]] == [Code.WRONG_WALLET_MODE, Code.OK]
