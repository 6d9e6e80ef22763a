"""Web processes and a PostgreSQL of their own, each of which may be killed and started again."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from app import merchants, wiring
from app.plumbing import embedded, schema
from app.plumbing.database import asyncpg_dsn
from app.settings import Settings
from tests.processes.parts import answers
from tests.processes.running import PATIENCE_SECONDS, Home, home, until
from tests.stories.stage import free_port

WEBS = 2
FILLS_SECONDS, PASSES_SECONDS = 0.15, 0.005


@dataclass
class Machines:
    """What a site runs on."""

    home: Home
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(WEBS)])
    tokens: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    _webs: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        """Where the web processes are reached."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def folder(self) -> Path:
        """PostgreSQL's."""
        return self.home.data_dir / "postgres"

    def start_postgres(self) -> None:
        """Start it, and let it recover what a kill left."""
        self.url = embedded.start(self.folder, outlives_us=True).database_url("postgres")
        self.home.more["CASHIER_DATABASE_URL"] = self.url
        asyncio.run(self.release_commits())

    def prepare(self) -> None:
        """The schema, and a site with its tokens."""
        schema.upgrade(self.url)

        async def created() -> merchants.CreatedSite:
            async with wiring.opened(Settings.read(self.home.environ)) as pipes:
                new = merchants.NewSite(
                    name="Altyn Games",
                    currencies=("KZT",),
                    callout_url="https://shop.example.com/callout",
                    notify_url="https://shop.example.com/notify",
                )
                async with pipes.database.transaction() as tx:
                    return await merchants.create_site(tx, new, at=pipes.clock.now())

        self.tokens = asyncio.run(created()).tokens

    def start_webs(self) -> None:
        """Start those that do not run, and wait until all serve."""
        for port in self.ports:
            if port not in self._webs:
                self._webs[port] = self.home.spawn_module("app.main", CASHIER_PORT=str(port))
        for port, process in self._webs.items():
            until(lambda port=port, process=process: process.poll() is not None or answers(port), "web")  # type: ignore[misc]
            assert process.poll() is None, self.home.said

    def kill_web(self, number: int) -> None:
        """End a web process as a power cut does."""
        process = self._webs.pop(self.ports[number % WEBS])
        process.kill()
        process.wait()

    def kill_postgres(self, how: signal.Signals) -> None:
        """End PostgreSQL: by SIGQUIT, which is an immediate stop, or by SIGKILL of the postmaster."""
        postmaster = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        assert postmaster.name() == "postgres"
        postmaster.send_signal(how)
        until(lambda: self.home.postmaster is None, "every process of PostgreSQL has ended")

    def end(self) -> None:
        """End everything politely."""
        for process in self._webs.values():
            process.send_signal(signal.SIGTERM)
        for process in self._webs.values():
            assert process.wait(PATIENCE_SECONDS) in {0, -signal.SIGTERM}, self.home.said
        embedded.stop(self.folder)

    async def hold_commits(self) -> None:
        """Let no COMMIT be answered: each reaches the disk, and waits for a standby that does not exist.

        In nature this takes microseconds; held, a kill falls between the commit and its answer.
        """
        await self._await_standbys("nobody")
        await asyncio.sleep(FILLS_SECONDS)
        # What has queued behind small batches makes large ones, which are held as well.
        await self.release_commits()
        await asyncio.sleep(PASSES_SECONDS)
        await self._await_standbys("nobody")
        await asyncio.sleep(FILLS_SECONDS)

    async def release_commits(self) -> None:
        """Answer them, and all that follow."""
        await self._await_standbys("")

    async def _await_standbys(self, names: str) -> None:
        await self.rows(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        await self.rows("SELECT pg_reload_conf()")

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the owner of the database sees."""
        connection = await asyncpg.connect(asyncpg_dsn(self.url))
        try:
            return [tuple(row.values()) for row in await connection.fetch(query)]
        finally:
            await connection.close()


@contextmanager
def machines() -> Iterator[Machines]:
    """Everything of one site, running; nothing of it lives on afterwards."""
    with home(CASHIER_LOG_LEVEL="warning") as made:
        found = Machines(made)
        found.start_postgres()
        found.prepare()
        found.start_webs()
        yield found
        found.end()
