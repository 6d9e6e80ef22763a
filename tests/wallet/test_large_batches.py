"""Large batches: decided upon what is remembered, each upon what those before it will leave."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import CommitUnknown, Database, lanes
from app.wallet import unlocked
from app.wallet.batches import Batches
from app.wallet.contract import Answer
from app.wallet.journal import Journal
from app.wallet.schemas import game_ask
from app.wallet.succession import Place
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Ask, Code, Policy, Type
from tests.wallet.counter import Counter, Json
from tests.wallet.deeds import CHANGES, Deed
from tests.wallet.large import bet, codes, remembering, rounds, win
from tests.wallet.locking import blocked, lock, locked, waiting


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with remembering(database, clock) as made:
        yield made


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each large batch went, in the order of their ends."""
    found: list[str] = []
    large = Batches._large

    async def counted(self: Batches, site_id: int, asks: Sequence[Ask], *how: Any) -> str:  # noqa: ANN401
        found.append(await large(self, site_id, asks, *how))
        return found[-1]

    monkeypatch.setattr(Batches, "_large", counted)
    return found


def counted_connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Those that are made from now on."""
    connected: list[object] = []
    plain = asyncpg.connect

    async def counted(*args: Any, **more: Any) -> object:  # noqa: ANN401
        connected.append(args)
        return await plain(*args, **more)

    monkeypatch.setattr(asyncpg, "connect", counted)
    return connected


async def balance(counter: Counter, login: str = "aigerim") -> int:
    _, told = await counter.get("/v1/player/wallet/balance", playerExternalId=login, currency="KZT")
    return int(told["data"]["balance"])


async def test_a_win_whose_bet_stands_before_it_needs_no_look(counter: Counter, ways: list[str]) -> None:
    asks = [*rounds("one"), *rounds("other", "bolat")]
    answers = await counter.journal.run(counter.site_id, asks)
    assert codes(answers) == [Code.OK] * 12
    assert ways == ["remembered"]
    assert [answer.operation.after for answer in answers[:6] if answer.operation] == [
        900,
        990,
        890,
        980,
        880,
        970,
    ]
    states = await counter.rows(
        "SELECT state, count(*) AS many FROM wallet_round GROUP BY state ORDER BY state"
    )
    assert [(row.state, row.many) for row in states] == [("completed", 6), ("open", 2)]


async def test_a_win_that_stands_before_its_bet_finds_none(counter: Counter, ways: list[str]) -> None:
    asks = [win("w-1", "late"), bet("late"), bet("x-1"), bet("x-2", "bolat")]
    assert codes(await counter.journal.run(counter.site_id, asks)) == [
        Code.BET_NOT_FOUND,
        *[Code.OK] * 3,
    ]
    assert ways == ["remembered"], "of one player something was looked up, of the other nothing"


async def test_a_bet_that_is_refused_has_no_win(counter: Counter, ways: list[str]) -> None:
    asks = [bet("dear", amount=5000), win("w-1", "dear"), *rounds("more", "bolat")]
    answers = await counter.journal.run(counter.site_id, asks)
    assert codes(answers)[:2] == [Code.INSUFFICIENT_FUNDS, Code.BET_NOT_FOUND]
    assert ways == ["disturbed"], "what is refused without a record is looked up first"


async def test_the_same_batch_twice_at_once_is_done_once(counter: Counter, ways: list[str]) -> None:
    pair = await asyncio.gather(
        *(counter.journal.run(counter.site_id, rounds("same")) for _ in range(2)),
    )
    assert [codes(answers) for answers in pair] == [[Code.OK] * 6] * 2
    assert [{answer.duplicate for answer in answers} for answers in pair] == [{False}, {True}]
    assert await balance(counter) == 970


async def test_the_next_batch_is_decided_before_the_one_under_way_is_written(
    counter: Counter, clone_url: str, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[str] = []
    plain = unlocked.decided

    def watched(page: Any, asks: Sequence[Ask], seats: Any) -> list[Answer]:  # noqa: ANN401
        decided.extend(ask.key for ask in asks)
        return plain(page, asks, seats)

    monkeypatch.setattr(unlocked, "decided", watched)
    async with locked(clone_url, "bolat"):
        first = asyncio.create_task(
            counter.journal.run(counter.site_id, [*rounds("a"), *rounds("b", "bolat")])
        )
        await blocked(clone_url)
        second = asyncio.create_task(counter.journal.run(counter.site_id, rounds("c")))
        async with asyncio.timeout(5):
            while "c.2w" not in decided:  # noqa: ASYNC110  no event says so
                await asyncio.sleep(0.01)
        assert not first.done()
        assert not second.done(), "its neighbour has to be written first"
        await blocked(clone_url, 2)  # for its neighbour's locks
    assert codes(await first) == [Code.OK] * 12
    answers = await second
    assert answers[0].operation is not None
    assert answers[0].operation.before == 970
    assert ways == ["remembered"] * 2
    assert (await balance(counter), await balance(counter, "bolat")) == (940, 970)


@pytest.mark.parametrize(("forgotten", "way"), [(["dana"], "remembered"), (["dana", "erlan"], "locked")])
async def test_whom_the_one_before_leaves_unknown_is_looked_up_once_that_is_written(
    counter: Counter, clone_url: str, ways: list[str], forgotten: list[str], way: str
) -> None:
    """A few are looked up beside what is remembered; a batch of strangers goes behind locks."""
    for login in forgotten:
        await counter.player(login, cash=1000)
    asks = [bet(f"n-{login}-{number}", login) for login in forgotten for number in range(2)]
    async with locked(clone_url, "aigerim"):
        first = asyncio.create_task(counter.journal.run(counter.site_id, rounds("a")))
        await blocked(clone_url)
        second = asyncio.create_task(counter.journal.run(counter.site_id, [*rounds("c"), *asks]))
        await asyncio.sleep(0.2)
        assert await waiting(clone_url) == 1, "the second has asked for nothing yet"
    assert codes(await first) == [Code.OK] * 6
    assert codes(await second) == [Code.OK] * (6 + len(asks))
    assert ways == ["remembered", way]
    assert await balance(counter) == 940


async def test_what_one_was_to_leave_is_not_believed_once_it_was_disturbed(
    counter: Counter, clone_url: str, ways: list[str]
) -> None:
    async with locked(clone_url, "aigerim") as connection:
        first = asyncio.create_task(counter.journal.run(counter.site_id, rounds("a")))
        await blocked(clone_url)
        second = asyncio.create_task(counter.journal.run(counter.site_id, rounds("b")))
        third = asyncio.create_task(counter.journal.run(counter.site_id, [*rounds("c", "bolat"), bet("d")]))
        await asyncio.sleep(0.1)
        await connection.execute("UPDATE wallet SET revision = revision + 1")
        await connection.execute("COMMIT")
        assert [codes(answers) for answers in (await first, await second, await third)] == [
            [Code.OK] * 6,
            [Code.OK] * 6,
            [Code.OK] * 7,
        ]
    assert "remembered" not in ways[:2]
    assert (await balance(counter), await balance(counter, "bolat")) == (840, 970)


async def test_nobody_elses_moves_are_taken_for_those_of_the_one_before(
    counter: Counter, clone_url: str, ways: list[str]
) -> None:
    """Though they are as many, and of the same instant: another process's bets of other amounts."""
    other = Journal(counter.pipes)
    theirs = [bet(f"t-{number}", amount=10) for number in range(6)]
    async with locked(clone_url, "aigerim"):
        tasks = []
        for sessions, (journal, asks) in enumerate(
            ((other, theirs), (counter.journal, rounds("a")), (counter.journal, rounds("b"))), 1
        ):
            tasks.append(asyncio.create_task(journal.run(counter.site_id, asks)))
            await blocked(clone_url, sessions)
    assert [codes(answers) for answers in await asyncio.gather(*tasks)] == [[Code.OK] * 6] * 3
    assert ways == ["disturbed"] * 2
    assert await balance(counter) == 1000 - 60 - 30 - 30
    await other.aclose()


async def test_what_was_lost_at_its_commit_is_not_what_the_next_one_follows(
    counter: Counter, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is rolled back without anybody's knowing: done anew, and so is who was decided upon it."""
    plain, left = lanes.committed, ["once"]

    async def lost(connection: asyncpg.Connection, statement: Any) -> object:  # noqa: ANN401
        if not left:
            return await plain(connection, statement)
        left.pop()
        statement.close()
        await asyncio.sleep(0.05)
        connection.terminate()
        raise CommitUnknown("lost on the way")

    monkeypatch.setattr(lanes, "committed", lost)
    pair = await asyncio.gather(
        counter.journal.run(counter.site_id, rounds("a")), counter.journal.run(counter.site_id, rounds("b"))
    )
    assert [codes(answers) for answers in pair] == [[Code.OK] * 6] * 2
    assert not any(answer.duplicate for answers in pair for answer in answers)
    assert await balance(counter) == 940


async def test_who_gives_up_waiting_leaves_no_one_behind(counter: Counter, clone_url: str) -> None:
    async with locked(clone_url, "aigerim"):
        tasks = [
            asyncio.create_task(counter.journal.run(counter.site_id, rounds(name)))
            for name in ("a", "b", "c")
        ]
        await blocked(clone_url)
        tasks[1].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[1], asyncio.CancelledError)
    assert [codes(answers) for answers in (done[0], done[2]) if not isinstance(answers, BaseException)] == [
        [Code.OK] * 6
    ] * 2
    assert await balance(counter) in {940, 910}, "the middle one may have been written; never in part"
    assert codes(await counter.journal.run(counter.site_id, rounds("d"))) == [Code.OK] * 6


@pytest.mark.parametrize(
    ("deed", "kind", "body", "code"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES]
)
async def test_a_large_batch_answers_as_if_it_had_come_after(
    counter: Counter, deed: Deed, kind: str, body: Json, code: str
) -> None:
    """Whatever another process has done to a player whom this one remembers."""
    if code == "SESSION_EXPIRED":
        pytest.skip("asked with a session of its own")
    other = Counter(
        counter.pipes, counter.clock, counter.http, counter.journal, counter.site_id, counter.tokens
    )
    await deed(other)
    fields: Json = {"transactionId": "ours", "playerExternalId": "aigerim", "currency": "KZT"}
    fields |= {"roundId": "r-1", "gameCode": "aviator", "providerId": "acme"} | body
    ours = game_ask(Type[kind.upper()], fields, lambda _: Policy(), "req_test")
    answers = await counter.journal.run(counter.site_id, [ours, *rounds("more", "bolat")])
    assert answers[0].code == code


async def test_bonus_money_that_has_come_is_seen(counter: Counter, ways: list[str]) -> None:
    await grant_bonus(counter.pipes, counter.site_id, "aigerim", Money(1000, "KZT"), "gift")
    answers = await counter.journal.run(counter.site_id, [bet("big", amount=1500), *rounds("x", "bolat")])
    assert codes(answers) == [Code.OK] * 7
    assert ways == ["disturbed"]


async def test_those_who_were_locked_are_remembered(counter: Counter, ways: list[str]) -> None:
    counter.journal._batches.memory.clear()
    for prefix in ("a", "b"):
        asks = [*rounds(prefix), *rounds(f"{prefix}2", "bolat")]
        assert codes(await counter.journal.run(counter.site_id, asks)) == [Code.OK] * 12
    assert ways == ["locked", "remembered"]


async def test_a_debt_and_a_held_win_go_behind_locks(counter: Counter, ways: list[str]) -> None:
    """Rare legs need accounts that may not be there; nobody is remembered over them."""
    ours = win("big", "b-1", amount=500, roundId="r-1")
    ours.policy = Policy(max_win=100)
    answers = await counter.journal.run(counter.site_id, [ours, *rounds("x", "bolat")])
    assert codes(answers) == [Code.OK] * 7
    assert ways == ["disturbed"]
    assert await balance(counter) == 1000


async def test_the_accounts_of_others_are_locked_by_nobody_who_waits(
    counter: Counter, clone_url: str
) -> None:
    """A batch of other players is not held up by one that waits."""
    async with locked(clone_url, "aigerim") as connection:
        first = asyncio.create_task(counter.journal.run(counter.site_id, rounds("a")))
        await blocked(clone_url)
        answers = await counter.journal.run(counter.site_id, rounds("b", "bolat"))
        assert codes(answers) == [Code.OK] * 6
        assert not first.done()
        await lock(connection, "aigerim")
    assert codes(await first) == [Code.OK] * 6


async def test_a_batch_that_must_be_looked_up_keeps_its_connection(
    counter: Counter, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the plans of that: a new one costs more than the batch."""
    connected = counted_connections(monkeypatch)
    for number in range(3):
        asks = [*rounds(f"x{number}"), win(f"w{number}", f"x{number}.0", roundId="wrong")]
        assert codes(await counter.journal.run(counter.site_id, asks))[:6] == [Code.OK] * 6
        assert codes(await counter.journal.run(counter.site_id, rounds(f"y{number}"))) == [Code.OK] * 6
    assert ways == ["disturbed", "locked"] * 3
    assert connected == []


async def test_so_does_one_whose_statement_is_under_way_when_that_turns_out(
    counter: Counter, clone_url: str, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [*rounds("x"), win("w", "x.0", roundId="wrong")]
    async with locked(clone_url, "aigerim"):
        task = asyncio.create_task(counter.journal.run(counter.site_id, asks))
        await blocked(clone_url)
        connected = counted_connections(monkeypatch)
    assert codes(await task)[:6] == [Code.OK] * 6
    assert ways == ["disturbed"]
    assert connected == []


async def test_places_that_are_over_are_forgotten(counter: Counter) -> None:
    """However long one batch follows the other without a pause."""
    most: list[int] = []

    async def client(name: str) -> None:
        for number in range(8):
            asks = [*rounds(f"{name}{number}"), *rounds(f"{name}{number}-2", "bolat")]
            assert codes(await counter.journal.run(counter.site_id, asks)) == [Code.OK] * 12
            gc.collect()
            most.append(sum(isinstance(one, Place) for one in gc.get_objects()))

    await asyncio.gather(*(client(name) for name in "kmn"))
    assert max(most) <= 6


async def test_batches_in_a_row_do_not_wait_for_each_other_for_ever(counter: Counter, clone_url: str) -> None:
    """Who waits for others holds no connection that they may need, however many wait."""
    carry_out = counter.journal._batches.carry_out
    async with locked(clone_url, "aigerim") as connection:
        tasks = []
        for name in "cdef":
            found: list[Answer] = []
            tasks.append(
                asyncio.create_task(carry_out(counter.site_id, rounds(name), found, all_or_none=False))
            )
            await asyncio.sleep(0.05)
        await blocked(clone_url)
        await connection.execute("UPDATE wallet SET revision = revision + 1")
        await connection.execute("COMMIT")
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert await balance(counter) == 1000 - 4 * 30
