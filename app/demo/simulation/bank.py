"""A bank with books of its own, in the words of the sandbox's API (docs/sandbox.md).

The sandbox's own desk lives by the machine's clock; this one lives by the simulation's. An order is one by
its reference, however often it comes. Everything it moves is written down at once.
"""

import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.demo.provider_orders import ACCOUNT_HEADER, SIGNATURE_HEADER, signature_of
from app.demo.simulation.chance import Chance, Fault, Place
from app.demo.simulation.story import Timeline, Violated

__all__ = ["ACCOUNT", "Bank", "BankOrder", "Deliver"]

ACCOUNT: Final = "simulated"
OK, CREATED, REFUSED, UNAUTHENTIC, NOT_FOUND, TOO_LATE = 200, 201, 400, 401, 404, 409
PLENTY_MINOR: Final = 10**14
# How long until a notice that was not acknowledged comes again, in seconds.
AGAIN_AFTER: Final = (60, 600, 3_600, 21_600, 86_400)
HOUR: Final = 3_600
# The rest of players leave the page without a word.
PLAYERS_PAY, PLAYERS_DECIDE = 0.8, 0.9

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]


@dataclass(slots=True)
class BankOrder:
    """An order as the bank has it. `said_no`: it has told somebody that nothing was or will be moved."""

    reference: str
    kind: str
    number: str
    amount_minor: int
    currency: str
    notice_url: str
    theirs: str
    status: str = "pending"
    moved_minor: int = 0
    said_no: bool = False
    lies_after: bool = False
    revives: bool = False


@dataclass(slots=True)
class Bank:
    """The bank: what it was asked, what it moved, and what it tells."""

    chance: Chance
    timeline: Timeline
    deliver: Deliver
    secret: str
    orders: dict[str, BankOrder] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)  # by our public number, in minor units
    of_number: dict[str, list[BankOrder]] = field(default_factory=dict)
    notices: int = 0

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """Answer one request."""
        signed = body or path.encode()
        given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE_HEADER.lower(), "")
        if not hmac.compare_digest(signature_of(self.secret, signed), given):
            return UNAUTHENTIC, b'{"error":"bad_signature"}'
        bare = path.partition("?")[0]
        if method == "POST" and bare in {"/v1/deposits", "/v1/payouts"}:
            return self._ask(bare.removeprefix("/v1/").removesuffix("s"), json.loads(body))
        if bare == "/v1/balance":
            currency = path.rpartition("=")[2]
            return OK, json.dumps({"available_minor": PLENTY_MINOR, "currency": currency}).encode()
        reference = bare.removesuffix("/cancel").rpartition("/")[2]
        order = self.orders.get(reference)
        if order is None:
            return NOT_FOUND, b'{"status":"not_found"}'
        if bare.endswith("/cancel") and order.status == "awaiting_player":
            order.status = "cancelled"
        if bare.endswith("/cancel") and order.status != "cancelled":
            return TOO_LATE, json.dumps({"error": "too_late", "order": self._facts(order)}).encode()
        return OK, json.dumps(self._facts(order)).encode()

    def _ask(self, kind: str, asked: Mapping[str, Any]) -> tuple[int, bytes]:
        order = self.orders.get(asked["reference"])
        if order is not None:
            return OK, json.dumps(self._facts(order)).encode()
        number = asked["description"].rpartition(" ")[2]
        order = BankOrder(
            asked["reference"],
            kind,
            number,
            asked["amount_minor"],
            asked["currency"],
            asked["notice_url"],
            f"bank-{len(self.orders) + 1}",
        )
        self.orders[order.reference] = order
        self.of_number.setdefault(number, []).append(order)
        fault = self.chance.strike(Place.ORDER)
        self.timeline.tell(
            number, f"bank: {kind} order {order.theirs} of {order.amount_minor}; {fault or 'no fault'}"
        )
        order.lies_after = fault is Fault.FAILURE_AFTER_SUCCESS
        order.revives = fault is Fault.SUCCESS_AFTER_FAILURE
        if fault is Fault.OTHER_AMOUNT:
            order.amount_minor = order.amount_minor // 2 + 1
        self._begin(order, is_certain=fault is not None)
        return CREATED, json.dumps(self._facts(order)).encode()

    def _begin(self, order: BankOrder, *, is_certain: bool) -> None:
        """Choose what becomes of an order: at once, a moment later, or by the player."""
        ends = "approved" if is_certain or self.chance.happens(PLAYERS_PAY) else "declined"
        ends = "declined" if order.revives else ends
        if self.chance.happens(0.3):
            self._end(order, ends)
            return
        if order.kind == "deposit":
            order.status = "awaiting_player"
            if not is_certain and not self.chance.happens(PLAYERS_DECIDE):
                return
        wait = (
            self.chance.between(1, 1_500) if self.chance.happens(0.9) else self.chance.between(HOUR, 3 * HOUR)
        )

        async def later() -> None:
            if order.status in {"awaiting_player", "pending"}:
                self._end(order, ends)

        self.timeline.after(wait, later)

    def _end(self, order: BankOrder, status: str) -> None:
        order.status = status
        if status == "approved":
            self._move(order)
        self._tell(order, status)
        if status == "approved" and order.lies_after:
            self._tell(order, "declined", wait=self.chance.between(60, HOUR))
        if status == "declined" and order.revives:
            order.revives = False

            async def revive() -> None:
                self._end(order, "approved")

            self.timeline.after(self.chance.between(600, 6 * HOUR), revive)

    def _move(self, order: BankOrder) -> None:
        """Really move the money: the one place."""
        order.moved_minor += order.amount_minor
        self.moved[order.number] += order.amount_minor
        self.timeline.tell(order.number, f"bank: {order.theirs} moves {order.amount_minor}")
        paid = [one for one in self.of_number[order.number] if one.moved_minor]
        if len(paid) > 1 or order.moved_minor != order.amount_minor:
            raise Violated(f"the bank moved money twice for one {order.kind}", order.number)

    def _tell(self, order: BankOrder, status: str, wait: float | None = None) -> None:
        self.notices += 1
        content = self._facts(order) | {
            "status": status,
            "notice_id": f"notice-{self.notices}",
            "occurred_at": self.timeline.clock.now().isoformat(),
        }
        body = json.dumps(content).encode()
        headers = {ACCOUNT_HEADER.lower(): ACCOUNT, SIGNATURE_HEADER.lower(): signature_of(self.secret, body)}
        fault = self.chance.strike(Place.NOTICE)
        wait = self.chance.between(0.05, 20) if wait is None else wait
        if fault is Fault.NOTICE_REORDERED:
            wait += self.chance.between(HOUR, 12 * HOUR)
        if fault is not None:
            self.timeline.tell(order.number, f"fault: {fault} of {status}")
        if fault is Fault.NOTICE_LOST:
            return
        for extra in (0.0, 300.0) if fault is Fault.NOTICE_REPEATED else (0.0,):
            self._send(order, headers, body, wait + extra, 0)

    def _send(
        self, order: BankOrder, headers: Mapping[str, str], body: bytes, wait: float, tries: int
    ) -> None:
        async def send() -> None:
            status = await self.deliver(order.notice_url, headers, body)
            if status != OK and tries < len(AGAIN_AFTER):
                self._send(order, headers, body, AGAIN_AFTER[tries], tries + 1)

        self.timeline.after(wait, send)

    def _facts(self, order: BankOrder) -> dict[str, Any]:
        if order.status in {"declined", "cancelled"}:
            order.said_no = True
        facts = {
            "id": order.theirs,
            "kind": order.kind,
            "reference": order.reference,
            "status": order.status,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "code": "05" if order.status == "declined" else "00",
            "message": "",
        }
        if order.status == "awaiting_player":
            facts["redirect_url"] = f"https://bank.example.com/pay/{order.theirs}"
        return facts
