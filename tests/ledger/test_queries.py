"""Balances now and then, and statements."""

import itertools
from datetime import datetime, timedelta

from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.ledger import queries
from app.plumbing.database import Database
from tests.ledger.examples import CASH, HELD, SITE, deposit, holding, kzt, posted


async def test_the_balance_of_any_instant(database: Database, clock: MovableClock) -> None:
    begun = clock.now()
    for key in "abc":
        clock.advance(60)
        await posted(database, [deposit(key, 100)], clock.now())
    async with database.reading() as reader:
        told = [
            (await ledger.balance_at(reader, SITE, CASH, begun + timedelta(seconds=seconds))).minor
            for seconds in (0, 59.999999, 60, 119, 120, 180, 9999)
        ]
    assert told == [0, 0, 100, 100, 200, 300, 300]


async def test_the_balance_of_an_instant_is_found_by_halving(
    database: Database, owner_database: Database, now: datetime
) -> None:
    await posted(database, [deposit(f"k{number}", 1) for number in range(300)], now)
    await posted(database, [deposit(f"l{number}", 1) for number in range(300)], now + timedelta(seconds=1))
    async with database.reading() as reader:
        assert await ledger.balance_at(reader, SITE, CASH, now) == kzt(300)
    # How often a table's indexes were asked by this very transaction.
    probes = text("SELECT pg_stat_get_xact_numscans('pk_entry'::regclass)")
    async with owner_database.transaction() as tx:
        before = await tx.scalar(probes)
        assert await ledger.balance_at(tx, SITE, CASH, now + timedelta(days=1)) == kzt(600)
        assert 0 < await tx.scalar(probes) - before <= 11


async def test_an_account_that_was_never_opened_holds_nothing(database: Database, now: datetime) -> None:
    async with database.reading() as reader:
        assert await ledger.balance(reader, SITE, CASH) == kzt(0)
        assert await ledger.balance_at(reader, SITE, CASH, now) == kzt(0)
        assert await ledger.account_statement(reader, SITE, CASH) == []
        assert await queries.sites(reader) == []


async def test_every_account_of_an_owner(database: Database, now: datetime) -> None:
    await posted(database, [deposit("a", 100)], now)
    async with database.transaction() as tx:
        await ledger.hold(tx, SITE, holding("h", 30), at=now)
    async with database.reading() as reader:
        assert await ledger.balances(reader, SITE, CASH.owner) == {CASH: kzt(70), HELD: kzt(30)}


async def test_a_statement_is_paged_by_version_and_chains(database: Database, now: datetime) -> None:
    await posted(
        database, [deposit(f"k{number}", number, because=f"dep_{number}") for number in range(1, 8)], now
    )
    pages = []
    after = 0
    async with database.reading() as reader:
        while lines := await ledger.account_statement(reader, SITE, CASH, after_version=after, limit=3):
            pages.append(lines)
            after = lines[-1].version
    assert [len(page) for page in pages] == [3, 3, 1]
    lines = [line for page in pages for line in page]
    assert [line.because for line in lines] == [f"dep_{number}" for number in range(1, 8)]
    assert {line.kind for line in lines} == {"deposit.to_player"}
    for before, line in itertools.pairwise(lines):
        assert line.balance_after == before.balance_after + line.amount


async def test_sites_are_found_one_by_one(database: Database, now: datetime) -> None:
    for site_id in (900, 3, 41):
        await posted(database, [deposit("a"), deposit("b", player="plr_b")], now, site_id=site_id)
    async with database.reading() as reader:
        assert list(await queries.sites(reader)) == [3, 41, 900]
