"""The world of deposits: sites, the sandbox provider, a merchant who says yes, the web process, a worker."""

import asyncio
import itertools
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

import asyncpg
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url

from app import merchants, wiring
from app.demo.facts import ACCOUNT
from app.demo.provider_orders import signature_of
from app.demo.seed import SANDBOX, offer_everything
from app.kernel import ids, signing
from app.plumbing import schema
from app.plumbing.database import asyncpg_dsn
from app.settings import Settings
from bench.world import LOGIN, Server, Shop, World, free_port
from bench.wrk import BenchError, Load

__all__ = ["Heard", "Till", "opened"]

_CURRENCY = "KZT"
_SITES = 8  # keys are obtained at most 50 times a second at each
_PLAYERS = 400  # of each site; nobody pays twice at the same time
_PENDING_FIRST, _PAID_AT_ONCE = "1000.03", "1000.01"  # by the last digits; docs/sandbox.md
_OWN = "cashier_http_own_seconds"
_ROUTE = "/cashier/deposit"


@dataclass(frozen=True, slots=True)
class Heard:
    """What the merchant has heard so far: deposits by their numbers; `last_at` on the monotonic clock."""

    asked: int
    completed: int
    repeated: int
    others: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Till:
    """A running cashier with everybody it talks to. `shop` is its database."""

    shop: Shop
    web: Server
    merchant: Server
    folder: Path
    secret: str
    keys: Path

    def deposits(
        self, connections: int, seconds: float, *, rate: float = 0, is_at_once: bool = False
    ) -> Load:
        """Keys and forms by turns.

        Args:
            connections, seconds: as of `Load`.
            rate: in deposits a second.
            is_at_once: the provider's answer says that it is paid, and so does its notice; else it is
                pending, and the notice decides.
        """
        amount = _PAID_AT_ONCE if is_at_once else _PENDING_FIRST
        load = Load("till", self.web.port, {}, 0, connections, seconds, rate=2 * rate)
        return replace(load, lines=self.keys, amount=amount)

    def notices(self, connections: int, seconds: float, count: int) -> Load:
        """`count` notices that nobody has seen, signed now, about deposits that are there."""
        references = asyncio.run(_references(self.shop.owner_url))
        path = self.folder / f"notices-{ids.secret(16)}"
        with path.open("w", encoding="ascii") as file:
            for row in itertools.islice(itertools.cycle(references), count):
                file.write(self._notice(*row) + "\n")
        return Load("notices", self.web.port, {}, 0, connections, seconds, lines=path)

    def heard(self) -> Heard:
        """Ask the merchant."""
        return Heard(**json.loads(_read(self.merchant.port, "/heard")))

    def own_seconds(self) -> dict[float, float]:
        """The cashier's own time for the form, as counts below each upper bound in seconds."""
        families = text_string_to_metric_families(_read(self.web.port, "/metrics"))
        return {
            float(sample.labels["le"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"{_OWN}_bucket" and sample.labels["route"] == _ROUTE
        }

    def _notice(self, site_id: int, reference: str, amount_minor: int) -> str:
        body = json.dumps(
            {
                "reference": reference,
                "status": "approved",
                "amount_minor": amount_minor,
                "currency": _CURRENCY,
                "notice_id": f"ntc_{ids.secret(16)}",
            }
        )
        signature = signature_of(self.secret, body.encode())
        return f"/notices/{site_id}/{SANDBOX}\t{ACCOUNT}\t{signature}\t{body}"


@contextmanager
def opened(world: World) -> Iterator[Till]:
    """Start everything on ports of its own; it ends with the block."""
    ports = {name: free_port() for name in ("web", "merchant", "bank")}
    peers = frozenset(("127.0.0.1", port) for port in ports.values())
    owner = world.database("till")
    schema.upgrade(owner)
    asyncio.run(schema.ensure_login(owner, LOGIN))
    web_url = make_url(owner).set(username=LOGIN).render_as_string(hide_password=False)
    secret = ids.secret()
    keys = world.folder / "keys"
    keys.write_text("\n".join(asyncio.run(_seeded(web_url, ports, peers, secret))) + "\n", encoding="ascii")
    environ = {
        "CASHIER_DATABASE_URL": web_url,
        "CASHIER_DATA_DIR": str(world.folder),
        "CASHIER_ALLOWED_PRIVATE_PEERS": ",".join(f"{host}:{port}" for host, port in sorted(peers)),
        "CASHIER_LOG_LEVEL": "warning",
    }
    bank = {"PEER_SECRET": secret, "PEER_CASHIER_PORT": str(ports["web"])}
    with (
        world.process(["bench.peers.merchant"], {}, "PEER_PORT", ports["merchant"]) as merchant,
        world.process(["bench.peers.bank"], bank, "PEER_PORT", ports["bank"]),
        world.process(["app.main"], environ, "CASHIER_PORT", ports["web"]) as web,
        world.worker(environ),
    ):
        yield Till(Shop(owner, web_url, _PLAYERS, {}, {}), web, merchant, world.folder, secret, keys)


async def _seeded(
    url: str, ports: dict[str, int], peers: frozenset[tuple[str, int]], secret: str
) -> list[str]:
    """Open the sites; returns a signed request for a key for each of their players."""
    merchant = f"http://127.0.0.1:{ports['merchant']}"
    paths: list[list[str]] = []
    async with wiring.opened(Settings(database_url=url, allowed_private_peers=peers), name="bench") as pipes:
        for number in range(_SITES):
            new = merchants.NewSite(
                f"site {number}", (_CURRENCY,), f"{merchant}/callout", f"{merchant}/notify", is_test=True
            )
            async with pipes.database.transaction() as tx:
                site = await merchants.create_site(tx, new, at=pipes.clock.now(), allowed_private_peers=peers)
                bank = f"http://127.0.0.1:{ports['bank']}"
                await offer_everything(
                    tx, site.site_id, _CURRENCY, sandbox_url=bank, secret=secret, peers=peers
                )
            paths.append([_key_request(site, player) for player in range(_PLAYERS)])
    return [path for of_all in zip(*paths, strict=True) for path in of_all]


def _key_request(site: merchants.CreatedSite, player: int) -> str:
    fields = {
        "site_id": str(site.site_id),
        "site_login": f"player-{player}",
        "customer_ip": "127.0.0.1",
        "currency": _CURRENCY,
        "language": "en",
    }
    return "/api/authlink/obtain/?" + urlencode(fields | {"signature": signing.sign(fields, site.salt)})


async def _references(url: str) -> list[tuple[int, str, int]]:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        rows = await connection.fetch(
            "SELECT site_id, attempt_id, amount_minor FROM attempt JOIN payment USING (site_id, payment_id)"
        )
    finally:
        await connection.close()
    if not rows:
        raise BenchError("there are no deposits that notices could be about")
    return [tuple(row) for row in rows]


def _read(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return str(answer.read().decode())
