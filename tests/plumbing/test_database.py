"""One transaction at a time: what commits, what is refused, and what is run again."""

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy import literal_column, select, text
from sqlalchemy.exc import DBAPIError

from app.kernel.clock import SystemClock
from app.plumbing.database import (
    RETRY_LIMIT,
    Built,
    Database,
    NetworkInsideTransaction,
    NotCommitted,
    Reader,
    SessionSettings,
    Transaction,
    TransactionAlreadyOpen,
    sqlstate,
)
from app.plumbing.database.transactions import driver_connection
from app.plumbing.fence import forbid_network, transaction_is_open
from app.plumbing.http import HttpClient
from tests.plumbing.sessions import Execute, both_ways, checked_out, write, written


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


@pytest.mark.parametrize("way", ["transaction", "reading", "singly"])
@pytest.mark.parametrize("through", [text, lambda sql: Built(select(literal_column(sql[7:])))])
@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 1 / 0"])
async def test_a_connection_is_lent_again_however_it_was_used(
    clone_url: str, way: str, through: Callable[[str], Built], sql: str
) -> None:
    async with Database(clone_url, pool_size=1) as database:
        before = await backend(database)
        with contextlib.suppress(DBAPIError, asyncpg.DivisionByZeroError):
            async with getattr(database, way)() as reader:
                await reader.scalar(through(sql))
        assert checked_out(database) == 0
        assert await backend(database) == before


async def backend(database: Database) -> int:
    """The server's process behind the pool's connection; no transaction was left open there."""
    async with database.singly() as reader:
        assert not driver_connection(reader._connection).is_in_transaction()
        return int(await reader.scalar(text("SELECT pg_backend_pid()")))


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
    forbid_network()  # of no effect outside


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
            transaction_is_open.set(False)  # in the copied context of this task: another caller
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
                transaction_is_open.set(False)
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


async def test_one_statement_is_run_again_without_a_transaction_around_it(database: Database) -> None:
    runs = 0

    async def ends_in_a_ring(tx: Transaction) -> int:
        nonlocal runs
        runs += 1
        await write(tx, f"run {runs}")  # commits by itself
        if runs == 1:
            raise asyncpg.DeadlockDetectedError
        return runs

    assert await database.retried(ends_in_a_ring, is_one_statement=True) == 2
    assert await written(database) == {"run 1", "run 2"}
