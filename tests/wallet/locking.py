"""Somebody else who holds a player's account, and whether anybody waits for a lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.plumbing.database import asyncpg_dsn

__all__ = ["blocked", "lock", "locked", "waiting"]


@asynccontextmanager
async def locked(url: str, *logins: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold the cash accounts of players in a transaction of the test's own."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    await connection.execute("BEGIN")
    try:
        for login in logins:
            await lock(connection, login)
        yield connection
    finally:
        await connection.close()


async def lock(connection: asyncpg.Connection, login: str) -> None:
    found = await connection.fetch(
        """SELECT 1 FROM account a JOIN player p ON p.player_id = a.owner
            WHERE p.site_login = $1 AND a.purpose = 'player_cash' FOR UPDATE OF a""",
        login,
    )
    assert found


async def waiting(url: str) -> int:
    """How many sessions wait for a lock."""
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return int(
            await connection.fetchval(
                """SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
            )
        )
    finally:
        await connection.close()


async def blocked(url: str, sessions: int = 1) -> None:
    """Wait until so many sessions wait for a lock."""
    async with asyncio.timeout(5):
        while await waiting(url) < sessions:  # noqa: ASYNC110  they are other processes
            await asyncio.sleep(0.01)
