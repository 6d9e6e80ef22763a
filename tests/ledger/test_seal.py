"""The hash chain: every change of what was sealed is found, and nothing in flight is ever left out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import text

from app import ledger
from app.ledger import chart, queries
from app.ledger.audit import CounterWentBack
from app.ledger.model import Seal
from app.ledger.rules import NO_SEAL
from app.plumbing.database import Database, Transaction
from tests.ledger.examples import SITE, corrupting, deposit, moving, posted, settled, undone

Corrupt = Callable[..., Awaitable[None]]


@pytest.fixture(autouse=True)
async def ten_transfers(database: Database, now: datetime) -> None:
    await posted(database, [deposit(f"d{number}", 100) for number in range(9)], now)
    await posted(database, [moving("refused", chart.HOLD_PLACE, 10_000)], now)


@pytest.fixture
def corrupt(owner_database: Database) -> Corrupt:
    async def run(*statements: str) -> None:
        async with owner_database.transaction() as tx:
            await corrupting(tx, statements)

    return run


async def sealed(database: Database, at: datetime, *, waiting: bool = True) -> list[Seal]:
    if waiting:
        await settled(database)
    made: list[Seal] = []
    while True:
        async with database.transaction() as tx:
            link = await ledger.seal(tx, SITE, at=at, limit=4)
        if link is None:
            return made
        made.append(link)


async def fault(database: Database, *, full: bool = True, anchor: Seal | None = None) -> str | None:
    async with database.reading() as reader:
        report = await ledger.verify(reader, full=full, anchors={SITE: anchor} if anchor else None)
    return next((violation.what for violation in report.violations if violation.invariant == "I9"), None)


async def lag(database: Database) -> int:
    async with database.reading() as reader:
        return (await ledger.seal_lag(reader, SITE)).rows


async def test_everything_is_sealed_refusals_too(database: Database, now: datetime) -> None:
    assert await lag(database) == 10
    links = await sealed(database, now)
    assert [link.number for link in links] == [1, 2, 3]
    assert await lag(database) == 0
    assert await fault(database) is None
    async with database.reading() as reader:
        assert await queries.last_seal(reader, SITE) == links[-1]
        assert await queries.last_seal(reader, SITE + 1) == NO_SEAL


async def test_the_lag_tells_the_oldest(database: Database, now: datetime) -> None:
    async with database.reading() as reader:
        assert (await ledger.seal_lag(reader, SITE)).oldest_at == now
    await sealed(database, now)
    async with database.reading() as reader:
        assert (await ledger.seal_lag(reader, SITE)).oldest_at is None


CHANGES = (
    "UPDATE transfer SET amount_minor = amount_minor + 1 WHERE key = 'd3'",
    "UPDATE transfer SET actor = 'somebody' WHERE key = 'd3'",
    "UPDATE transfer SET because = 'dep_9' WHERE key = 'd0'",
    "UPDATE transfer SET recorded_at = recorded_at + interval '1 microsecond' WHERE key = 'd8'",
    "UPDATE transfer SET outcome = 'balance_limit_reached' WHERE key = 'refused'",
    "UPDATE entry SET amount_minor = amount_minor + 1 WHERE account_version = 5",
    "UPDATE entry SET recorded_at = recorded_at + interval '1 second' WHERE account_version = 5",
    "UPDATE account SET owner = 'thief' WHERE purpose = 'player_cash'",
    "DELETE FROM transfer WHERE key = 'refused'",
    "DELETE FROM entry WHERE account_version = 9",
    """
    INSERT INTO transfer SELECT site_id, transfer_id + 500, source, 'forged', kind, outcome, fingerprint,
      amount_minor, currency, source_account_id, source_version, source_balance_minor, target_account_id,
      target_version, target_balance_minor, because, actor, recorded_at, recorded_in
      FROM transfer WHERE key = 'd3'
    """,
    "UPDATE transfer SET transfer_id = 100 - transfer_id",
    "UPDATE seal SET head = sha256(head) WHERE number = 3",
    "UPDATE seal SET row_count = row_count - 1 WHERE number = 2",
    "DELETE FROM seal WHERE number = 2",
    "DELETE FROM seal WHERE number = 1",
    "TRUNCATE transfer CASCADE",
)


async def test_a_change_of_what_was_sealed_is_found(
    database: Database, owner_database: Database, now: datetime
) -> None:
    await sealed(database, now)
    assert await fault(database) is None
    for change in CHANGES:

        async def work(tx: Transaction, change: str = change) -> set[str]:
            await corrupting(tx, [change])
            report = await ledger.verify(tx, full=True)
            return {violation.invariant for violation in report.violations}

        assert "I9" in await undone(owner_database, work), change
    assert await fault(database) is None


@pytest.mark.parametrize("known_by", ["verified point", "anchor"])
async def test_a_chain_cut_off_with_its_transfers_is_found(
    database: Database, corrupt: Corrupt, now: datetime, known_by: str
) -> None:
    links = await sealed(database, now)
    if known_by == "verified point":
        async with database.transaction() as tx:
            assert (await ledger.checkpoint(tx)).ok
    await corrupt(
        "DELETE FROM seal WHERE number > 1",
        "DELETE FROM transfer WHERE transfer_id > (SELECT last_transfer_id FROM seal)",
        "DELETE FROM entry WHERE transfer_id NOT IN (SELECT transfer_id FROM transfer)",
    )
    anchor = links[-1] if known_by == "anchor" else None
    for full in (True, False):
        assert "is gone" in str(await fault(database, full=full, anchor=anchor))


async def test_only_new_seals_are_looked_at_after_a_verified_point(
    database: Database, corrupt: Corrupt, now: datetime
) -> None:
    await sealed(database, now)
    async with database.transaction() as tx:
        assert (await ledger.checkpoint(tx)).checked["I9"] == 10
    await posted(database, [deposit("new", 1)], now)
    await sealed(database, now)
    async with database.transaction() as tx:
        assert (await ledger.checkpoint(tx)).checked["I9"] == 1
    await corrupt("UPDATE transfer SET actor = 'somebody' WHERE key = 'd3'")
    assert await fault(database, full=False) is None
    assert "transfers 1 to 4" in str(await fault(database))


async def test_rows_in_flight_are_waited_for_and_then_sealed(database: Database, now: datetime) -> None:
    await sealed(database, now)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction) -> None:
        await ledger.post(
            tx, SITE, [replace(deposit("slow", 1, player="plr_slow"), source_owner="other")], at=now
        )
        entered.set()
        await leave.wait()

    writing = asyncio.create_task(database.retried(slow))
    await entered.wait()
    await posted(database, [deposit("fast", 1)], now)  # later number, committed first
    assert await sealed(database, now, waiting=False) == []
    assert await lag(database) == 1
    leave.set()
    await writing
    await sealed(database, now)
    assert await lag(database) == 0
    async with database.reading() as reader:
        counted = await reader.scalar(text("SELECT sum(row_count) FROM seal"))
    assert counted == 12
    assert await fault(database) is None


async def test_sealing_while_many_write_misses_nothing(database: Database, now: datetime) -> None:
    async def write(number: int) -> None:
        for step in range(10):
            wish = deposit(f"w{number}.{step}", 1, player=f"plr_{number}")
            await posted(database, [replace(wish, source_owner=f"prov_{number}")], now)

    async def keep_sealing(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await sealed(database, now, waiting=False)

    stop = asyncio.Event()
    sealing = [asyncio.create_task(keep_sealing(stop)) for _ in range(2)]
    await asyncio.gather(*(write(number) for number in range(8)))
    stop.set()
    await asyncio.gather(*sealing)
    await sealed(database, now)
    async with database.reading() as reader:
        assert await reader.scalar(text("SELECT sum(row_count) FROM seal")) == 90
    assert await fault(database) is None


async def test_a_counter_that_went_back_is_not_sealed_over(
    database: Database, corrupt: Corrupt, now: datetime
) -> None:
    await sealed(database, now)
    await corrupt("UPDATE seal SET last_recorded_in = 1000000000 WHERE number = 3")
    with pytest.raises(CounterWentBack):
        await sealed(database, now)
