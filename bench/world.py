"""What is measured, as a user would run it: a PostgreSQL of our own, sites with players, web processes."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from sqlalchemy import make_url

from app import merchants, wiring
from app.plumbing import embedded, schema
from app.plumbing.database import asyncpg_dsn
from app.settings import Settings
from bench.wrk import BenchError, Load

__all__ = ["CURRENCY", "LOGIN", "MAIN", "ROOT", "SPREAD", "Server", "Shop", "World", "free_port", "world"]

ROOT = Path(__file__).parents[1]
CURRENCY = "EUR"
MAIN = ("m",)  # the site of all players: its house account is in every operation
SPREAD = tuple(f"s{number}" for number in range(1, 9))  # sites that share the same number of players
LOGIN = "cashier_web"  # as `cashier up` does: what serves is no superuser
_PURSE = 10**12  # what each player has to begin with, in minor units: nobody runs out of money
_START_SECONDS, _END_SECONDS, _POLL_SECONDS = 60.0, 20.0, 0.1
_IDLE_SHARE, _LOOK_SECONDS = 0.05, 0.5  # of one core
_CREATING = 16  # requests at once
_BATCH = 1000
_OK = 200


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves HTTP on a port of this machine."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def memory_mb(self) -> float:
        """Resident memory of the process and its children, in megabytes of 10^6 bytes."""
        return float(sum(one.memory_info().rss for one in self._family())) / 1e6

    def processor_seconds(self) -> float:
        """What the process and its children have computed so far."""
        return float(sum(sum(one.cpu_times()[:2]) for one in self._family()))

    def _family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


@dataclass(frozen=True, slots=True)
class Shop:
    """A database of the product with its sites; `wallet` and `play` are tokens by the site's prefix."""

    owner_url: str
    web_url: str
    players: int
    wallet: Mapping[str, str]
    play: Mapping[str, str]

    def load(
        self,
        script: str,
        server: Server,
        connections: int,
        seconds: float,
        *,
        sites: tuple[str, ...] = MAIN,
        players: int = 0,
        rate: float = 0,
        is_check: bool = False,
    ) -> Load:
        """What one script sends to these sites; see `wrk.Load`."""
        tokens = self.wallet if script == "deposit" else self.play
        share = self.players // len(sites)
        return Load(
            script,
            server.port,
            {site: tokens[site] for site in sites},
            players or share,
            connections,
            seconds,
            rate=rate,
            is_check=is_check,
        )

    def count(self, query: str = "SELECT count(*) FROM wallet_operation", *arguments: object) -> int:
        """What the owner of the database counts."""
        return int(asyncio.run(_value(self.owner_url, query, *arguments)))


@dataclass
class World:
    """The server and the databases of one run; everything ends with the block it was opened in."""

    folder: Path
    postgres: embedded.Embedded
    players: int
    _shops: dict[str, Shop] = field(default_factory=dict)

    def database(self, name: str) -> str:
        """The owner's address of a new, empty database."""
        asyncio.run(_execute(self.postgres.url, embedded.creation(name)))
        return self.postgres.database_url(name)

    def setting(self, name: str) -> str:
        """A setting as the server says it."""
        return str(asyncio.run(_value(self.postgres.url, f"SHOW {name}")))

    def shop(self, name: str) -> Shop:
        """A database of the product, made on first use: migrated, with sites and players that have money."""
        if name not in self._shops:
            owner = self.database(name)
            schema.upgrade(owner)
            asyncio.run(schema.ensure_login(owner, LOGIN))
            web = make_url(owner).set(username=LOGIN).render_as_string(hide_password=False)
            shop = asyncio.run(_opened(owner, web, self.players))
            with self.serving(shop) as server:
                asyncio.run(_stock(shop, server))
            self._shops[name] = shop
        return self._shops[name]

    @contextmanager
    def serving(self, shop: Shop, processes: int = 1) -> Iterator[Server]:
        """The product's web processes on a port of their own."""
        environ = {
            "CASHIER_DATABASE_URL": shop.web_url,
            "CASHIER_DATA_DIR": str(self.folder),
        }
        arguments = ["app.main"] if processes == 1 else ["app.cli", "web", "--processes", str(processes)]
        with self.process(arguments, environ, "CASHIER_PORT") as server:
            yield server

    @contextmanager
    def serving_orm(self, url: str, pool_size: int) -> Iterator[Server]:
        """The ORM peer on a port of its own."""
        address = make_url(url).set(drivername="postgresql+asyncpg")
        environ = {
            "PEER_DATABASE_URL": address.render_as_string(hide_password=False),
            "PEER_POOL_SIZE": str(pool_size),
        }
        with self.process(["bench.peers.orm"], environ, "PEER_PORT") as server:
            yield server

    def verify(self, shop: Shop) -> str:
        """Run `cashier verify --full`; what it printed.

        Raises:
            BenchError: an invariant of the ledger is violated.
        """
        environ = {**_environ(), "CASHIER_DATABASE_URL": shop.web_url}
        command = [sys.executable, "-m", "app.cli", "verify", "--full"]
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"cashier verify --full: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    @contextmanager
    def process(
        self, arguments: list[str], environ: Mapping[str, str], port_name: str, port: int = 0
    ) -> Iterator[Server]:
        """A Python module that serves HTTP, with `/readyz`, as a process of its own.

        Args:
            arguments: the module and what follows it.
            environ: beside this process's, without settings of the product that happen to be there.
            port_name: the variable that tells the port.
            port: 0: any free one.

        Raises:
            BenchError: it does not start, or ends by itself.
        """
        port = port or free_port()
        with self._started(arguments, {**environ, port_name: str(port)}) as (process, log):
            server = Server(process, port, log)
            _wait_for(server)
            _wait_until_idle(server)
            yield server

    @contextmanager
    def worker(self, environ: Mapping[str, str]) -> Iterator[None]:
        """The product's job process."""
        with self._started(["app.worker"], environ):
            yield

    @contextmanager
    def _started(
        self, arguments: list[str], environ: Mapping[str, str]
    ) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
        log = self.folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with ExitStack() as stack:
            file = stack.enter_context(log.open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**_environ(), **environ},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            stack.callback(_end, process)
            yield process, log
            if process.poll() is not None:
                raise BenchError(f"{arguments[0]} ended by itself: {log.read_text()[-500:]}")


@contextmanager
def world(folder: Path, players: int) -> Iterator[World]:
    """A PostgreSQL of our own on a folder."""
    postgres = embedded.start(folder / "postgres")
    try:
        yield World(folder, postgres, players)
    finally:
        postgres.stop()


def _environ() -> dict[str, str]:
    """This process's environment without settings of the product that happen to be in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CASHIER_")}


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _is_ready(server.port):
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"the server did not start: {server.log.read_text()[-2000:]}")
        time.sleep(_POLL_SECONDS)


def _wait_until_idle(server: Server) -> None:
    """Wait for what still starts: with several processes, the first one answers for all."""
    deadline = time.monotonic() + _START_SECONDS
    before = -1.0
    while time.monotonic() < deadline:
        spent = server.processor_seconds()
        if before >= 0 and spent - before < _IDLE_SHARE * _LOOK_SECONDS:
            return
        before = spent
        time.sleep(_LOOK_SECONDS)


def _is_ready(port: int) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and the children it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(family, timeout=_POLL_SECONDS)
    for child in alive:
        child.kill()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _value(url: str, query: str, *arguments: object) -> Any:  # noqa: ANN401  asyncpg has no types
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def _opened(owner_url: str, web_url: str, players: int) -> Shop:
    """Open the sites in balance transfer mode, with the product's own deed."""
    wallet, play = {}, {}
    async with wiring.opened(Settings(database_url=web_url), name="bench") as pipes:
        for prefix in (*MAIN, *SPREAD):
            new = merchants.NewSite(prefix, currencies=(CURRENCY,), callout_url="", notify_url="")
            async with pipes.database.transaction() as tx:
                created = await merchants.create_site(tx, new, at=pipes.clock.now())
            wallet[prefix] = created.tokens[merchants.Scope.WALLET]
            play[prefix] = created.tokens[merchants.Scope.PLAY]
    return Shop(owner_url, web_url, players, wallet, play)


async def _stock(shop: Shop, server: Server) -> None:
    """Create the players and give them money, over HTTP like anybody."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        for prefix, token in shop.wallet.items():
            count = shop.players if prefix in MAIN else shop.players // len(SPREAD)
            names = [f"{prefix}-{number}" for number in range(1, count + 1)]
            client.headers["authorization"] = f"Bearer {token}"
            waiting = iter(names)
            await asyncio.gather(*(_create(client, waiting) for _ in range(_CREATING)))
            for at in range(0, count, _BATCH):
                await _fund(client, names[at : at + _BATCH])


async def _create(client: httpx.AsyncClient, names: Iterator[str]) -> None:
    for name in names:
        body = {"playerExternalId": name, "currency": CURRENCY}
        _must_be_ok(await client.post("/v1/player/create", json=body))


async def _fund(client: httpx.AsyncClient, names: list[str]) -> None:
    operations = [
        {
            "type": "deposit",
            "transferId": f"purse-{name}",
            "playerExternalId": name,
            "currency": CURRENCY,
            "amount": _PURSE,
        }
        for name in names
    ]
    body = {"operations": operations, "allOrNone": True}
    _must_be_ok(await client.post("/v1/player/wallet/batch", json=body))


def _must_be_ok(response: httpx.Response) -> None:
    if response.status_code != _OK or not response.json()["success"]:
        raise BenchError(
            f"{response.request.url.path} answered {response.status_code}: {response.text[:300]}"
        )
