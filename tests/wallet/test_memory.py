"""A wallet that this process has moved is decided upon as it was left, and written only if it still is so.

Each test has a player whom this process remembers, lets somebody else do something to it, and then calls: the
answer must be that of somebody who had looked.
"""

from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from app import players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet.batches import Batches
from app.wallet.contract import Answer
from app.wallet.memory import Memory
from app.wallet.rules import Page
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Ask, Code, Policy, Type, Wallet
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.deeds import CHANGES, Deed, dispute

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
    found, unlocked = [], Batches._unlocked

    async def counted(self: Batches, site_id: int, asks: Sequence[Ask], answers: list[Answer]) -> str:
        found.append(await unlocked(self, site_id, asks, answers))
        return found[-1]

    monkeypatch.setattr(Batches, "_unlocked", counted)
    return found


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


async def block(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        await players.set_status(tx, counter.site_id, "aigerim", players.PlayerStatus.BLOCKED)


async def test_who_is_blocked_plays_no_more(counter: Counter, ways: list[str]) -> None:
    await block(counter)
    answer = await counter.play("bet", amount=100)
    assert (answer["code"], ways) == ("PLAYER_BLOCKED", ["disturbed"])


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
        # By another process: this one would remember nothing of it either.
        ended = "UPDATE game_session SET ended_at = now() WHERE session_id = :session"
        await _elsewhere(counter, ended, session=session)
    answer = await counter.play("bet", **bet, roundId="r-4")
    assert (answer["code"], ways) == ("SESSION_EXPIRED", ["unlocked", "remembered", "disturbed"])


async def test_another_players_session_is_none_of_his(counter: Counter, ways: list[str]) -> None:
    await counter.player("bolat", cash=500)
    _, launched = await counter.post("/v1/game/launch", {**_LAUNCH, "playerExternalId": "bolat"})
    answer = await counter.play("bet", amount=100, sessionId=launched["data"]["sessionId"], roundId="r-2")
    assert (answer["code"], ways[-1]) == ("SESSION_EXPIRED", "unlocked")


async def test_a_round_that_is_recorded_is_not_taken_for_a_new_one(counter: Counter, ways: list[str]) -> None:
    """It is older than what is remembered of the wallet, and closed: a bet in it is told so."""
    await counter.play("win", referenceId="b-1", amount=7, isRoundFinished=True)
    for number in (2, 3):
        await counter.play("bet", amount=10, roundId=f"r-{number}")
    ways.clear()
    assert (await counter.play("bet", amount=9000))["code"] == "ROUND_CLOSED", "not INSUFFICIENT_FUNDS"
    assert ways == ["disturbed"]


async def test_an_answer_tells_the_wallet_as_its_own_batch_left_it(counter: Counter) -> None:
    """The next batch changes what is remembered, not what is still to be told."""
    journal, site = counter.journal, counter.site_id
    asks = [_deposit(f"x-{number}") for number in range(3)]
    answers = [(await journal.run(site, [ask]))[0] for ask in asks]
    assert [one.wallet.cash for one in answers if one.wallet] == [1010, 1020, 1030]


async def test_nothing_is_remembered_of_a_batch_that_was_not_written(
    counter: Counter, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_: object, writing: Coroutine[Any, Any, Any]) -> object:
        writing.close()
        raise RuntimeError("the process stumbles")

    with monkeypatch.context() as patched:
        patched.setattr("app.wallet.batches.committed", lost)
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


def _deposit(key: str) -> Ask:
    return Ask(
        Type.DEPOSIT, "operator", key, "aigerim", Policy(), b"print", "req_x", currency="KZT", amount=10
    )


async def _elsewhere(counter: Counter, statement: str, **values: object) -> None:
    async with counter.pipes.database.transaction() as tx:
        await tx.execute(text(statement), values)


def test_those_who_moved_longest_ago_are_forgotten() -> None:
    memory, at = Memory(most=2), datetime(2026, 11, 29, tzinfo=UTC)
    for number, name in enumerate(("aigerim", "bolat", "dana"), 1):
        page, ask = Page(at), _deposit(f"d-{number}")
        ask.player = name
        wallet = Wallet(number, f"ply_{name}", name, "KZT", False, 1, 10, 0, 2, 3, 1, 0)
        recalled = memory.recall(1, [ask], page)
        assert recalled.seats == [None]
        memory.keep(1, page, [Answer(ask, Code.OK, wallet)], [(number, 2, 1, 1, 0, 0)], recalled)
    asks = []
    for name in ("aigerim", "bolat", "dana"):
        asks.append(_deposit(f"e-{name}"))
        asks[-1].player = name
    assert [seat is not None for seat in memory.recall(1, asks, Page(at)).seats] == [False, True, True]
    assert memory.recall(1, asks, Page(at)).seats == [None] * 3, "whom a batch has, no other one has"
