"""Ways to pay, as data: the shipped catalogue, and how a merchant's wishes narrow what is offered. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.kernel.errors import Refusal
from app.kernel.masking import mask_text
from app.kernel.money import AmountOutOfRange, Money

__all__ = [
    "ACCOUNTS_AT_MOST",
    "CATALOGUE",
    "AmountTooHigh",
    "AmountTooLow",
    "BadAccounts",
    "Direction",
    "Method",
    "MethodUnavailable",
    "Offer",
    "arranged",
    "check_accounts",
    "check_amount",
    "narrowed",
    "quick_amounts",
]


ACCOUNTS_AT_MOST = 9  # of one method; a site with more has made a mistake


class MethodUnavailable(Refusal):
    """This way to pay is not available here: {method}."""

    param = "method"

    def __init__(self, *, method: str) -> None:
        """Name the method; what is none is shown masked, for anything may stand there."""
        super().__init__(method=method if method in CATALOGUE else mask_text(method)[:64])


class AmountTooLow(Refusal):
    """The amount must be from {minimum} to {maximum}."""

    param = "amount"


class AmountTooHigh(Refusal):
    """The amount must be from {minimum} up to {maximum}."""

    param = "amount"


class BadAccounts(Refusal):
    """The accounts of a method: {rule}."""

    param = "accounts"


class Direction(StrEnum):
    """Which way the money goes."""

    DEPOSIT = "deposit"
    PAYOUT = "payout"


@dataclass(frozen=True, slots=True)
class Method:
    """One way to pay as a player sees it.

    `group_id` and `type_id` are the protocol's numbers (protocol.md sections 8, 15).
    """

    code: str
    group_id: int
    type_id: int
    title: str
    icon: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A method as one site offers it in one currency, and the provider account that carries it out.

    `further_accounts` are asked after it, in their order, where an attempt failed for certain.
    """

    method: Method
    minimum: Money
    maximum: Money
    account: str
    position: int
    direction: Direction = Direction.DEPOSIT
    further_accounts: tuple[str, ...] = ()

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account in the site's order, the one that is asked first standing first."""
        return (self.account, *self.further_accounts)


CATALOGUE: Mapping[str, Method] = {
    method.code: method
    for method in (
        Method("card", 1, 1, "Bank card", "card"),
        Method("mobile_app", 603, 603, "Mobile banking app", "app"),
        Method("qr", 602, 602, "QR payment", "qr"),
        Method("bank_transfer", 601, 601, "Bank transfer", "bank"),
        Method("e_wallet", 604, 604, "E-wallet", "wallet"),
        Method("mobile_operator", 7, 7, "Mobile operator", "phone"),
        Method("aggregator", 605, 605, "Payment terminal", "terminal"),
    )
}

# Multiples of the minimum that make round quick buttons where the merchant sent no series of its own.
_QUICK_STEPS = (1, 2, 5, 10, 20, 50)
_QUICK_MOST = 4


def check_accounts(accounts: Sequence[str]) -> None:
    """Refuse an order of accounts that cannot be one.

    Raises:
        BadAccounts: none, one of them twice, or more than `ACCOUNTS_AT_MOST`.
    """
    if not accounts:
        raise BadAccounts(rule="name at least one")
    twice = next((name for place, name in enumerate(accounts) if name in accounts[:place]), None)
    if twice is not None:
        raise BadAccounts(rule=f"{twice} stands there twice, and no account is asked a second time")
    if len(accounts) > ACCOUNTS_AT_MOST:
        raise BadAccounts(rule=f"at most {ACCOUNTS_AT_MOST}")


def check_amount(offer: Offer, amount: Money) -> None:
    """Raise `AmountTooLow` or `AmountTooHigh` when the amount is outside the offer's limits."""
    limits = {"minimum": offer.minimum, "maximum": offer.maximum}
    if amount < offer.minimum:
        raise AmountTooLow(**limits)
    if amount > offer.maximum:
        raise AmountTooHigh(**limits)


def arranged(offers: Sequence[Offer], ps_range: str, direction: Direction = Direction.DEPOSIT) -> list[Offer]:
    """Offers in the merchant's order of payment groups.

    Deposit groups stand before the `;`, payout groups behind it (protocol.md section 2.1).
    """
    deposits, _, payouts = ps_range.partition(";")
    groups = deposits if direction is Direction.DEPOSIT else payouts
    wanted = [int(group) for group in groups.split(",") if _is_number(group)]
    last = len(wanted)
    rank = {group: place for place, group in reversed(list(enumerate(wanted)))}
    return sorted(offers, key=lambda offer: (rank.get(offer.method.group_id, last), offer.position))


def narrowed(offer: Offer, deposit_range: str) -> Offer:
    """The offer within the merchant's own limits; a wider wish never widens ours.

    For a payout it is the merchant's `payout_range`, of the same form.

    The form is `1:100-1000;2,3,4:200-2000;50-1500`, in major units as the player sees them, an entry without
    groups being the default.

    Raises:
        MethodUnavailable: no amount is within both; the merchant's limit is none the less one.
    """
    low_high = _of_group(deposit_range, offer.method.group_id)
    found = re.fullmatch(r"([0-9]{1,15})-([0-9]{1,15})", low_high or "")
    if not found:
        return offer
    low, high = (_major(text, offer.minimum.currency) for text in found.groups())
    highest = offer.maximum if high is None else min(offer.maximum, high)
    if low is None or max(offer.minimum, low) > highest:
        raise MethodUnavailable(method=offer.method.code)
    return replace(offer, minimum=max(offer.minimum, low), maximum=highest)


def quick_amounts(offer: Offer, amount_series: str) -> list[Money]:
    """Amounts of the quick buttons.

    The merchant's series `1:10,20,30;` (major units, as on a button), else round steps.
    """
    currency = offer.minimum.currency
    series = _of_group(amount_series, offer.method.group_id)
    if series:
        read = [_major(text, currency) for text in series.split(",") if _is_number(text)]
        wished = [amount for amount in read if amount is not None]
    else:
        wished = [Money(offer.minimum.minor * step, currency) for step in _QUICK_STEPS]
    return [amount for amount in wished if offer.minimum <= amount <= offer.maximum][
        : len(wished) if series else _QUICK_MOST
    ]


def _is_number(text: str) -> bool:
    """At most 15 digits, as the grammar of key obtaining has it."""
    return text.isascii() and text.isdigit() and len(text) <= 15  # noqa: PLR2004  see above


def _major(text: str, currency: str) -> Money | None:
    """Digits as an amount in major units; nothing where it is more than any amount can be."""
    try:
        return Money.parse(text, currency)
    except AmountOutOfRange:
        return None


def _of_group(text: str, group_id: int) -> str | None:
    """The entry of one payment group in `groups:value;groups:value;default`, or the default."""
    default = None
    for entry in text.split(";"):
        groups, colon, value = entry.partition(":")
        if not colon:
            default = entry or default
        elif str(group_id) in groups.split(","):
            return value
    return default
