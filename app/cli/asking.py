"""What commands share: the consoles, and the way to the database of this deployment."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import NoReturn, TypeVar

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from app import merchants, wiring
from app.demo.facts import Demo
from app.demo.prepare import DATABASE
from app.plumbing import embedded
from app.plumbing.database import Reader, Transaction, sqlstate
from app.plumbing.pipes import Pipes
from app.settings import BadSetting, Settings

__all__ = [
    "DATABASE_REFUSALS",
    "NAME_IT",
    "done",
    "err",
    "fail",
    "fail_at",
    "group",
    "out",
    "private_peers",
    "reachable",
    "require_database",
    "told",
    "told_of",
    "with_pipes",
]

T = TypeVar("T")
R = TypeVar("R", bound=Reader)
DATABASE_REFUSALS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError)
_DATA = "22"  # the class of data exceptions: a number too large, a character that no text may have
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
NAME_IT = (
    "In a demo an address of your own machine is named, as host:port, in CASHIER_ALLOWED_PRIVATE_PEERS "
    "when `cashier up` starts."
)


def fail(sentence: str) -> NoReturn:
    """Say what went wrong, as it is: it may hold what others wrote, which is no markup."""
    err.print("[bold red]error:[/]", escape(sentence))
    raise SystemExit(1)


def fail_at(error: Exception) -> NoReturn:
    """Say that a value is none that the database can hold; whatever else the database refused is raised."""
    if not sqlstate(error).startswith(_DATA):
        raise error
    fail("a number or a text is none that the database can hold.")


def group(about: str) -> typer.Typer:
    """A group of commands; `about` is what its help says."""
    return typer.Typer(help=about, no_args_is_help=True)


def private_peers(settings: Settings) -> frozenset[tuple[str, int]]:
    """The private addresses that may be registered: as set, and those that a running demo may call."""
    demo = None if settings.production else Demo.read(settings.data_dir / "demo.json")
    return settings.allowed_private_peers | (demo.peers if demo else frozenset())


def told(work: Callable[[Reader, datetime], Awaitable[T]]) -> T:
    """Ask one snapshot of the database."""
    return with_pipes(lambda pipes: _inside(pipes.database.reading(), work, pipes))


def told_of(site_id: int, work: Callable[[Reader, datetime], Awaitable[T]]) -> T:
    """Ask one snapshot about a site.

    Raises:
        SiteNotFound: no such number.
    """

    async def asked(reader: Reader, now: datetime) -> T:
        await merchants.site(reader, site_id)
        return await work(reader, now)

    return told(asked)


def done(work: Callable[[Transaction, datetime], Awaitable[T]]) -> T:
    """Do something in one transaction."""
    return with_pipes(lambda pipes: _inside(pipes.database.transaction(), work, pipes))


async def _inside(
    opened: AbstractAsyncContextManager[R], work: Callable[[R, datetime], Awaitable[T]], pipes: Pipes
) -> T:
    async with opened as reader:
        return await work(reader, pipes.clock.now())


def with_pipes(work: Callable[[Pipes], Awaitable[T]]) -> T:
    """Do something with the pipes of this deployment, for as long as it takes."""
    settings = reachable(Settings.read())

    async def run() -> T:
        async with wiring.opened(settings, name="cashier cli") as pipes:
            return await work(pipes)

    return asyncio.run(run())


def reachable(settings: Settings) -> Settings:
    """The settings with the database's address: as set, or the embedded one of a running `cashier up`."""
    if settings.database_url:
        return settings
    url = embedded.running_url(settings.data_dir.resolve() / "postgres", DATABASE)
    if url is None:
        raise BadSetting("no database: set CASHIER_DATABASE_URL, or start `cashier up` first")
    return replace(settings, database_url=url)


def require_database(settings: Settings) -> None:
    """Refuse to start a process that has no database to serve."""
    if not settings.database_url:
        raise BadSetting("CASHIER_DATABASE_URL is not set; `cashier up` starts everything, a database too")
