"""The client: for each peer a bulkhead and a breaker, over each call one deadline."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from app.kernel.clock import Clock
from app.plumbing import addresses, fence, metrics, waits
from app.plumbing.breaker import Breaker, BreakerRules, Permit
from app.plumbing.http import names, wire
from app.plumbing.http.calls import CallFailed, FailureKind, PeerLimits, PeerState, Reply

__all__ = ["HttpClient"]

ANSWER_LIMIT_BYTES = 65_536  # a decent answer to any of our calls is under 2 kB
RESOLVER_THREADS = 64  # every name of three sites with as many addresses as may be, all of them slow
FORGET_PEER_SECONDS = 3_600.0  # an address that was replaced must not be remembered for ever
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
SERVER_ERROR = 500


@dataclass(slots=True, eq=False)
class _Line:
    """All that is kept for one peer."""

    breaker: Breaker
    slots: asyncio.Semaphore
    used_at: float
    transport: wire.Transport | None = None
    callers: int = 0  # under way or waiting
    in_flight: int = 0


class HttpClient:
    """Calls peers. One for the whole process: bulkheads and breakers remember from call to call."""

    def __init__(  # noqa: PLR0913  each is one independent switch, nearly all left alone outside of tests
        self,
        clock: Clock,
        *,
        allowed_private_peers: AbstractSet[addresses.Peer] = frozenset(),
        own_addresses: AbstractSet[str] = frozenset(),
        test_profile: bool = False,
        user_agent: str = "open-cashier/0.1",
        limits: PeerLimits | None = None,
        breaker_rules: BreakerRules | None = None,
        resolve: names.Resolver | None = None,
        dial: wire.Dial | None = None,
        tls: ssl.SSLContext | None = None,
        transport: wire.Transport | None = None,
    ) -> None:
        """Prepare; nothing connects before the first call.

        Args:
            clock: for breakers and measured times; the deadline itself runs on the event loop's clock.
            allowed_private_peers: hosts, as written in a URL, and ports that may be private and plain http.
            own_addresses: public addresses that lead back to us (a balancer's); a machine's own are found out
                anyway.
            test_profile: whether plain http and ports 80 and 8080 are spoken to public names as well.
            user_agent: sent with every call.
            limits: the bulkhead of each peer.
            breaker_rules: the breaker of each peer.
            resolve: the system's resolver by default.
            dial: opens TCP to an address that was judged; a real socket by default.
            tls: verifies against the certifi list by default.
            transport: an httpx transport in place of all dialling, for tests; respx works without it.
        """
        self._clock = clock
        self._allowed = frozenset((host.lower(), port) for host, port in allowed_private_peers)
        self._test_profile = test_profile
        self._user_agent = user_agent
        self._limits = limits or PeerLimits()
        self._rules = breaker_rules or BreakerRules()
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")
        self._tls = tls or wire.verifying_tls()
        self._network = wire.JudgedNetwork(
            resolve or names.system_resolver(self._threads),
            dial or wire.socket_dial,
            self._allowed,
            own_addresses,
        )
        self._given_transport = transport
        self._lines: dict[str, _Line] = {}
        self._tidied_at = clock.monotonic()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every free connection, and each other one when its call has ended.

        Whoever still waits is refused.
        """
        self._closed = True
        for line in self._lines.values():
            await self._hang_up(line)
        self._threads.shutdown(wait=False)

    def peers(self) -> list[PeerState]:
        """Every peer called in the last hour, for the desk and the metrics."""
        return [
            PeerState(
                peer,
                line.breaker.state,
                line.breaker.failures_in_a_row,
                line.breaker.seconds_to_probe,
                line.in_flight,
                line.callers - line.in_flight,
            )
            for peer, line in self._lines.items()
        ]

    def close_breaker(self, peer: str) -> bool:
        """Admit calls to a peer again at once; False when the peer is not known here."""
        line = self._lines.get(peer)
        if line is None:
            return False
        line.breaker.close()
        return True

    async def call(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] = NO_HEADERS,
        deadline_seconds: float,
        answer_limit_bytes: int = ANSWER_LIMIT_BYTES,
        peer: str | None = None,
        patience_seconds: float | None = None,
    ) -> Reply:
        """Send one request and wait for the whole answer.

        A 4xx or 5xx is an answer like any other; a 3xx too: it is not followed.

        Args:
            method: in upper case.
            url: absolute; read by the rule of registration again.
            body: as it is.
            headers: besides those that are ours (host, user agent, framing).
            deadline_seconds: for everything: waiting for a slot, name, TCP, TLS, request and answer.
            answer_limit_bytes: for the body, both packed and unpacked.
            peer: whose bulkhead and breaker this is, where that is not `scheme://host:port`; for example one
                for callouts and one for webhooks to the same host, so that neither waits for the other.
            patience_seconds: for a place in the bulkhead, where that is less than the deadline.

        Raises:
            CallFailed: no answer.
            NetworkInsideTransaction: a database transaction is open.
            ValueError: a method or header that no caller may send.
        """
        fence.forbid_network()
        if self._closed:
            raise RuntimeError("the client is closed")
        target = self._target(url, peer)
        request = wire.request_of(
            method, url, target, headers=headers, body=body, user_agent=self._user_agent
        )
        name = peer or target.peer
        line = self._lines.get(name) or self._new_line(name)
        started = self._clock.monotonic()
        outcome = "cancelled"
        line.callers += 1
        try:
            status, answered, content = await self._admitted(
                line, name, request, (deadline_seconds, patience_seconds), answer_limit_bytes
            )
            outcome = f"{status // 100}xx"
            elapsed = self._clock.monotonic() - started
            return Reply(status, MappingProxyType(answered), content, int(elapsed * 1000))
        except CallFailed as failure:
            outcome = failure.kind.value
            raise
        finally:
            line.callers -= 1
            line.used_at = self._clock.monotonic()
            metrics.call_ended(name, outcome, line.used_at - started)
            waits.add(line.used_at - started)

    def _target(self, url: str, peer: str | None) -> addresses.Target:
        try:
            return addresses.target_of(
                url, test_profile=self._test_profile, allowed_private_peers=self._allowed
            )
        except addresses.BadPeerAddress as refusal:
            raise CallFailed(
                FailureKind.REFUSED_ADDRESS, peer or "an unknown peer", str(refusal)
            ) from refusal

    async def _admitted(
        self, line: _Line, name: str, request: wire.Request, seconds: tuple[float, float | None], limit: int
    ) -> wire.Answer:
        """Through the bulkhead and the breaker, under the deadline; the breaker is told how it went."""
        deadline_seconds, patience_seconds = seconds
        if deadline_seconds <= 0:
            raise CallFailed(
                FailureKind.TIMED_OUT, name, "the deadline had passed before the call", sent=False
            )
        progress = wire.Progress()
        permit: Permit | None = None
        alive: bool | None = None  # nothing learnt about the peer
        try:
            with wire.failures_named(name, progress):
                async with asyncio.timeout(deadline_seconds):
                    await self._tidy()
                    self._check_admission(line, name)
                    async with _place(line, name, patience_seconds):
                        permit = line.breaker.admit()
                        if permit is None:
                            raise CallFailed(
                                FailureKind.BREAKER_OPEN, name, "the peer failed too often just now"
                            )
                        answer = await self._exchanged(line, request, limit, name, progress)
            alive = answer[0] < SERVER_ERROR
            return answer
        except CallFailed as failure:
            alive = _says_alive(failure.kind)
            raise
        finally:
            if permit is not None:
                breaker = line.breaker
                {True: breaker.succeeded, False: breaker.failed, None: breaker.abandoned}[alive](permit)

    def _check_admission(self, line: _Line, name: str) -> None:
        if line.breaker.refuses:  # asked before the queue too: nobody waits for a slot to hear no
            raise CallFailed(FailureKind.BREAKER_OPEN, name, "the peer failed too often just now")
        if line.slots.locked() and line.callers - line.in_flight > self._limits.waiting:
            raise CallFailed(FailureKind.PEER_BUSY, name, "too many calls to this peer are waiting already")

    async def _exchanged(
        self, line: _Line, request: wire.Request, limit: int, name: str, progress: wire.Progress
    ) -> wire.Answer:
        if self._closed:
            raise CallFailed(FailureKind.NOT_CONNECTED, name, "we are stopping")
        if line.transport is None:
            line.transport = self._given_transport or wire.connections(self._network, self._tls)
        line.in_flight += 1
        try:
            return await wire.exchange(line.transport, request, limit, name, progress)
        finally:
            line.in_flight -= 1

    def _new_line(self, name: str) -> _Line:
        breaker = Breaker(self._clock, self._rules)
        line = _Line(breaker, asyncio.Semaphore(self._limits.in_flight), self._clock.monotonic())
        return self._lines.setdefault(name, line)

    async def _tidy(self) -> None:
        """Close connections that nobody used for a while, and forget peers that nobody called for long."""
        now = self._clock.monotonic()
        if now - self._tidied_at < wire.KEEP_ALIVE_SECONDS:
            return
        self._tidied_at = now
        for name, line in list(self._lines.items()):
            if line.callers or now - line.used_at < wire.KEEP_ALIVE_SECONDS:
                continue
            if now - line.used_at > FORGET_PEER_SECONDS:
                del self._lines[name]
            await self._hang_up(line)

    async def _hang_up(self, line: _Line) -> None:
        transport, line.transport = line.transport, None
        if transport is not None and transport is not self._given_transport:
            await transport.aclose()


@asynccontextmanager
async def _place(line: _Line, name: str, patience_seconds: float | None) -> AsyncIterator[None]:
    """A place in the bulkhead, waited for so long."""
    try:
        async with asyncio.timeout(patience_seconds):
            await line.slots.acquire()
    except TimeoutError as error:
        raise CallFailed(FailureKind.PEER_BUSY, name, "no call to this peer ended in time") from error
    try:
        yield
    finally:
        line.slots.release()


def _says_alive(kind: FailureKind) -> bool | None:
    """What a failure tells the breaker: the peer is there, it is not, or nothing.

    Only what rest can heal counts against a peer: no connection, no answer in time, a lost connection (and,
    as an answer, a 5xx: the peer says itself that it is broken, and each further call costs it and us). A 4xx
    or an answer that we cannot take is a disagreement with a peer that works.
    """
    match kind:
        case FailureKind.NOT_CONNECTED | FailureKind.TIMED_OUT | FailureKind.BROKEN:
            return False
        case FailureKind.TOO_LARGE | FailureKind.MALFORMED:
            return True
        case FailureKind.REFUSED_ADDRESS | FailureKind.BREAKER_OPEN | FailureKind.PEER_BUSY:
            return None
