"""One real PostgreSQL for the run, one migrated template, a cheap clone for each test that wants one."""

import asyncio
import fcntl
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import asyncpg
import pytest
from sqlalchemy import make_url

from app.kernel.clock import MovableClock
from app.plumbing import embedded, schema
from app.plumbing.database import Database, SessionSettings, asyncpg_dsn

ROOT = Path(__file__).parents[1]
URL = "CASHIER_TEST_POSTGRES_URL"  # the server of this run, handed to the workers of pytest-xdist
TEMPLATE = "cashier_template"
_MEMORY = Path("/dev/shm")
_server: embedded.Embedded | None = None
_locks: list[TextIO] = []
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Start the server and make the template, once, in the process that steers the run."""
    global _server  # noqa: PLW0603  one server a run
    if hasattr(config, "workerinput") or URL in os.environ:
        return
    _server = embedded.start(_free_folder())
    os.environ[URL] = _server.url
    asyncio.run(_make_template(_server.url))


def _free_folder() -> Path:
    """A server folder that no other test run uses at the moment; the lock goes with this process.

    In memory where there is some: thousands of tests each get a database of their own, and none of them asks
    what survives a power cut (those that kill servers start their own, on the disk).
    """
    parent = _MEMORY / "open-cashier-tests" if os.access(_MEMORY, os.W_OK) else ROOT / "var"
    for number in itertools.count(1):
        folder = parent / f"test-postgres-{number}"
        folder.parent.mkdir(exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _locks.append(lock)
        return folder
    raise AssertionError


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server that this process started."""
    if _server is not None and not hasattr(config, "workerinput"):
        _server.stop()
    for lock in _locks:
        lock.close()


async def _make_template(url: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        left = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'cashier_%'")
        for row in left:
            await connection.execute(f'DROP DATABASE "{row["datname"]}" WITH (FORCE)')
        await connection.execute(embedded.creation(TEMPLATE))
    finally:
        await connection.close()
    await asyncio.to_thread(schema.upgrade, database_url(url, TEMPLATE))


def database_url(server: str, name: str) -> str:
    """The address of a database on the run's server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@asynccontextmanager
async def cloned() -> AsyncIterator[str]:
    """The owner's address of a fresh copy of the migrated template; dropped afterwards."""
    server = os.environ[URL]
    name = f"cashier_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(asyncpg_dsn(server))
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} STRATEGY FILE_COPY')
        yield database_url(server, name)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture
async def clone_url() -> AsyncIterator[str]:
    """The owner's address of a fresh copy of the migrated template; dropped afterwards."""
    async with cloned() as url:
        yield url


@pytest.fixture
async def database(clone_url: str) -> AsyncIterator[Database]:
    """The application's view of a fresh database: its own role, its own time-outs."""
    async with Database(clone_url, pool_size=20) as opened:
        yield opened


@pytest.fixture
async def owner_database(clone_url: str) -> AsyncIterator[Database]:
    """The same database as its owner, for tests that plant a corruption or read the catalogue."""
    async with Database(
        clone_url, SessionSettings(role="", application_name="test owner"), pool_size=5
    ) as opened:
        yield opened


@pytest.fixture
def now() -> datetime:
    """The instant at which every test begins."""
    return datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock(now: datetime) -> MovableClock:
    """A clock that moves only when told."""
    return MovableClock(now)
