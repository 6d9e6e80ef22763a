"""The life of a deposit: its states, the transitions that exist, and what evidence is. Pure.

Sources: payments.md sections 1.2 and 1.3 (states), 1.4 (evidence).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = [
    "FINAL",
    "NEXT",
    "OPEN",
    "STATUS_OF",
    "Attention",
    "DepositFacts",
    "Evidence",
    "IllegalTransition",
    "Kind",
    "Source",
    "Status",
    "Step",
    "SubStatus",
    "Verdict",
    "checked_path",
    "graver",
]


class Kind(StrEnum):
    """Which way the money goes."""

    DEPOSIT = "deposit"


class Status(StrEnum):
    """The six public statuses."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class SubStatus(StrEnum):
    """Where exactly a deposit stands; each belongs to one public status."""

    CREATED = "created"
    CHECKING = "checking"
    RISK_REVIEW = "risk_review"
    AWAITING_PLAYER = "awaiting_player"
    SUBMITTED = "submitted"
    PROVIDER_PENDING = "provider_pending"
    UNKNOWN = "unknown"
    CONFLICTED = "conflicted"
    CREDITING = "crediting"
    COMPLETED = "completed"
    DECLINED = "declined"
    PROVIDER_ERROR = "provider_error"
    LIMIT_BLOCKED = "limit_blocked"
    RISK_DECLINED = "risk_declined"
    MERCHANT_UNREACHABLE = "merchant_unreachable"
    EXPIRED = "expired"
    BY_PLAYER = "by_player"
    BY_OPERATOR = "by_operator"
    REJECTED_BY_MERCHANT = "rejected_by_merchant"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"


S = SubStatus
STATUS_OF: Mapping[SubStatus, Status] = {
    S.CREATED: Status.PENDING,
    S.CHECKING: Status.PENDING,
    S.RISK_REVIEW: Status.PENDING,
    S.AWAITING_PLAYER: Status.PENDING,
    S.SUBMITTED: Status.PROCESSING,
    S.PROVIDER_PENDING: Status.PROCESSING,
    S.UNKNOWN: Status.PROCESSING,
    S.CONFLICTED: Status.PROCESSING,
    S.CREDITING: Status.PROCESSING,
    S.COMPLETED: Status.COMPLETED,
    S.DECLINED: Status.FAILED,
    S.PROVIDER_ERROR: Status.FAILED,
    S.LIMIT_BLOCKED: Status.FAILED,
    S.RISK_DECLINED: Status.FAILED,
    S.MERCHANT_UNREACHABLE: Status.FAILED,
    S.EXPIRED: Status.FAILED,
    S.BY_PLAYER: Status.CANCELLED,
    S.BY_OPERATOR: Status.CANCELLED,
    S.REJECTED_BY_MERCHANT: Status.CANCELLED,
    S.REFUNDED: Status.REFUNDED,
    S.CHARGED_BACK: Status.REFUNDED,
}

_AT_PROVIDER = frozenset({S.SUBMITTED, S.AWAITING_PLAYER, S.PROVIDER_PENDING, S.UNKNOWN})
_ENDS_AT_PROVIDER = frozenset({S.CREDITING, S.CONFLICTED, S.DECLINED, S.PROVIDER_ERROR, S.BY_PLAYER})
_ASKED = frozenset({S.AWAITING_PLAYER, S.PROVIDER_PENDING, S.UNKNOWN}) | _ENDS_AT_PROVIDER
_LATE = frozenset({S.CREDITING, S.CONFLICTED})

# What is not listed cannot happen. Late success leads out of Failed; out of Cancelled it needs a refund, so a
# person.
NEXT: Mapping[SubStatus, frozenset[SubStatus]] = {
    S.CREATED: frozenset({S.CHECKING, S.LIMIT_BLOCKED, S.RISK_DECLINED}),
    S.CHECKING: frozenset({S.SUBMITTED, S.RISK_REVIEW, S.REJECTED_BY_MERCHANT, S.MERCHANT_UNREACHABLE}),
    S.RISK_REVIEW: frozenset({S.SUBMITTED, S.BY_OPERATOR, S.RISK_DECLINED}),
    S.SUBMITTED: _ASKED,
    S.AWAITING_PLAYER: (_ASKED | {S.EXPIRED}) - {S.AWAITING_PLAYER},
    S.PROVIDER_PENDING: _ASKED - {S.PROVIDER_PENDING},
    S.UNKNOWN: _ASKED - {S.UNKNOWN},
    S.CONFLICTED: frozenset({S.CREDITING, S.REFUNDED}),
    S.CREDITING: frozenset({S.COMPLETED}),
    S.COMPLETED: frozenset({S.REFUNDED, S.CHARGED_BACK}),
    S.DECLINED: _LATE,
    S.PROVIDER_ERROR: _LATE,
    S.LIMIT_BLOCKED: frozenset(),
    S.RISK_DECLINED: frozenset(),
    S.MERCHANT_UNREACHABLE: frozenset(),
    S.EXPIRED: _LATE,
    S.BY_PLAYER: frozenset({S.CREDITING, S.CONFLICTED, S.REFUNDED}),
    S.BY_OPERATOR: frozenset({S.CREDITING, S.CONFLICTED, S.REFUNDED}),
    S.REJECTED_BY_MERCHANT: frozenset(),
    S.REFUNDED: frozenset({S.COMPLETED}),
    S.CHARGED_BACK: frozenset({S.COMPLETED}),
}
assert NEXT.keys() == STATUS_OF.keys() == set(SubStatus)

OPEN = frozenset(s for s in SubStatus if STATUS_OF[s] in {Status.PENDING, Status.PROCESSING})
FINAL = frozenset(SubStatus) - OPEN


class IllegalTransition(Refusal):
    """A deposit cannot go from {source} to {target}."""


class Source(IntEnum):
    """Where a piece of evidence comes from; a higher rank may overrule a lower (payments.md section 1.4)."""

    # 1 would be the player's browser coming back: it proves nothing, so it only makes us ask.
    ANSWER = 2
    NOTICE = 3
    STATUS_QUERY = 4
    SETTLEMENT = 5


class Verdict(StrEnum):
    """What the evidence says of the provider's order."""

    NEEDS_PLAYER = "needs_player"
    PENDING = "pending"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Attention(StrEnum):
    """Why a person should look; beside the status, never instead of it. The graver stands later."""

    UNCONFIRMED = "unconfirmed"
    ORDER_VANISHED = "order_vanished"
    UNRESOLVED = "unresolved"
    AMOUNT_DIFFERS = "amount_differs"
    DENIED_AFTER_SUCCESS = "denied_after_success"
    PAID_AFTER_CANCEL = "paid_after_cancel"
    NOT_POSTED = "not_posted"
    REFERENCE_REUSED = "reference_reused"
    SECOND_PAYMENT = "second_payment"


_GRAVITY: Final = {attention: place for place, attention in enumerate(Attention)}


def graver(one: Attention | None, other: Attention | None) -> Attention | None:
    """The reason to be shown when there are two; every reason has its own event all the same."""
    return max(filter(None, (one, other)), key=_GRAVITY.__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class DepositFacts:
    """What is known of a deposit when evidence arrives.

    `provider_reference` is that of the payment, once paid; `expires_at` ends the time the player has.
    """

    sub_status: SubStatus
    amount: Money
    provider_reference: str | None
    sent_at: datetime | None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing the provider said, by whichever way, about our order."""

    source: Source
    verdict: Verdict
    at: datetime
    amount: Money | None = None
    provider_reference: str | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: the states to walk through, in order; the money to credit; whom to ask or to tell.

    `ask_again`: the provider itself must be asked, and keeps being asked until it answers. `settles`: it has
    answered such a question, and nothing changes.
    """

    path: tuple[SubStatus, ...] = ()
    credit: Money | None = None
    is_late: bool = False
    ask_again: bool = False
    settles: bool = False
    attention: Attention | None = None


def checked_path(source: SubStatus, path: tuple[SubStatus, ...]) -> SubStatus:
    """The last state of a path whose every transition is in the table.

    Raises:
        IllegalTransition: one is not: a case for people, never silence.
    """
    for target in path:
        if target not in NEXT[source]:
            raise IllegalTransition(source=source.value, target=target.value)
        source = target
    return source
