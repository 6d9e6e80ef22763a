"""Who may do what, asked of the database itself, as logins that are members of one role each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import make_url

from app.plumbing.database import asyncpg_dsn

SECRETS = [
    ("site_salt", "value"),
    ("site", "webhook_secret"),
    ("webhook_secret", "value"),
    ("provider_account", "credentials"),
    ("provider_account", "former_secret"),
    ("api_token", "hash"),
    ("player", "personal"),
    ("cashier_session", "key_hash"),
    ("payment", "view_hash"),
    ("payment", "customer_ip"),
    ("callout", "request"),
    ("webhook", "fields"),
]
UNCHANGEABLE = [
    ("payment", "amount_minor = 1"),
    ("payment", "player_id = 'ply_other'"),
    ("notice", "body = 'forged'"),
    ("payment_event", "type = 'deposit.completed'"),
    ("webhook", "fields = '{}'"),
    ("event", "object = '{}'"),
    ("webhook_secret", "value = 'whsec_'"),
    ("entry", "amount_minor = 1"),
    ("transfer", "amount_minor = 1"),
]


@asynccontextmanager
async def member(url: str, role: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of a login that is a member of one role, as a deployment has them."""
    login = f"test_{role}"
    owner = await asyncpg.connect(asyncpg_dsn(url))
    try:
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", login):
            await owner.execute(f"CREATE ROLE {login} LOGIN NOSUPERUSER IN ROLE {role}")
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError):
        pass  # a parallel test was first: roles belong to the server
    finally:
        await owner.close()
    as_member = make_url(url).set(username=login).render_as_string(hide_password=False)
    session = await asyncpg.connect(asyncpg_dsn(as_member))
    try:
        yield session
    finally:
        await session.close()


@pytest.mark.parametrize("role", ["cashier_reader", "cashier_auditor"])
@pytest.mark.parametrize(("table", "column"), SECRETS)
async def test_reports_and_audits_read_no_secret(clone_url: str, role: str, table: str, column: str) -> None:
    async with member(clone_url, role) as session:
        assert await session.fetchval("SELECT count(*) FROM payment_event") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.fetch(f"SELECT {column} FROM {table}")  # noqa: S608  our own names


@pytest.mark.parametrize("role", ["cashier_reader", "cashier_auditor"])
@pytest.mark.parametrize("table", ["callout", "webhook"])
async def test_but_how_messages_went(clone_url: str, role: str, table: str) -> None:
    async with member(clone_url, role) as session:
        assert await session.fetch(f"SELECT payment_id, state FROM {table}") == []  # noqa: S608  our own names


@pytest.mark.parametrize(("table", "change"), UNCHANGEABLE)
async def test_the_application_cannot_change_what_was_written(
    clone_url: str, table: str, change: str
) -> None:
    async with member(clone_url, "cashier_app") as session:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(f"UPDATE {table} SET {change}")  # noqa: S608  our own names


@pytest.mark.parametrize(
    "attack",
    [
        "SET ROLE postgres",
        "SET ROLE NONE; UPDATE entry SET amount_minor = 1",
        "CREATE TABLE mine (id int)",
        "DROP TABLE payment",
        "ALTER TABLE entry DISABLE TRIGGER ALL",
        "SELECT pg_read_file('/etc/hostname')",
        "DELETE FROM payment",
        "TRUNCATE payment_event",
    ],
)
async def test_a_hijacked_session_stays_what_it_is(clone_url: str, attack: str) -> None:
    async with member(clone_url, "cashier_app") as session:
        await session.execute("SET ROLE cashier_app")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(attack)


async def test_words_are_not_loosened_by_a_session_s_own_types(clone_url: str) -> None:
    """A copy of a database may let sessions make temporary types: that right is not copied with it."""
    owner = await asyncpg.connect(asyncpg_dsn(clone_url))
    name = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(f"GRANT TEMPORARY ON DATABASE {name} TO PUBLIC")
    await owner.close()
    async with member(clone_url, "cashier_app") as session:
        await session.execute("CREATE DOMAIN pg_temp.text AS varchar(1)")
        said = await session.fetchrow("SELECT ck_notice_state('n') AS short, ck_notice_state('new') AS whole")
        assert said is not None
        assert (said["short"], said["whole"]) == (False, True)
