"""The demo shop's memory: players, orders, and what the cashier's messages did to them.

Pure, and gone with the process.
Every deed is one step without an await, so two messages at the same moment are served one after the other.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from app.kernel.money import Money

__all__ = [
    "FAILURES",
    "PARTIAL_SUCCESS",
    "SUCCESS",
    "Books",
    "Effect",
    "Order",
    "OrderStatus",
    "Player",
    "Refused",
    "UnknownPlayer",
    "Webhook",
    "Withdrawal",
    "WithdrawalStatus",
]

SUCCESS: Final = 4
PARTIAL_SUCCESS: Final = 24
# protocol.md 4.3 and 6.1: the codes that end a transaction without money.
FAILURES: Final = frozenset({5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 19})
# protocol.md 4.3: authorization, purchase, rebill credit the player; void, refund, chargeback take back.
CREDITS: Final = frozenset({1, 3, 6})
DEBITS: Final = frozenset({4, 5, 7})
CHARGEBACK: Final = 7
CHARGEBACK_WON, CHARGEBACK_LOST = 22, 23


class OrderStatus(StrEnum):
    """What the shop knows about an order."""

    WAITING = "waiting"
    PAID = "paid"
    FAILED = "failed"
    PARTLY_RETURNED = "partly_returned"
    RETURNED = "returned"


class WithdrawalStatus(StrEnum):
    """What the shop knows about a withdrawal; its money is reserved until REJECTED or FAILED."""

    REQUESTED = "requested"  # the owner has to decide
    APPROVED = "approved"  # the cashier is being told, or did not answer
    INITIATED = "initiated"  # the cashier knows, and pays
    REJECTED = "rejected"  # by the owner
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"  # paid, and sent back by the bank


class Effect(StrEnum):
    """What one message did here."""

    CREDITED = "credited"
    DEBITED = "debited"
    RESERVED = "reserved"  # for a withdrawal; only request_payout does this
    SETTLED = "settled"  # a withdrawal was paid, out of what was reserved
    RELEASED = "released"  # what was reserved, or a part of it, is the player's again
    RETURNED = "returned"  # a debit was undone: a paid withdrawal came back, a chargeback was won
    FAILED = "failed"
    NOTED = "noted"
    REPEATED = "repeated"


class UnknownPlayer(Exception):
    """User not found."""


class Refused(Exception):
    """The shop does not take this; the text is the reason."""


@dataclass(slots=True)
class Player:
    """A person with an account at the shop. `language` is the one the cashier is opened in."""

    login: str
    first_name: str
    last_name: str
    email: str
    language: str
    balance: Money

    @property
    def name(self) -> str:
        """The first and the last name."""
        return f"{self.first_name} {self.last_name}"


@dataclass(slots=True)
class Order:
    """One deposit as the shop sees it.

    A payment that was not one after all goes back like any other; should it count again, under a number of
    its own, that much less has gone back. Whatever comes first, the end is the same.
    """

    external_id: str
    transaction_id: str
    login: str
    amount: Money
    created_at: datetime
    status: OrderStatus = OrderStatus.WAITING
    status_id: int | None = None
    returned_minor: int = 0
    paid_minor: int = 0  # by its first payment


@dataclass(slots=True)
class Withdrawal:
    """One withdrawal as the shop sees it.

    `purse` is where the money goes, as the cashier wrote it. `order_id` is what the cashier called it when it
    was initiated; `problem` is why the last try to initiate it did not end well. `stands` is the cashier's
    word for how far it is, and `payment_id` its own name of it, once it was asked.
    """

    external_id: str
    transaction_id: str
    login: str
    amount: Money
    purse: str
    remember_purse: str
    created_at: datetime
    status: WithdrawalStatus = WithdrawalStatus.REQUESTED
    status_id: int | None = None
    order_id: str = ""
    problem: str = ""
    is_being_sent: bool = False
    paid: Money | None = None
    returned_minor: int = 0
    stands: str = ""
    payment_id: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """The fields of a webhook that this shop acts on; `paid` is the real amount, where it was told."""

    transaction_id: str
    external_id: str
    login: str
    amount: Money
    type_id: int
    status_id: int
    paid: Money | None = None

    @property
    def seen(self) -> tuple[str, int, int]:
        """What tells it from every other webhook."""
        return (self.transaction_id, self.type_id, self.status_id)


@dataclass(slots=True)
class Books:
    """Everything the shop remembers. `movements` has one line for every change of a balance."""

    players: dict[str, Player]
    orders: dict[str, Order] = field(default_factory=dict)
    by_transaction: dict[str, str] = field(default_factory=dict)
    withdrawals: dict[str, Withdrawal] = field(default_factory=dict)
    movements: list[dict[str, str | int]] = field(default_factory=list)
    heard: set[tuple[str, int, int]] = field(default_factory=set)
    moved: set[tuple[str, Effect]] = field(default_factory=set)

    def player(self, login: str) -> Player:
        """Return the player of that login; raise UnknownPlayer."""
        try:
            return self.players[login]
        except KeyError:
            raise UnknownPlayer from None

    def accept(
        self, *, transaction_id: str, login: str, amount: Money, external_id: str, now: datetime
    ) -> Order:
        """Open an order for a deposit the cashier asks about, under the offered `external_id`.

        The same `transaction_id` again returns the order that is already there, untouched. Raises
        UnknownPlayer, and Refused for another currency, an amount of nothing, or a repeat with other content.
        """
        self.must_take(self.player(login), amount)
        known = self.orders.get(self.by_transaction.get(transaction_id, "")) if transaction_id else None
        if known is not None:
            if (known.login, known.amount) != (login, amount):
                reason = "This transaction already has another order"
                raise Refused(reason)
            return known
        return self._open(Order(external_id, transaction_id, login, amount, now))

    def apply(self, webhook: Webhook, *, now: datetime) -> Effect:
        """Carry out a verified webhook about a deposit, and say what it did; again: REPEATED.

        A transaction credits at most once and debits at most once, whatever types it arrives under. A failure
        after a success is noted and takes nothing: the money was given. Raises UnknownPlayer, and Refused for
        another currency.
        """
        player = self.player(webhook.login)
        paid = webhook.paid or webhook.amount
        self.must_take(player, webhook.amount)
        self.must_take(player, paid)
        if webhook.seen in self.heard:
            return Effect.REPEATED
        effect = self._effect_of(webhook)
        if (webhook.transaction_id, effect) in self.moved:
            effect = Effect.REPEATED
        self.heard.add(webhook.seen)
        match effect:
            case Effect.CREDITED:
                self._pay(self._order_of(webhook, now), paid.minor)
                self.move(player, webhook.transaction_id, webhook.external_id, effect, paid)
            case Effect.DEBITED:
                self._take_back(webhook, paid.minor)
                self.move(player, webhook.transaction_id, webhook.external_id, effect, -paid)
            case Effect.RETURNED:
                self._take_back(webhook, -paid.minor)
                self.move(player, webhook.transaction_id, webhook.external_id, effect, paid)
                # It may be lost again, in arbitration.
                self.moved.discard((webhook.transaction_id, Effect.DEBITED))
            case Effect.FAILED:
                order = self._order_of(webhook, now)
                if order.status is OrderStatus.WAITING:
                    order.status = OrderStatus.FAILED
            case Effect.NOTED | Effect.REPEATED | Effect.RESERVED | Effect.SETTLED | Effect.RELEASED:
                pass
            case _:
                assert_never(effect)
        if webhook.external_id in self.orders:
            self.orders[webhook.external_id].status_id = webhook.status_id
        return effect

    def orders_of(self, login: str) -> list[Order]:
        """Return the player's orders, newest first."""
        return [order for order in reversed(self.orders.values()) if order.login == login]

    def withdrawals_of(self, login: str) -> list[Withdrawal]:
        """Return the player's withdrawals, newest first."""
        return [asked for asked in reversed(self.withdrawals.values()) if asked.login == login]

    @staticmethod
    def must_take(player: Player, amount: Money) -> None:
        """Raise Refused unless this is money that moves at this shop."""
        if amount.minor <= 0:
            reason = "The amount must be more than nothing"
            raise Refused(reason)
        if amount.currency != player.balance.currency:
            reason = f"This shop takes {player.balance.currency} only"
            raise Refused(reason)

    def _effect_of(self, webhook: Webhook) -> Effect:
        if webhook.type_id == CHARGEBACK and webhook.status_id == CHARGEBACK_WON:
            was_taken = (webhook.transaction_id, Effect.DEBITED) in self.moved
            return Effect.RETURNED if was_taken else Effect.NOTED
        if webhook.type_id == CHARGEBACK and webhook.status_id == CHARGEBACK_LOST:
            return Effect.DEBITED
        if webhook.status_id in {SUCCESS, PARTIAL_SUCCESS} and webhook.type_id in CREDITS:
            return Effect.CREDITED
        if webhook.status_id in {SUCCESS, PARTIAL_SUCCESS} and webhook.type_id in DEBITS:
            return Effect.DEBITED
        if webhook.status_id in FAILURES and webhook.type_id in CREDITS:
            return Effect.FAILED
        if webhook.status_id in FAILURES and webhook.type_id in DEBITS - {CHARGEBACK}:
            # A refund can fail at the player's bank after it had succeeded.
            was_taken = (webhook.transaction_id, Effect.DEBITED) in self.moved
            return Effect.RETURNED if was_taken else Effect.NOTED
        return Effect.NOTED

    def _order_of(self, webhook: Webhook, now: datetime) -> Order:
        # A webhook may outlive the shop's memory: after a restart the order is opened again from its words.
        # A deposit that was refused has no order of ours yet and goes by the cashier's number.
        external_id = webhook.external_id or webhook.transaction_id
        known = self.orders.get(external_id)
        if known is not None:
            return known
        return self._open(Order(external_id, webhook.transaction_id, webhook.login, webhook.amount, now))

    def _open(self, order: Order) -> Order:
        self.orders[order.external_id] = order
        if order.transaction_id:
            self.by_transaction[order.transaction_id] = order.external_id
        return order

    def _pay(self, order: Order, minor: int) -> None:
        if order.paid_minor:
            order.returned_minor -= minor
        else:
            order.paid_minor = minor
        self._settle(order)

    def _take_back(self, webhook: Webhook, minor: int) -> None:
        order = self.orders.get(webhook.external_id)
        if order is None:
            return
        order.returned_minor += minor
        self._settle(order)

    @staticmethod
    def _settle(order: Order) -> None:
        if order.returned_minor >= (order.paid_minor or order.amount.minor):
            order.status = OrderStatus.RETURNED
        else:
            order.status = OrderStatus.PARTLY_RETURNED if order.returned_minor > 0 else OrderStatus.PAID

    def move(
        self, player: Player, transaction_id: str, external_id: str, effect: Effect, amount: Money
    ) -> None:
        """Change a balance, and write the line that says why."""
        self.moved.add((transaction_id, effect))
        player.balance += amount
        self.movements.append(
            {
                "login": player.login,
                "transaction_id": transaction_id,
                "external_id": external_id,
                "effect": str(effect),
                "amount_minor": amount.minor,
                "currency": amount.currency,
            }
        )
