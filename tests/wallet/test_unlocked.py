"""What was decided without a lock is written only if nobody has changed any of it meanwhile.

Each test lets one call be decided, then does something else to the player, through another journal or another
room, and then lets the call go on: it must answer as if it had come after.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import Context
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import ledger
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database, committed
from app.wallet import statements, unlocked
from app.wallet.batches import Batches
from app.wallet.contract import Answer
from app.wallet.memory import Memory
from app.wallet.schemas import game_ask
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Ask, Code, Policy, Type
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.deeds import CHANGES, Deed, dispute, play, player
from tests.wallet.locking import blocked


@pytest.fixture(params=["remembered", "looked up"])
def remembers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether wallets are decided upon as they were left; otherwise each is looked up."""
    if request.param == "looked up":
        monkeypatch.setattr(Memory, "keep", lambda *_: None)
    return bool(request.param == "remembered")


@pytest.fixture
async def counter(database: Database, clock: MovableClock, remembers: bool) -> AsyncIterator[Counter]:
    """A player with 1000 tenge and a bet of 100 in the round r-1; and with dollars, opened first."""
    async with opened(database, clock) as made:
        await made.player(currency="USD", cash=1)
        await made.player(cash=1100)
        assert (await made.play("bet", "b-1", amount=100))["code"] == "OK"
        yield made
    await invariants.hold(database)


FORMER = """
SELECT wallet_confirm(w.site_id, ARRAY[w.wallet_id], ARRAY[w.cash_account_id], ARRAY[w.cash_version],
         ARRAY[w.sequence], ARRAY[w.revision], '{0}'),
       wallet_expect(w.site_id, now(), '{acme}', '{""}', '{new}', ARRAY[w.wallet_id], '{acme}', ARRAY[:round],
         '{}', '{}', '{}', ARRAY[w.wallet_id], ARRAY[w.moved_at])
  FROM wallet w
"""


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many asks each batch had that went behind locks."""
    found, behind = [], Batches._locked

    async def counted(
        self: Batches,
        site_id: int,
        asks: Sequence[Ask],
        answers: list[Answer],
        **how: Any,  # noqa: ANN401
    ) -> None:
        found.append(len(asks))
        await behind(self, site_id, asks, answers, **how)

    monkeypatch.setattr(Batches, "_locked", counted)
    return found


@contextmanager
def meanwhile(monkeypatch: pytest.MonkeyPatch, counter: Counter, deed: Deed) -> Iterator[None]:
    """Do something once the next batch is decided, before it is written."""
    left = [deed]

    async def after_the_deed(raw: asyncpg.Connection, writing: Coroutine[Any, Any, Any]) -> object:
        if left:
            # As another process: this one's task has a connection already.
            await asyncio.create_task(_done(left.pop(), counter), context=Context())
        return await committed(raw, writing)

    with monkeypatch.context() as patched:
        patched.setattr(unlocked, "committed", after_the_deed)
        yield
    assert not left, "nothing was written without locks"


async def _done(deed: Deed, counter: Counter) -> None:
    await deed(counter)


async def test_nobody_waits_for_locks_where_nothing_changes(counter: Counter, locked: list[int]) -> None:
    for number in range(3):
        assert (await counter.play("bet", amount=100, roundId=f"r-{number + 2}"))["code"] == "OK"
    assert (await counter.play("win", referenceId="b-1", amount=50))["code"] == "OK"
    assert (await counter.deposit(10))["code"] == "OK"
    assert (await counter.transfer("withdraw", 10))["code"] == "OK"
    assert (await counter.play("bet", amount=5000, roundId="r-9"))["code"] == "INSUFFICIENT_FUNDS"
    assert locked == []


async def test_rollbacks_are_decided_behind_locks(counter: Counter, locked: list[int]) -> None:
    assert (await counter.play("rollback", referenceId="b-1"))["code"] == "OK"
    assert locked == [1]


@pytest.mark.parametrize(
    ("deed", "kind", "body", "code"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES]
)
async def test_a_call_answers_as_if_it_had_come_after(
    counter: Counter,
    monkeypatch: pytest.MonkeyPatch,
    locked: list[int],
    deed: Deed,
    kind: str,
    body: Json,
    code: str,
) -> None:
    with meanwhile(monkeypatch, counter, deed):
        answer = await counter.play(kind, "ours", **body)
    assert answer["code"] == code
    assert locked[-1:] == [1]
    rows = await counter.rows("SELECT applied FROM wallet_operation WHERE key = 'ours'")
    assert len(rows) == 1, "the one that was there, or what was decided behind locks"


async def test_a_session_that_ends_meanwhile_has_no_bet_behind_its_final_balance(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator", "providerId": "acme"}
    _, launched = await counter.post("/v1/game/launch", {**asked, "returnUrl": "https://shop.example.com/"})
    session = launched["data"]["sessionId"]
    ended: list[Json] = []

    async def end(counter: Counter) -> None:
        ended.append((await counter.post("/v1/session/end", {"sessionId": session}))[1])

    with meanwhile(monkeypatch, counter, end):
        answer = await counter.play("bet", amount=100, sessionId=session)
    assert answer["code"] == "SESSION_EXPIRED"
    assert (ended[0]["data"]["finalBalance"], answer["data"]["balance"]) == (1000, 1000)


async def test_a_debt_that_is_made_meanwhile_is_paid_by_what_comes_in(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await counter.transfer("withdraw", 1000))["code"] == "OK"
    with meanwhile(monkeypatch, counter, dispute):
        told = await counter.deposit(100)
    assert (told["data"]["balanceAfter"], told["data"]["balance"]) == (100, 30)
    # And one that grows, where there was one before.
    await counter.transfer("withdraw", 30)
    await dispute(counter, "d-2")
    with meanwhile(monkeypatch, counter, lambda counter: dispute(counter, "d-3")):
        told = await counter.deposit(200)
    assert told["data"]["balance"] == 60


async def test_a_refusal_too_is_given_only_if_it_still_holds(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bonus money moves no cash, and a refusal no sequence: only the wallet's own tells that it has come."""

    async def gift(counter: Counter) -> None:
        await grant_bonus(counter.pipes, counter.site_id, "dana", Money(1000, "KZT"), "gift")

    await counter.player("dana")
    with meanwhile(monkeypatch, counter, gift):
        answer = await counter.play("bet", amount=100, playerExternalId="dana", roundId="r-2")
    assert (answer["code"], answer["data"]["balance"]) == ("OK", 900)


async def test_who_is_writing_just_now_is_waited_for(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, clone_url: str
) -> None:
    who, is_held, holding = await player(counter), asyncio.Event(), []

    async def hold_until_somebody_waits() -> None:
        async with counter.pipes.database.transaction() as tx:
            wish = ledger.HoldRequest("payments", "h-1", who, Money(950, "KZT"), "wdr_1")
            await ledger.hold(tx, counter.site_id, wish, at=counter.clock.now())
            is_held.set()
            await blocked(clone_url)

    async def begin(_: Counter) -> None:
        holding.append(asyncio.create_task(hold_until_somebody_waits()))
        await is_held.wait()

    with meanwhile(monkeypatch, counter, begin):
        answer = await counter.play("bet", amount=100)
    await holding[0]
    assert (answer["code"], answer["data"]["balance"]) == ("INSUFFICIENT_FUNDS", 50)


async def test_who_did_nothing_is_not_in_the_way(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> None:
    await counter.player("bolat", cash=500)
    with meanwhile(monkeypatch, counter, play(Type.BET, "o-1", amount=100, playerExternalId="bolat")):
        assert (await counter.play("bet", amount=100))["code"] == "OK"
    assert locked == [], "another player's bet changes nothing for this one"


async def test_another_history_of_the_database_is_another_one(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> None:
    """A standby has taken over that lacks the last commit, and its numbers have come as far since."""

    async def taken_over(counter: Counter) -> None:
        async with counter.pipes.database.transaction() as tx:
            await tx.execute(text("UPDATE wallet SET moved_at = moved_at + interval '1 second'"))

    with meanwhile(monkeypatch, counter, taken_over):
        assert (await counter.play("bet", amount=100))["code"] == "OK"
    assert locked == [1]


@pytest.mark.parametrize(("round_id", "is_refused"), [("r-new", False), ("r-1", True)])
async def test_a_process_of_the_version_before_makes_sure_as_it_did(
    counter: Counter, round_id: str, *, is_refused: bool
) -> None:
    """It serves until it is ended, though the database is migrated first."""
    with pytest.raises(DBAPIError, match="took for granted") if is_refused else nullcontext():
        async with counter.pipes.database.transaction() as tx:
            await tx.execute(text(FORMER), {"round": round_id})


async def test_in_one_process_nobody_is_in_two_batches_at_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> None:
    """The second call waits for the first one's batch; it does not decide upon what that is changing."""
    second = []

    async def another(counter: Counter) -> None:
        second.append(asyncio.create_task(counter.play("bet", amount=20, roundId="q-2")))
        await asyncio.sleep(0.1)

    with meanwhile(monkeypatch, counter, another):
        first = await counter.play("bet", amount=10, roundId="q-1")
    assert (first["data"]["balance"], (await second[0])["data"]["balance"]) == (990, 970)
    assert locked == []


async def test_a_refusal_that_is_not_stored_is_not_given_past_what_is_on_its_way(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> None:
    """A bet is just being written by another process, and its win comes here: final is what locks say."""
    load, left = statements.load, [play(Type.BET, "b-2", amount=10)]

    async def then_the_bet(
        raw: asyncpg.Connection, site_id: int, asks: Sequence[Ask], locks: Collection[str], *, at: datetime
    ) -> object:
        rows = await load(raw, site_id, asks, locks, at=at)
        if left:
            await asyncio.create_task(_done(left.pop(), counter), context=Context())
        return rows

    monkeypatch.setattr(statements, "load", then_the_bet)
    answer = await counter.play("win", "w-2", amount=5, referenceId="b-2")
    assert (answer["code"], locked) == ("OK", [1])


async def test_who_owes_is_decided_without_locks_too(
    counter: Counter, locked: list[int], remembers: bool
) -> None:
    await counter.transfer("withdraw", 1000)
    await dispute(counter)
    assert (await counter.deposit(100))["data"]["balance"] == 30
    await dispute(counter, "d-2")
    assert (await counter.deposit(100))["data"]["balance"] == 60
    assert locked == ([1] if remembers else []), "a wallet that owes is not remembered"


async def test_a_rule_that_is_broken_meanwhile_stops_the_whole_batch(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, locked: list[int]
) -> None:
    """The neighbours are decided anew beside it, and each is done once."""
    await counter.player("bolat", cash=500)
    with meanwhile(monkeypatch, counter, play(Type.BET, "o-1", amount=950)):
        asks = [counter.play("bet", amount=100, playerExternalId=name) for name in ("aigerim", "bolat")]
        answers = await asyncio.gather(*asks)
    assert [answer["code"] for answer in answers] == ["INSUFFICIENT_FUNDS", "OK"]
    assert locked == [2]
    assert answers[1]["data"]["balance"] == 400


async def test_what_names_a_free_round_is_decided_behind_locks(counter: Counter, locked: list[int]) -> None:
    """A decision takes its free round from an ask that has none: a second run would not know of it."""
    await counter.decide(free_rounds="platform")
    told = await counter.play("bet", amount=0, roundId="r-2", freeRoundId="gift")
    assert (told["code"], locked) == ("OK", [1])


@pytest.mark.parametrize("beside", [0, 4], ids=["alone", "in a large batch"])
async def test_nothing_is_won_by_a_bet_that_was_rolled_back_before_it_came(
    counter: Counter, beside: int
) -> None:
    """Where the site answers such a bet with OK, although it took no money."""
    policy = Policy(tombstoned_bet_ok=True)

    def ask(kind: Type, key: str, **more: object) -> Ask:
        body: Json = {"transactionId": key, "playerExternalId": "aigerim", "providerId": "acme"}
        if kind is not Type.ROLLBACK:
            body |= {"currency": "KZT", "roundId": "r-1", "gameCode": "aviator", "amount": 100}
        return game_ask(kind, body | more, lambda _: policy, "req_test")

    run, site = counter.journal.run, counter.site_id
    [gone] = await run(site, [ask(Type.ROLLBACK, "x-2", referenceId="b-2")])
    [late] = await run(site, [ask(Type.BET, "b-2")])
    assert (gone.code, late.code) == (Code.NOTHING_TO_REVERSE, Code.OK)
    assert late.operation is not None
    assert not late.operation.applied
    others = [ask(Type.BET, f"m-{number}", roundId=f"m-{number}", amount=1) for number in range(beside)]
    won, *_ = await run(site, [ask(Type.WIN, "w-2", amount=500, referenceId="b-2"), *others])
    assert won.code is Code.ROLLED_BACK
