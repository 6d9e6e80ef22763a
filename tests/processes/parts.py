"""The parts of a running cashier: processes that a test may kill and start again."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import httpx

from app import wiring
from app.demo.facts import Demo
from app.demo.seed import seed
from app.plumbing.database import Database, asyncpg_dsn
from app.settings import Settings
from tests import invariants
from tests.processes.running import PATIENCE_SECONDS, Home, Player, home, until

Part = Literal["web", "worker", "demo"]
PARTS: tuple[Part, ...] = ("web", "worker", "demo")
STALE_SECONDS = "2"  # how long the next worker waits for a killed one


@dataclass
class Parts:
    """One cashier in pieces."""

    home: Home
    url: str
    running: dict[Part, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def player(self) -> Player:
        return Player(self.home.demo)

    def start(self, part: Part) -> None:
        """Start one process and wait until it serves."""
        if part == "demo":
            self.running[part] = self.home.spawn_module("app.demo.servers")
            self._wait_for(part, self.home.merchant_port, self.home.sandbox_port)
            return
        self.running[part] = self.home.spawn(part)
        if part == "web":
            self._wait_for(part, self.home.port)

    def _wait_for(self, part: Part, *ports: int) -> None:
        process = self.running[part]
        until(lambda: process.poll() is not None or all(answers(port) for port in ports), part)
        assert process.poll() is None, self.home.said

    def kill(self, part: Part) -> None:
        """End a process as a power cut does."""
        process = self.running.pop(part)
        process.kill()
        process.wait()

    def end(self) -> None:
        """End everything politely."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            assert process.wait(PATIENCE_SECONDS) in {0, -signal.SIGTERM}, self.home.said

    def rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """What the owner of the database sees."""

        async def ask() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(asyncpg_dsn(self.url))
            try:
                return [dict(row) for row in await connection.fetch(query, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    def check_invariants(self) -> None:
        """I1 to I6 and I9 of the whole ledger."""

        async def check() -> None:
            async with Database(self.url) as database:
                await invariants.hold(database)

        asyncio.run(check())

    @contextmanager
    def locked(self, query: str, *arguments: object) -> Iterator[None]:
        """Hold the locks of a query's rows in a transaction of the test's own, for the time of the block."""
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(asyncpg_dsn(self.url)))
            runner.run(connection.execute("BEGIN"))
            assert runner.run(connection.fetch(query, *arguments)), "there is nothing to lock"
            try:
                yield
            finally:
                runner.run(connection.close())


def answers(port: int) -> bool:
    """Whether the server on a port is up."""
    try:
        reply = httpx.get(
            f"http://127.0.0.1:{port}/healthz", trust_env=False, headers={"connection": "close"}
        )
    except httpx.HTTPError:
        return False
    return reply.is_success


@contextmanager
def parts(url: str) -> Iterator[Parts]:
    """A seeded site in a database, and all its processes running."""
    with home(CASHIER_DATABASE_URL=url, CASHIER_JOB_STALE_SECONDS=STALE_SECONDS) as made:
        shop, sandbox = (f"http://127.0.0.1:{port}" for port in (made.merchant_port, made.sandbox_port))
        peers = frozenset(("127.0.0.1", port) for port in (made.port, made.merchant_port, made.sandbox_port))
        made.more["CASHIER_ALLOWED_PRIVATE_PEERS"] = ",".join(f"{host}:{port}" for host, port in peers)

        async def seeded() -> Demo:
            async with wiring.opened(Settings.read(made.environ)) as pipes:
                return await seed(pipes, None, merchant_url=shop, sandbox_url=sandbox, peers=peers)

        asyncio.run(seeded()).write(made.data_dir / "demo.json")
        found = Parts(made, url)
        for part in PARTS:
            found.start(part)
        yield found
        found.end()
