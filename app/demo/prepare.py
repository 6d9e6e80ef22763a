"""What `cashier up` does before anything serves, in a process of its own that ends when it is done.

`start` brings up PostgreSQL, migrates, seeds the demo site, writes demo.json, and prints the address of the
database; `stop` stops the embedded PostgreSQL. In a supervisor that runs for days it would be dead weight.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app import wiring
from app.demo.facts import Demo
from app.demo.seed import seed
from app.kernel.errors import Refusal
from app.plumbing import embedded, schema
from app.plumbing.database import DatabaseDown, asyncpg_dsn
from app.settings import Settings

__all__ = ["DATABASE"]

DATABASE = "cashier"
LOGIN = "cashier_web"  # what serves logs in as a member of cashier_app and of nothing else
_CONNECT_SECONDS = 5
_RECOVERY_TRIES, _PAUSE_SECONDS = 100, 0.2


class CannotPrepare(RuntimeError):
    """Something is in the way; the message says what, and what to do."""


def start(settings: Settings) -> None:
    """Make everything ready to serve, and print the address of the database.

    Raises:
        CannotPrepare: with a sentence for the person at the keyboard.
    """
    given = bool(settings.database_url)
    settings = replace(settings, database_url=settings.database_url or _embedded_url(settings))
    asyncio.run(_must_answer(settings.database_url))
    _say("migrating the database ...")
    try:
        schema.upgrade(settings.database_url)
    except (SQLAlchemyError, asyncpg.PostgresError, OSError) as error:
        raise CannotPrepare(f"the database could not be migrated: {_first_line(error)}") from error
    _say("seeding the demo site ...")
    try:
        asyncio.run(_seeded(settings)).write(settings.data_dir / "demo.json")
    except (DatabaseDown, Refusal) as error:
        raise CannotPrepare(f"the demo site could not be seeded: {error}") from error
    url = settings.database_url
    if not given:
        asyncio.run(schema.ensure_login(url, LOGIN))
        url = make_url(url).set(username=LOGIN).render_as_string(hide_password=False)
    sys.stdout.write(url + "\n")


def stop(settings: Settings) -> None:
    """Stop the embedded PostgreSQL, if it runs."""
    _say("stopping PostgreSQL ...")
    embedded.stop(settings.data_dir / "postgres")


def _embedded_url(settings: Settings) -> str:
    _say("starting PostgreSQL ...")
    folder = settings.data_dir / "postgres"
    try:
        server = embedded.start(folder, outlives_us=True)
        asyncio.run(_create_database(server.url))
    except (OSError, subprocess.SubprocessError, asyncpg.PostgresError) as error:
        raise CannotPrepare(
            f"PostgreSQL did not start: {_first_line(error)}; its log is {folder / 'log'}"
        ) from error
    return server.database_url(DATABASE)


async def _create_database(url: str) -> None:
    connection = await _connected(url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(embedded.creation(DATABASE))
    finally:
        await connection.close()


async def _connected(url: str) -> asyncpg.Connection:
    """A connection, after waiting for a server that is still recovering from a crash."""
    for _ in range(_RECOVERY_TRIES):
        try:
            return await asyncpg.connect(asyncpg_dsn(url), timeout=_CONNECT_SECONDS)
        except asyncpg.CannotConnectNowError:
            await asyncio.sleep(_PAUSE_SECONDS)
    return await asyncpg.connect(asyncpg_dsn(url), timeout=_CONNECT_SECONDS)


async def _must_answer(url: str) -> None:
    try:
        connection = await asyncpg.connect(asyncpg_dsn(url), timeout=_CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = _first_line(error) or f"no answer within {_CONNECT_SECONDS} s"
        raise CannotPrepare(f"the database of CASHIER_DATABASE_URL cannot be used: {reason}") from error
    await connection.close()


async def _seeded(settings: Settings) -> Demo:
    async with wiring.opened(settings, name="cashier up") as pipes:
        return await seed(
            pipes,
            Demo.read(settings.data_dir / "demo.json"),
            merchant_url=f"http://127.0.0.1:{settings.merchant_port}",
            sandbox_url=f"http://127.0.0.1:{settings.sandbox_port}",
            peers=settings.allowed_private_peers,
        )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    """Do the deed named by the first argument; a sentence and status 1 when it cannot be done."""
    deeds: dict[str, Callable[[Settings], None]] = {"start": start, "stop": stop}
    try:
        deeds[sys.argv[1]](Settings.read())
    except CannotPrepare as error:
        _say(f"cannot start: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
