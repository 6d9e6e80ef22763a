"""The wire between us and the peers, in this process; and a database at which this process may die."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from typing_extensions import override

from app.demo.simulation.chance import Chance, Fault, Place
from app.demo.simulation.story import Killed, Timeline
from app.plumbing import fence
from app.plumbing.database import Database, SessionSettings, Transaction, Write
from app.plumbing.http import CallFailed, FailureKind, HttpClient, Reply

__all__ = ["ORDERS", "MortalDatabase", "Peer", "SimulatedHttp"]

Peer = Callable[[str, str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
# Where new orders go at the bank.
ORDERS: Final = {"deposits": "/v1/deposits", "payouts": "/v1/payouts", "refunds": "/v1/refunds"}
GARBAGE: Final = b'{"code": 0, "reference": \xff<html>'
SERVER_ERROR, OK = 503, 200
NEVER_ARRIVES: Final = frozenset({Fault.REQUEST_LOST, Fault.SERVER_ERROR})


class SimulatedHttp(HttpClient):
    """Our own client's interface; `peers_by_host` answer in this process."""

    def __init__(self, chance: Chance, timeline: Timeline) -> None:
        """Carry calls as `chance` has it."""
        super().__init__(timeline.clock)
        self._chance, self._timeline = chance, timeline
        self.peers_by_host: dict[str, Peer] = {}
        self.gone_until: dict[str, datetime] = {}
        self.calls = 0

    @override
    async def call(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float,
        answer_limit_bytes: int = 0,
        peer: str | None = None,
        patience_seconds: float | None = None,
    ) -> Reply:
        """Carry one call, or what a fault makes of it."""
        fence.forbid_network()
        self.calls += 1
        parts = urlsplit(url)
        host = parts.hostname or ""
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        clock = self._timeline.clock
        clock.advance(self._chance.between(0.01, 0.2))
        if self.gone_until.get(host, clock.now()) > clock.now():
            raise CallFailed(FailureKind.NOT_CONNECTED, host, "gone for hours")
        is_order = method == "POST" and path in ORDERS.values()
        fault = self._chance.strike(Place.SENDING) if is_order else None
        fault = fault or self._chance.strike(Place.WIRE)
        if fault is not None:
            self._timeline.tell("", f"fault: {fault} of {method} {url}")
        if fault is Fault.KILLED_BEFORE_SENDING:
            raise Killed
        if fault is Fault.NOT_CONNECTED:
            raise CallFailed(FailureKind.NOT_CONNECTED, host, "refused")
        status, answer = SERVER_ERROR, b"Service Unavailable"
        for _ in range(2 if fault is Fault.REPEATED else 1):
            if fault not in NEVER_ARRIVES:
                status, answer = await self.peers_by_host[host](method, path, dict(headers or {}), body)
        return self._answered(host, fault, deadline_seconds, status, answer)

    def _answered(self, host: str, fault: Fault | None, deadline: float, status: int, answer: bytes) -> Reply:
        clock = self._timeline.clock
        match fault:
            case Fault.REQUEST_LOST | Fault.ANSWER_LATE:
                clock.advance(deadline)
                raise CallFailed(FailureKind.TIMED_OUT, host, "no answer in time")
            case Fault.ANSWER_LOST:
                raise CallFailed(FailureKind.BROKEN, host, "the connection was lost")
            case Fault.KILLED_AFTER_ANSWER:
                raise Killed
            case Fault.GARBAGE:
                return Reply(OK, {}, GARBAGE, 1)
            case _:
                return Reply(status, {}, answer, 1)


class MortalDatabase(Database):
    """The real database; while a deed of ours runs (`is_mortal`), its process may die at a transaction."""

    def __init__(self, url: str, chance: Chance, timeline: Timeline) -> None:
        """Open nothing yet."""
        settings = SessionSettings(application_name="cashier simulation")
        super().__init__(url, settings, pool_size=2)
        self._chance, self._timeline = chance, timeline
        self.is_mortal = False
        self.transactions = 0

    @override
    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction, after which or instead of which the process may die."""
        async with self._mortal(), super().transaction() as tx:
            yield tx

    @override
    @asynccontextmanager
    async def singly(self) -> AsyncIterator[Transaction]:
        """Transactions of one statement each; before or after all of them."""
        async with self._mortal(), super().singly() as tx:
            yield tx

    @override
    async def write(self, *writes: Write) -> None:
        """A transaction of one statement, likewise."""
        async with self._mortal():
            await super().write(*writes)

    @asynccontextmanager
    async def _mortal(self) -> AsyncIterator[None]:
        self.transactions += 1
        fault = self._chance.strike(Place.PROCESS) if self.is_mortal else None
        if fault is not None:
            self._timeline.tell("", f"fault: {fault}")
        if fault is Fault.KILLED_BEFORE_TRANSACTION:
            raise Killed
        yield
        if fault is Fault.KILLED_AFTER_COMMIT:
            raise Killed
