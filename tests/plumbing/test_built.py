"""Statements that are built once: read like SQLAlchemy's, written together as one, all or none."""

import asyncio
import contextvars

import asyncpg
import pytest
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.exc import MultipleResultsFound, NoResultFound

from app.plumbing.database import Built, CommitUnknown, Database, DatabaseDown, Write
from app.plumbing.idempotency import claims
from app.plumbing.switches import switches
from tests.plumbing.postgres_proxy import Mischief, standing_before
from tests.plumbing.sessions import NOW, checked_out, write, written

NEW = Built(switches.insert().returning(switches))
# With values that stand in the statement itself.
COUNTED = Built(
    switches.insert().values(
        site_id=select(func.coalesce(func.max(switches.c.site_id), 40) + 2).scalar_subquery()
    )
)
CLAIM = Built(claims.insert())
RELEASE = Built(update(switches).where(switches.c.name == bindparam("its_name")).values(stopped=False))
ONE = Built(switches.select().where(switches.c.name == bindparam("its_name")))
CLAIMED = Built(claims.select().where(claims.c.key == bindparam("its_key")))


def switch(name: str, **more: object) -> dict[str, object]:
    return {"site_id": 1, "name": name, "stopped": True, "reason": "", "changed_by": "test", **more}


def claim(key: str) -> Write:
    its = {"site_id": 1, "scope": "test", "key": key, "fingerprint": b"\x00\xff", "receipt": {"said": "ə"}}
    return CLAIM, its


async def test_all_of_them_are_carried_out_and_the_first_answers(database: Database) -> None:
    async with database.transaction() as tx:
        await write(tx, "old")
        row = await tx.written(
            (NEW, switch("new", changed_at=NOW)), claim("k"), (RELEASE, {"its_name": "old", "reason": "over"})
        )
    assert (row.name, row.stopped, row.changed_at) == ("new", True, NOW)
    async with database.reading() as reader:
        found = {one.name: one for one in await reader.all(select(switches))}
        kept = await reader.one(select(claims))
    assert {name: (one.stopped, one.reason) for name, one in found.items()} == {
        "old": (False, "over"),
        "new": (True, ""),
    }
    assert (kept.fingerprint, kept.receipt) == (b"\x00\xff", {"said": "ə"})


async def test_its_rows_are_read_like_sqlalchemys(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.write((NEW, switch("one", changed_at=NOW)), claim("k"))
        row = await tx.one(ONE, {"its_name": "one"})
        assert (row.name, row.stopped, row.changed_at, row.site_id) == ("one", True, NOW, 1)
        assert not hasattr(row, "nothing")
        assert (await tx.one(CLAIMED, {"its_key": "k"})).receipt == {"said": "ə"}
        assert await tx.first(ONE, {"its_name": "two"}) is None
        assert await tx.scalar(ONE, {"its_name": "two"}) is None
        assert await tx.scalar(ONE, {"its_name": "one"}) == 1
        assert [one.key for one in await tx.all(CLAIMED, {"its_key": "k"})] == ["k"]
        with pytest.raises(NoResultFound):
            await tx.one(ONE, {"its_name": "two"})
        await tx.write((NEW, switch("one", site_id=2)))
        with pytest.raises(MultipleResultsFound):
            await tx.one(ONE, {"its_name": "one"})


async def test_a_reader_sees_one_snapshot_by_either_way(database: Database) -> None:
    async with database.reading() as reader:
        assert await reader.first(ONE, {"its_name": "new"}) is None
        other = asyncio.create_task(database.write((NEW, switch("new"))), context=contextvars.Context())
        await other
        assert await reader.first(ONE, {"its_name": "new"}) is None
        assert await reader.all(select(switches)) == []
    async with database.reading() as reader:
        assert (await reader.one(ONE, {"its_name": "new"})).stopped


async def test_what_stands_in_the_statement_itself_counts(database: Database) -> None:
    values = switch("counted")
    del values["site_id"]
    async with database.transaction() as tx:
        assert await tx.write(claim("k"), (COUNTED, values)) is None
        assert await tx.scalar(text("SELECT site_id FROM switch")) == 42


async def test_the_same_statements_with_other_columns_are_others(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.write((NEW, switch("one")), claim("a"))
        await tx.write((NEW, switch("two", changed_at=NOW)), claim("b"))
        assert await tx.scalar(select(switches.c.changed_at).where(switches.c.name == "two")) == NOW
        assert await tx.scalar(select(switches.c.changed_at).where(switches.c.name == "one")) != NOW


async def test_one_that_fails_undoes_the_others(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.write(claim("k"))
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction() as tx:
            await tx.write((NEW, switch("new")), claim("k"))
    assert await written(database) == set()


async def test_a_parameter_without_a_value_is_no_null(database: Database) -> None:
    with pytest.raises(KeyError):
        async with database.transaction() as tx:
            await tx.write((RELEASE, {}))


async def test_a_statement_alone_is_a_transaction(database: Database) -> None:
    async with database.transaction() as tx:
        await write(tx, "a")
    await database.write((RELEASE, {"its_name": "a"}))
    async with database.reading() as reader:
        assert not await reader.scalar(select(switches.c.stopped))
    assert checked_out(database) == 0
    with pytest.raises(DatabaseDown):
        await Database("postgresql://nobody@/nothing?host=/nowhere").write((RELEASE, {"its_name": "a"}))


async def test_a_statement_alone_that_is_lost_is_not_known(clone_url: str, database: Database) -> None:
    async with database.transaction() as tx:
        await write(tx, "a")
    async with standing_before(clone_url) as proxy, Database(proxy.url, pool_size=1) as proxied:
        await proxied.write((RELEASE, {"its_name": "nobody"}))
        proxy.mischief = Mischief.CUT_BEFORE
        with pytest.raises(CommitUnknown):
            # The proxy waits for this word, wherever it stands.
            await proxied.write((RELEASE, {"its_name": "a", "reason": "COMMIT;"}))
        assert checked_out(proxied) == 0


async def test_settings_are_read_once_until_somebody_changes_them(database: Database) -> None:
    asked = []

    async def read() -> int:
        asked.append(1)
        return len(asked)

    async with database.transaction() as tx:
        assert [await tx.once("a", read), await tx.once("a", read), await tx.once("b", read)] == [1, 1, 2]
        tx.forget("a")
        assert await tx.once("a", read) == 3
    async with database.reading() as reader:
        assert await reader.once("a", read) == 4
