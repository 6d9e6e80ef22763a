"""What is known when something breaks: a caller that leaves, a lost connection, a database that is down."""

import asyncio
import os
import signal
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.plumbing.database import (
    CommitUnknown,
    Database,
    DatabaseDown,
    SessionSettings,
    asyncpg_dsn,
    sqlstate,
)
from app.plumbing.database import engine as database_module
from app.plumbing.fence import transaction_is_open
from tests.plumbing.postgres_proxy import Mischief, standing_before
from tests.plumbing.sessions import (
    Execute,
    both_ways,
    cancelled_at,
    checked_out,
    nobody_is_busy,
    write,
    written,
)


@pytest.mark.parametrize("warm", [True, False])
async def test_a_cancel_at_any_await_leaks_nothing(
    clone_url: str, owner_database: Database, warm: bool, caplog: pytest.LogCaptureFixture
) -> None:
    names: list[str] = []
    for place in range(1, 100):
        # With one connection, a lost one would end it all.
        async with Database(clone_url, pool_size=1) as database:
            if warm:
                await written(database)
            names = [f"{warm}-{place}-{number}" for number in range(2)]

            async def work(database: Database = database, names: list[str] = names) -> None:
                async with database.transaction() as tx:
                    for name in names:
                        await write(tx, name)

            was_cancelled = await cancelled_at(place, work())
            assert checked_out(database) == 0
            await nobody_is_busy(owner_database)
            found = await written(database) & set(names)
            assert found in (set(), set(names)), "half a transaction"
            if not was_cancelled:
                assert found == set(names)
                break
    else:
        pytest.fail("it never came to its end")
    assert place > 5
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_cancel_at_any_await_of_a_reader_leaks_nothing(
    clone_url: str, owner_database: Database
) -> None:
    async with Database(clone_url, pool_size=1) as database:
        for place in range(1, 100):
            was_cancelled = await cancelled_at(place, written(database))
            assert checked_out(database) == 0
            await nobody_is_busy(owner_database)
            if not was_cancelled:
                break
        else:
            pytest.fail("it never came to its end")
        assert await written(database) == set()


async def test_a_cancelled_commit_is_waited_for(clone_url: str, database: Database) -> None:
    async with standing_before(clone_url) as proxy, Database(proxy.url, pool_size=1) as proxied:

        async def work() -> None:
            async with proxied.transaction() as tx:
                await write(tx, "a")

        proxy.mischief = Mischief.HOLD
        working = asyncio.create_task(work())
        await proxy.seen.wait()
        for _ in range(3):  # a caller may lose its patience more than once
            working.cancel()
            await asyncio.sleep(0.02)
            assert not working.done()
        proxy.release.set()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert checked_out(proxied) == 0
        assert await written(database) == {"a"}, "cancelled is not rolled back"


async def test_a_connection_lost_at_commit_leaves_the_outcome_unknown(
    clone_url: str, database: Database
) -> None:
    async with standing_before(clone_url) as proxy, Database(proxy.url, pool_size=1) as proxied:
        await written(proxied)
        for name, mischief, found in (("a", Mischief.CUT_BEFORE, set()), ("b", Mischief.CUT_AFTER, {"b"})):
            proxy.mischief = mischief
            with pytest.raises(CommitUnknown):
                async with proxied.transaction() as tx:
                    await write(tx, name)
            assert checked_out(proxied) == 0
            assert await written(database) == found
        proxy.mischief = Mischief.NONE
        async with proxied.transaction() as tx:
            await write(tx, "c")
    assert await written(database) == {"b", "c"}


async def test_a_server_that_stops_answering_does_not_hang_its_callers(
    clone_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "ANSWER_SECONDS", 0.3)
    async with standing_before(clone_url) as proxy, Database(proxy.url, pool_size=1) as proxied:
        await written(proxied)
        proxy.mischief = Mischief.HOLD
        async with asyncio.timeout(5):
            with pytest.raises(CommitUnknown):
                async with proxied.transaction() as tx:
                    await write(tx, "a")
        assert await written(database) == {"a"}
        proxy.mischief = Mischief.NONE
        proxy.release.set()
        assert checked_out(proxied) == 0
        async with proxied.transaction() as tx:
            await write(tx, "b")
    assert await written(database) == {"a", "b"}


async def test_a_refusal_at_commit_is_known(owner_database: Database) -> None:
    async with owner_database.transaction() as tx:
        await tx.execute(
            text("CREATE TABLE late (a int CONSTRAINT one UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        )
    with pytest.raises(DBAPIError) as refused:
        async with owner_database.transaction() as tx:
            await tx.execute(text("INSERT INTO late VALUES (1), (1)"))
    assert sqlstate(refused.value) == "23505"


@both_ways
async def test_a_connection_lost_before_commit_did_nothing(
    clone_url: str, owner_database: Database, execute: Execute
) -> None:
    async with Database(clone_url, pool_size=1) as database:
        with pytest.raises(DatabaseDown, match="lost"):  # noqa: PT012  the transaction is what raises
            async with database.transaction() as tx:
                await write(tx, "a")
                found = await tx.scalar(text("SELECT pg_backend_pid()"))
                await asyncio.create_task(terminated(owner_database, found))
                await execute(tx, "SELECT 1")
        assert checked_out(database) == 0
        assert await written(database) == set()


async def test_a_connection_lost_behind_what_was_read_is_nobodys_harm(
    clone_url: str, owner_database: Database
) -> None:
    async with Database(clone_url, pool_size=1) as database:
        async with database.reading() as reader:
            found = await reader.scalar(text("SELECT pg_backend_pid()"))
            await asyncio.create_task(terminated(owner_database, found))
        assert checked_out(database) == 0
        assert await written(database) == set()


async def terminated(owner: Database, pid: int) -> None:
    transaction_is_open.set(False)
    async with owner.transaction() as tx:
        assert await tx.scalar(text("SELECT pg_terminate_backend(:pid, 2000)"), {"pid": pid})


async def test_a_pool_heals_when_its_idle_connections_were_killed(
    clone_url: str, owner_database: Database
) -> None:
    async with Database(clone_url, pool_size=1) as database:
        async with database.reading() as reader:
            pid = await reader.scalar(text("SELECT pg_backend_pid()"))
        await terminated(owner_database, pid)
        assert await written(database) == set()


async def test_a_transaction_that_sleeps_is_ended_by_the_server(clone_url: str) -> None:
    impatient = SessionSettings(idle_in_transaction_session_timeout=50)
    async with Database(clone_url, impatient, pool_size=1) as database:
        with pytest.raises(DatabaseDown):  # noqa: PT012  the transaction is what raises
            async with database.transaction() as tx:
                await write(tx, "a")
                await asyncio.sleep(0.2)
                await write(tx, "b")
        assert await written(database) == set()


async def test_an_exhausted_pool_refuses_quickly(clone_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "POOL_WAIT_SECONDS", 0.1)
    async with Database(clone_url, pool_size=1) as database:

        async def another() -> None:
            transaction_is_open.set(False)
            async with database.transaction():
                pass

        async with database.transaction():
            began = time.perf_counter()
            with pytest.raises(DatabaseDown):
                await asyncio.create_task(another())
            assert time.perf_counter() - began < 1
        await another()


async def test_a_database_that_is_not_there_is_down() -> None:
    async with Database("postgresql://nobody@/nowhere?host=/nonexistent") as database:
        for opened in (database.transaction(), database.reading()):
            with pytest.raises(DatabaseDown):
                await opened.__aenter__()
    with pytest.raises(DatabaseDown):
        async with Database("postgresql://nobody:secret@127.0.0.1:1/nowhere") as database:
            await written(database)


async def test_no_way_of_showing_a_database_shows_its_password() -> None:
    url = "postgresql://me:hidden@127.0.0.1:1/nowhere"
    async with Database(url) as database:
        with pytest.raises(DatabaseDown) as down:
            await written(database)
        shown = f"{database!r} {database.url} {database.url!r} {down.value} {down.value.__cause__!r}"
    assert "hidden" not in shown
    assert asyncpg_dsn(url) == url


@pytest.mark.parametrize("is_reading", [False, True])
async def test_a_beginning_without_an_answer_ends_that_connection(
    clone_url: str, owner_database: Database, monkeypatch: pytest.MonkeyPatch, is_reading: bool
) -> None:
    """Should it begin after all, what others commit on that connection would only look committed."""
    monkeypatch.setattr(database_module, "ANSWER_SECONDS", 0.5)
    async with Database(clone_url, pool_size=1) as database:
        async with database.transaction() as tx:
            backend = await tx.scalar(text("SELECT pg_backend_pid()"))
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseDown):
                async with database.reading() if is_reading else database.transaction() as reader:
                    await reader.scalar(text("SELECT 1"))
        finally:
            os.kill(backend, signal.SIGCONT)
        for number in range(3):
            async with database.transaction() as tx:
                await write(tx, f"after-{number}")
        assert await written(owner_database) == {"after-0", "after-1", "after-2"}
