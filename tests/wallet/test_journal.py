"""The journal when its database misbehaves: lost commits, deadlocks, one bad item, locks, a full queue."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
import pytest

from app.kernel.clock import MovableClock
from app.plumbing.batching import Overloaded
from app.plumbing.database import (
    RETRY_LIMIT,
    CommitUnknown,
    Database,
    DatabaseDown,
    SessionSettings,
)
from app.wallet import journal as journal_module
from app.wallet.contract import Answer
from app.wallet.journal import Journal
from app.wallet.schemas import game_ask, transfer_ask
from app.wallet.terms import Ask, Code, Policy, Type
from tests import invariants
from tests.plumbing.postgres_proxy import Mischief, Proxy, standing_before
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.locking import blocked, lock, locked

LOGINS = ("aigerim", "bolat", "dana")
OPERATIONS = "SELECT key, type, code, applied, operation_id FROM wallet_operation ORDER BY recorded_in, key"
TRANSFERS = "SELECT because FROM transfer WHERE source = 'wallet' ORDER BY because"
# Fails as told, the first times only: a sequence counts on when a transaction is rolled back.
FAILING = """
CREATE SEQUENCE failures_{name};
CREATE FUNCTION failing_{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF NEW.key LIKE '{key}' AND nextval('failures_{name}') <= {times} THEN
    RAISE EXCEPTION 'planted' USING ERRCODE = '{state}';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER failing_{name} BEFORE INSERT ON wallet_operation
   FOR EACH ROW EXECUTE FUNCTION failing_{name}()"""


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """Three players with 1000 each."""
    async with opened(database, clock) as made:
        for login in LOGINS:
            await made.player(login, cash=1000)
        yield made


def bet(key: str, login: str = "aigerim", amount: int = 100) -> Ask:
    body: Json = {"transactionId": key, "playerExternalId": login, "currency": "KZT", "amount": amount}
    body |= {"roundId": f"r-{key}", "gameCode": "aviator", "providerId": "acme"}
    return game_ask(Type.BET, body, lambda _: Policy(), "req_test")


def deposit(key: str, login: str = "aigerim", amount: int = 100) -> Ask:
    body: Json = {"transferId": key, "playerExternalId": login, "currency": "KZT", "amount": amount}
    return transfer_ask(Type.DEPOSIT, body, Policy(), "req_test")


@asynccontextmanager
async def journal_on(counter: Counter, url: str, lock_timeout: int = 2000) -> AsyncIterator[Journal]:
    """A journal of its own, on another address or with less patience (milliseconds)."""
    async with Database(url, SessionSettings(lock_timeout=lock_timeout)) as database:
        made = Journal(dataclasses.replace(counter.pipes, database=database))
        yield made
        await made.aclose()


@asynccontextmanager
async def proxied(counter: Counter, url: str) -> AsyncIterator[tuple[Journal, Proxy]]:
    """A journal that reaches its database through a proxy, already connected."""
    async with standing_before(url) as proxy, journal_on(counter, proxy.url) as journal:
        await journal.post(counter.site_id, deposit("in-warm", amount=1))
        proxy.seen.clear()
        yield journal, proxy


async def once(proxy: Proxy, mischief: Mischief) -> None:
    """Do it to the next COMMIT only: the connection that comes after it is served well."""
    served, proxy.mischief = len(proxy._serving), mischief
    async with asyncio.timeout(5):
        while len(proxy._serving) == served:  # noqa: ASYNC110  what is waited for is in another task
            await asyncio.sleep(0)
    proxy.mischief = Mischief.NONE


async def planted(owner: Database, key: str, state: str, times: int = 10**6) -> None:
    name = f"at_{state}".lower()
    async with owner.transaction() as tx:
        await tx.raw.execute(FAILING.format(name=name, key=key, state=state, times=times))


async def by_key(counter: Counter) -> Mapping[str, tuple[str, bool]]:
    rows = await counter.rows(OPERATIONS)
    assert len({row.key for row in rows}) == len(rows)
    return {row.key: (row.code, row.applied) for row in rows}


async def balance(counter: Counter, login: str = "aigerim") -> int:
    _, told = await counter.get("/v1/player/wallet/balance", playerExternalId=login, currency="KZT")
    return int(told["data"]["balance"])


async def check_once(counter: Counter, answer: Answer, amount: int) -> None:
    """The answer is that of the one operation under its id, and the ledger moved its money once."""
    assert answer.operation is not None
    assert (answer.code, answer.duplicate) == (Code.OK, False)
    rows = [row for row in await counter.rows(OPERATIONS) if row.key == answer.ask.key]
    assert [row.operation_id for row in rows] == [answer.operation.operation_id]
    moved = [row.because for row in await counter.rows(TRANSFERS)]
    assert moved.count(answer.operation.operation_id) == 1
    assert answer.operation.after - answer.operation.before == amount
    await invariants.hold(counter.pipes.database)


@pytest.mark.parametrize("mischief", [Mischief.CUT_BEFORE, Mischief.CUT_AFTER])
async def test_a_lost_commit_is_resolved_without_the_caller_noticing(
    counter: Counter, clone_url: str, mischief: Mischief
) -> None:
    async with proxied(counter, clone_url) as (journal, proxy):
        cutting = asyncio.create_task(once(proxy, mischief))
        await asyncio.sleep(0)
        answer = await journal.post(counter.site_id, deposit("in-1", amount=50))
        await cutting
        assert proxy.seen.is_set()
        await check_once(counter, answer, 50)
        assert await balance(counter) == 1051
        again = await journal.post(counter.site_id, deposit("in-1", amount=50))
        assert (again.code, again.duplicate) == (Code.OK, True)


@pytest.mark.parametrize("mischief", [Mischief.CUT_BEFORE, Mischief.CUT_AFTER])
async def test_a_lost_commit_of_a_batch_is_resolved_item_by_item(
    counter: Counter, clone_url: str, mischief: Mischief
) -> None:
    asks = [deposit("in-1"), bet("g-1", "bolat"), bet("g-2", "dana", 5000), deposit("in-1")]
    async with proxied(counter, clone_url) as (journal, proxy):
        cutting = asyncio.create_task(once(proxy, mischief))
        await asyncio.sleep(0)
        answers = await journal.run(counter.site_id, asks)
        await cutting
    codes = [answer.code for answer in answers]
    assert codes == [Code.OK, Code.OK, Code.INSUFFICIENT_FUNDS, Code.OK]
    assert [answer.duplicate for answer in answers[:3]] == [False, False, False]
    await check_once(counter, answers[0], 100)
    await check_once(counter, answers[1], -100)
    assert (await by_key(counter))["g-2"] == ("INSUFFICIENT_FUNDS", False)


async def test_a_commit_lost_every_time_is_unknown_and_can_be_asked_for(
    counter: Counter, clone_url: str
) -> None:
    async with proxied(counter, clone_url) as (journal, proxy):
        proxy.mischief = Mischief.CUT_BEFORE
        with pytest.raises(CommitUnknown):
            await journal.post(counter.site_id, deposit("in-1"))
        assert len(proxy._serving) >= RETRY_LIMIT
        proxy.mischief = Mischief.NONE
        answer = await journal.post(counter.site_id, deposit("in-1"))
        await check_once(counter, answer, 100)


async def test_a_database_that_is_lost_with_a_commit_leaves_it_unknown(
    counter: Counter, clone_url: str
) -> None:
    async with proxied(counter, clone_url) as (journal, proxy):
        proxy.mischief, target = Mischief.CUT_AFTER, proxy.target
        # Nobody is there any more when the journal comes back to ask.
        proxy.target = "/nonexistent"
        with pytest.raises(CommitUnknown):
            await journal.post(counter.site_id, deposit("in-1"))
        assert (await by_key(counter))["in-1"] == ("OK", True), (
            "it was done, and must not be told as not done"
        )
        proxy.mischief, proxy.target = Mischief.NONE, target
        again = await journal.post(counter.site_id, deposit("in-1"))
        assert (again.code, again.duplicate) == (Code.OK, True)


async def test_a_database_that_is_not_there_did_nothing(counter: Counter, clone_url: str) -> None:
    async with proxied(counter, clone_url) as (journal, proxy):
        target, proxy.target = proxy.target, "/nonexistent"
        await proxy.hang_up()
        with pytest.raises(DatabaseDown):
            await journal.post(counter.site_id, deposit("in-1"))
        assert "in-1" not in await by_key(counter)
        proxy.target = target
        await check_once(counter, await journal.post(counter.site_id, deposit("in-1")), 100)


@pytest.mark.parametrize("state", ["40001", "40P01", "23505"])
async def test_what_passes_by_itself_is_run_again(
    counter: Counter, owner_database: Database, state: str
) -> None:
    await planted(owner_database, key="g-%", times=RETRY_LIMIT - 1, state=state)
    answer = await counter.journal.post(counter.site_id, bet("g-1"))
    await check_once(counter, answer, -100)


@pytest.mark.parametrize("state", ["53100", "53200"])
async def test_a_full_disk_did_nothing_and_says_so(
    counter: Counter, owner_database: Database, state: str
) -> None:
    await planted(owner_database, key="g-full", state=state)
    with pytest.raises(DatabaseDown):
        await counter.journal.post(counter.site_id, bet("g-full"))
    assert "g-full" not in await by_key(counter)
    await check_once(counter, await counter.journal.post(counter.site_id, bet("g-1")), -100)


async def test_a_deadlock_costs_only_time(counter: Counter, clone_url: str) -> None:
    """Another transaction locks two accounts in the other order."""
    async with locked(clone_url) as other:
        await other.execute("SET deadlock_timeout = '20s'")  # the journal's session shall be the victim
        first, second = await in_locking_order(counter)
        await lock(other, second)
        asks = [bet("g-1", first), bet("g-2", second)]
        running = asyncio.create_task(counter.journal.run(counter.site_id, asks))
        await blocked(clone_url)
        await lock(other, first)
        await other.execute("COMMIT")
        for answer in await running:
            await check_once(counter, answer, -100)


async def in_locking_order(counter: Counter) -> list[str]:
    """Two players, in the order in which their accounts are locked."""
    rows = await counter.rows(
        """SELECT p.site_login FROM account a JOIN player p ON p.player_id = a.owner
            WHERE a.purpose = 'player_cash' ORDER BY a.account_id"""
    )
    return [row.site_login for row in rows][:2]


async def test_one_item_that_cannot_be_written_harms_no_neighbour(
    counter: Counter, owner_database: Database
) -> None:
    await planted(owner_database, key="g-poison", state="22000")
    keys = ["g-1", "g-2", "g-3", "g-poison", "g-4", "g-5", "g-6"]
    asks = [bet(key, LOGINS[number % 3]) for number, key in enumerate(keys)]
    posted = [counter.journal.post(counter.site_id, ask) for ask in asks]
    answers = await asyncio.gather(*posted, return_exceptions=True)
    for key, answer in zip(keys, answers, strict=True):
        if key == "g-poison":
            assert isinstance(answer, asyncpg.DataError)
        else:
            assert isinstance(answer, Answer)
            await check_once(counter, answer, -100)
    assert "g-poison" not in await by_key(counter)


async def test_a_half_that_is_done_is_answered_although_the_other_half_is_lost(
    counter: Counter, owner_database: Database
) -> None:
    await planted(owner_database, key="g-poison", state="22000")
    # As of a server that shuts down; whether before it has committed, nobody knows.
    await planted(owner_database, key="g-end", state="57P01")
    keys = ["g-1", "g-2", "g-poison", "g-end"]
    posted = [counter.journal.post(counter.site_id, bet(key)) for key in keys]
    *done, poisoned, lost = await asyncio.gather(*posted, return_exceptions=True)
    for answer in done:
        assert isinstance(answer, Answer), "it was done, and must not be told as not done"
        await check_once(counter, answer, -100)
    assert isinstance(poisoned, asyncpg.DataError)
    assert isinstance(lost, CommitUnknown)
    assert not {"g-poison", "g-end"} & (await by_key(counter)).keys()


async def test_a_poisoned_item_of_a_callers_batch_is_answered_in_its_place(
    counter: Counter, owner_database: Database
) -> None:
    await planted(owner_database, key="g-poison", state="22000")
    item = {"type": "bet", "playerExternalId": "aigerim", "currency": "KZT", "amount": 100, "roundId": "r"}
    item |= {"gameCode": "aviator", "providerId": "acme"}
    items = [{**item, "transactionId": key} for key in ("g-1", "g-poison", "g-2")]
    status, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    assert status == 200
    assert [one["code"] for one in told["data"]["results"]] == ["OK", "INTERNAL", "OK"]
    assert await balance(counter) == 800
    status, told = await counter.post("/v1/game/bet", items[1], scope="play")
    assert (status, told["code"], told["data"]["final"]) == (500, "INTERNAL", False)


async def test_all_or_none_with_a_poisoned_item_does_nothing(
    counter: Counter, owner_database: Database
) -> None:
    await planted(owner_database, key="g-poison", state="22000")
    asks = [bet("g-1"), bet("g-poison", "bolat"), bet("g-2", "dana")]
    answers = await counter.journal.run(counter.site_id, asks, all_or_none=True)
    assert {answer.code for answer in answers} == {Code.INTERNAL}
    assert not {"g-1", "g-poison", "g-2"} & (await by_key(counter)).keys()


async def test_who_waits_too_long_for_a_lock_hears_in_progress_and_the_others_are_served(
    counter: Counter, clone_url: str
) -> None:
    async with journal_on(counter, clone_url, lock_timeout=100) as journal:
        async with locked(clone_url, "bolat"):
            asks = [bet(f"g-{login}", login) for login in LOGINS]
            answers = await asyncio.gather(*(journal.post(counter.site_id, ask) for ask in asks))
            codes = {answer.ask.player: answer.code for answer in answers}
            assert codes == {"aigerim": Code.OK, "bolat": Code.IN_PROGRESS, "dana": Code.OK}
        assert "g-bolat" not in await by_key(counter), "nothing was executed"
        await check_once(counter, await journal.post(counter.site_id, bet("g-bolat", "bolat")), -100)


async def test_a_locked_wallet_is_a_409_that_is_not_final(counter: Counter, clone_url: str) -> None:
    async with locked(clone_url, "aigerim"):
        answer = await counter.play("bet", "g-1", amount=100)
        assert (answer["code"], answer["success"], answer["data"]["final"]) == ("IN_PROGRESS", False, False)
    answer = await counter.play("bet", "g-1", amount=100)
    assert (answer["code"], answer["data"]["duplicate"]) == ("OK", False)


async def test_a_full_queue_answers_503_and_executes_nothing(
    database: Database, clone_url: str, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_MOST_WAITING", 4)
    async with opened(database, clock) as counter:
        await counter.player(cash=1000)
        headers = {"authorization": f"Bearer {counter.tokens['play']}"}
        body: Json = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 10, "roundId": "r"}
        body |= {"gameCode": "aviator", "providerId": "acme"}
        asked = []
        async with locked(clone_url, "aigerim"):
            for number in range(5):
                call = counter.http.post(
                    "/v1/game/bet", json={**body, "transactionId": f"g-{number}"}, headers=headers
                )
                asked.append(asyncio.create_task(call))
                # One of this player's is under way; who comes now waits.
                if number == 0:
                    await blocked(clone_url)
            await asyncio.sleep(0.1)
            refused = await counter.http.post(
                "/v1/game/bet", json={**body, "transactionId": "g-late"}, headers=headers
            )
        assert (refused.status_code, refused.json()["code"]) == (503, "OVERLOADED")
        assert (refused.headers["retry-after"], refused.json()["data"]["retryAfter"]) == ("1", 1)
        assert refused.json()["data"]["final"] is False
        assert [(await call).json()["code"] for call in asked] == ["OK"] * 5
        assert "g-late" not in await by_key(counter)
        answer = await counter.play("bet", "g-late", amount=10, roundId="r")
        assert (answer["code"], answer["data"]["duplicate"]) == ("OK", False)
        assert await balance(counter) == 940


async def test_too_many_batches_of_callers_are_refused_before_anything_is_done(
    counter: Counter, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_MOST_RUNNING", 1)
    async with locked(clone_url, "aigerim"):
        first = asyncio.create_task(counter.journal.run(counter.site_id, [bet("g-1")]))
        await blocked(clone_url)
        with pytest.raises(Overloaded):
            await counter.journal.run(counter.site_id, [bet("g-2")])
    await check_once(counter, (await first)[0], -100)
    assert "g-2" not in await by_key(counter)


async def test_a_caller_who_leaves_does_not_stop_what_was_begun(counter: Counter, clone_url: str) -> None:
    async with locked(clone_url, "aigerim"):
        asking = asyncio.create_task(counter.journal.post(counter.site_id, bet("g-1")))
        await blocked(clone_url)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    again = await counter.journal.post(counter.site_id, bet("g-1"))
    assert (again.code, again.duplicate) == (Code.OK, True)
