"""A lane's connection without a transaction: what commits by itself, and how the connection comes back."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.plumbing.database import CommitUnknown, Database, DatabaseDown, Lanes, committed

LOST = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
async def lanes(database: Database) -> AsyncIterator[Lanes]:
    async with Lanes(database, size=2) as made:
        yield made


async def test_each_statement_commits_by_itself(lanes: Lanes) -> None:
    async with lanes.connection() as raw:
        first = await committed(raw, raw.fetchval("SELECT pg_current_xact_id()::text"))
        second = await committed(raw, raw.fetchval("SELECT pg_current_xact_id()::text"))
    assert first != second


async def test_a_refused_statement_leaves_nothing_to_roll_back(lanes: Lanes) -> None:
    heard: list[str] = []
    async with lanes.connection() as raw:
        raw.add_log_listener(lambda _, message: heard.append(str(message)))
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with lanes.connection() as raw:
            await committed(raw, raw.fetchval("SELECT 1 / $1::integer", 0))
    assert (len(lanes._idle), heard) == (1, [])


async def test_one_that_is_lost_while_it_commits_is_unknown(owner_database: Database) -> None:
    async with Lanes(owner_database) as lanes:
        with pytest.raises(CommitUnknown):
            async with lanes.connection() as raw:
                await committed(raw, raw.fetchval(LOST))
        assert lanes._idle == []


async def test_one_that_is_lost_while_it_reads_did_nothing(owner_database: Database) -> None:
    async with Lanes(owner_database) as lanes:
        with pytest.raises(DatabaseDown):
            async with lanes.connection() as raw:
                await raw.fetchval(LOST)
        assert lanes._idle == []


@pytest.mark.parametrize("pause", [0, 0.01, 0.06])
@pytest.mark.parametrize("commits", [True, False])
async def test_whenever_its_user_goes_away_the_lane_is_free_again(
    lanes: Lanes, pause: float, *, commits: bool
) -> None:
    async def use() -> None:
        async with lanes.connection() as raw:
            sleeping = raw.fetchval("SELECT pg_sleep(0.05)")
            await (committed(raw, sleeping) if commits else sleeping)

    for _ in range(3):
        using = asyncio.create_task(use())
        await asyncio.sleep(pause)
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)
    async with lanes.connection() as first, lanes._lent(1) as second:
        for raw in (first, second):
            assert not raw.is_in_transaction()
            assert await raw.fetchval("SELECT 1") == 1
    assert set(lanes._planned) == set(lanes._idle)
