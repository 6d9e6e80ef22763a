"""The sandbox provider's orders, disputes and notices, and the player of scripts that moves them.

In memory only; and a balance for each merchant and currency, which pays for payouts and refunds.
"""

import asyncio
import hmac
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from app.demo.provider_cards import Instrument
from app.demo.provider_scripts import (
    CODES,
    NEXT_STAGES,
    PLANS,
    REFUSALS,
    REFUSED_BY,
    TAKES_MONEY,
    Kind,
    Pause,
    Script,
    Stage,
    Status,
    Step,
    Telling,
)
from app.kernel import ids
from app.kernel.clock import Clock, SystemClock
from app.kernel.money import Money
from app.plumbing.http import CallFailed, HttpClient

__all__ = [
    "ACCOUNT_HEADER",
    "SIGNATURE_HEADER",
    "Desk",
    "Dispute",
    "Notice",
    "Order",
    "ProviderSettings",
    "signature_of",
]

WRONG_SECRET: Final = "not-the-secret"  # noqa: S105 - signs the notices that must be refused
# 64 hexadecimal characters of HMAC-SHA256.
SIGNATURE_HEADER: Final = "X-Sandbox-Signature"
ACCOUNT_HEADER: Final = "X-Sandbox-Account"
# What there is to answer in a dispute must be answered by then.
RESPONSE_DAYS: Final = {
    Stage.EARLY_WARNING: 3,
    Stage.OPENED: 7,
    Stage.NEEDS_RESPONSE: 7,
    Stage.PRE_ARBITRATION: 7,
}
# A payout or refund holds the merchant's money from the order on, until it definitely does not happen.
HELD: Final = frozenset({Status.PENDING, Status.UNKNOWN, Status.APPROVED})
REASON: Final = "The cardholder does not recognise the payment"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What the sandbox provider is told at the start.

    `merchants` maps each account to its secret, the first account first. `notice_peers` are the hosts and
    ports in private networks that notices may reach. `short_pause_seconds` is the "moment later" of scripts,
    `long_pause_seconds` must be longer than any caller waits; `hang_seconds` ends a silence if the caller
    never gives up. A notice that is not acknowledged is tried again after each of `notice_delays_seconds`,
    then given up. Every merchant begins with `start_minor` minor units of every currency.
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
    start_minor: int = 10**12


@dataclass(slots=True)
class Dispute:
    """The player's bank takes (a part of) a deposit back."""

    id: str
    amount: Money
    stage: Stage
    due_at: datetime | None = None

    def facts(self) -> dict[str, Any]:
        """Return what notices tell about it."""
        return {
            "id": self.id,
            "stage": self.stage,
            "amount_minor": self.amount.minor,
            "currency": self.amount.currency,
            "reason": REASON,
            "due_at": self.due_at.isoformat() if self.due_at else None,
        }


@dataclass(slots=True)
class Order:
    """One deposit, payout or refund at the provider.

    `amount` was asked for, `taken` is what the provider says it moved. `refusal` is the code of a decline for
    a reason of its own; `weighs` what the order has done to the merchant's balance, in minor units.
    """

    id: str
    account: str
    kind: Kind
    asked: Mapping[str, Any]
    reference: str
    amount: Money
    taken: Money
    created_at: datetime
    script: Script = Script.NEEDS_PLAYER
    status: Status = Status.AWAITING_PLAYER
    instrument: Instrument | None = None
    refusal: str | None = None
    original: "Order | None" = None
    weighs: int = 0
    disputes: list[Dispute] = field(default_factory=list)
    last_notice: "Notice | None" = None

    def facts(self) -> dict[str, Any]:
        """Return what the API tells about the order; `amount_minor` in minor units of `currency`."""
        code, message = CODES[self.status]
        if self.status is Status.DECLINED and self.refusal is not None:
            code, message = self.refusal, REFUSALS[self.refusal]
        facts: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "reference": self.reference,
            "status": self.status,
            "amount_minor": self.taken.minor,
            "currency": self.taken.currency,
            "code": code,
            "message": message,
        }
        if self.instrument is not None and self.status is not Status.AWAITING_PLAYER:
            facts["instrument"] = self.instrument.facts()
        return facts

    @property
    def is_hidden(self) -> bool:
        """Whether the provider does not yet know that it has this order."""
        return self.script is Script.NOT_FOUND_THEN_SUCCEED and self.status is Status.PENDING

    def weight(self) -> int:
        """What the order does to the merchant's balance as it stands, its disputes included."""
        if self.kind is not Kind.DEPOSIT:
            return -self.taken.minor if self.status in HELD else 0
        disputed = sum(dispute.amount.minor for dispute in self.disputes if dispute.stage in TAKES_MONEY)
        return (self.taken.minor if self.status is Status.APPROVED else 0) - disputed


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
    refunds: dict[str, list[Order]] = field(default_factory=dict)  # by the id of the deposit
    balances: dict[tuple[str, str], int] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def open(self, account: str, kind: Kind, asked: Mapping[str, Any]) -> Order:
        """Keep a new order that nothing has happened to. `asked` is the request as it was read."""
        now = self.settings.clock.now()
        amount = Money(asked["amount_minor"], asked["currency"])
        order = Order(ids.new("sbx", at=now), account, kind, asked, asked["reference"], amount, amount, now)
        self.by_id[order.id] = order
        self.by_reference[account, order.reference] = order
        if kind is Kind.REFUND:
            original = self.by_reference.get((account, asked["original_reference"]))
            if original is not None and original.kind is Kind.DEPOSIT:
                order.original = original
                order.instrument = original.instrument
                self.refunds.setdefault(original.id, []).append(order)
        return order

    def balance(self, account: str, currency: str) -> int:
        """Return what the merchant has here, in minor units; it may be less than nothing after a dispute."""
        return self.balances.get((account, currency), self.settings.start_minor)

    def _refusal_of(self, order: Order) -> str | None:
        """Return the code for which a new payout or refund is declined at once, whatever its script."""
        if order.kind is Kind.REFUND:
            original = order.original
            if original is None or original.status is not Status.APPROVED:
                return "14"
            if original.taken.currency != order.amount.currency:
                return "14"
            gone = -sum(refund.weight() for refund in self.refunds[original.id] if refund is not order)
            if gone + order.amount.minor > original.taken.minor:
                return "61"
        lacking = order.amount.minor > self.balance(order.account, order.amount.currency)
        return "51" if lacking else None

    def begin(self, order: Order, script: Script) -> asyncio.Task[None] | None:
        """Start a script on an order; its first step has happened when this returns.

        Returns the delivery of the first step's notice, for the script that waits for it.
        """
        order.script = script
        if order.kind is not Kind.DEPOSIT:
            order.refusal = order.refusal or self._refusal_of(order)
        order.refusal = order.refusal or REFUSED_BY.get(script)
        if order.refusal is not None:
            order.script = script if script in REFUSED_BY else Script.DECLINE
        elif script is Script.WRONG_AMOUNT:
            order.taken = Money(order.amount.minor // 2 or order.amount.minor + 1, order.amount.currency)
        elif script is Script.WRONG_CURRENCY:
            order.taken = Money(order.amount.minor, "EUR" if order.amount.currency == "USD" else "USD")
        first, *later = PLANS[order.script]
        delivery = self._take(order, first)
        if later:
            _ = self._spawn(self._go_on(order, later))
        return delivery

    def decide(self, order: Order, status: Status) -> None:
        """Let somebody at the bank's desk make something of an order; from now on the API tells the truth."""
        order.script = Script.HOLD
        self._take(order, Step(status, Telling.TRUTH))

    def dispute(self, order: Order, stage: Stage) -> None:
        """Open a dispute about the whole of a deposit, or let the last one go on."""
        self._take(order, Step(order.status, Telling.DISPUTE, stage=stage))

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
        if step.stage is not None:
            self._go_on_disputing(order, step.stage)
        self._weigh(order)
        if step.tells is Telling.NOTHING:
            return None
        notice = self._write(order, step.tells)
        self.notices.append(notice)
        if step.tells is not Telling.DISPUTE:
            order.last_notice = notice
        return self._spawn(self._deliver(notice))

    def _weigh(self, order: Order) -> None:
        """Let the order's change be felt in the merchant's balance."""
        weight, purse = order.weight(), (order.account, order.taken.currency)
        self.balances[purse] = self.balance(*purse) + weight - order.weighs
        order.weighs = weight

    def _go_on_disputing(self, order: Order, stage: Stage) -> None:
        now = self.settings.clock.now()
        if stage in NEXT_STAGES[None] and (not order.disputes or not NEXT_STAGES[order.disputes[-1].stage]):
            order.disputes.append(Dispute(ids.new("dsp", at=now), order.taken, stage))
        dispute = order.disputes[-1]
        dispute.stage = stage
        days = RESPONSE_DAYS.get(stage)
        dispute.due_at = None if days is None else now + timedelta(days=days)

    def _write(self, order: Order, telling: Telling) -> Notice:
        again = order.last_notice
        if telling is Telling.SAME_AGAIN and again is not None:
            return Notice(again.id, again.reference, again.url, again.body, again.headers)
        now = self.settings.clock.now()
        facts = order.facts() | {"notice_id": ids.new("ntc", at=now), "occurred_at": now.isoformat()}
        if telling is Telling.DISPUTE:
            facts["dispute"] = order.disputes[-1].facts()
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
