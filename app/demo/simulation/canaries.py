"""Faults planted on purpose, each of which a simulation must find: around the wire, outside the rooms."""

import json
from collections.abc import Mapping
from enum import StrEnum

from typing_extensions import override

from app.demo.provider_orders import SIGNATURE_HEADER, signature_of
from app.demo.simulation.chance import Chance
from app.demo.simulation.network import ORDERS, SimulatedHttp
from app.demo.simulation.story import Timeline
from app.plumbing.http import CallFailed, Reply

__all__ = ["Canary", "Victim", "planted"]


class Canary(StrEnum):
    """What can be planted."""

    TIMEOUT_IS_FAILURE = "timeout-is-failure"
    RETRY_WITH_NEW_REFERENCE = "retry-with-new-reference"


class Victim(StrEnum):
    """On which orders."""

    ALL = "all"
    DEPOSITS = "deposits"
    PAYOUTS = "payouts"
    REFUNDS = "refunds"


class _Planted(SimulatedHttp):
    """A wire with a fault in it, which meets new orders of some kinds."""

    def __init__(self, chance: Chance, timeline: Timeline, victim: Victim, secret: str) -> None:
        """Meet the orders of `victim`; `secret` signs what the bank is told instead."""
        super().__init__(chance, timeline)
        self._paths = tuple(ORDERS.values()) if victim is Victim.ALL else (ORDERS[victim.value],)
        self._secret = secret

    def _meets(self, failed: CallFailed, method: str, url: str) -> bool:
        """Whether this is silence about a new order that may have arrived."""
        return not failed.nothing_was_sent and method == "POST" and url.endswith(self._paths)


class _TimeoutIsFailure(_Planted):
    """Whoever does not hear from the bank believes that it has refused."""

    @override
    async def call(
        self, method: str, url: str, *, body: bytes = b"", deadline_seconds: float, **more: object
    ) -> Reply:
        """Carry a call; silence about a new order is a refusal."""
        try:
            return await super().call(method, url, body=body, deadline_seconds=deadline_seconds, **more)  # type: ignore[arg-type]  # handed on as they came
        except CallFailed as failed:
            if not self._meets(failed, method, url):
                raise
            return Reply(400, {}, b'{"error":"no answer","code":"05"}', 1)


class _RetryWithNewReference(_Planted):
    """Whoever does not hear from the bank orders the same again, as if it were something new."""

    @override
    async def call(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float,
        **more: object,
    ) -> Reply:
        """Carry a call; silence about a new order is answered by another order."""
        rest = {"deadline_seconds": deadline_seconds, **more}
        try:
            return await super().call(method, url, body=body, headers=headers, **rest)  # type: ignore[arg-type]  # handed on as they came
        except CallFailed as failed:
            if not self._meets(failed, method, url):
                raise
        order = json.loads(body)
        reference = f"{order['reference']}.again"
        again = json.dumps(order | {"reference": reference}).encode()
        signed = dict(headers or {}) | {SIGNATURE_HEADER.lower(): signature_of(self._secret, again)}
        reply = await super().call(method, url, body=again, headers=signed, **rest)  # type: ignore[arg-type]  # handed on as they came
        return Reply(reply.status, {}, reply.body.replace(b".again", b""), reply.elapsed_ms)


def planted(
    canary: Canary | None, victim: Victim, chance: Chance, timeline: Timeline, secret: str
) -> SimulatedHttp:
    """The wire with this fault in it, if there is to be one."""
    match canary:
        case None:
            return SimulatedHttp(chance, timeline)
        case Canary.TIMEOUT_IS_FAILURE:
            return _TimeoutIsFailure(chance, timeline, victim, secret)
        case Canary.RETRY_WITH_NEW_REFERENCE:
            return _RetryWithNewReference(chance, timeline, victim, secret)
