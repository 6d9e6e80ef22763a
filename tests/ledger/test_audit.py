"""Each invariant finds what is planted for it, by the database's owner with the guards switched off."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import pytest
from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.ledger import audit, chart
from app.plumbing.database import Database, Reader, Transaction, engine
from tests import invariants
from tests.ledger.examples import SITE, corrupting, deposit, holding, kzt, moving, posted, settled, undone

Corrupt = Callable[..., Awaitable[None]]


@pytest.fixture(autouse=True)
async def a_day_of_trade(database: Database, now: datetime) -> None:
    await posted(database, [deposit(f"d{number}", 100) for number in range(5)], now)
    await posted(
        database, [moving("refused", chart.HOLD_PLACE, 10_000), deposit("b", 7, player="plr_b")], now
    )
    async with database.transaction() as tx:
        held = await ledger.hold(tx, SITE, holding("h", 60), at=now)
    assert isinstance(held, ledger.Hold)
    async with database.transaction() as tx:
        await ledger.capture(tx, held, provider="sandbox", because="x", at=now, amount=kzt(35))


@pytest.fixture
def corrupt(owner_database: Database) -> Corrupt:
    async def run(*statements: str) -> None:
        async with owner_database.transaction() as tx:
            await corrupting(tx, statements)

    return run


async def checked(database: Database, *, full: bool = False) -> ledger.Report:
    await settled(database)

    async def work(tx: Transaction) -> ledger.Report:
        return await ledger.checkpoint(tx, full=full)

    return await database.retried(work)


async def sealed(database: Database, at: datetime, site_id: int = SITE) -> None:
    await settled(database)
    async with database.transaction() as tx:
        while await ledger.seal(tx, site_id, at=at, limit=3) is not None:
            pass


def named(report: ledger.Report) -> set[str]:
    return {violation.invariant for violation in report.violations}


COPY = """
INSERT INTO transfer SELECT site_id, 1000000, source, {key}, kind, outcome, fingerprint, amount_minor,
  currency, source_account_id, source_version, source_balance_minor, target_account_id, target_version,
  target_balance_minor, because, actor, recorded_at, (pg_current_xact_id()::text)::bigint
  FROM transfer WHERE key = 'd4'
"""
# {cash} is the player's account, {last} picks its last entry.
ANNA = "owner = 'plr_anna' AND purpose = 'player_cash'"
NAMES = {
    "cash": f"(SELECT account_id FROM account WHERE {ANNA})",  # noqa: S608  our own words
    "last": f"(account_id, account_version) = (SELECT account_id, version FROM account WHERE {ANNA})",  # noqa: S608
}
CORRUPTIONS = {
    "a key twice": (
        "I2",
        "ALTER TABLE transfer DROP CONSTRAINT uq_transfer_site_id_source_key",
        COPY.format(key="key"),
    ),
    "an entry twice": (
        "I2",
        """
        INSERT INTO entry SELECT site_id, account_id, account_version + 1, transfer_id, amount_minor,
          currency, balance_after_minor + amount_minor, recorded_at
          FROM entry WHERE {last}
        """,
        "UPDATE account SET version = version + 1 WHERE account_id = {cash}",
    ),
    "a refusal with an entry": (
        "I2",
        """
        UPDATE account SET version = version + 1, balance_minor = balance_minor + 5 WHERE account_id = {cash}
        """,
        """
        INSERT INTO entry SELECT 7, account_id, version,
          (SELECT transfer_id FROM transfer WHERE key = 'refused'), 5,
          'KZT', balance_minor, moved_at FROM account WHERE account_id = {cash}
        """,
    ),
    "one side larger": ("I3", "UPDATE entry SET amount_minor = amount_minor + 1 WHERE {last}"),
    "another currency": ("I3", "UPDATE entry SET currency = 'USD' WHERE {last}"),
    "an undeclared movement": (
        "I3",
        "ALTER TABLE transfer DROP CONSTRAINT ck_transfer_kind",
        "UPDATE transfer SET kind = 'gift' WHERE key = 'd4'",
    ),
    "a movement from another purpose": (
        "I3",
        "UPDATE transfer SET kind = 'wallet.win_cash' WHERE key = 'd4'",
    ),
    "a movement to another purpose": ("I3", "UPDATE transfer SET kind = 'wallet.bet_cash' WHERE key = 'h'"),
    "a transfer without entries": (
        "I3",
        COPY.format(key="'new'"),
        "UPDATE transfer SET source_version = 900 WHERE key = 'new'",
    ),
    "an entry without its transfer": ("I3", "DELETE FROM transfer WHERE key = 'h'"),
    "a raised balance": (
        "I4",
        "UPDATE account SET balance_minor = balance_minor + 1 WHERE account_id = {cash}",
    ),
    "an account gone": ("I4", "DELETE FROM account WHERE owner = 'plr_b'"),
    "under the floor": (
        "I5",
        "ALTER TABLE account DROP CONSTRAINT ck_account_floor",
        "UPDATE account SET balance_minor = -1 WHERE owner = 'plr_b'",
    ),
    "no floor": (
        "I5",
        "ALTER TABLE account DROP CONSTRAINT ck_account_player_floor",
        "UPDATE account SET floor_minor = NULL WHERE owner = 'plr_b'",
    ),
    "a debt that is a gift": (
        "I5",
        "ALTER TABLE account DROP CONSTRAINT ck_account_debt_ceiling",
        "UPDATE account SET purpose = 'player_debt', floor_minor = NULL WHERE owner = 'plr_b'",
    ),
    "a hold that holds nothing": ("I5", "UPDATE hold SET released_minor = amount_minor - captured_minor"),
    "a gap": ("I6", "UPDATE entry SET account_version = account_version + 1 WHERE {last}"),
    "a broken chain": ("I6", "UPDATE entry SET balance_after_minor = balance_after_minor + 1 WHERE {last}"),
    "the last entry cut off": ("I6", "DELETE FROM entry WHERE {last}"),
}
# What no look at the news can see: a change of an entry that was verified before.
ONLY_FULL = {
    "one side larger",
    "another currency",
    "an entry without its transfer",
    "an undeclared movement",
    "a movement from another purpose",
    "a movement to another purpose",
}


async def planted(owner: Database, statements: Sequence[str]) -> tuple[set[str], set[str]]:
    """What a full look and a look at the news find; then everything is as it was."""

    async def work(tx: Transaction) -> tuple[set[str], set[str]]:
        await corrupting(tx, [statement.format_map(NAMES) for statement in statements])
        return named(await ledger.verify(tx, full=True)), named(await ledger.verify(tx))

    return await undone(owner, work)


async def test_an_honest_ledger_has_no_violation(database: Database, now: datetime) -> None:
    await sealed(database, now)
    report = await invariants.hold(database)
    assert report.checked == {"I2": 9, "I3": 9, "I4": 4, "I5": 4, "I6": 16, "I9": 9}
    assert set(invariants.ALL) - {"I1"} == set(report.checked)


async def test_each_planted_corruption_is_found(owner_database: Database) -> None:
    for name, (invariant, *statements) in CORRUPTIONS.items():
        for found in await planted(owner_database, statements):
            assert invariant in found, name


async def test_also_behind_the_verified_point(database: Database, owner_database: Database) -> None:
    assert (await checked(database)).ok
    for name, (invariant, *statements) in CORRUPTIONS.items():
        full, news = await planted(owner_database, statements)
        assert invariant in full, name
        assert news or name in ONLY_FULL, name


async def test_a_faulty_site_is_not_remembered_as_verified(database: Database, corrupt: Corrupt) -> None:
    await corrupt("UPDATE entry SET amount_minor = amount_minor + 1 WHERE account_version = 2")
    for _ in range(2):
        assert {"I3", "I4", "I6"} <= named(await checked(database))


async def test_an_account_turned_back_with_its_entries_is_found(database: Database, corrupt: Corrupt) -> None:
    assert (await checked(database)).ok
    await corrupt(
        "DELETE FROM entry WHERE transfer_id = (SELECT transfer_id FROM transfer WHERE key = 'b')",
        "DELETE FROM transfer WHERE key = 'b'",
        """
        UPDATE account a SET version = version - 1, balance_minor = coalesce((
          SELECT balance_after_minor FROM entry e
           WHERE e.account_id = a.account_id AND e.account_version = a.version - 1), 0)
         WHERE version > coalesce((
           SELECT max(account_version) FROM entry e WHERE e.account_id = a.account_id), 0)
        """,
    )
    assert "I6" in named(await checked(database))


async def test_an_old_row_is_found_by_the_full_look_only(database: Database, corrupt: Corrupt) -> None:
    assert (await checked(database)).ok
    await corrupt("UPDATE entry SET amount_minor = amount_minor + 1 WHERE account_version = 2")
    assert (await checked(database)).ok
    assert {"I3", "I4", "I6"} <= named(await checked(database, full=True))


async def test_only_the_news_are_looked_at(database: Database, clock: MovableClock) -> None:
    assert (await checked(database)).checked["I6"] == 16
    assert (await checked(database)).checked["I6"] == 0
    await posted(database, [deposit("new", 5)], clock.now())
    report = await checked(database)
    assert (report.checked["I2"], report.checked["I6"]) == (1, 2)
    assert (await checked(database, full=True)).checked["I6"] == 18


async def test_a_fault_at_one_site_is_named_and_the_others_go_on(
    database: Database, corrupt: Corrupt, now: datetime
) -> None:
    await posted(database, [deposit("a", 5)], now, site_id=8)
    await corrupt(
        "UPDATE account SET balance_minor = balance_minor + 1 WHERE site_id = 7 AND owner = 'plr_b'"
    )
    report = await checked(database)
    assert {violation.site_id for violation in report.violations} == {SITE}
    assert "holds 8, its entries sum to 7" in report.violations[0].what
    assert (await checked(database)).checked["I6"] == 16


async def test_an_answer_that_was_given_must_stand(
    database: Database, corrupt: Corrupt, now: datetime
) -> None:
    answers = await posted(database, [deposit("d0", 100), deposit("x", 1)], now)
    async with database.reading() as reader:
        assert await invariants.i1(reader, SITE, answers) is None
    await corrupt("DELETE FROM transfer WHERE key = 'x'")
    async with database.reading() as reader:
        assert "x" in str(await invariants.i1(reader, SITE, answers))


async def test_what_is_posted_during_a_look_is_left_for_the_next(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile(_: Reader, __: object) -> tuple[int, None]:
        elsewhere = posted(database, [deposit("meanwhile", 5)], now)
        await asyncio.create_task(elsewhere, context=contextvars.Context())
        return 0, None

    with monkeypatch.context() as patch:
        patch.setattr(audit, "INVARIANTS", {**audit.INVARIANTS, "I9": meanwhile})
        assert (await checked(database)).ok
    report = await checked(database)
    assert (report.checked["I2"], report.checked["I6"]) == (1, 2)


async def test_a_large_ledger_has_the_time_that_it_takes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may take longer for a statement of it than it may for a player's; nobody calls it lost."""
    monkeypatch.setattr(engine, "ANSWER_SECONDS", 0.3)

    async def slow(reader: Reader, **_: object) -> ledger.Report:
        await reader.all(text("SELECT pg_sleep(0.6)"))
        return ledger.Report({}, [], {})

    monkeypatch.setattr(audit, "verify", slow)
    assert (await ledger.verified(database, full=True)).ok
