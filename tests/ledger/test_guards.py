"""The database refuses by itself: SQL as the application's role or the owner, past every line of Python."""

import re
from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app import ledger
from app.ledger import chart
from app.ledger.tables import movements
from app.plumbing.database import Database, SessionSettings, Transaction
from tests import invariants
from tests.ledger.examples import CASH, SITE, balance, deposit, holding, posted

DENIED = "permission denied"

# A well-formed call by hand that credits the player with 40; each attack changes one thing.
HONEST = {
    "site": "7",
    "at": "timestamptz '2026-11-21T12:00:01Z'",
    "sources": "'{attack}'",
    "actors": "'{attacker}'",
    "outcomes": "'{posted}'",
    "fingerprints": r"'{\\x00}'",
    "currencies": "'{KZT}'",
    "keys": "'{a}'",
    "kinds": "'{deposit.to_player}'",
    "amounts": "'{40}'",
    "source_ids": "ARRAY[[clearing]]",
    "target_ids": "ARRAY[[cash]]",
    "reasons": "'{attack}'",
}
IDS = {
    name: f"(SELECT account_id FROM account WHERE site_id = {site} AND purpose = '{purpose}')"  # noqa: S608  our own words
    for name, site, purpose in (
        ("clearing", 7, "provider_clearing"),
        ("cash", 7, "player_cash"),
        ("held", 7, "player_held"),
        ("debt", 7, "player_debt"),
        ("foreign", 8, "player_cash"),
    )
}


def by_hand(**change: str) -> str:
    """A direct call of the one function that writes."""
    call = f"SELECT ledger_write({', '.join((HONEST | change).values())})"
    for name, found in IDS.items():
        call = call.replace(f"[{name}]", found)
    return call


@pytest.fixture(autouse=True)
async def some_money(database: Database, now: datetime) -> None:
    await posted(database, [deposit("honest", 500)], now)
    await posted(database, [deposit("honest", 500)], now, site_id=8)
    async with database.transaction() as tx:
        await ledger.hold(tx, SITE, holding("h", 50), at=now)


async def attack(database: Database, statement: str) -> str:
    """Try it, commit and all; what the database said, or nothing when it let it pass."""
    try:
        async with database.transaction() as tx:
            await tx.execute(text(statement.replace(":", "\\:")))
    except DBAPIError as error:
        return str(error.orig)
    return ""


async def test_the_honest_call_by_hand_passes(database: Database) -> None:
    assert await attack(database, by_hand()) == ""
    assert await balance(database, CASH) == 490
    await invariants.hold(database)


LENGTHS = "arrays that are empty or of different lengths"
UNFIT = "its accounts are not of this site, its currency and what"
CROOKED = [
    ({"currencies": "'{USD}'"}, UNFIT),
    ({"kinds": "'{gift}'"}, UNFIT),
    ({"kinds": "'{NULL}'"}, UNFIT),
    ({"kinds": "'{hold.place}'"}, UNFIT),
    ({"kinds": "'{wallet.deposit}'"}, UNFIT),
    ({"source_ids": "ARRAY[[held]]"}, UNFIT),
    ({"target_ids": "ARRAY[[held]]"}, UNFIT),
    ({"target_ids": "ARRAY[[foreign]]"}, UNFIT),
    ({"target_ids": "ARRAY[[clearing]]"}, UNFIT),
    ({"target_ids": "ARRAY[999999]"}, UNFIT),
    ({"target_ids": "'{NULL}'"}, UNFIT),
    ({"site": "8"}, UNFIT),
    ({"site": "9"}, UNFIT),
    ({"outcomes": "'{insufficient_funds}'", "kinds": "'{gift}'"}, UNFIT),
    ({"outcomes": "'{conflict}'"}, "ck_transfer_is_final"),
    ({"outcomes": "'{stolen}'"}, "ck_transfer_outcome"),
    ({"outcomes": "'{NULL}'"}, "null value"),
    ({"amounts": "'{0}'"}, "ck_entry_amount"),
    ({"amounts": "'{-40}'"}, "ck_transfer_amount"),
    ({"amounts": "'{NULL}'"}, "null value"),
    ({"amounts": "'{1000000000000001}'"}, "ck_transfer_amount"),
    ({"amounts": "'{9223372036854775807}'"}, "out of range"),
    ({"keys": "'{NULL}'"}, "null value"),
    ({"keys": "ARRAY['']"}, "ck_transfer_key_length"),
    ({"keys": "'{honest}'", "sources": "'{payments}'"}, "uq_transfer_site_id_source_key"),
    ({"keys": "'{a,b}'"}, LENGTHS),
    ({"keys": "NULL"}, LENGTHS),
    ({"amounts": "'{}'"}, LENGTHS),
    ({"outcomes": "'{posted,posted}'"}, LENGTHS),
    ({"sources": "'{}'"}, LENGTHS),
    (
        dict.fromkeys(("keys", "kinds", "amounts", "source_ids", "target_ids", "reasons"), "'{}'"),
        LENGTHS,
    ),
]


async def test_a_crooked_call_is_refused(database: Database) -> None:
    for change, said in CROOKED:
        assert said in await attack(database, by_hand(**change)), change
    assert await balance(database, CASH) == 450
    await invariants.hold(database)


async def test_it_is_never_back_dated(database: Database, now: datetime) -> None:
    assert await attack(database, by_hand(at="timestamptz '2020-01-01'")) == ""
    async with database.reading() as reader:
        lines = await ledger.account_statement(reader, SITE, CASH)
    assert [line.recorded_at for line in lines] == [now, now, now]


async def test_an_account_never_goes_under_its_floor(database: Database) -> None:
    def taking(*amounts: int, kinds: str = "hold.place") -> str:
        many = len(amounts)
        back = kinds.split(",")
        sources = [("[cash]" if kind == "hold.place" else "[held]") for kind in back]
        targets = [("[held]" if kind == "hold.place" else "[cash]") for kind in back]
        return by_hand(
            keys=f"'{{{','.join('abc'[:many])}}}'",
            kinds=f"'{{{kinds}}}'",
            amounts=f"'{{{','.join(map(str, amounts))}}}'",
            source_ids=f"ARRAY[{','.join(sources)}]",
            target_ids=f"ARRAY[{','.join(targets)}]",
            reasons=f"'{{{','.join('x' * many)}}}'",
        )

    assert "under its floor" in await attack(database, taking(451))
    # Not even for a moment, and back in the same call.
    moment = taking(400, 51, 400, kinds="hold.place,hold.place,hold.release")
    assert "transfer b refused" in await attack(database, moment)
    assert await balance(database, CASH) == 450
    assert await attack(database, taking(400, 50, kinds="hold.place,hold.place")) == ""
    assert await balance(database, CASH) == 0


async def test_the_floor_stands_in_the_table_too(owner_database: Database) -> None:
    said = await attack(owner_database, "UPDATE account SET balance_minor = -1 WHERE purpose = 'player_cash'")
    assert "ck_account_floor" in said


async def test_no_entry_is_written_without_its_balance(database: Database, owner_database: Database) -> None:
    """An account that stays as it is, whatever the reason, refuses the whole batch."""
    stay = "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    stays = "CREATE TRIGGER stays BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION stay()"
    for statement in (stay, stays):
        assert await attack(owner_database, statement) == ""
    assert "not where it was locked" in await attack(database, by_hand())
    assert await attack(owner_database, "DROP TRIGGER stays ON account") == ""
    assert await balance(database, CASH) == 450


async def test_a_sum_beyond_bigint_is_refused(database: Database, owner_database: Database) -> None:
    full = "UPDATE account SET balance_minor = 9223372036854775800 WHERE purpose = 'player_cash'"
    assert await attack(owner_database, full) == ""
    assert "out of range" in await attack(database, by_hand())


async def test_entries_sum_to_zero_whoever_writes_them(owner_database: Database) -> None:
    def entries(*rows: tuple[int, int, str]) -> str:
        values = ", ".join(
            f"(7, {account}, 1000, 1000000, {minor}, '{currency}', {minor}, now())"
            for account, minor, currency in rows
        )
        return f"INSERT INTO entry VALUES {values}"  # noqa: S608  our own numbers

    for rows, said in (
        ([(1, -40, "KZT"), (2, 41, "KZT")], "sum to 1 KZT, not to zero"),
        ([(1, -40, "KZT")], "sum to -40 KZT, not to zero"),
        ([(1, -40, "KZT"), (2, 40, "USD")], "not to zero"),
        ([(1, -40, "KZT"), (2, 40, "KZT")], ""),
    ):
        found = await attack(owner_database, entries(*rows))
        assert said in found
        assert bool(said) == bool(found)


async def test_what_is_written_stays(database: Database, owner_database: Database) -> None:
    for table in ("entry", "transfer", "seal", "account", "hold", "movement"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608  constants
            assert DENIED in await attack(database, statement)
            if table != "movement":
                assert "append-only" in await attack(owner_database, statement)


async def test_what_is_written_is_never_changed(owner_database: Database) -> None:
    for statement in ("UPDATE entry SET amount_minor = 1", "UPDATE transfer SET actor = 'x'"):
        assert "append-only" in await attack(owner_database, statement)


FORBIDDEN = (
    "UPDATE entry SET amount_minor = amount_minor * 2",
    "UPDATE transfer SET outcome = 'posted'",
    "UPDATE seal SET head = head",
    "UPDATE account SET balance_minor = balance_minor + 1000 WHERE purpose = 'player_cash'",
    "UPDATE account SET version = version + 1",
    "UPDATE account SET moved_at = now()",
    "UPDATE account SET floor_minor = NULL",
    "UPDATE account SET owner = 'thief'",
    "SELECT FROM account FOR UPDATE",
    "UPDATE movement SET target_purpose = 'player_cash'",
    "INSERT INTO movement VALUES ('gift', 'house_gaming', 'player_cash')",
    """
    INSERT INTO account (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at)
    VALUES (7, 'thief', 'player_cash', 'KZT', 0, now(), now())
    """,
    "INSERT INTO transfer SELECT * FROM transfer",
    "INSERT INTO entry SELECT * FROM entry",
    "SELECT nextval('transfer_number')",
    "UPDATE hold SET amount_minor = 1",
    "ALTER TABLE entry DISABLE TRIGGER ALL",
    "DROP TRIGGER entries_sum_to_zero ON entry",
    "ALTER FUNCTION ledger_check_entries RESET ALL",
)


async def test_the_role_may_not(database: Database) -> None:
    for statement in FORBIDDEN:
        said = await attack(database, statement)
        assert DENIED in said or "must be owner" in said, statement


async def test_a_temporary_table_cannot_stand_in_for_a_real_one(database: Database) -> None:
    async def work(tx: Transaction) -> None:
        await tx.execute(
            text(
                "CREATE TEMP TABLE movement AS SELECT 'gift' AS kind, "
                "'provider_clearing' AS source_purpose, 'player_cash' AS target_purpose"
            )
        )
        await tx.execute(text("CREATE TEMP TABLE entry (LIKE public.entry)"))
        await tx.execute(text(by_hand(kinds="'{gift}'").replace(":", "\\:")))

    with pytest.raises(DBAPIError, match=UNFIT):
        await database.retried(work)


async def test_only_the_application_may_call_what_writes(clone_url: str) -> None:
    locking = (
        "SELECT ledger_lock(7, '{1}')",
        "SELECT ledger_open(7, '{x}', '{suspense}', '{KZT}', '{NULL}', now())",
        "SELECT ledger_lock_accounts(7, '{s}', '{k}', '{x}', '{suspense}', '{KZT}', '{NULL}', now())",
    )
    for role in ("cashier_reader", "cashier_auditor"):
        async with Database(clone_url, SessionSettings(role=role)) as other:
            for statement in (by_hand(), *locking):
                assert DENIED in await attack(other, statement)


async def test_a_new_account_is_empty_and_of_a_player_has_a_floor(database: Database) -> None:
    for floor in ("NULL", "-1"):
        said = await attack(
            database, f"SELECT ledger_open(7, '{{x}}', '{{player_cash}}', '{{KZT}}', '{{{floor}}}', now())"
        )
        assert "ck_account_player_floor" in said


async def test_a_debt_may_owe_and_is_never_more_than_repaid(database: Database) -> None:
    opening = "SELECT ledger_open(7, '{plr_anna}', '{player_debt}', '{KZT}', '{NULL}', now())"
    assert await attack(database, opening) == ""
    said = await attack(
        database,
        by_hand(kinds="'{debt.repay}'", source_ids="ARRAY[[cash]]", target_ids="ARRAY[[debt]]"),
    )
    assert "ck_account_debt_ceiling" in said


async def test_what_is_held_is_never_resolved_twice(database: Database) -> None:
    assert "ck_hold_resolved_once" in await attack(
        database, "UPDATE hold SET captured_minor = 30, released_minor = 30"
    )
    assert "ck_hold_parts" in await attack(
        database, "UPDATE hold SET captured_minor = 60, released_minor = -10"
    )


async def test_the_chart_its_table_and_the_check_are_the_same(database: Database) -> None:
    async with database.reading() as reader:
        rows = {tuple(row) for row in await reader.all(select(movements))}
        check = await reader.scalar(
            text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_transfer_kind'")
        )
    assert set(re.findall("'([^']+)'", check)) == set(chart.MOVEMENTS)
    assert rows == {(m.kind, m.source.value, m.target.value) for m in chart.MOVEMENTS.values()}
