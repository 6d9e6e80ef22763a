"""The place of a simulation: a database of its own, two sites, their merchants, and the bank."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from app import merchants, methods, payments, providers, staff
from app.demo.simulation.bank import ACCOUNT, METHOD, SECOND_ACCOUNT, Bank, Deliver
from app.demo.simulation.canaries import Canary, Victim, planted
from app.demo.simulation.chance import Chance
from app.demo.simulation.merchant import CURRENCY, Merchant
from app.demo.simulation.network import MortalDatabase, Peer, SimulatedHttp
from app.demo.simulation.story import Killed, Timeline
from app.kernel import ids
from app.kernel.money import Money
from app.plumbing import embedded, schema
from app.plumbing.database import asyncpg_dsn
from app.plumbing.pipes import Pipes

__all__ = ["BANK_HOST", "World", "opened_database", "settled"]

BANK_HOST: Final = "bank.example.com"
LEAST, MOST = Money(50_000, CURRENCY), Money(100_000_000, CURRENCY)
DATABASE: Final = "simulation"
MEMORY: Final = "/dev/shm"  # noqa: S108  a folder of random name is made in it
# What nobody needs but whoever looks after every step.
INDEXES: Final = """
CREATE INDEX simulated_changed_at ON payment (changed_at);
CREATE INDEX simulated_next_at ON webhook (next_at) WHERE state = 'pending';
CREATE INDEX simulated_received_at ON notice (received_at) WHERE state = 'new';
CREATE INDEX simulated_hold ON hold (expires_at) WHERE captured_minor + released_minor < amount_minor;
CREATE INDEX simulated_because ON transfer (site_id, because);
"""


@dataclass(slots=True)
class World:
    """Everything there is.

    `servers` are the merchants by site; `seamless` is the site whose players' money is not with us.
    """

    pipes: Pipes
    database: MortalDatabase
    http: SimulatedHttp
    chance: Chance
    timeline: Timeline
    bank: Bank
    watch: asyncpg.Connection  # of our own, to look at what nobody must die at
    servers: dict[int, Merchant] = field(default_factory=dict)
    sites: dict[int, merchants.Site] = field(default_factory=dict)
    seamless: int = 0
    deciding: list[staff.Operator] = field(default_factory=list)
    asking: list[staff.Operator] = field(default_factory=list)  # for refunds, which others approve


@contextmanager
def opened_database() -> Iterator[str]:
    """The owner's address of a fresh migrated database, on a server that lives as long as the block."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="cashier-simulation-", dir=memory) as folder:
        server = embedded.start(Path(folder) / "postgres")
        try:
            asyncio.run(_create(server.url))
            url = server.database_url(DATABASE)
            schema.upgrade(url)
            yield url
        finally:
            server.stop()


async def _create(url: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        # Nothing outlives the simulation, so nothing need be on disk.
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute(embedded.creation(DATABASE))
    finally:
        await connection.close()


async def settled(
    url: str, chance: Chance, timeline: Timeline, canary: Canary | None, victim: Victim
) -> World:
    """A world in a migrated database, in which nobody has done anything yet."""
    watch = await asyncpg.connect(asyncpg_dsn(url))
    await watch.execute(INDEXES)
    # One long question, asked after every step: to plan it takes longer than to answer it.
    await watch.execute("SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
    database = MortalDatabase(url, chance, timeline)
    secret = ids.secret()
    http = planted(canary, victim, chance, timeline, secret)
    pipes = Pipes(database, http, timeline.clock, "https://cashier.example.com")
    bank = Bank(chance, timeline, _deliver_to(pipes, database), secret)
    world = World(pipes, database, http, chance, timeline, bank, watch)
    http.peers_by_host[BANK_HOST] = bank.answer
    for is_seamless in (False, True):
        await _open_site(world, is_seamless=is_seamless)
    async with database.transaction() as tx:
        for login, role in (("first", world.deciding), ("second", world.deciding), ("third", world.asking)):
            new = staff.NewOperator(login, login.title(), frozenset({staff.Role.FINANCE}))
            operator, _ = await staff.create_operator(tx, new, at=timeline.clock.now())
            role.append(operator)
    return world


async def _open_site(world: World, *, is_seamless: bool) -> None:
    host = "seamless.example.com" if is_seamless else "shop.example.com"
    at = world.timeline.clock.now()
    async with world.database.transaction() as tx:
        new = merchants.NewSite(
            name=host,
            currencies=(CURRENCY,),
            callout_url=f"https://{host}/callout",
            notify_url=f"https://{host}/notify",
            callback_url=f"https://{host}/wallet" if is_seamless else "",
        )
        created = await merchants.create_site(tx, new, at=at)
        both = (ACCOUNT, SECOND_ACCOUNT)
        for account in both:
            await providers.seed_account(
                tx,
                created.site_id,
                account,
                gateway="sandbox",
                base_url=f"https://{BANK_HOST}",
                credentials={"account": account, "secret": world.bank.secret},
            )
        for direction in methods.Direction:
            await methods.offer_method(
                tx, created.site_id, METHOD, minimum=LEAST, maximum=MOST, account=ACCOUNT, direction=direction
            )
            await methods.order_accounts(tx, created.site_id, METHOD, CURRENCY, both, direction=direction)
        # At one site everything goes by itself; at the other people decide, and the merchant says "pay".
        rules = payments.PayoutPolicy(
            auto_below=MOST if is_seamless else Money(90_000, CURRENCY),
            second_above=None if is_seamless else Money(150_000, CURRENCY),
            needs_initiation=not is_seamless,
        )
        await payments.set_policy(tx, created.site_id, CURRENCY, rules, by="machine:simulation", at=at)
        world.sites[created.site_id] = await merchants.site(tx, created.site_id)
    server = Merchant(created.salt, world.chance, world.timeline)
    world.servers[created.site_id] = server
    world.http.peers_by_host[host] = _served_by(server)
    if is_seamless:
        world.seamless = created.site_id


def _served_by(server: Merchant) -> Peer:
    async def serve(_method: str, _path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        kinds = {name.lower(): value for name, value in headers.items()}
        return server.answer(body, kinds.get("content-type", ""))

    return serve


def _deliver_to(pipes: Pipes, database: MortalDatabase) -> Deliver:
    async def deliver(url: str, headers: Mapping[str, str], body: bytes) -> int:
        path = urlsplit(url).path
        _, _, site_id, account = path.split("/")
        notice = providers.RawNotice(path, dict(headers), body)
        database.is_mortal = True
        try:
            reply = await providers.take_notice(
                pipes.database, int(site_id), account, notice, at=pipes.clock.now()
            )
        except Killed:
            return 0
        finally:
            database.is_mortal = False
        return reply.status

    return deliver
