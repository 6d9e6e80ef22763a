"""The migrations: up, nothing left to generate, down to nothing, and up again."""

import asyncio
import itertools
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from app.plumbing import schema
from app.plumbing.database import Database, SessionSettings, asyncpg_dsn, metadata
from tests.conftest import ROOT, URL, database_url

OBJECTS = """
SELECT 'relation ' || n.nspname || '.' || relname || ' ' || coalesce(relacl::text, '')
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('public', 'queue')
UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || atttypid::regtype || attnotnull
    || coalesce(attacl::text, '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
  WHERE nspname IN ('public', 'queue') AND NOT attisdropped AND relkind = 'r'
UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace IN ('public'::regnamespace) AND contype <> 'n'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname IN ('public', 'queue')
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || oid::regprocedure || ' ' || md5(prosrc) || coalesce(proacl::text, '')
  FROM pg_proc WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
UNION ALL SELECT 'type ' || oid::regtype FROM pg_type t
  WHERE typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND typtype = 'e'
UNION ALL SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
UNION ALL SELECT 'default ' || defaclobjtype::text || ' ' || defaclacl::text FROM pg_default_acl
ORDER BY 1
"""
# One try of a payment of its own for each word of a provider, or none yet.
ATTEMPTS = """
INSERT INTO attempt (site_id, attempt_id, payment_id, number, account, state, is_over, sent_at)
SELECT 1, 'att_' || x.number, 'dep_' || x.number, 1, 'main', x.state, false, now()
  FROM unnest($1::text[]) WITH ORDINALITY AS x (state, number)
"""
PAYMENTS = """
INSERT INTO payment (site_id, payment_id, number, kind, player_id, method, account, status, sub_status,
    amount_minor, currency, attention, ask_at, customer_ip, source_type, language, created_at, changed_at)
SELECT 1, 'dep_' || x.number, x.number, 'deposit', 'p', 'card', 'main', x.status, x.sub_status, 1, 'KZT',
    nullif(x.attention, ''), CASE WHEN x.is_asked THEN now() END, '', 1, 'en', now(), now()
  FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[])
    WITH ORDINALITY AS x (status, sub_status, attention, is_asked, number)
"""
# Open, of a payment that does not matter here, under no number.
CASE = """
INSERT INTO payment_case (site_id, case_id, kind, payment_id, attempt_id, ours, theirs, opened_at)
VALUES (1, $1, 'second_payment', 'wdr_1', $2, '{}', '{}', now())
"""
numbers = itertools.count(1)


@pytest.fixture
async def scratch() -> AsyncIterator[str]:
    """An empty database of the run's server."""
    server = os.environ[URL]
    name = f"cashier_scratch_{os.getpid()}_{next(numbers)}"
    connection = await asyncpg.connect(asyncpg_dsn(server))
    await connection.execute(f'CREATE DATABASE "{name}" STRATEGY FILE_COPY')
    yield database_url(server, name)
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


def alembic_config(url: str) -> Config:
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    return config


async def objects(url: str) -> list[str]:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return [str(row[0]) for row in await connection.fetch(OBJECTS)]
    finally:
        await connection.close()


async def differences(url: str) -> list[object]:
    """What `alembic check` would find: what the code has and the chain has not, or the other way round."""

    def compared(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), poolclass=pool.NullPool
    )
    async with engine.connect() as connection:
        return await connection.run_sync(compared)


async def test_migrations_go_up_down_and_up_again(scratch: str) -> None:
    empty = await objects(scratch)
    await asyncio.to_thread(schema.upgrade, scratch)
    full = await objects(scratch)
    assert await differences(scratch) == []

    await asyncio.to_thread(command.downgrade, alembic_config(scratch), "base")
    left = [line for line in await objects(scratch) if "alembic_version" not in line]
    assert left == empty

    await asyncio.to_thread(schema.upgrade, scratch)
    assert await objects(scratch) == full
    await asyncio.to_thread(schema.upgrade, scratch)  # of no effect
    assert await objects(scratch) == full


async def test_a_table_that_no_migration_makes_is_found(scratch: str) -> None:
    await asyncio.to_thread(schema.upgrade, scratch, "roles")
    found = await differences(scratch)
    assert any("add_table" in str(difference) for difference in found)


async def test_two_that_migrate_at_once_do_not_collide(scratch: str) -> None:
    program = "import sys; from app.plumbing import schema; schema.upgrade(sys.argv[1])"
    started = [await asyncio.create_subprocess_exec(sys.executable, "-c", program, scratch) for _ in range(2)]
    assert [await process.wait() for process in started] == [0, 0]
    await asyncio.to_thread(schema.upgrade, scratch)  # of no effect, but this process now knows every table
    assert await differences(scratch) == []


async def test_the_second_waits_as_long_as_the_first_needs(scratch: str) -> None:
    first = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        await first.execute("SELECT pg_advisory_lock(7266342)")
        second = asyncio.create_task(asyncio.to_thread(schema.upgrade, scratch, "roles"))
        await asyncio.sleep(2.5)  # longer than a migration waits for a table
        await first.execute("SELECT pg_advisory_unlock(7266342)")
        await second
    finally:
        await first.close()


async def test_of_the_tries_before_it_is_kept_whose_provider_said_that_money_moved(scratch: str) -> None:
    await asyncio.to_thread(schema.upgrade, scratch, "leg_sums")
    moved = ["succeeded", "returned", "reversed"]
    others = ["requires_action", "processing", "failed", "cancelled", "not_found", "unknown", None]
    connection = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        # Without the payments and accounts that they belong to, which do not matter here.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(ATTEMPTS, [*moved, *others])
        await asyncio.to_thread(schema.upgrade, scratch, "cascade")
        rows = await connection.fetch("SELECT state, said_paid FROM attempt")
    finally:
        await connection.close()
    assert {row["state"] for row in rows if row["said_paid"]} == set(moved)
    assert {row["state"] for row in rows if not row["said_paid"]} == set(others)


async def test_a_question_that_was_open_before_is_one_about_each_of_its_tries(scratch: str) -> None:
    await asyncio.to_thread(schema.upgrade, scratch, "refund_attempt")
    open_before = [
        ("completed", "completed", "unconfirmed", True),
        ("processing", "provider_pending", "unconfirmed", True),
        ("completed", "completed", "second_payment", True),  # which hid it
        ("failed", "declined", "revived", True),
        ("cancelled", "by_player", "paid_after_cancel", True),
        ("refunded", "reversed", "denied_after_success", True),
    ]
    none_before = [
        ("completed", "completed", "unconfirmed", False),  # asked no more: a person's
        ("failed", "declined", "", True),  # its schedule
        ("completed", "completed", "second_payment", False),
        ("processing", "provider_pending", "order_vanished", True),
        ("completed", "completed", "", False),
    ]
    connection = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(PAYMENTS, *map(list, zip(*open_before, *none_before, strict=True)))
        await connection.execute(ATTEMPTS, ["succeeded"] * len([*open_before, *none_before]))
        await asyncio.to_thread(schema.upgrade, scratch, "questions")
        asked = "SELECT payment_id FROM {} WHERE is_questioned ORDER BY 1"
        rows = [await connection.fetch(asked.format(table)) for table in ("payment", "attempt")]
    finally:
        await connection.close()
    for found in rows:
        assert [row["payment_id"] for row in found] == [f"dep_{number}" for number in range(1, 7)]


async def test_an_account_of_before_the_migration_has_no_former_secret(scratch: str) -> None:
    await asyncio.to_thread(schema.upgrade, scratch, "questions")
    connection = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            "INSERT INTO provider_account (site_id, account, gateway, base_url) VALUES (1, 'main', 'g', 'u')"
        )
        await asyncio.to_thread(schema.upgrade, scratch, "former_secret")
        row = await connection.fetchrow("SELECT former_secret, former_secret_ends_at FROM provider_account")
    finally:
        await connection.close()
    assert row is not None
    assert tuple(row) == (None, None)


async def test_two_tries_of_a_payment_have_a_case_of_one_kind_each_and_one_has_one(scratch: str) -> None:
    await asyncio.to_thread(schema.upgrade, scratch, "former_secret")
    connection = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(CASE, "cas_1", "att_1")
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_payment_case_open"):
            await connection.execute(CASE, "cas_2", "att_2")
        await asyncio.to_thread(schema.upgrade, scratch, "case_tries")
        await connection.execute(CASE, "cas_2", "att_2")
        await connection.execute(CASE, "cas_3", None)  # of none
        for attempt_id in ("att_1", "att_2", None):
            with pytest.raises(asyncpg.UniqueViolationError, match="uq_payment_case_open"):
                await connection.execute(CASE, "cas_4", attempt_id)
        # None of them is lost on the way back.
        with pytest.raises(IntegrityError, match="uq_payment_case_former"):
            await asyncio.to_thread(command.downgrade, alembic_config(scratch), "former_secret")
        await connection.execute("DELETE FROM payment_case WHERE case_id <> 'cas_1'")
        await asyncio.to_thread(command.downgrade, alembic_config(scratch), "former_secret")
    finally:
        await connection.close()


async def test_what_a_dispute_took_counts_again_once_a_refund_had_left_it_no_room(scratch: str) -> None:
    """The first is its own deposit's; beside the others a refund is paid, waits, or nothing was taken."""
    await asyncio.to_thread(schema.upgrade, scratch, "case_tries")
    connection = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(PAYMENTS, ["completed"] * 4, ["completed"] * 4, [""] * 4, [False] * 4)
        await connection.execute("UPDATE payment SET amount_minor = 100, captured_minor = 100")
        await connection.execute("UPDATE payment SET refunded_minor = 60 WHERE payment_id = 'dep_2'")
        await connection.execute("UPDATE payment SET refund_pending_minor = 100 WHERE payment_id = 'dep_3'")
        await connection.execute(
            "INSERT INTO dispute (site_id, dispute_id, number, payment_id, account, dispute_reference, "
            "state, amount_minor, currency, posted_minor, opened_at, changed_at) "
            "SELECT 1, 'dsp_' || n, n, 'dep_' || n, 'main', 'cb-' || n, 'opened', 90, 'KZT', "
            "CASE WHEN n < 4 THEN 90 ELSE 0 END, now(), now() FROM generate_series(1, 4) AS n"
        )
        await asyncio.to_thread(schema.upgrade, scratch, "charged_back")
        rows = await connection.fetch("SELECT charged_back_minor FROM payment ORDER BY payment_id")
    finally:
        await connection.close()
    assert [row[0] for row in rows] == [90, 40, 0, 0]


async def test_each_word_about_a_dispute_has_a_case_of_its_own(scratch: str) -> None:
    case = CASE.replace("opened_at)", "opened_at, word)").replace("now())", "now(), $3)")
    await asyncio.to_thread(schema.upgrade, scratch, "case_words")
    connection = await asyncpg.connect(asyncpg_dsn(scratch))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(case, "cas_1", None, "opened")
        await connection.execute(case, "cas_2", None, "lost")
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_payment_case_open"):
            await connection.execute(case, "cas_3", None, "lost")
        with pytest.raises(IntegrityError, match="uq_payment_case_former"):
            await asyncio.to_thread(command.downgrade, alembic_config(scratch), "charged_back")
    finally:
        await connection.close()


async def test_a_database_says_its_revision(scratch: str) -> None:
    async with Database(scratch, SessionSettings(role="")) as database:
        async with database.reading() as reader:
            assert await schema.revision(reader) == ""
        await asyncio.to_thread(schema.upgrade, scratch, "roles")
        async with database.reading() as reader:
            assert await schema.revision(reader) == "roles"
        await asyncio.to_thread(schema.upgrade, scratch)
        async with database.reading() as reader:
            assert await schema.revision(reader) == schema.newest_revision()
            found = await schema.server_settings(reader, ("fsync", "server_version_num", "nothing"))
    assert found["fsync"] == "on"
    assert int(found["server_version_num"]) >= 150_000
    assert "nothing" not in found


def test_the_chain_is_one_line_and_every_link_can_be_undone() -> None:
    script = ScriptDirectory.from_config(alembic_config(""))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
    for link in script.walk_revisions():
        assert not link.is_branch_point
        text = Path(link.path).read_text()
        assert "def downgrade() -> None:\n    pass" not in text
