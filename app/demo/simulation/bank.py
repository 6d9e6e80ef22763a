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

__all__ = ["ACCOUNT", "METHOD", "SECOND_ACCOUNT", "Bank", "BankDispute", "BankOrder", "Deliver"]

ACCOUNT: Final = "simulated"
SECOND_ACCOUNT: Final = "simulated-2"  # at the same bank, and strange to the orders of the first
METHOD: Final = "e_wallet"
OK, CREATED, REFUSED, UNAUTHENTIC, NOT_FOUND, TOO_LATE = 200, 201, 400, 401, 404, 409
KINDS: Final = {"/v1/deposits": "deposit", "/v1/payouts": "payout", "/v1/refunds": "refund"}
PLENTY_MINOR: Final = 10**14
# How long until a notice that was not acknowledged comes again, in seconds.
AGAIN_AFTER: Final = (60, 600, 3_600, 21_600, 86_400)
HOUR: Final = 3_600
# The rest of players leave the page without a word.
PLAYERS_PAY, PLAYERS_DECIDE = 0.8, 0.9
# Of what was paid: sent back by the player's bank, disputed by the player, and of disputes what is won.
SENT_BACK, DISPUTED, WARNED, WON = 0.04, 0.04, 0.25, 0.5
CODES: Final = {"declined": "05", "returned": "85", "reversed": "86"}
# Of what it declines: because that account is out of service, so that another may be asked.
NOT_HERE, NOT_HERE_CODE = 0.5, "91"

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]


@dataclass(slots=True)
class BankOrder:
    """An order as the bank has it. `said_no`: it has told somebody that nothing was or will be moved.

    `lies_after`: it says no when it has paid, and takes it back when it is asked; `withdraws`: it means it.

    `goes_to` is an account of the player, of a refund the deposit that it gives back. `back_minor` is what
    refunds and disputes took back of a deposit. `paid_after_no`: it moved the money though it had said no, so
    that what came by another account meanwhile is no fault of ours.
    """

    reference: str
    kind: str
    number: str
    amount_minor: int
    currency: str
    notice_url: str
    theirs: str
    goes_to: str
    status: str = "pending"
    moved_minor: int = 0
    back_minor: int = 0
    said_no: bool = False
    lies_after: bool = False
    revives: bool = False
    withdraws: bool = False
    account: str = ACCOUNT
    code: str = CODES["declined"]
    paid_after_no: bool = False


@dataclass(slots=True)
class BankDispute:
    """A dispute of a deposit; `taken_minor` is what the bank has taken from us at present."""

    theirs: str
    deposit: BankOrder
    amount_minor: int
    taken_minor: int = 0


@dataclass(slots=True)
class Bank:
    """The bank: what it was asked, what it moved, and what it tells.

    `net` and `gross` are by our public number, in minor units: what moved, and what had moved at any time.
    `unfinished` is how much is still to happen to orders that seem to be over.
    """

    chance: Chance
    timeline: Timeline
    deliver: Deliver
    secret: str
    orders: dict[str, BankOrder] = field(default_factory=dict)
    of_number: dict[str, list[BankOrder]] = field(default_factory=dict)
    disputes: list[BankDispute] = field(default_factory=list)
    net: Counter[str] = field(default_factory=Counter)
    gross: Counter[str] = field(default_factory=Counter)
    disputed: Counter[str] = field(default_factory=Counter)  # ever taken, by the deposit's number
    deeds: Counter[str] = field(default_factory=Counter)
    notices: int = 0
    unfinished: int = 0

    async def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """Answer one request."""
        signed = body or path.encode()
        given = {name.lower(): value for name, value in headers.items()}.get(SIGNATURE_HEADER.lower(), "")
        if not hmac.compare_digest(signature_of(self.secret, signed), given):
            return UNAUTHENTIC, b'{"error":"bad_signature"}'
        bare = path.partition("?")[0]
        account = {name.lower(): value for name, value in headers.items()}[ACCOUNT_HEADER.lower()]
        if method == "POST" and bare in KINDS:
            return self._ask(account, KINDS[bare], json.loads(body))
        if bare == "/v1/balance":
            currency = path.rpartition("=")[2]
            return OK, json.dumps({"available_minor": PLENTY_MINOR, "currency": currency}).encode()
        reference = bare.removesuffix("/cancel").rpartition("/")[2]
        order = self.orders.get(reference)
        if order is None or order.account != account:
            return NOT_FOUND, b'{"status":"not_found"}'
        if bare.endswith("/cancel") and order.status == "awaiting_player":
            order.status = "cancelled"
        if bare.endswith("/cancel") and order.status != "cancelled":
            return TOO_LATE, json.dumps({"error": "too_late", "order": self._facts(order)}).encode()
        return OK, json.dumps(self._facts(order)).encode()

    def _ask(self, account: str, kind: str, asked: Mapping[str, Any]) -> tuple[int, bytes]:
        order = self.orders.get(asked["reference"])
        if order is not None:
            self.deeds["the same order again, moved once"] += 1
            return OK, json.dumps(self._facts(order)).encode()
        order = self._open(kind, asked)
        order.account = account
        if any(one.account != account for one in self.of_number[order.number]):
            self.deeds[f"{kind}s tried at another account"] += 1
        fault = self.chance.strike(Place.ORDER)
        self.timeline.tell(
            order.number,
            f"bank: {kind} order {order.theirs} of {order.amount_minor} at {account}; {fault or 'no fault'}",
        )
        order.lies_after = fault is Fault.FAILURE_AFTER_SUCCESS
        order.revives = fault is Fault.SUCCESS_AFTER_FAILURE
        order.withdraws = fault is Fault.NOT_PAID_AFTER_ALL
        if fault is Fault.OTHER_AMOUNT:
            order.amount_minor = order.amount_minor // 2 + 1
        self._begin(order, is_certain=fault is not None)
        return CREATED, json.dumps(self._facts(order)).encode()

    def _open(self, kind: str, asked: Mapping[str, Any]) -> BankOrder:
        number = (asked["reason"] if kind == "refund" else asked["description"]).rpartition(" ")[2]
        if kind == "deposit":  # each player has two wallets
            goes_to = f"{asked['player']}-{self.chance.random.choice((1, 2))}"
        else:
            goes_to = asked["original_reference"] if kind == "refund" else asked["destination"]["wallet"]
        theirs = f"bank-{len(self.orders) + 1}"
        content = (asked["reference"], kind, number, asked["amount_minor"], asked["currency"])
        order = BankOrder(*content, asked["notice_url"], theirs, goes_to)
        self.orders[order.reference] = order
        self.of_number.setdefault(number, []).append(order)
        return order

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

    def _end(self, order: BankOrder, status: str, *, is_sure: bool = False) -> None:
        if status == "approved" and not self._can_move(order):
            status, order.revives = "declined", False
        order.status = status
        if status == "declined" and order.kind != "refund" and self.chance.happens(NOT_HERE):
            order.code = NOT_HERE_CODE
        if status == "approved":
            self._move(order)
        self._tell(order, {"status": status}, is_sure=is_sure)
        if status == "approved" and order.lies_after:
            self._tell(order, {"status": "declined"}, wait=self.chance.between(60, HOUR))
        if status == "approved" and order.withdraws:
            self._later(self.chance.between(600, 6 * HOUR), lambda: self._withdraw(order))
        elif status == "approved":
            self._go_on(order)
        if status == "declined" and order.revives:
            order.revives = False
            # A deposit is asked about after a decline as well; what goes out is not.
            is_sure = order.kind != "deposit"
            self._later(
                self.chance.between(600, 6 * HOUR), lambda: self._end(order, "approved", is_sure=is_sure)
            )

    def _go_on(self, order: BankOrder) -> None:
        """What may come days after a success, without anybody having asked."""
        wait = self.chance.between(HOUR, 24 * HOUR)
        if order.kind == "deposit":
            if self.chance.happens(DISPUTED):
                self._later(wait, lambda: self._dispute(order))
        elif self.chance.happens(SENT_BACK):
            self._later(wait, lambda: self._send_back(order))

    def _later(self, wait: float, deed: Callable[[], None]) -> None:
        self.unfinished += 1

        async def happen() -> None:
            self.unfinished -= 1
            deed()

        self.timeline.after(wait, happen)

    def _can_move(self, order: BankOrder) -> bool:
        """Of a deposit no more goes back than came."""
        deposit = self.orders.get(order.goes_to)
        if order.kind != "refund":
            return True
        return deposit is not None and order.amount_minor <= deposit.moved_minor - deposit.back_minor

    def _move(self, order: BankOrder) -> None:
        """Really move the money: the one place."""
        order.paid_after_no = order.said_no
        order.moved_minor += order.amount_minor
        self.net[order.number] += order.amount_minor
        self.gross[order.number] += order.amount_minor
        self.deeds[f"{order.kind}s moved"] += 1
        if order.kind == "refund":
            self.orders[order.goes_to].back_minor += order.amount_minor
        self.timeline.tell(order.number, f"bank: {order.theirs} moves {order.amount_minor}")
        if order.moved_minor != order.amount_minor or self.is_double(order):
            raise Violated(f"the bank moved money twice for one {order.kind}", order.number)

    def taken_of(self, number: str) -> int:
        """What disputes have taken of a deposit at present, in minor units."""
        return sum(one.taken_minor for one in self.disputes if one.deposit.number == number)

    def is_double(self, order: BankOrder) -> bool:
        """Whether the same was moved under two orders; a withdrawal may go to several accounts."""
        same = [
            one
            for one in self.of_number[order.number]
            if one.moved_minor
            and not one.paid_after_no
            and (one.kind == "deposit" or one.goes_to == order.goes_to)
        ]
        return len(same) > 1

    def _send_back(self, order: BankOrder) -> None:
        """The player's bank did not take it."""
        self._undo(order, "returned" if order.kind == "payout" else "reversed", "sent back")

    def _withdraw(self, order: BankOrder) -> None:
        """It was not paid after all; of a deposit of which something went back nobody says so."""
        if not order.back_minor:
            self._undo(order, "declined", "not paid after all")

    def _undo(self, order: BankOrder, status: str, deed: str) -> None:
        order.status = status
        self.net[order.number] -= order.moved_minor
        if order.kind == "refund":
            self.orders[order.goes_to].back_minor -= order.moved_minor
        order.moved_minor = 0
        self.deeds[f"{order.kind}s {deed}"] += 1
        self.timeline.tell(order.number, f"bank: {order.theirs} is {deed}")
        self._tell(order, {"status": order.status}, is_sure=True)

    def _dispute(self, order: BankOrder) -> None:
        """The player disputes all of a deposit, or half."""
        left = order.moved_minor - order.back_minor
        amount = left if self.chance.happens(0.6) else left // 2
        if amount <= 0:
            return
        its = BankDispute(f"dispute-{len(self.disputes) + 1}", order, amount)
        self.disputes.append(its)
        if not self.chance.happens(WARNED):
            self._open_dispute(its)
            return
        self._tell_dispute(its, "early_warning")
        wait = self.chance.between(HOUR, 12 * HOUR)
        if self.chance.happens(0.5):
            self._later(wait, lambda: self._tell_dispute(its, "prevented"))
        else:
            self._later(wait, lambda: self._open_dispute(its))

    def _open_dispute(self, its: BankDispute) -> None:
        if its.amount_minor > its.deposit.moved_minor - its.deposit.back_minor:
            self._tell_dispute(its, "prevented")  # a refund came in between
            return
        its.taken_minor = its.amount_minor
        its.deposit.back_minor += its.amount_minor
        self.disputed[its.deposit.number] += its.amount_minor
        self._tell_dispute(its, "opened")
        ends = "won" if self.chance.happens(WON) else "lost"
        self._later(self.chance.between(6 * HOUR, 24 * HOUR), lambda: self._decide(its, ends))

    def _decide(self, its: BankDispute, ends: str) -> None:
        if ends == "won":
            its.deposit.back_minor -= its.taken_minor
            its.taken_minor = 0
        self._tell_dispute(its, ends)

    def _tell_dispute(self, its: BankDispute, stage: str) -> None:
        self.deeds[f"disputes {stage.replace('_', ' ')}"] += 1
        self.timeline.tell(its.deposit.number, f"bank: {its.theirs} of {its.amount_minor} is {stage}")
        told = {
            "id": its.theirs,
            "stage": stage,
            "amount_minor": its.amount_minor,
            "currency": its.deposit.currency,
            "reason": "The player does not recognise it",
        }
        self._tell(its.deposit, {"dispute": told}, is_sure=True)

    def _tell(
        self, order: BankOrder, what: Mapping[str, Any], *, wait: float | None = None, is_sure: bool = False
    ) -> None:
        """Send a notice. One that `is_sure` comes again when it is lost, since nobody would ask."""
        self.notices += 1
        content = self._facts(order) | {
            **what,
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
            self.timeline.tell(order.number, f"fault: {fault} of {what}")
        if fault is Fault.NOTICE_LOST:
            if not is_sure:
                return
            wait += AGAIN_AFTER[2]
        for extra in (0.0, 300.0) if fault is Fault.NOTICE_REPEATED else (0.0,):
            self._send(order, headers, body, wait + extra, 0)

    def _send(
        self, order: BankOrder, headers: Mapping[str, str], body: bytes, wait: float, tries: int
    ) -> None:
        self.unfinished += 1

        async def send() -> None:
            self.unfinished -= 1
            status = await self.deliver(order.notice_url, headers, body)
            if status != OK and tries < len(AGAIN_AFTER):
                self._send(order, headers, body, AGAIN_AFTER[tries], tries + 1)

        self.timeline.after(wait, send)

    def _facts(self, order: BankOrder) -> dict[str, Any]:
        if order.status in {"declined", "cancelled", "returned", "reversed"}:
            order.said_no = True
        facts: dict[str, Any] = {
            "id": order.theirs,
            "kind": order.kind,
            "reference": order.reference,
            "status": order.status,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "code": order.code if order.status == "declined" else CODES.get(order.status, "00"),
            "message": "",
        }
        if order.status == "awaiting_player":
            facts["redirect_url"] = f"https://bank.example.com/pay/{order.theirs}"
        if order.kind == "deposit" and order.status == "approved":
            facts["instrument"] = {"method": METHOD, "account": order.goes_to}
        return facts
