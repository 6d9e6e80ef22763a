"""A wallet that this process has moved is decided upon as it was left, and written only if it still is so.

Each test has a player whom this process remembers, lets somebody else do something to it, and then calls: the
answer must be that of somebody who had looked.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database, DatabaseDown
from app.wallet.batches import Batches
from app.wallet.contract import Answer
from app.wallet.schemas import game_ask
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Ask, Policy, Type
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.deeds import CHANGES, Deed, deposit, dispute

_LAUNCH = {
    "playerExternalId": "aigerim",
    "currency": "KZT",
    "gameCode": "aviator",
    "providerId": "acme",
    "returnUrl": "https://shop.example.com/",
}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A player with 1000 tenge and a bet of 100 in the round r-1, whom this process has just served."""
    async with opened(database, clock) as made:
        await made.player(cash=1100)
        assert (await made.play("bet", "b-1", amount=100))["code"] == "OK"
        yield made
    await invariants.hold(database)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each batch went that did not need locks from the start."""
    found: list[str] = []
    small = Batches._small

    async def counted(self: Batches, site_id: int, asks: Sequence[Ask], answers: list[Answer]) -> str:
        found.append(await small(self, site_id, asks, answers))
        return found[-1]

    monkeypatch.setattr(Batches, "_small", counted)
    return found


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Iterator[None]:
    """Let every batch fail that is to be written."""

    async def lost(_: object, writing: Coroutine[Any, Any, Any]) -> object:
        writing.close()
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("app.wallet.unlocked.committed", lost)
        yield


async def test_who_has_just_played_is_not_looked_up(counter: Counter, ways: list[str]) -> None:
    told = [
        await counter.play("bet", "b-2", amount=100, roundId="r-2"),
        await counter.play("bet", "b-3", amount=50, roundId="r-2"),
        await counter.play("win", referenceId="b-3", amount=70, roundId="r-2", isRoundFinished=True),
        await counter.deposit(10),
        await counter.transfer("withdraw", 30),
        await counter.play("win", amount=5, kind="jackpot"),
    ]
    assert [one["code"] for one in told] == ["OK"] * 6
    assert [one["data"]["balance"] for one in told] == [900, 850, 920, 930, 900, 905]
    assert ways == ["remembered"] * 6


async def test_what_is_not_remembered_is_looked_up(counter: Counter, ways: list[str]) -> None:
    """What is told again, the win of an earlier bet, and who was refused."""
    for number in (2, 3, 4):
        await counter.play("bet", f"b-{number}", amount=10, roundId=f"r-{number}")
    ways.clear()
    assert (await counter.play("bet", "b-4", amount=10, roundId="r-4"))["data"]["duplicate"]
    assert (await counter.play("win", referenceId="b-1", amount=7))["code"] == "OK"
    assert ways == ["unlocked", "unlocked"]
    assert (await counter.play("bet", amount=9000, roundId="r-5"))["code"] == "INSUFFICIENT_FUNDS"
    assert (await counter.play("bet", amount=5, roundId="r-5"))["code"] == "OK"
    assert ways[2:] == ["remembered", "unlocked"]


@pytest.mark.parametrize(
    ("deed", "kind", "body", "code"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES]
)
async def test_what_was_done_elsewhere_is_found_out(
    counter: Counter, ways: list[str], deed: Deed, kind: str, body: Json, code: str
) -> None:
    await deed(counter)
    ways.clear()
    answer = await counter.play(kind, "ours", **body)
    assert answer["code"] == code
    assert ways == ["disturbed"], "it was remembered otherwise"
    rows = await counter.rows("SELECT applied FROM wallet_operation WHERE key = 'ours'")
    assert len(rows) == 1, "the one that was there, or what was decided behind locks"


async def test_a_gift_may_be_staked(counter: Counter, ways: list[str]) -> None:
    """Bonus money moves no cash: only the wallet's own sequence tells that it has come."""
    await grant_bonus(counter.pipes, counter.site_id, "aigerim", Money(5000, "KZT"), "gift")
    ways.clear()
    answer = await counter.play("bet", amount=3000, roundId="r-2")
    assert (answer["code"], answer["data"]["bonusPart"], ways) == ("OK", 2000, ["disturbed"])


async def test_a_debt_is_paid_by_what_comes_in(counter: Counter, ways: list[str]) -> None:
    assert (await counter.transfer("withdraw", 1000))["code"] == "OK"
    await dispute(counter)
    told = await counter.deposit(100)
    assert (told["data"]["balanceAfter"], told["data"]["balance"]) == (100, 30)
    assert ways == ["remembered", "disturbed"]


@pytest.mark.parametrize("end", ["by the platform", "by the clock"])
async def test_a_session_that_is_over_has_no_more_bets(counter: Counter, ways: list[str], end: str) -> None:
    _, launched = await counter.post("/v1/game/launch", _LAUNCH)
    session = launched["data"]["sessionId"]
    bet: Json = {"amount": 100, "sessionId": session}
    assert (await counter.play("bet", **bet, roundId="r-2"))["code"] == "OK"
    assert (await counter.play("bet", **bet, roundId="r-3"))["code"] == "OK"
    if end == "by the clock":
        counter.clock.advance(24 * 3600)
    else:
        await counter.post("/v1/session/end", {"sessionId": session})
    answer = await counter.play("bet", **bet, roundId="r-4")
    assert (answer["code"], ways) == ("SESSION_EXPIRED", ["unlocked", "remembered", "disturbed"])


async def test_a_session_is_of_one_platform(counter: Counter, ways: list[str]) -> None:
    _, launched = await counter.post("/v1/game/launch", _LAUNCH)
    bet: Json = {"amount": 100, "sessionId": launched["data"]["sessionId"]}
    assert (await counter.play("bet", **bet, roundId="r-2"))["code"] == "OK"
    assert (await counter.play("bet", **bet, roundId="r-3", providerId="other"))["code"] == "SESSION_EXPIRED"
    assert ways == ["unlocked", "disturbed"]


async def test_a_call_without_a_session_ends_none(counter: Counter, ways: list[str]) -> None:
    _, launched = await counter.post("/v1/game/launch", _LAUNCH)
    for number, named in enumerate([{"sessionId": launched["data"]["sessionId"]}, {}] * 2):
        assert (await counter.play("bet", amount=1, roundId=f"s-{number}", **named))["code"] == "OK"
    assert ways == ["unlocked", "remembered", "remembered", "remembered"]


async def test_another_players_session_is_none_of_his(counter: Counter, ways: list[str]) -> None:
    await counter.player("bolat", cash=500)
    _, launched = await counter.post("/v1/game/launch", {**_LAUNCH, "playerExternalId": "bolat"})
    answer = await counter.play("bet", amount=100, sessionId=launched["data"]["sessionId"], roundId="r-2")
    assert (answer["code"], ways[-1]) == ("SESSION_EXPIRED", "unlocked")


@pytest.mark.parametrize("amount", [9000, 10])  # refused, or written as the first of the round
async def test_a_round_that_is_recorded_is_no_new_one(counter: Counter, ways: list[str], amount: int) -> None:
    """It is older than what is remembered of the wallet, and closed: a bet in it is told so."""
    await counter.play("win", referenceId="b-1", amount=7, isRoundFinished=True)
    for number in (2, 3):
        await counter.play("bet", amount=10, roundId=f"r-{number}")
    ways.clear()
    assert (await counter.play("bet", amount=amount))["code"] == "ROUND_CLOSED", "not INSUFFICIENT_FUNDS"
    assert ways == ["disturbed"]


async def test_a_round_is_of_one_platform(counter: Counter, ways: list[str]) -> None:
    """Another platform's round of the same name is another round."""
    for number in (2, 3):
        await counter.play("bet", amount=10, roundId=f"r-{number}")
    ways.clear()
    assert (await counter.play("bet", amount=10, providerId="other"))["code"] == "OK"
    assert (await counter.play("bet", amount=10, roundId="r-3", providerId="other"))["code"] == "OK"
    assert ways == ["remembered", "remembered"]
    rows = await counter.rows("SELECT bet_minor FROM wallet_round WHERE round_id IN ('r-1', 'r-3')")
    assert sorted(row.bet_minor for row in rows) == [10, 10, 10, 100]


async def test_who_plays_several_rounds_by_turns_is_in_nobodys_way(counter: Counter, ways: list[str]) -> None:
    """Once a round had several bets, one that is not remembered is not taken for a new one."""
    for turn in range(3):
        for number in (1, 2, 3):
            assert (await counter.play("bet", amount=1, roundId=f"r-{number}"))["code"] == "OK"
        assert ways.count("disturbed") <= 1, turn
    ways.clear()
    for number in (4, 3, 4, 4, 4):
        assert (await counter.play("bet", amount=1, roundId=f"r-{number}"))["code"] == "OK"
    assert ways == ["unlocked", "unlocked", "unlocked", "remembered", "remembered"]


async def test_a_win_whose_round_is_not_remembered_is_looked_up(counter: Counter, ways: list[str]) -> None:
    for key, round_id in (("b-2", "r-2"), ("b-3", "r-3")):
        await counter.play("bet", key, amount=1, roundId=round_id)
    await counter.play("win", referenceId="b-2", amount=1, roundId="r-2")
    await counter.deposit(1)
    assert (await counter.play("win", referenceId="b-3", amount=1, roundId="r-3"))["code"] == "OK"
    assert ways == ["remembered"] * 5
    assert (await counter.play("win", referenceId="b-1", amount=1))["code"] == "OK"
    assert ways[5:] == ["unlocked"]


async def test_what_was_rolled_back_long_before_it_came_does_not_come(
    counter: Counter, ways: list[str]
) -> None:
    """Before anything that is remembered: no revision has changed since."""
    assert (await counter.play("rollback", referenceId="late"))["code"] == "NOTHING_TO_REVERSE"
    for number in (2, 3):
        await counter.play("bet", amount=10, roundId=f"r-{number}")
    ways.clear()
    assert (await counter.play("bet", "late", amount=10, roundId="r-4"))["code"] == "ROLLED_BACK"
    assert ways == ["disturbed"]


async def test_a_withdrawal_that_asks_for_open_rounds_is_looked_up(counter: Counter, ways: list[str]) -> None:
    await counter.decide(withdraw_while_round_open="false")
    assert (await counter.transfer("withdraw", 30))["code"] == "IN_PROGRESS"
    assert ways == ["disturbed"], "a refusal that is not stored is confirmed by locks alone"
    await counter.play("win", referenceId="b-1", amount=1, isRoundFinished=True)
    ways.clear()
    assert (await counter.transfer("withdraw", 30))["code"] == "OK"
    assert ways == ["unlocked"]


async def test_who_is_looked_up_beside_who_is_remembered(counter: Counter, ways: list[str]) -> None:
    await counter.player("bolat", cash=500)
    bolat: Json = {"playerExternalId": "bolat", "amount": 100}
    assert (await counter.play("bet", "x-1", **bolat))["code"] == "OK"
    assert (await counter.play("bet", "x-1", **bolat))["data"]["duplicate"]
    ways.clear()
    told = await asyncio.gather(
        counter.play("bet", **(bolat | {"amount": 10}), roundId="r-9"), counter.play("bet", amount=100)
    )
    assert ([one["data"]["balance"] for one in told], ways) == ([390, 900], ["unlocked"])


async def test_one_players_calls_are_decided_upon_one_source(counter: Counter, ways: list[str]) -> None:
    """His first call is one of those that memory would do for, the second is not."""
    for number in (2, 3):
        await counter.play("bet", amount=10, roundId=f"r-{number}")
    ways.clear()
    asks = [counter.play("bet", amount=10, roundId="r-4"), counter.play("win", referenceId="b-1", amount=5)]
    assert [one["code"] for one in await asyncio.gather(*asks)] == ["OK", "OK"]
    assert ways == ["unlocked"]


async def test_who_was_rolled_back_here_is_looked_up_the_next_time(counter: Counter, ways: list[str]) -> None:
    """A rollback names no currency, and what goes behind locks keeps nothing."""
    assert (await counter.play("rollback", referenceId="b-1"))["code"] == "OK"
    assert (await counter.play("bet", amount=10, roundId="r-2"))["code"] == "OK"
    await counter.journal.run(counter.site_id, [deposit("all")], all_or_none=True)
    assert ways == ["unlocked"]


async def test_who_owes_and_who_was_told_again_is_looked_up(counter: Counter, ways: list[str]) -> None:
    await counter.play("bet", "b-2", amount=1, roundId="r-2")
    assert (await counter.play("bet", "b-2", amount=1, roundId="r-2"))["data"]["duplicate"]
    await counter.play("bet", "b-3", amount=1, roundId="r-3")
    assert ways == ["remembered", "unlocked", "unlocked"]
    assert (await counter.transfer("withdraw", 998))["code"] == "OK"
    await dispute(counter)
    ways.clear()
    assert [(await counter.deposit(minor))["code"] for minor in (30, 10, 10)] == ["OK"] * 3
    assert ways == ["disturbed", "unlocked", "unlocked"]


async def test_an_id_that_is_recorded_is_told_at_once(
    counter: Counter, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is old: the rest of the site is remembered on, and nobody waits for a further run."""
    again: list[int] = []
    monkeypatch.setattr("app.wallet.journal.pause_seconds", again.append)
    for number in (2, 3, 4, 5, 6):
        await counter.play("bet", f"b-{number}", amount=10, roundId=f"r-{number}")
    await counter.player("bolat", cash=500)
    ways.clear()
    assert (await counter.play("bet", "b-1", amount=100))["data"]["duplicate"]
    assert (await counter.deposit(1, login="bolat"))["code"] == "OK"
    assert (ways, again) == (["disturbed", "remembered"], [])


async def test_an_id_that_is_known_is_a_conflict_whatever_else_is_wrong(
    counter: Counter, ways: list[str]
) -> None:
    """A refusal that is not stored meets no unique key, also where a neighbour of its batch is written."""
    await counter.player("bolat", cash=500)
    await counter.play("win", "w-1", referenceId="b-1", amount=1)
    for number in range(4):
        await counter.deposit(1, f"d-{number}")
    ways.clear()
    told = await asyncio.gather(
        counter.play("win", "w-1", referenceId="b-1", amount=1, roundId="r-other"),
        counter.deposit(1, login="bolat"),
    )
    assert ([one["code"] for one in told], ways) == (["ID_CONFLICT", "OK"], ["disturbed"])


async def test_another_history_of_the_database_is_another_one(counter: Counter, ways: list[str]) -> None:
    """A standby has taken over that lacks the last commit, and its numbers have come as far since."""
    await counter.play("bet", "b-2", amount=100, roundId="r-2")
    await _elsewhere(counter, "UPDATE wallet SET moved_at = moved_at + interval '1 second'")
    assert (await counter.deposit(1))["code"] == "OK"
    assert ways == ["remembered", "disturbed"]


async def test_nobody_is_remembered_behind_a_lost_connection(
    counter: Counter, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await counter.player("bolat", cash=500)
    ways.clear()
    with failing(monkeypatch, DatabaseDown()):
        assert (await counter.deposit(1))["code"] == "OVERLOADED"
    assert (await counter.deposit(1, login="bolat"))["code"] == "OK"
    assert ways == ["unlocked"]


async def test_a_session_is_judged_by_this_instant_not_by_a_neighbours_last(
    counter: Counter, ways: list[str]
) -> None:
    """The clock was ten minutes ahead when the neighbour moved, and is right again."""
    journal, site = counter.journal, counter.site_id
    await counter.player("bolat", cash=500)
    _, launched = await counter.post("/v1/game/launch", {**_LAUNCH, "playerExternalId": "bolat"})
    [row] = await counter.rows("SELECT expires_at FROM game_session")
    now = row.expires_at - timedelta(minutes=1)
    journal._batches.clock = MovableClock(now + timedelta(minutes=10))
    await journal.run(site, [deposit("ahead")])
    ways.clear()
    journal._batches.clock = MovableClock(now)
    bet: Json = {"transactionId": "s-1", "playerExternalId": "bolat", "providerId": "acme", "currency": "KZT"}
    bet |= {"roundId": "r-1", "gameCode": "aviator", "amount": 1, "sessionId": launched["data"]["sessionId"]}
    ask = game_ask(Type.BET, bet, lambda _: Policy(), "req_x")
    answers = await journal.run(site, [deposit("neighbour"), ask])
    assert ([one.code for one in answers], ways) == (["OK", "OK"], ["unlocked"])


async def test_no_clock_takes_a_wallet_back(counter: Counter, ways: list[str]) -> None:
    journal, site, now = counter.journal, counter.site_id, counter.clock.now()
    await journal.run(site, [deposit("late")])
    journal._batches.clock = MovableClock(now - timedelta(minutes=1))
    [answer] = await journal.run(site, [deposit("early")])
    assert (answer.code, ways) == ("OK", ["unlocked", "remembered"])
    rows = await counter.rows("SELECT recorded_at FROM wallet_operation ORDER BY sequence")
    assert [row.recorded_at for row in rows] == sorted(row.recorded_at for row in rows)


async def test_who_is_blocked_plays_no_more_in_whatever_currency(counter: Counter, ways: list[str]) -> None:
    await counter.player(currency="USD", cash=500)
    async with counter.pipes.database.transaction() as tx:
        await players.set_status(tx, counter.site_id, "aigerim", players.PlayerStatus.BLOCKED)
    answer = await counter.play("bet", amount=100, currency="USD", roundId="r-2")
    assert (answer["code"], ways[-1]) == ("PLAYER_BLOCKED", "disturbed")


async def test_an_answer_tells_the_wallet_as_its_own_batch_left_it(counter: Counter) -> None:
    """The next batch changes what is remembered, not what is still to be told."""
    journal, site = counter.journal, counter.site_id
    asks = [deposit(f"x-{number}") for number in range(3)]
    answers = [(await journal.run(site, [ask]))[0] for ask in asks]
    assert [one.wallet.cash for one in answers if one.wallet] == [1010, 1020, 1030]


async def test_nothing_is_remembered_of_a_batch_that_was_not_written(
    counter: Counter, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing(monkeypatch, RuntimeError("the process stumbles")):
        assert (await counter.deposit(10))["code"] == "INTERNAL"
    assert (await counter.deposit(10))["data"]["balance"] == 1010
    assert ways == ["unlocked"]


async def test_after_it_was_wrong_it_is_left_alone_for_a_while(counter: Counter, ways: list[str]) -> None:
    """Each time for twice as many batches, as long as it goes on."""
    waited = []
    for _ in range(4):
        ways.clear()
        while "disturbed" not in ways:
            await _elsewhere(counter, "UPDATE wallet SET revision = revision + 1")
            await counter.deposit(1)
        waited.append(ways.count("unlocked"))
    assert waited == [0, 1, 2, 4]


async def _elsewhere(counter: Counter, statement: str) -> None:
    async with counter.pipes.database.transaction() as tx:
        await tx.execute(text(statement))
