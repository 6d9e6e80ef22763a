"""The sandbox provider's orders and notices, and the player of scripts that moves them. In memory only."""

import asyncio
import hmac
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from app.demo.provider_scripts import CODES, PLANS, Pause, Script, Status, Step, Telling
from app.kernel import ids
from app.kernel.clock import Clock, SystemClock
from app.kernel.money import Money
from app.plumbing.http import CallFailed, HttpClient

__all__ = [
    "ACCOUNT_HEADER",
    "SIGNATURE_HEADER",
    "Desk",
    "Notice",
    "Order",
    "ProviderSettings",
    "signature_of",
]

WRONG_SECRET: Final = "not-the-secret"  # noqa: S105 - signs the notices that must be refused
# 64 hexadecimal characters of HMAC-SHA256.
SIGNATURE_HEADER: Final = "X-Sandbox-Signature"
ACCOUNT_HEADER: Final = "X-Sandbox-Account"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What the sandbox provider is told at the start.

    `merchants` maps each account to its secret. `notice_peers` are the hosts and ports in private networks
    that notices may reach. `short_pause_seconds` is the "moment later" of scripts, `long_pause_seconds` must
    be longer than any caller waits; `hang_seconds` ends a silence if the caller never gives up. A notice that
    is not acknowledged is tried again after each of `notice_delays_seconds`, then given up.
    """

    public_url: str
    merchants: Mapping[str, str]
    notice_peers: frozenset[tuple[str, int]] = frozenset()
    clock: Clock = field(default_factory=SystemClock)
    short_pause_seconds: float = 4.0
    long_pause_seconds: float = 15.0
    hang_seconds: float = 30.0
    notice_deadline_seconds: float = 10.0
    notice_delays_seconds: tuple[float, ...] = (1.0, 3.0, 9.0, 27.0, 81.0)


@dataclass(slots=True)
class Order:
    """One deposit at the provider. `amount` was asked for, `taken` is what the provider says it took."""

    id: str
    account: str
    asked: Mapping[str, Any]
    reference: str
    amount: Money
    taken: Money
    created_at: datetime
    script: Script = Script.NEEDS_PLAYER
    status: Status = Status.AWAITING_PLAYER
    last_notice: "Notice | None" = None

    def facts(self) -> dict[str, Any]:
        """Return what the API tells about the order; `amount_minor` in minor units of `currency`."""
        code, message = CODES[self.status]
        return {
            "id": self.id,
            "reference": self.reference,
            "status": self.status,
            "amount_minor": self.taken.minor,
            "currency": self.taken.currency,
            "code": code,
            "message": message,
        }


@dataclass(slots=True)
class Notice:
    """One notice: its exact bytes, and every try to bring it. `state`: sending, acknowledged or given_up."""

    id: str
    reference: str
    url: str
    body: bytes
    headers: Mapping[str, str]
    state: str = "sending"
    tries: list[dict[str, str]] = field(default_factory=list)


def signature_of(secret: str, content: bytes) -> str:
    """Return the sandbox's signature: HMAC-SHA256 of `content`, 64 lower-case hexadecimal characters."""
    return hmac.digest(secret.encode(), content, "sha256").hex()


@dataclass(slots=True)
class Desk:
    """The provider's back room. Orders change only between awaits, so one request starts a script."""

    settings: ProviderSettings
    http: HttpClient
    by_id: dict[str, Order] = field(default_factory=dict)
    by_reference: dict[tuple[str, str], Order] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def open(self, account: str, asked: Mapping[str, Any]) -> Order:
        """Keep a new order awaiting its player. `asked` is the request as it was read."""
        now = self.settings.clock.now()
        amount = Money(asked["amount_minor"], asked["currency"])
        order = Order(ids.new("sbx", at=now), account, asked, asked["reference"], amount, amount, now)
        self.by_id[order.id] = order
        self.by_reference[account, order.reference] = order
        return order

    def begin(self, order: Order, script: Script) -> asyncio.Task[None] | None:
        """Start a script on an order; its first step has happened when this returns.

        Returns the delivery of the first step's notice, for the script that waits for it.
        """
        order.script = script
        if script is Script.WRONG_AMOUNT:
            order.taken = Money(order.amount.minor // 2 or order.amount.minor + 1, order.amount.currency)
        elif script is Script.WRONG_CURRENCY:
            order.taken = Money(order.amount.minor, "EUR" if order.amount.currency == "USD" else "USD")
        first, *later = PLANS[script]
        delivery = self._take(order, first)
        if later:
            _ = self._spawn(self._go_on(order, later))
        return delivery

    async def close(self) -> None:
        """End every script and every delivery that is still under way."""
        for task in self.under_way:
            task.cancel()
        await asyncio.gather(*self.under_way, return_exceptions=True)

    async def _go_on(self, order: Order, steps: list[Step]) -> None:
        pauses = {
            Pause.NONE: 0.0,
            Pause.SHORT: self.settings.short_pause_seconds,
            Pause.LONG: self.settings.long_pause_seconds,
        }
        for step in steps:
            await asyncio.sleep(pauses[step.after])
            self._take(order, step)

    def _take(self, order: Order, step: Step) -> asyncio.Task[None] | None:
        order.status = step.status
        if step.tells is Telling.NOTHING:
            return None
        notice = self._write(order, step.tells)
        self.notices.append(notice)
        order.last_notice = notice
        return self._spawn(self._deliver(notice))

    def _write(self, order: Order, telling: Telling) -> Notice:
        again = order.last_notice
        if telling is Telling.SAME_AGAIN and again is not None:
            return Notice(again.id, again.reference, again.url, again.body, again.headers)
        now = self.settings.clock.now()
        facts = order.facts() | {"notice_id": ids.new("ntc", at=now), "occurred_at": now.isoformat()}
        if telling is Telling.OF_NOBODY:
            facts["reference"] = f"nobody_{ids.secret(16)}"
        body = json.dumps(facts).encode()
        secret = WRONG_SECRET if telling is Telling.BADLY_SIGNED else self.settings.merchants[order.account]
        headers = {
            "Content-Type": "application/json",
            ACCOUNT_HEADER: order.account,
            SIGNATURE_HEADER: signature_of(secret, body),
        }
        return Notice(facts["notice_id"], facts["reference"], order.asked["notice_url"], body, headers)

    async def _deliver(self, notice: Notice) -> None:
        for delay_seconds in (0.0, *self.settings.notice_delays_seconds):
            await asyncio.sleep(delay_seconds)
            tried = {"at": self.settings.clock.now().isoformat(), "outcome": "under_way"}
            notice.tries.append(tried)
            tried["outcome"] = await self._try(notice)
            if tried["outcome"].startswith("2"):
                notice.state = "acknowledged"
                return
        notice.state = "given_up"

    async def _try(self, notice: Notice) -> str:
        try:
            reply = await self.http.call(
                "POST",
                notice.url,
                body=notice.body,
                headers=notice.headers,
                deadline_seconds=self.settings.notice_deadline_seconds,
            )
        except CallFailed as failure:
            return str(failure.kind)
        return str(reply.status)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.under_way.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self.under_way.discard)
        return task
