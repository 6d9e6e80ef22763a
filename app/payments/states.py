"""Where a payment can stand, and which way it can go from there: deposits, payouts, refunds, disputes. Pure.

Sources: payments.md sections 1.2 (states) and 1.3 (transitions). What is not listed cannot happen.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.kernel.errors import Refusal

__all__ = [
    "DISPUTE_NEXT",
    "FINAL",
    "NEXT",
    "OPEN",
    "STATUS_OF",
    "DisputeState",
    "IllegalTransition",
    "Kind",
    "LegState",
    "Status",
    "SubStatus",
    "checked_path",
]


class Kind(StrEnum):
    """Which way the money goes: in, out to the player, or back to where a deposit came from."""

    DEPOSIT = "deposit"
    PAYOUT = "payout"
    REFUND = "refund"


class Status(StrEnum):
    """The six public statuses."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class SubStatus(StrEnum):
    """Where exactly a payment stands; each belongs to one public status."""

    CREATED = "created"
    CHECKING = "checking"
    RISK_REVIEW = "risk_review"
    AWAITING_PLAYER = "awaiting_player"
    REQUESTED = "requested"
    COOLING = "cooling"
    UNDER_REVIEW = "under_review"
    AWAITING_KYC = "awaiting_kyc"
    AWAITING_APPROVAL = "awaiting_approval"
    AWAITING_SECOND_APPROVAL = "awaiting_second_approval"
    APPROVED = "approved"
    ALLOCATED = "allocated"
    SUBMITTED = "submitted"
    PROVIDER_PENDING = "provider_pending"
    UNKNOWN = "unknown"
    CONFLICTED = "conflicted"
    CREDITING = "crediting"
    PARTLY_PAID = "partly_paid"
    COMPLETED = "completed"
    DECLINED = "declined"
    PROVIDER_ERROR = "provider_error"
    UNDELIVERABLE = "undeliverable"
    LIMIT_BLOCKED = "limit_blocked"
    RISK_DECLINED = "risk_declined"
    MERCHANT_UNREACHABLE = "merchant_unreachable"
    EXPIRED = "expired"
    BY_PLAYER = "by_player"
    BY_OPERATOR = "by_operator"
    BY_SYSTEM = "by_system"
    REJECTED = "rejected"
    REJECTED_BY_MERCHANT = "rejected_by_merchant"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    REVERSED = "reversed"
    RETURNED = "returned"


S = SubStatus
_MEMBERS: Mapping[Status, frozenset[SubStatus]] = {
    Status.PENDING: frozenset(
        {
            *(S.CREATED, S.CHECKING, S.RISK_REVIEW, S.AWAITING_PLAYER, S.REQUESTED, S.COOLING),
            *(S.UNDER_REVIEW, S.AWAITING_KYC, S.AWAITING_APPROVAL, S.AWAITING_SECOND_APPROVAL, S.APPROVED),
        }
    ),
    Status.PROCESSING: frozenset(
        {
            *(S.ALLOCATED, S.SUBMITTED, S.PROVIDER_PENDING, S.UNKNOWN, S.CONFLICTED, S.CREDITING),
            S.PARTLY_PAID,
        }
    ),
    Status.COMPLETED: frozenset({S.COMPLETED}),
    Status.FAILED: frozenset(
        {
            *(S.DECLINED, S.PROVIDER_ERROR, S.UNDELIVERABLE, S.LIMIT_BLOCKED, S.RISK_DECLINED),
            *(S.MERCHANT_UNREACHABLE, S.EXPIRED),
        }
    ),
    Status.CANCELLED: frozenset(
        {S.BY_PLAYER, S.BY_OPERATOR, S.BY_SYSTEM, S.REJECTED, S.REJECTED_BY_MERCHANT}
    ),
    Status.REFUNDED: frozenset({S.REFUNDED, S.CHARGED_BACK, S.REVERSED, S.RETURNED}),
}
STATUS_OF: Mapping[SubStatus, Status] = {
    state: status for status, states in _MEMBERS.items() for state in states
}
assert STATUS_OF.keys() == set(SubStatus)
assert len(STATUS_OF) == sum(map(len, _MEMBERS.values())), "a state has one status"

_ENDS_AT_PROVIDER = frozenset({S.CREDITING, S.CONFLICTED, S.DECLINED, S.PROVIDER_ERROR, S.BY_PLAYER})
_ASKED = frozenset({S.AWAITING_PLAYER, S.PROVIDER_PENDING, S.UNKNOWN}) | _ENDS_AT_PROVIDER
_LATE_DEPOSIT = frozenset({S.CREDITING, S.CONFLICTED})

# Late success leads out of Failed; out of Cancelled it needs a refund, so a person.
_DEPOSIT: Mapping[SubStatus, frozenset[SubStatus]] = {
    S.CREATED: frozenset({S.CHECKING, S.LIMIT_BLOCKED, S.RISK_DECLINED}),
    # To where no provider takes it leads what was switched off or stopped while the merchant was asked.
    S.CHECKING: frozenset(
        {S.SUBMITTED, S.RISK_REVIEW, S.REJECTED_BY_MERCHANT, S.MERCHANT_UNREACHABLE, S.PROVIDER_ERROR}
    ),
    S.RISK_REVIEW: frozenset({S.SUBMITTED, S.BY_OPERATOR, S.RISK_DECLINED}),
    # To where it is submitted leads a definite failure that another account may follow; never out of a doubt.
    S.SUBMITTED: _ASKED | {S.SUBMITTED},
    S.AWAITING_PLAYER: (_ASKED | {S.EXPIRED, S.SUBMITTED}) - {S.AWAITING_PLAYER},
    S.PROVIDER_PENDING: (_ASKED | {S.SUBMITTED}) - {S.PROVIDER_PENDING},
    S.UNKNOWN: _ASKED - {S.UNKNOWN},
    # Only a settlement or people lead out of it: credited, sent back to the payer, or nothing had come.
    S.CONFLICTED: frozenset({S.CREDITING, S.REFUNDED, S.DECLINED}),
    S.CREDITING: frozenset({S.COMPLETED}),
    S.COMPLETED: frozenset({S.REFUNDED, S.CHARGED_BACK, S.REVERSED}),
    S.DECLINED: _LATE_DEPOSIT,
    S.PROVIDER_ERROR: _LATE_DEPOSIT,
    S.LIMIT_BLOCKED: frozenset(),
    S.RISK_DECLINED: frozenset(),
    S.MERCHANT_UNREACHABLE: frozenset(),
    S.EXPIRED: _LATE_DEPOSIT,
    S.BY_PLAYER: frozenset({S.CREDITING, S.CONFLICTED, S.REFUNDED}),
    S.BY_OPERATOR: frozenset({S.CREDITING, S.CONFLICTED, S.REFUNDED}),
    S.REJECTED_BY_MERCHANT: frozenset(),
    S.REFUNDED: frozenset({S.COMPLETED}),
    S.CHARGED_BACK: frozenset({S.COMPLETED}),
    # Only a settlement or people lead out of it: it was paid after all.
    S.REVERSED: frozenset({S.CREDITING}),
}

_STOPPED = frozenset({S.REJECTED, S.BY_PLAYER, S.BY_OPERATOR, S.BY_SYSTEM})
_OUTCOMES = frozenset({S.COMPLETED, S.DECLINED, S.PROVIDER_ERROR, S.UNDELIVERABLE})
_AT_PROVIDER = frozenset({S.PROVIDER_PENDING, S.UNKNOWN, S.CONFLICTED, S.PARTLY_PAID})
# What never left is sent again, from the queue.
_SENT = _AT_PROVIDER | _OUTCOMES | {S.ALLOCATED}
# Money that went although it was given back: it has gone, so the payout is completed, late. Still unknown at
# the provider after all: the payout is open again.
_LATE_PAYOUT = frozenset({S.COMPLETED, S.CONFLICTED})
_REVIVED = _LATE_PAYOUT | {S.UNKNOWN}

_PAYOUT: Mapping[SubStatus, frozenset[SubStatus]] = {
    S.REQUESTED: frozenset({S.COOLING, S.UNDER_REVIEW, S.REJECTED_BY_MERCHANT}) | _STOPPED,
    S.COOLING: frozenset({S.UNDER_REVIEW}) | _STOPPED,
    S.UNDER_REVIEW: frozenset({S.AWAITING_KYC, S.AWAITING_SECOND_APPROVAL, S.APPROVED}) | _STOPPED,
    S.AWAITING_KYC: frozenset({S.UNDER_REVIEW}) | _STOPPED,
    S.AWAITING_SECOND_APPROVAL: frozenset({S.UNDER_REVIEW, S.APPROVED}) | _STOPPED,
    S.APPROVED: frozenset({S.UNDER_REVIEW, S.ALLOCATED}) | _STOPPED,
    S.ALLOCATED: frozenset({S.SUBMITTED, S.APPROVED, S.REJECTED, S.BY_OPERATOR, S.BY_SYSTEM})
    | _AT_PROVIDER
    | _OUTCOMES,
    S.SUBMITTED: _SENT,
    # Back to where it is submitted leads the end of one leg while another is being sent.
    S.PROVIDER_PENDING: (_SENT | {S.SUBMITTED}) - {S.PROVIDER_PENDING},
    # Of several legs one may have come back before the last was over: the payout is then returned.
    S.UNKNOWN: (_SENT | {S.SUBMITTED, S.RETURNED}) - {S.UNKNOWN},
    # One leg's conflict ends; the payout goes to where the others are, and one may not have left yet.
    S.CONFLICTED: (_SENT | {S.SUBMITTED, S.RETURNED}) - {S.CONFLICTED},
    S.PARTLY_PAID: (_AT_PROVIDER | {S.COMPLETED, S.RETURNED}) - {S.PARTLY_PAID},
    S.COMPLETED: frozenset({S.RETURNED}),
    S.DECLINED: _REVIVED,
    S.PROVIDER_ERROR: _REVIVED,
    S.UNDELIVERABLE: _REVIVED,
    S.BY_PLAYER: _LATE_PAYOUT,
    S.BY_OPERATOR: _LATE_PAYOUT,
    S.BY_SYSTEM: _LATE_PAYOUT,
    S.REJECTED: _LATE_PAYOUT,
    S.REJECTED_BY_MERCHANT: _LATE_PAYOUT,
    # Only a settlement or people lead out of it: it was paid after all.
    S.RETURNED: frozenset({S.COMPLETED}),
}

_REFUND_SENT = frozenset(
    {S.PROVIDER_PENDING, S.UNKNOWN, S.CONFLICTED, S.COMPLETED, S.DECLINED, S.PROVIDER_ERROR}
)
_REFUND: Mapping[SubStatus, frozenset[SubStatus]] = {
    S.REQUESTED: frozenset({S.AWAITING_APPROVAL, S.APPROVED, S.REJECTED, S.BY_OPERATOR, S.BY_SYSTEM}),
    S.AWAITING_APPROVAL: frozenset(
        {S.AWAITING_SECOND_APPROVAL, S.APPROVED, S.REJECTED, S.BY_OPERATOR, S.BY_SYSTEM}
    ),
    S.AWAITING_SECOND_APPROVAL: frozenset({S.APPROVED, S.REJECTED, S.BY_OPERATOR, S.BY_SYSTEM}),
    # Also what had not left, as it seemed.
    S.APPROVED: frozenset({S.SUBMITTED, S.UNKNOWN, S.CONFLICTED, S.COMPLETED, S.BY_OPERATOR, S.BY_SYSTEM}),
    S.SUBMITTED: _REFUND_SENT | {S.APPROVED},  # it never left
    S.PROVIDER_PENDING: _REFUND_SENT - {S.PROVIDER_PENDING},
    S.UNKNOWN: _REFUND_SENT - {S.UNKNOWN},
    S.CONFLICTED: frozenset({S.COMPLETED, S.DECLINED}),
    S.COMPLETED: frozenset({S.DECLINED}),  # it failed afterwards: the money is here again
    S.DECLINED: _LATE_PAYOUT,
    S.PROVIDER_ERROR: _LATE_PAYOUT,
    S.BY_OPERATOR: _LATE_PAYOUT,
    S.BY_SYSTEM: _LATE_PAYOUT,
    S.REJECTED: _LATE_PAYOUT,
}

NEXT: Mapping[Kind, Mapping[SubStatus, frozenset[SubStatus]]] = {
    Kind.DEPOSIT: _DEPOSIT,
    Kind.PAYOUT: _PAYOUT,
    Kind.REFUND: _REFUND,
}
assert NEXT.keys() == set(Kind)
assert set().union(*NEXT.values()) == set(SubStatus), "a state that no kind has"
assert all(targets <= states.keys() for states in NEXT.values() for targets in states.values()), (
    "a way that leads out of its kind's states"
)

OPEN: Final = _MEMBERS[Status.PENDING] | _MEMBERS[Status.PROCESSING]
FINAL: Final = frozenset(SubStatus) - OPEN


class LegState(StrEnum):
    """Where one part of a payout stands. PLANNED: nothing was sent, or nothing arrived of what was sent."""

    PLANNED = "planned"
    SUBMITTED = "submitted"
    PROVIDER_PENDING = "provider_pending"
    UNKNOWN = "unknown"
    CONFLICTED = "conflicted"
    COMPLETED = "completed"
    DECLINED = "declined"
    PROVIDER_ERROR = "provider_error"
    UNDELIVERABLE = "undeliverable"
    RETURNED = "returned"


class DisputeState(StrEnum):
    """Where a dispute stands (payments.md section 1.3)."""

    EARLY_WARNING = "early_warning"
    PREVENTED = "prevented"
    OPENED = "opened"
    NEEDS_RESPONSE = "needs_response"
    SUBMITTED = "submitted"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    PRE_ARBITRATION = "pre_arbitration"


D = DisputeState
_DECIDED = frozenset({D.WON, D.LOST, D.ACCEPTED, D.EXPIRED})
DISPUTE_NEXT: Mapping[DisputeState, frozenset[DisputeState]] = {
    D.EARLY_WARNING: frozenset({D.PREVENTED, D.OPENED, D.EXPIRED}),
    D.PREVENTED: frozenset({D.OPENED}),
    D.OPENED: frozenset({D.NEEDS_RESPONSE, D.SUBMITTED}) | _DECIDED,
    D.NEEDS_RESPONSE: frozenset({D.SUBMITTED}) | _DECIDED,
    D.SUBMITTED: _DECIDED,
    D.WON: frozenset({D.PRE_ARBITRATION}),
    D.LOST: frozenset({D.PRE_ARBITRATION, D.WON}),
    D.ACCEPTED: frozenset({D.LOST}),
    D.EXPIRED: frozenset({D.OPENED, D.LOST, D.WON}),
    D.PRE_ARBITRATION: frozenset({D.SUBMITTED}) | _DECIDED,
}
assert DISPUTE_NEXT.keys() == set(DisputeState)


class IllegalTransition(Refusal):
    """A {kind} cannot go from {source} to {target}."""


def checked_path(kind: Kind, source: SubStatus, path: tuple[SubStatus, ...]) -> SubStatus:
    """The last state of a path whose every transition is in the table.

    Raises:
        IllegalTransition: one is not: a case for people, never silence.
    """
    for target in path:
        if target not in NEXT[kind].get(source, frozenset()):
            raise IllegalTransition(kind=kind.value, source=source.value, target=target.value)
        source = target
    return source
