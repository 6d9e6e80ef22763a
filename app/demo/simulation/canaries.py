"""Faults planted on purpose, each of which a simulation must find: around the wire, outside the rooms."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from typing_extensions import override

from app.demo.provider_orders import SIGNATURE_HEADER, signature_of
from app.demo.simulation.network import SimulatedHttp
from app.plumbing.http import CallFailed, Reply

__all__ = ["Canary", "planted"]

ORDERS: Final = ("/v1/deposits", "/v1/payouts")


class Canary(StrEnum):
    """What can be planted."""

    TIMEOUT_IS_FAILURE = "timeout-is-failure"
    RETRY_WITH_NEW_REFERENCE = "retry-with-new-reference"


class _TimeoutIsFailure(SimulatedHttp):
    """Whoever does not hear from the bank believes that it has refused."""

    @override
    async def call(
        self, method: str, url: str, *, body: bytes = b"", deadline_seconds: float, **more: object
    ) -> Reply:
        """Carry a call; silence about a new order is a refusal."""
        try:
            return await super().call(method, url, body=body, deadline_seconds=deadline_seconds, **more)  # type: ignore[arg-type]
        except CallFailed as failed:
            if failed.nothing_was_sent or not (method == "POST" and url.endswith(ORDERS)):
                raise
            return Reply(400, {}, b'{"error":"no answer","code":"05"}', 1)


class _RetryWithNewReference(SimulatedHttp):
    """Whoever does not hear from the bank orders the same again, as if it were something new."""

    secret: str = ""

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
            return await super().call(method, url, body=body, headers=headers, **rest)  # type: ignore[arg-type]
        except CallFailed as failed:
            if failed.nothing_was_sent or not (method == "POST" and url.endswith(ORDERS)):
                raise
        order = json.loads(body)
        reference = f"{order['reference']}.again"
        again = json.dumps(order | {"reference": reference}).encode()
        signed = dict(headers or {}) | {SIGNATURE_HEADER.lower(): signature_of(self.secret, again)}
        reply = await super().call(method, url, body=again, headers=signed, **rest)  # type: ignore[arg-type]
        return Reply(reply.status, {}, reply.body.replace(b".again", b""), reply.elapsed_ms)


def planted(canary: Canary | None) -> type[SimulatedHttp]:
    """The wire with this fault in it."""
    return {
        None: SimulatedHttp,
        Canary.TIMEOUT_IS_FAILURE: _TimeoutIsFailure,
        Canary.RETRY_WITH_NEW_REFERENCE: _RetryWithNewReference,
    }[canary]
