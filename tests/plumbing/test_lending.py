"""A few connections and many callers: some give up, some fail, and the server ends connections meanwhile."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

import asyncpg
import pytest
from sqlalchemy import func, literal_column, select, text
from sqlalchemy.exc import DBAPIError

from app.plumbing.database import Built, CommitUnknown, Database, DatabaseDown
from tests.plumbing.sessions import checked_out, nobody_is_busy, write, written

_CALLERS, _CONNECTIONS, _SECONDS = 30, 3, 2.0
# By the driver alone: SQLAlchemy does not know that a transaction is open.
_ITS_STATE = Built(
    select(
        func.current_setting("transaction_isolation")
        + ", read only "
        + func.current_setting("transaction_read_only")
    )
)
_FAILS = Built(select(literal_column("1 / 0")))
_END_ONE = text(
    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user AND application_name = 'cashier' "
    "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) AS one"
)


@dataclass
class Books:
    """What the callers were told of what they wrote."""

    done: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    states: set[tuple[str, str]] = field(default_factory=set)
    lost: int = 0


async def test_no_connection_is_left_half_used(clone_url: str, owner_database: Database) -> None:
    books, chance = Books(), random.Random(1)
    end = asyncio.get_running_loop().time() + _SECONDS
    async with Database(clone_url, pool_size=_CONNECTIONS) as database:

        async def caller(number: int) -> None:
            turn = 0
            while asyncio.get_running_loop().time() < end:
                turn += 1
                call = asyncio.create_task(one_call(database, books, f"{number}-{turn}", chance))
                if chance.random() < 0.25:
                    await asyncio.sleep(chance.uniform(0, 0.01))
                    call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await call

        async with asyncio.TaskGroup() as storm:
            for number in range(_CALLERS):
                storm.create_task(caller(number))
            while asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.2)
                async with owner_database.transaction() as tx:
                    await tx.execute(_END_ONE)
        await nobody_is_busy(owner_database)
        async with asyncio.timeout(5):
            # One that was given up while it was opened anew returns with what held it.
            while checked_out(database):  # noqa: ASYNC110  SQLAlchemy tells nobody
                await asyncio.sleep(0.02)
        found = await written(owner_database)
    assert books.lost, "connections were ended while they were used"
    assert books.done <= found, "what was told as done is there"
    assert found <= books.done | books.unknown, "and nothing else"
    assert books.states == {
        ("transaction", "read committed, read only off"),
        ("reading", "repeatable read, read only on"),
        ("singly", "read committed, read only off"),
    }


async def one_call(database: Database, books: Books, name: str, chance: random.Random) -> None:
    way, fails = chance.choice(("transaction", "transaction", "reading", "singly")), chance.random() < 0.3
    try:
        async with getattr(database, way)() as tx:
            books.states.add((way, await tx.scalar(_ITS_STATE)))
            if fails:
                await tx.scalar(_FAILS)
            if way == "transaction":
                await write(tx, name)
    except (asyncio.CancelledError, CommitUnknown) as end:
        books.unknown.add(name)
        if isinstance(end, asyncio.CancelledError):
            raise
    except DatabaseDown:
        books.lost += 1
    except (DBAPIError, asyncpg.PostgresError):
        return
    else:
        if way == "transaction":
            books.done.add(name)


@pytest.mark.parametrize("way", ["transaction", "reading", "singly"])
async def test_who_waits_has_his_turn_before_who_was_just_served(clone_url: str, way: str) -> None:
    async with Database(clone_url, pool_size=1) as database:

        async def again_and_again() -> None:
            while True:
                async with getattr(database, way)():
                    await asyncio.sleep(0.001)

        greedy = asyncio.create_task(again_and_again())
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            for _ in range(5):
                async with getattr(database, way)():
                    """One that had to be waited for."""
        greedy.cancel()
        await asyncio.gather(greedy, return_exceptions=True)
