"""One transaction at a time: what commits, what is refused, and what is known when something breaks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.kernel.clock import SystemClock
from app.plumbing import database as database_module
from app.plumbing import switches
from app.plumbing.database import (
    RETRY_LIMIT,
    CommitUnknown,
    Database,
    DatabaseDown,
    NetworkInsideTransaction,
    NotCommitted,
    Reader,
    SessionSettings,
    Transaction,
    TransactionAlreadyOpen,
    asyncpg_dsn,
    sqlstate,
)
from app.plumbing.http import HttpClient
from tests.plumbing.postgres_proxy import Mischief, standing_before
from tests.plumbing.sessions import cancelled_at, checked_out, nobody_is_busy

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Execute = Callable[[Transaction, str], Awaitable[object]]


async def write(tx: Transaction, name: str) -> None:
    await switches.set_switch(tx, 1, name, stopped=True, reason="a test", by="test", at=NOW)


async def written(database: Database) -> set[str]:
    async with database.reading() as reader:
        return {row.name for row in await reader.all(text("SELECT name FROM switch"))}


async def through_sqlalchemy(tx: Transaction, statement: str) -> object:
    return await tx.execute(text(statement))


async def through_asyncpg(tx: Transaction, statement: str) -> object:
    return await tx.raw.execute(statement)


both_ways = pytest.mark.parametrize("execute", [through_sqlalchemy, through_asyncpg])


async def test_the_end_of_the_block_commits(database: Database) -> None:
    async with database.transaction() as tx:
        await write(tx, "a")
        assert await written_in(tx) == {"a"}
    assert await written(database) == {"a"}


async def written_in(tx: Reader) -> set[str]:
    return {row.name for row in await tx.all(text("SELECT name FROM switch"))}


async def test_an_exception_rolls_back(database: Database) -> None:
    with pytest.raises(RuntimeError, match="changed my mind"):  # noqa: PT012  the transaction is what raises
        async with database.transaction() as tx:
            await write(tx, "a")
            raise RuntimeError("changed my mind")
    assert await written(database) == set()


@both_ways
async def test_a_swallowed_failure_is_not_taken_for_a_commit(database: Database, execute: Execute) -> None:
    with pytest.raises(NotCommitted):  # noqa: PT012  the transaction is what raises
        async with database.transaction() as tx:
            await write(tx, "a")
            with pytest.raises((DBAPIError, asyncpg.DivisionByZeroError)):
                await execute(tx, "SELECT 1 / 0")
    assert await written(database) == set()
    assert checked_out(database) == 0


async def test_a_failure_in_a_savepoint_of_its_own_harms_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        await write(tx, "a")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with tx.raw.transaction():
                await tx.raw.execute("SELECT 1 / 0")
    assert await written(database) == {"a"}


async def test_a_second_transaction_inside_the_first_is_refused(database: Database) -> None:
    async with database.transaction() as tx:
        for inner in (database.transaction(), database.reading()):
            with pytest.raises(TransactionAlreadyOpen):
                await inner.__aenter__()
        await write(tx, "a")
    async with database.transaction():
        pass
    assert await written(database) == {"a"}


async def test_the_network_waits_until_the_transaction_is_over(database: Database) -> None:
    async with HttpClient(SystemClock()) as http:
        async with database.transaction(), asyncio.timeout(5):
            with pytest.raises(NetworkInsideTransaction):
                await http.call("GET", "https://merchant.example/", deadline_seconds=1)
        async with database.reading():
            with pytest.raises(NetworkInsideTransaction):
                await http.call("GET", "https://merchant.example/", deadline_seconds=1)
    database_module.forbid_network()  # of no effect outside


async def test_the_raw_connection_is_in_the_transaction_before_the_first_statement(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        assert tx.raw.is_in_transaction()
    async with database._engine.connect() as connection:
        with pytest.raises(AssertionError, match="not in a transaction"):
            _ = Reader(connection).raw


async def test_readers_see_one_snapshot_and_write_nothing(database: Database) -> None:
    async with database.reading() as reader:
        assert await written_in(reader) == set()

        async def meanwhile() -> None:
            database_module._open.set(False)  # in the copied context of this task: another caller
            async with database.transaction() as tx:
                await write(tx, "a")

        await asyncio.create_task(meanwhile())
        assert await written_in(reader) == set()
        insert = "INSERT INTO claim (site_id, scope, key, fingerprint) VALUES (1, 's', 'k', '') RETURNING 1"
        with pytest.raises(DBAPIError) as refused:
            await reader.scalar(text(insert))
        assert sqlstate(refused.value) == "25006"  # read_only_sql_transaction
    async with database.transaction() as tx:  # the same connection writes again
        await write(tx, "b")
    assert await written(database) == {"a", "b"}


async def test_the_application_may_neither_define_nor_rewrite(database: Database) -> None:
    for statement in (
        "CREATE TABLE mine (a int)",
        "ALTER TABLE entry ADD COLUMN a int",
        "DROP TABLE switch",
        "TRUNCATE entry",
        "UPDATE entry SET amount_minor = 0",
        "DELETE FROM entry",
        "UPDATE transfer SET amount_minor = 0",
        "DELETE FROM transfer",
        "DELETE FROM seal",
        "UPDATE account SET floor_minor = 0",
        "CREATE ROLE mine",
    ):
        with pytest.raises(DBAPIError) as refused:
            async with database.transaction() as tx:
                await tx.execute(text(statement))
        assert sqlstate(refused.value) == "42501", statement


async def test_the_session_is_the_applications_own(database: Database) -> None:
    wanted = {
        "role": "cashier_app",
        "application_name": "cashier",
        "lock_timeout": "2s",
        "statement_timeout": "5s",
        "idle_in_transaction_session_timeout": "10s",
        "TimeZone": "UTC",
    }
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT current_user")) == "cashier_app"
        for name, value in wanted.items():
            assert await tx.scalar(text(f"SHOW {name}")) == value


@both_ways
async def test_a_deadlock_is_run_again(database: Database, execute: Execute) -> None:
    async with database.transaction() as tx:
        await write(tx, "a")
        await write(tx, "b")
    both_hold_one = asyncio.Barrier(2)
    runs = {"ab": 0, "ba": 0}

    async def reciprocal(tx: Transaction, order: str) -> str:
        runs[order] += 1
        append = f"UPDATE switch SET reason = reason || '{order}' WHERE name = "  # noqa: S608  the constants of this test
        await execute(tx, f"{append} '{order[0]}'")
        if runs[order] == 1:
            await both_hold_one.wait()
        await execute(tx, f"{append} '{order[1]}'")
        return order

    done = await asyncio.gather(
        database.retried(lambda tx: reciprocal(tx, "ab")), database.retried(lambda tx: reciprocal(tx, "ba"))
    )
    assert list(done) == ["ab", "ba"]
    assert sorted(runs.values()) == [1, 2]
    async with database.reading() as reader:
        for row in await reader.all(text("SELECT reason FROM switch")):
            assert sorted([row.reason[6:8], row.reason[8:10]]) == ["ab", "ba"]


@both_ways
async def test_a_serialization_failure_is_run_again_and_not_for_ever(
    clone_url: str, execute: Execute
) -> None:
    serializable = SessionSettings(extra={"default_transaction_isolation": "repeatable read"})
    async with Database(clone_url, serializable) as database, Database(clone_url) as others:
        async with others.transaction() as tx:
            await write(tx, "a")
        statement = "UPDATE switch SET reason = 'x' WHERE name = 'a'"
        runs = 0
        interfered = 2

        async def overtaken(tx: Transaction) -> None:
            nonlocal runs
            runs += 1
            await tx.scalar(text("SELECT 1 FROM switch"))  # the snapshot

            async def interfere() -> None:
                database_module._open.set(False)
                async with others.transaction() as other:
                    await other.execute(text(statement))

            if runs <= interfered:
                await asyncio.create_task(interfere())
            await execute(tx, statement)

        await database.retried(overtaken)
        assert runs == 3

        runs, interfered = 0, 1_000
        with pytest.raises((DBAPIError, asyncpg.SerializationError)) as failed:
            await database.retried(overtaken)
        assert sqlstate(failed.value) == "40001"
        assert runs == RETRY_LIMIT


@both_ways
async def test_other_failures_are_not_run_again(database: Database, execute: Execute) -> None:
    runs = 0

    async def wrong(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        await execute(tx, "SELECT 1 / 0")

    with pytest.raises((DBAPIError, asyncpg.DivisionByZeroError)):
        await database.retried(wrong)
    assert runs == 1


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


async def terminated(owner: Database, pid: int) -> None:
    database_module._open.set(False)
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
            database_module._open.set(False)
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
