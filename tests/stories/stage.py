"""The stage of a story: cashier, worker, demo shop and sandbox provider, all real, on one movable clock.

What happens is told line by line; ids, secrets and ports become names, so that a transcript is the same in
every run.
"""

import asyncio
import json
import re
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from app import payments
from app.demo import merchant, provider
from app.demo.merchant_shop import MerchantSettings
from app.demo.provider_orders import ProviderSettings
from app.demo.seed import ACCOUNT, SECOND_ACCOUNT, Demo, seed
from app.kernel.clock import MovableClock
from app.main import create_app
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Handler, Payload
from app.worker import create_worker
from tests import invariants
from tests.demo.servers import sha1_signed

_PORTS = range(20_000, 30_000)  # below those of connections that go out
PATIENCE_SECONDS = 25  # a story may wait twice, and a test has a minute
ENTRIES = """
    SELECT t.kind, a.purpose, a.owner, e.amount_minor, e.currency, e.balance_after_minor
    FROM entry e JOIN account a USING (site_id, account_id) JOIN transfer t USING (site_id, transfer_id)
    ORDER BY e.transfer_id, e.amount_minor"""
WEBHOOKS = """
    SELECT sequence, state, attempts, fields ->> 'status_id' AS status_id, fields ->> 'type_id' AS type_id
    FROM webhook ORDER BY payment_id, sequence"""
DUE = """
    SELECT count(*) FROM queue.pgqueuer
    WHERE status = 'picked' OR (status = 'queued' AND execute_after <= now())"""
LATER = """
    UPDATE queue.pgqueuer SET execute_after = execute_after - cast(:delta AS interval)
    WHERE status = 'queued'"""


@dataclass
class Stage:
    """Everything a story can do and see."""

    pipes: Pipes
    clock: MovableClock
    demo: Demo
    browser: httpx.AsyncClient
    gate: asyncio.Event
    lines: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    payment_page: str = ""

    @property
    def database(self) -> Database:
        return self.pipes.database

    def tell(self, line: str) -> None:
        """Add a line to the transcript."""
        self.lines.append(line)

    async def open_cashier(self, login: str = "aigerim", language: str = "en") -> str:
        """Let the shop's server obtain a key, and open the page with it."""
        fields: dict[str, str | int] = {
            "site_id": self.demo.site_id,
            "site_login": login,
            "customer_ip": "127.0.0.1",
            "currency": self.demo.currency,
            "language": language,
        }
        signed = sha1_signed(fields, self.demo.salt)
        answer = await self.browser.get(
            "/api/authlink/obtain/", params={name: str(signed[name]) for name in signed}
        )
        self.tell(f"{login}'s shop obtains a key: {answer.status_code}")
        key = str(answer.json()["key"])
        page = await self.browser.get("/open", params={"key": key})
        assert page.status_code == 200, page.text
        self.names[key] = "<key>"
        return key

    async def deposit(self, amount: str, method: str = "card", login: str = "aigerim") -> dict[str, Any]:
        """Fill the form and press Pay; returns what the payment page says then."""
        key = await self.open_cashier(login)
        page = (await self.browser.get("/open", params={"key": key})).text
        found = re.search(r'name="form_token" value="([^"]+)"', page)
        assert found is not None
        form = {"key": key, "form_token": found[1], "method": method, "amount": amount, "lang": "en"}
        self.gate.clear()  # the answer is heard before any notice is read: one order in every run
        answer = await self.browser.post("/cashier/deposit", data=form)
        self.gate.set()
        self.tell(f"{login} pays {amount} {self.demo.currency} by {method}: {answer.status_code}")
        if answer.status_code != 303:
            errors = re.findall(r"data-error-text>([^<]+)<", answer.text)
            self.tell(f"  the page says: {'; '.join(errors)}")
            return {"errors": errors, "status_code": answer.status_code}
        self.payment_page = answer.headers["location"].partition("?")[0]
        return await self.look()

    async def look(self) -> dict[str, Any]:
        """What the payment page says now."""
        answer = await self.browser.get(f"{self.payment_page}/status", params={"lang": "en"})
        shown: dict[str, Any] = answer.json()
        self.tell(f"  the page says: {shown['stage']}: {shown['headline']} - {shown['sentence']}")
        return shown

    async def decide(self, script: str) -> None:
        """Go to the provider's page and choose there; then come back to the cashier."""
        shown = await self.look()
        page = shown["continue_url"]
        assert page, "there is no provider's page to go to"
        answer = await self.browser.post(page, data={"script": script})
        assert answer.status_code == 303, answer.text
        self.tell(f"the player chooses '{script}' at the provider's page and is sent back")
        await self.until(self.is_decided)
        await self.browser.get(urljoin(str(self.browser.base_url), answer.headers["location"]))

    async def misbehave(self, **manners: str) -> None:
        """Change the manners of the shop's server."""
        answer = await self.browser.post(f"{self.demo.merchant_url}/demo/behaviour", json=manners)
        assert answer.status_code == 200, answer.text
        self.tell(f"the shop's server is told: {manners}")

    async def shop(self) -> dict[str, Any]:
        """What the shop knows."""
        found: dict[str, Any] = (await self.browser.get(f"{self.demo.merchant_url}/demo/state")).json()
        return found

    async def provider(self) -> dict[str, Any]:
        """What the provider knows."""
        found: dict[str, Any] = (await self.browser.get(f"{self.demo.sandbox_url}/demo/state")).json()
        return found

    async def pass_time(self, **by: float) -> None:
        """Move the clock, and with it every job that waits for its time; then let the sweeps look."""
        delta = timedelta(**by)
        self.clock.advance(delta.total_seconds())
        async with self.database.transaction() as tx:
            await tx.execute(text(LATER), {"delta": delta})
        self.tell(f"... {delta} pass")
        await payments.sweep_due(self.pipes)
        await payments.end_abandoned(self.pipes)
        await self.settle()

    async def settle(self) -> None:
        """Wait until the worker has nothing left to do now."""
        quiet = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while quiet < 3:
                async with self.database.reading() as reader:
                    busy = await reader.scalar(text(DUE))
                quiet = 0 if busy else quiet + 1
                await asyncio.sleep(0.03)

    async def until(self, is_true: Callable[[], Awaitable[bool]]) -> None:
        """Wait for something that another server does in its own time."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await is_true():  # noqa: ASYNC110  what is waited for is in another server
                await asyncio.sleep(0.03)
        await self.settle()

    async def status_is(self, sub_status: str) -> bool:
        """Whether the newest payment stands there."""
        async with self.database.reading() as reader:
            found = await reader.scalar(
                text("SELECT sub_status FROM payment ORDER BY payment_id DESC LIMIT 1")
            )
        return bool(found == sub_status)

    async def is_decided(self) -> bool:
        """Whether the player is awaited no more."""
        return not await self.status_is("awaiting_player")

    async def curtain(self) -> str:
        """Check the ledger's invariants, tell how everything ended, and return the transcript."""
        await self.settle()
        await invariants.hold(self.database)
        async with self.database.reading() as reader:
            await self._tell_payments(await reader.all(text("SELECT * FROM payment ORDER BY payment_id")))
            events = await reader.all(
                text("SELECT * FROM payment_event ORDER BY payment_id, sequence"),
            )
            for row in events:
                path = " -> ".join(row.detail.get("path", []))
                more = f" ! {row.detail['attention']}" if "attention" in row.detail else ""
                self.tell(f"event {row.sequence} {row.type} by {row.source}: {path or row.sub_status}{more}")
            entries = await reader.all(text(ENTRIES))
            for row in entries:
                self.tell(
                    f"ledger {row.kind}: {row.purpose} of {row.owner} {row.amount_minor:+d} {row.currency}, "
                    f"now {row.balance_after_minor}"
                )
            hooks = await reader.all(text(WEBHOOKS))
            for row in hooks:
                self.tell(
                    f"webhook of event {row.sequence}: type {row.type_id}, status {row.status_id}, "
                    f"{row.state} after {row.attempts} attempts"
                )
        shop = await self.shop()
        self.tell(f"the shop's balances: {json.dumps(shop['balances_minor'], sort_keys=True)}")
        orders = [(order["login"], order["amount_minor"], order["status"]) for order in shop["orders"]]
        self.tell(f"the shop's orders: {orders}")
        self.tell("invariants I1-I6 and I9 hold")
        return self._named("\n".join(self.lines)) + "\n"

    async def _tell_payments(self, rows: Any) -> None:  # noqa: ANN401  rows of a plain query
        self.tell("--- at the end")
        for row in rows:
            self.names.setdefault(row.player_id, f"<player {len(self.names)}>")
            flags = " late" if row.is_late else ""
            self.tell(
                f"{row.kind} of {row.amount_minor} {row.currency}: {row.status}/{row.sub_status}{flags}"
                f"{', needs a person: ' + row.attention if row.attention else ''}"
            )

    def _named(self, told: str) -> str:
        for secret, name in self.names.items():
            told = told.replace(secret, name)
        told = re.sub(r"\b(dep|att|ply|whd|cal|ntc|ses|sbx|order)_[0-9a-z]{26}\b", r"<\1>", told)
        return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", told)


@asynccontextmanager
async def staged(clone_url: str, clock: MovableClock) -> AsyncIterator[Stage]:
    """Raise the stage on a fresh database; everything ends with the block."""
    ports = [free_port() for _ in range(3)]
    cashier_url, shop_url, sandbox_url = (f"http://127.0.0.1:{port}" for port in ports)
    peers = frozenset(("127.0.0.1", port) for port in ports)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(clone_url, pool_size=20))
        http = await stack.enter_async_context(HttpClient(clock=clock, allowed_private_peers=peers))
        pipes = Pipes(database, http, clock, cashier_url)
        demo = await seed(pipes, None, merchant_url=shop_url, sandbox_url=sandbox_url, peers=peers)
        await stack.enter_async_context(serving(create_app(pipes), ports[0]))
        shop = MerchantSettings(
            base_url=cashier_url,
            public_url=shop_url,
            site_id=demo.site_id,
            salt=demo.salt,
            currency=demo.currency,
            webhook_secret=demo.webhook_secret,
            clock=clock,
            slow_seconds=0.2,
            hang_seconds=3.0,
        )
        await stack.enter_async_context(serving(merchant.create_app(shop), ports[1]))
        sandbox = ProviderSettings(
            public_url=sandbox_url,
            merchants=dict.fromkeys((ACCOUNT, SECOND_ACCOUNT), demo.sandbox_secret),
            notice_peers=peers,
            clock=clock,
            short_pause_seconds=0.6,  # long enough that the answer is read before, on a busy machine
            long_pause_seconds=1.5,
            hang_seconds=3.0,
            notice_delays_seconds=(0.1, 0.2, 0.4),
        )
        await stack.enter_async_context(serving(provider.create_app(sandbox), ports[2]))
        gate = asyncio.Event()
        gate.set()
        await stack.enter_async_context(working(pipes, gate))
        browser = await stack.enter_async_context(httpx.AsyncClient(base_url=cashier_url, timeout=20))
        yield Stage(pipes, clock, demo, browser, gate)


@asynccontextmanager
async def working(pipes: Pipes, gate: asyncio.Event) -> AsyncIterator[None]:
    """A worker that runs jobs while the gate is open; the story itself decides when the sweeps look."""
    worker = create_worker(pipes)
    worker._tasks.clear()
    for registration in worker._handlers.values():
        registration.handler = gated(registration.handler, gate)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


def gated(handler: Handler, gate: asyncio.Event) -> Handler:
    """The handler, once the gate is open."""

    async def run(payload: Payload) -> None:
        await gate.wait()
        await handler(payload)

    return run


@asynccontextmanager
async def serving(app: FastAPI, port: int) -> AsyncIterator[None]:
    """An application on a port, in this process."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())  # serve() would take over the signals of the test run
    while not server.started:
        assert not running.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await running


def free_port() -> int:
    """A port that nobody uses, and that the system gives to nobody who dials before its server has begun."""
    while True:
        # Not of `random`, which begins alike in every process of a test run.
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
