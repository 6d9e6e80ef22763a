"""The database refuses by itself: direct SQL as the application's role, past every line of Python."""

from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app import ledger
from app.ledger import chart
from app.ledger.tables import movements
from app.plumbing.database import Database, Transaction
from tests import invariants
from tests.ledger.examples import CASH, SITE, balance, deposit, holding, posted

DENIED = "permission denied"

# A well-formed posting of 40 by hand; each attack changes one thing.
HONEST = {
    "kind": "deposit.to_player",
    "outcome": "posted",
    "currency": "KZT",
    "source_purpose": "provider_clearing",
    "target_purpose": "player_cash",
    "amount": 40,
    "source_amount": -40,
    "target_amount": 40,
    "target_currency": "KZT",
    "target_gains": 40,
    "at": "timestamptz '2026-11-21T12:00:01Z'",
    "version_step": 1,
    "write_target": "true",
    "move_target": "true",
}
BY_HAND = """
WITH s AS (SELECT * FROM account WHERE site_id = 7 AND purpose = '{source_purpose}' AND currency = 'KZT'),
g AS (SELECT * FROM account WHERE site_id = 7 AND purpose = '{target_purpose}' AND currency = 'KZT'),
t AS (
  INSERT INTO transfer (site_id, transfer_id, source, key, kind, outcome, fingerprint, amount_minor, currency,
    source_account_id, source_version, source_balance_minor,
    target_account_id, target_version, target_balance_minor, because, actor, recorded_at)
  SELECT 7, 1000000, 'attack', 'a', '{kind}', '{outcome}', '\\x00', {amount}, '{currency}',
    s.account_id, s.version + 1, s.balance_minor + {source_amount},
    g.account_id, g.version + {version_step}, g.balance_minor + {target_gains}, 'attack', 'attacker', {at}
    FROM s, g),
m AS (
  UPDATE account a SET moved_at = {at},
    version = a.version + (CASE a.account_id WHEN g.account_id THEN {version_step} ELSE 1 END),
    balance_minor = a.balance_minor
      + (CASE a.account_id WHEN g.account_id THEN {target_gains} ELSE {source_amount} END)
   FROM s, g
  WHERE a.site_id = 7 AND (a.account_id = s.account_id OR a.account_id = g.account_id AND {move_target}))
INSERT INTO entry (site_id, account_id, account_version, transfer_id, amount_minor, currency,
  balance_after_minor, recorded_at)
SELECT 7, s.account_id, s.version + 1, 1000000, {source_amount}, 'KZT',
  s.balance_minor + {source_amount}, {at}
  FROM s
UNION ALL
SELECT 7, g.account_id, g.version + {version_step}, 1000000, {target_amount}, '{target_currency}',
  g.balance_minor + {target_gains}, {at} FROM g WHERE {write_target}
"""


@pytest.fixture(autouse=True)
async def some_money(database: Database, now: datetime) -> None:
    await posted(database, [deposit("honest", 500)], now)
    async with database.transaction() as tx:
        await ledger.hold(tx, SITE, holding("h", 50), at=now)


async def attack(database: Database, statement: str) -> str:
    """Try it, commit and all; what the database said, or nothing when it let it pass."""
    try:
        async with database.transaction() as tx:
            await tx.execute(text(statement))
    except DBAPIError as error:
        return str(error.orig)
    return ""


async def test_the_honest_posting_by_hand_passes(database: Database) -> None:
    assert await attack(database, BY_HAND.format_map(HONEST)) == ""
    assert await balance(database, CASH) == 490
    await invariants.hold(database)


CROOKED: list[tuple[dict[str, object], str]] = [
    ({"target_amount": 41}, "sum to 1 KZT, not to zero"),
    ({"write_target": "false"}, "sum to -40 KZT, not to zero"),
    ({"target_currency": "USD"}, "not to zero"),
    ({"currency": "USD"}, "currency is not that of its account and transfer"),
    ({"kind": "gift"}, "movement does not say so"),
    ({"source_purpose": "player_held"}, "movement does not say so"),
    ({"kind": "hold.place"}, "movement does not say so"),
    ({"outcome": "insufficient_funds"}, "its transfer was refused"),
    ({"outcome": "conflict"}, "ck_transfer_is_final"),
    ({"outcome": "stolen"}, "ck_transfer_outcome"),
    ({"amount": 39}, "movement does not say so"),
    ({"target_gains": 1000}, "does not continue its account"),
    ({"version_step": 2}, "does not continue its account"),
    ({"version_step": 0}, "duplicate key"),
    ({"at": "timestamptz '2020-01-01'"}, "back-dated"),
    ({"move_target": "false"}, "its account was not moved along"),
    (
        {"amount": -40, "source_amount": 40, "target_amount": -40, "target_gains": -40},
        "ck_transfer_amount",
    ),
]


async def test_a_crooked_posting_is_refused(database: Database) -> None:
    for change, said in CROOKED:
        assert said in await attack(database, BY_HAND.format_map(HONEST | change)), change
    assert await balance(database, CASH) == 450
    await invariants.hold(database)


async def test_an_account_never_goes_under_its_floor(database: Database) -> None:
    below: dict[str, object] = {
        "kind": "hold.place",
        "source_purpose": "player_cash",
        "target_purpose": "player_held",
        "amount": 451,
        "source_amount": -451,
        "target_amount": 451,
        "target_gains": 451,
    }
    assert "ck_account_floor" in await attack(database, BY_HAND.format_map(HONEST | below))
    whole = {name: -450 if value == -451 else 450 if value == 451 else value for name, value in below.items()}
    assert await attack(database, BY_HAND.format_map(HONEST | whole)) == ""


async def test_what_is_written_stays(database: Database, owner_database: Database) -> None:
    for table in ("entry", "transfer", "seal", "account", "hold", "movement"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608  constants
            assert DENIED in await attack(database, statement)
            if table != "movement":
                assert "append-only" in await attack(owner_database, statement)


FORBIDDEN = (
    "UPDATE entry SET amount_minor = amount_minor * 2",
    "UPDATE transfer SET outcome = 'posted'",
    "UPDATE seal SET head = head",
    "UPDATE account SET floor_minor = NULL",
    "UPDATE account SET owner = 'thief'",
    "UPDATE movement SET target_purpose = 'player_cash'",
    "INSERT INTO movement VALUES ('gift', 'house_gaming', 'player_cash')",
    """
    INSERT INTO account (site_id, owner, purpose, currency, floor_minor, balance_minor, opened_at, moved_at)
    VALUES (7, 'thief', 'player_cash', 'KZT', 0, 1000, now(), now())
    """,
    "INSERT INTO transfer (site_id, transfer_id, recorded_in) VALUES (7, 5, 1)",
    "UPDATE hold SET amount_minor = 1",
    "ALTER TABLE entry DISABLE TRIGGER ALL",
    "DROP TRIGGER entries_agree ON entry",
)


async def test_the_role_may_not(database: Database) -> None:
    for statement in FORBIDDEN:
        said = await attack(database, statement)
        assert DENIED in said or "must be owner" in said, statement


async def test_a_balance_moves_only_with_its_entries(database: Database) -> None:
    for statement in (
        "UPDATE account SET balance_minor = balance_minor + 1000 WHERE purpose = 'player_cash'",
        "UPDATE account SET version = version + 1",
        """
        UPDATE account SET version = 1, balance_minor = 500, moved_at = '2026-11-21T12:00Z'
         WHERE purpose = 'player_cash'
        """,
    ):
        assert "its entries do not say so" in await attack(database, statement), statement


async def test_a_second_pair_of_entries_for_an_old_transfer_is_refused(database: Database) -> None:
    said = await attack(
        database,
        """
        WITH t AS (SELECT *, recorded_at AS at FROM transfer WHERE kind = 'deposit.to_player'),
        d AS (SELECT source_account_id AS id, -500 AS gain, t.* FROM t
              UNION ALL SELECT target_account_id, 500, t.* FROM t),
        m AS (
          UPDATE account a SET version = a.version + 1, moved_at = at, balance_minor = a.balance_minor + gain
            FROM d WHERE a.account_id = id)
        INSERT INTO entry
        SELECT 7, id, a.version + 1, d.transfer_id, gain, 'KZT', a.balance_minor + gain, at
          FROM d JOIN account a ON a.account_id = id
        """,
    )
    assert "its transfer or the movement does not say so" in said


ANOTHER = """
INSERT INTO transfer (site_id, transfer_id, source, key, kind, outcome, fingerprint, amount_minor, currency,
  source_account_id, source_version, source_balance_minor,
  target_account_id, target_version, target_balance_minor, because, actor, recorded_at)
SELECT site_id, 99999, source, 'other', '{kind}', '{outcome}', fingerprint, amount_minor, currency,
  source_account_id, source_version + 9, 0, target_account_id, target_version + 9, 0, because, actor, now()
  FROM transfer LIMIT 1
"""


async def test_a_posted_transfer_needs_its_entries(database: Database) -> None:
    said = await attack(database, ANOTHER.format(kind="deposit.to_player", outcome="posted"))
    assert "posted without its entries" in said


async def test_even_a_refusal_is_of_a_declared_movement(database: Database) -> None:
    assert "fk_transfer_kind" in await attack(
        database, ANOTHER.format(kind="gift", outcome="insufficient_funds")
    )
    assert await attack(database, ANOTHER.format(kind="hold.place", outcome="insufficient_funds")) == ""


@pytest.mark.parametrize("floor", ["NULL", "-1"])
async def test_an_account_of_a_player_has_a_floor(database: Database, floor: str) -> None:
    said = await attack(
        database,
        "INSERT INTO account (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at) "  # noqa: S608
        f"VALUES (7, 'plr_new', 'player_cash', 'KZT', {floor}, now(), now())",
    )
    assert "ck_account_player_floor" in said


async def test_a_temporary_table_cannot_stand_in_for_a_real_one(database: Database) -> None:
    crooked = BY_HAND.format_map(HONEST | {"kind": "gift"})

    async def work(tx: Transaction) -> None:
        await tx.execute(text("CREATE TEMP TABLE movement AS SELECT 'gift' AS kind"))
        await tx.execute(text("CREATE TEMP TABLE entry (LIKE public.entry) "))
        await tx.execute(text(crooked))

    with pytest.raises(DBAPIError, match="its entries do not say so"):
        await database.retried(work)


async def test_what_is_held_is_never_resolved_twice(database: Database) -> None:
    assert "ck_hold_resolved_once" in await attack(
        database, "UPDATE hold SET captured_minor = 30, released_minor = 30"
    )
    assert "ck_hold_parts" in await attack(
        database, "UPDATE hold SET captured_minor = 60, released_minor = -10"
    )


async def test_the_chart_and_its_table_are_the_same(database: Database) -> None:
    async with database.reading() as reader:
        rows = {tuple(row) for row in await reader.all(select(movements))}
    assert rows == {(m.kind, m.source.value, m.target.value) for m in chart.MOVEMENTS.values()}
