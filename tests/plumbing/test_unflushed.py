"""What need not be on the disk when it is answered: that statement alone, and never with anything else."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import bindparam, select, text

import app
from app.plumbing import queue
from app.plumbing.database import NOBODY, Asked, Built, Database
from app.plumbing.switches import switches
from tests.plumbing.sessions import NOW
from tests.plumbing.test_built import ONE, switch
from tests.plumbing.test_queue import until, working

LIGHT = Built(switches.insert().returning(switches.c.name), is_flushed=False)
LOOK = Built(select(bindparam("x", 1).label("one")), is_flushed=False)
SHOWN = text("SELECT current_setting('synchronous_commit')")


async def test_its_commit_alone_is_not_waited_for(database: Database) -> None:
    async with database.singly() as tx:
        row = await tx.written((LIGHT, switch("one", changed_at=NOW)))
        assert (row.name, row.not_flushed) == ("one", "off")
        assert await tx.scalar(SHOWN) == "on", "whoever has the connection next is flushed"
        assert (await tx.one(LOOK)).not_flushed == "off"
        assert await tx.scalar(SHOWN) == "on"
    await database.write((LIGHT, switch("two", changed_at=NOW)))
    async with database.reading() as reader:
        assert [await reader.scalar(ONE, {"its_name": name}) for name in ("one", "two")] == [1, 1]


async def test_in_a_transaction_it_is_refused(database: Database) -> None:
    """What else is written there would not be flushed either."""
    async with database.transaction() as tx:
        with pytest.raises(AssertionError, match="flushed"):
            await tx.write((LIGHT, switch("one", changed_at=NOW)))
        with pytest.raises(AssertionError, match="flushed"):
            await tx.one(LOOK)
    async with database.reading() as reader:
        assert await reader.scalar(SHOWN) == "on"
        assert await reader.first(ONE, {"its_name": "one"}) is None


def test_two_statements_are_of_this_kind() -> None:
    """Decision 0031 says of each what becomes of it; a third belongs there first."""
    rooms = Path(app.__file__).parent
    found = [
        (path.relative_to(rooms).as_posix(), path.read_text().count("is_flushed=False"))
        for path in sorted(rooms.rglob("*.py"))
    ]
    assert [(path, count) for path, count in found if count] == [
        ("players/operations.py", 1),
        ("webhooks/endings.py", 1),
    ]


async def test_nor_are_the_connections_of_the_queue(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a worker's own; what its jobs do is done on others."""
    asked: list[dict[str, str]] = []
    create_pool = asyncpg.create_pool

    def noted(*args: Any, server_settings: dict[str, str], **more: Any) -> Any:  # noqa: ANN401  as asyncpg has it
        asked.append(server_settings)
        return create_pool(*args, server_settings=server_settings, **more)

    monkeypatch.setattr(asyncpg, "create_pool", noted)
    async with working(queue.Worker(database)):
        await until(lambda: bool(asked))
    assert asked[0]["synchronous_commit"] == "off"
    assert "synchronous_commit" not in database.settings.as_server_settings()


async def test_whoever_asks_nobody_hears_so() -> None:
    async def ask() -> object:
        return await NOBODY.one(ONE, {"its_name": "one"})

    deeds: list[Callable[[], Awaitable[object]]] = [
        ask,
        lambda: NOBODY.all(text("SELECT 1")),
        lambda: NOBODY.first(ONE, {"its_name": "one"}),
        lambda: NOBODY.scalar(SHOWN),
        lambda: NOBODY.execute(text("SELECT 1")),
        lambda: NOBODY.write((LIGHT, switch("one", changed_at=NOW))),
        lambda: NOBODY.once("x", ask),
    ]
    for deed in deeds:
        with pytest.raises(Asked):
            await deed()
    with pytest.raises(Asked):
        _ = NOBODY.raw
