"""A day's closing counts what moved money, and nothing that was only told."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.test_free_rounds import grant


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.decide(free_wins="together")
        await made.player(cash=1000)
        await grant(made)
        yield made
        await invariants.hold(database)


async def test_what_moved_no_money_is_in_no_line_of_the_day(counter: Counter) -> None:
    await counter.play("betwin", "f-1", betAmount=0, winAmount=500, freeRoundId="gift", isRoundFinished=True)
    await counter.play("win", "p-1", kind="free_round", freeRoundId="gift", amount=500)
    async with counter.pipes.database.reading() as reader:
        days = await wallet.closing(reader, counter.site_id, counter.clock.now().date())
    [day] = [one for one in days if one.currency == "KZT"]
    assert day.is_balanced
    assert (day.bets, day.wins) == (0, 500)


async def test_its_hash_is_what_anybody_makes_of_the_history(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=100)
    await counter.play("rollback", "b-1", referenceId="b-1")
    await counter.play("betwin", betAmount=5, winAmount=7, roundId="r-2")
    await counter.settled()
    _, told = await counter.get("/v1/transaction/list", currency="KZT")
    rows = sorted(told["data"]["transactions"], key=lambda row: str(row["transactionId"]))
    async with counter.pipes.database.reading() as reader:
        days = await wallet.closing(reader, counter.site_id, counter.clock.now().date())
    [day] = [one for one in days if one.currency == "KZT"]
    assert day.count == len(rows) == 4
    assert day.sha256 == hashlib.sha256("".join(map(line, rows)).encode()).hexdigest()


def line(row: Json) -> str:
    numbers = (
        row["amount"],
        row.get("winAmount", 0),
        row["balanceBefore"],
        row["balanceAfter"],
        row["sequence"],
    )
    told = ",".join(map(str, (row["transactionId"], row["type"], row["currency"], *numbers)))
    return f"{told},{row['recordedAt']},{row['externalId']}\n"
