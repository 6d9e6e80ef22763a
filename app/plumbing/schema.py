"""The database's schema as a whole: bring it to the newest revision, and tell which one it has."""

from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from app.plumbing.database import Reader, asyncpg_dsn

__all__ = ["ensure_login", "is_superuser", "newest_revision", "revision", "server_settings", "upgrade"]

_INI: Final = Path(__file__).parents[2] / "alembic.ini"


def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations as the owner of the schema; blocks, so not from an event loop.

    Args:
        url: `postgresql://...` of a user who may create roles and tables.
        revision: where to stop.
    """
    command.upgrade(_config(url), revision)


def newest_revision() -> str:
    """The revision that this code was written for."""
    head = ScriptDirectory.from_config(_config("")).get_current_head()
    assert head is not None, "the migrations have no head"
    return head


async def ensure_login(url: str, name: str) -> None:
    """Let a role log in, without a password, as a member of `cashier_app`: for an embedded server.

    Args:
        url: the database as its owner.
        name: an identifier of our own; it is not escaped.
    """
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
            await connection.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER IN ROLE cashier_app")
    finally:
        await connection.close()


async def revision(reader: Reader) -> str:
    """The revision that the database is at; empty when it has none."""
    if await reader.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return ""
    return str(await reader.scalar(text("SELECT version_num FROM alembic_version")) or "")


async def is_superuser(reader: Reader) -> bool:
    """Tell whether the login of this session, which `SET ROLE` does not change, is a superuser."""
    return bool(
        await reader.scalar(text("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user"))
    )


async def server_settings(reader: Reader, names: tuple[str, ...]) -> dict[str, str]:
    """Settings of the server as this session sees them."""
    rows = await reader.all(
        text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"), {"names": list(names)}
    )
    return {row.name: row.setting for row in rows}


def _config(url: str) -> Config:
    config = Config(_INI)
    config.attributes["url"] = url
    return config
