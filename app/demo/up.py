"""`cashier up`: starts everything on one machine, says where it is, and ends all of it with one Ctrl-C.

Children live in sessions of their own and hold the reading end of a pipe: should this process be killed, the
pipe closes and they leave by themselves. A lock on the data folder keeps a second run out; the lock goes with
the process.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import asyncpg
from rich.console import Console

from app import wiring
from app.demo.seed import Demo, seed
from app.kernel.clock import SystemClock
from app.plumbing import embedded, schema
from app.plumbing.database import asyncpg_dsn
from app.plumbing.http import CallFailed, HttpClient
from app.settings import BadSetting, Settings

__all__ = ["DATABASE", "SUPERVISED", "run"]

DATABASE = "cashier"
SUPERVISED = "CASHIER_SUPERVISED"  # tells a child to leave when its standard input ends
_PATIENCE_SECONDS = 20.0
_GRACE_SECONDS = 10.0
_console = Console(stderr=True, highlight=False)


class CannotStart(RuntimeError):
    """Something is in the way; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process of ours."""

    name: str
    process: "subprocess.Popen[bytes]"


def run(settings: Settings) -> int:
    """Start everything and wait for Ctrl-C; returns the exit status of the command."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with _only_one(settings.data_dir), _database(settings) as settings_with_database:
            return _serve(settings_with_database)
    except (CannotStart, BadSetting) as error:
        _console.print(f"[bold red]cannot start:[/] {error}")
        return 1
    except KeyboardInterrupt:
        return 0


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[TextIO]:
    with (data_dir / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"the cashier already runs on {data_dir}; end it, or set CASHIER_DATA_DIR and the ports for a second one"
            ) from None
        yield lock


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[Settings]:
    if settings.database_url:
        yield settings
        return
    _console.print("starting PostgreSQL ...")
    try:
        server = embedded.start(settings.data_dir.resolve() / "postgres")
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(
            f"PostgreSQL did not start: {error}; its log is {settings.data_dir}/postgres/log"
        ) from error
    try:
        asyncio.run(_create_database(server.url))
        yield replace(settings, database_url=server.database_url(DATABASE))
    finally:
        _console.print("stopping PostgreSQL ...")
        server.stop()


async def _create_database(url: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()


def _serve(settings: Settings) -> int:
    merchant_url = f"http://127.0.0.1:{settings.merchant_port}"
    sandbox_url = f"http://127.0.0.1:{settings.sandbox_port}"
    ports = {"CASHIER_PORT": settings.port, "CASHIER_MERCHANT_PORT": settings.merchant_port}
    ports["CASHIER_SANDBOX_PORT"] = settings.sandbox_port
    for name, port in ports.items():
        _wait_for_port(name, port)
    own = {
        (settings.host, settings.port),
        ("127.0.0.1", settings.merchant_port),
        ("127.0.0.1", settings.sandbox_port),
    }
    settings = replace(settings, allowed_private_peers=settings.allowed_private_peers | own)
    _console.print("migrating the database ...")
    schema.upgrade(settings.database_url)
    _console.print("seeding the demo site ...")
    file = settings.data_dir / "demo.json"
    demo = asyncio.run(_seeded(settings, Demo.read(file), merchant_url, sandbox_url))
    demo.write(file)
    stopping = _signals()
    _console.print("starting the cashier, the worker, the demo shop and the sandbox provider ...")
    children = [_spawn(settings, name) for name in ("web", "worker", "demo-servers")]
    try:
        asyncio.run(_wait_until_ready(demo, children))
        _tell(demo, file)
        return _watch(children, stopping)
    finally:
        _end(children)


async def _seeded(settings: Settings, earlier: Demo | None, merchant_url: str, sandbox_url: str) -> Demo:
    async with wiring.opened(settings, name="cashier up") as pipes:
        return await seed(
            pipes,
            earlier,
            merchant_url=merchant_url,
            sandbox_url=sandbox_url,
            peers=settings.allowed_private_peers,
        )


def _wait_for_port(name: str, port: int) -> None:
    """A run that was killed leaves its children a moment to notice; anybody else's port is an error."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                if time.monotonic() > deadline:
                    raise CannotStart(
                        f"port {port} is taken by another program; set {name} to a free one"
                    ) from None
            else:
                return
        time.sleep(0.2)


def _spawn(settings: Settings, name: str) -> Child:
    environ = {
        **os.environ,
        "CASHIER_DATABASE_URL": settings.database_url,
        "CASHIER_DATA_DIR": str(settings.data_dir),
        "CASHIER_ALLOWED_PRIVATE_PEERS": ",".join(
            f"{host}:{port}" for host, port in settings.allowed_private_peers
        ),
        "CASHIER_LOG_LEVEL": os.environ.get("CASHIER_LOG_LEVEL", "warning"),
        SUPERVISED: "1",
    }
    process = subprocess.Popen(  # noqa: S603  our own command
        [sys.executable, "-m", "app.cli", name], env=environ, stdin=subprocess.PIPE, start_new_session=True
    )
    return Child(name, process)


def _signals() -> "list[int]":
    """Signals that ask us to end, as they arrive."""
    arrived: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: arrived.append(received))
    return arrived


async def _wait_until_ready(demo: Demo, children: list[Child]) -> None:
    addresses = [
        f"{demo.base_url}/readyz",
        f"{demo.merchant_url}/demo/state",
        f"{demo.sandbox_url}/demo/state",
    ]
    peers = frozenset(
        (host, int(port)) for host, _, port in (peer.rpartition(":") for peer in demo.allowed_private_peers)
    )
    clock = SystemClock()
    deadline = clock.monotonic() + _PATIENCE_SECONDS
    for address in addresses:
        # A client each, so that the breaker of one that is still starting does not hold us up.
        while not await _answers(address, peers):
            ended = [child.name for child in children if child.process.poll() is not None]
            if ended:
                raise CannotStart(f"{', '.join(ended)} ended at once; its words are above")
            if clock.monotonic() > deadline:
                raise CannotStart(f"{address} did not answer within {_PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(0.1)


async def _answers(address: str, peers: frozenset[tuple[str, int]]) -> bool:
    async with HttpClient(clock=SystemClock(), allowed_private_peers=peers) as http:
        try:
            reply = await http.call("GET", address, deadline_seconds=3.0)
        except CallFailed:
            return False
    return reply.status == 200  # noqa: PLR2004  OK


def _tell(demo: Demo, file: Path) -> None:
    _console.print(
        f"""
[bold green]The cashier is running.[/]

  demo shop          [bold]{demo.merchant_url}[/]   open it and press Deposit
  cashier            {demo.base_url}   API docs at /docs, health at /readyz
  sandbox provider   {demo.sandbox_url}
  for programs       {file}   site, salt, tokens, secrets

Ctrl-C ends all of it."""
    )


def _watch(children: list[Child], stopping: list[int]) -> int:
    while not stopping:
        for child in children:
            if child.process.poll() is not None:
                _console.print(
                    f"[bold red]{child.name} ended with status {child.process.returncode}; stopping the rest[/]"
                )
                return 1
        time.sleep(0.2)
    return 0


def _end(children: list[Child]) -> None:
    _console.print("stopping ...")
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
