"""What a player owes: taken from cash as far as it goes, the rest as debt, and repaid first."""

import asyncio
from datetime import datetime

import pytest

from app import ledger
from app.ledger.model import Purpose
from app.plumbing.database import Database, Transaction
from tests import invariants
from tests.ledger.examples import CASH, CLEARING, PLAYER, PROVIDER, SITE, balance, deposit, kzt, posted

DEBT = ledger.AccountName(PLAYER, Purpose.PLAYER_DEBT, "KZT")


def demand(minor: int, key: str = "late", outflow: str = "PAYOUT") -> ledger.Demand:
    return ledger.Demand("payments", key, getattr(ledger, outflow), kzt(minor), PLAYER, PROVIDER, "wdr_1")


async def taken(database: Database, wish: ledger.Demand, now: datetime) -> list[int]:
    async def work(tx: Transaction) -> list[ledger.Posted]:
        return await ledger.take(tx, SITE, wish, at=now)

    return [one.request.amount.minor for one in await database.retried(work)]


async def given(database: Database, wish: ledger.Demand, now: datetime) -> list[int]:
    async def work(tx: Transaction) -> list[ledger.Posted]:
        return await ledger.give(tx, SITE, wish, at=now)

    return [one.request.amount.minor for one in await database.retried(work)]


async def repaid(database: Database, key: str, now: datetime) -> int:
    async def work(tx: Transaction) -> int:
        paid = await ledger.repay(tx, SITE, PLAYER, "KZT", source="payments", key=key, at=now)
        return paid.minor

    return await database.retried(work)


@pytest.mark.parametrize(
    ("cash", "parts", "left", "owed"), [(500, [300], 200, 0), (300, [300], 0, 0), (100, [100, 200], 0, 200)]
)
async def test_cash_first_and_the_rest_is_owed(
    database: Database, now: datetime, cash: int, parts: list[int], left: int, owed: int
) -> None:
    await posted(database, [deposit("d", cash)], now)
    assert await taken(database, demand(300), now) == parts
    assert await balance(database, CASH) == left
    assert await balance(database, DEBT) == -owed
    assert await balance(database, CLEARING) == 300 - cash
    async with database.reading() as reader:
        assert await ledger.debt(reader, SITE, PLAYER, "KZT") == kzt(owed)
    await invariants.hold(database)


async def test_who_has_nothing_owes_everything_and_once(database: Database, now: datetime) -> None:
    assert await taken(database, demand(300), now) == [300]
    assert await taken(database, demand(300), now) == []
    await posted(database, [deposit("d", 500)], now)
    assert await taken(database, demand(300), now) == []
    assert await balance(database, DEBT) == -300
    await invariants.hold(database)


async def test_a_debt_is_repaid_as_far_as_the_cash_goes(database: Database, now: datetime) -> None:
    await taken(database, demand(300), now)
    assert await repaid(database, "r0", now) == 0
    await posted(database, [deposit("d1", 100)], now)
    assert await repaid(database, "r1", now) == 100
    await posted(database, [deposit("d2", 1_000)], now)
    assert await repaid(database, "r2", now) == 200
    assert await repaid(database, "r3", now) == 0
    assert (await balance(database, CASH), await balance(database, DEBT)) == (800, 0)
    await invariants.hold(database)


async def test_what_comes_back_pays_the_debt_first_and_once(database: Database, now: datetime) -> None:
    await taken(database, demand(300), now)
    assert await given(database, demand(500, "won", "CHARGEBACK"), now) == [300, 200]
    assert await given(database, demand(500, "won", "CHARGEBACK"), now) == []
    assert (await balance(database, CASH), await balance(database, DEBT)) == (200, 0)
    assert await given(database, demand(50, "again", "PAYOUT"), now) == [50]
    assert await balance(database, CASH) == 250
    await invariants.hold(database)


async def test_twenty_at_once_take_once_and_no_balance_is_below_nothing(
    database: Database, now: datetime
) -> None:
    await posted(database, [deposit("d", 1_000)], now)
    same = [taken(database, demand(150), now) for _ in range(10)]
    others = [taken(database, demand(150, f"late-{number}"), now) for number in range(10)]
    parts = await asyncio.gather(*same, *others)
    assert sum(map(sum, parts)) == 11 * 150
    assert (await balance(database, CASH), await balance(database, DEBT)) == (0, 1_000 - 11 * 150)
    await invariants.hold(database)
