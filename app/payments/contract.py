"""How payments appear outside: the merchant protocol's numbers and the names of events. Pure.

Sources: protocol.md sections 4.2, 6.1, 7; payments.md sections 1.7 and 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.kernel.money import Money
from app.payments.states import FINAL, STATUS_OF, DisputeState, Kind, SubStatus

__all__ = [
    "CHARGEBACK_STATUS_ID",
    "CHARGEBACK_TYPE_ID",
    "INITIATED",
    "SOURCE_TYPES",
    "TYPE_ID",
    "VOID_TYPE_ID",
    "PaymentFacts",
    "event_aliases",
    "event_type",
    "is_told",
    "notification_fields",
    "status_id",
]

S = SubStatus

STATUS_ID: Mapping[SubStatus, int] = {
    S.CREATED: 1,
    S.CHECKING: 1,
    S.RISK_REVIEW: 1,
    S.AWAITING_PLAYER: 2,
    S.REQUESTED: 1,
    S.COOLING: 1,
    S.UNDER_REVIEW: 3,
    S.AWAITING_KYC: 3,
    S.AWAITING_APPROVAL: 3,
    S.AWAITING_SECOND_APPROVAL: 3,
    S.APPROVED: 3,
    S.ALLOCATED: 2,
    S.SUBMITTED: 2,
    S.PROVIDER_PENDING: 2,
    S.UNKNOWN: 2,
    S.CONFLICTED: 2,
    S.CREDITING: 2,
    S.PARTLY_PAID: 2,
    S.COMPLETED: 4,
    S.DECLINED: 6,
    S.PROVIDER_ERROR: 19,
    S.UNDELIVERABLE: 19,
    S.LIMIT_BLOCKED: 7,
    S.RISK_DECLINED: 7,
    S.MERCHANT_UNREACHABLE: 10,
    S.EXPIRED: 13,
    S.BY_PLAYER: 14,
    S.BY_OPERATOR: 5,
    S.BY_SYSTEM: 5,
    S.REJECTED: 5,
    S.REJECTED_BY_MERCHANT: 5,
    S.REFUNDED: 4,
    S.CHARGED_BACK: 4,
    S.REVERSED: 5,
    S.RETURNED: 4,
}
assert STATUS_ID.keys() == set(SubStatus)

_PARTIAL_SUCCESS = 24
# What goes back of a payment is told as a transaction of its own, and the payment stays what it was told as.
_STAYS_PAID = frozenset({S.COMPLETED, S.REFUNDED, S.CHARGED_BACK, S.RETURNED})

TYPE_ID: Mapping[Kind, int] = {Kind.DEPOSIT: 3, Kind.REFUND: 5, Kind.PAYOUT: 11}
assert TYPE_ID.keys() == set(Kind)
# A deposit that was told as paid and was not: what undoes it is a transaction of its own as well.
VOID_TYPE_ID = 4
CHARGEBACK_TYPE_ID = 7
# A dispute is told as a transaction of its own: representment, won, lost; a loss is the success of type 7.
CHARGEBACK_STATUS_ID: Mapping[DisputeState, int] = {
    DisputeState.EARLY_WARNING: 1,
    DisputeState.PREVENTED: 22,
    DisputeState.OPENED: 4,
    DisputeState.NEEDS_RESPONSE: 3,
    DisputeState.SUBMITTED: 21,
    DisputeState.WON: 22,
    DisputeState.LOST: 23,
    DisputeState.ACCEPTED: 23,
    DisputeState.EXPIRED: 23,
    DisputeState.PRE_ARBITRATION: 2,
}
assert CHARGEBACK_STATUS_ID.keys() == set(DisputeState)

INITIATED = "withdrawal.initiated"  # by the merchant: the state stays what it was
# protocol.md section 15: which kind of client the player used.
SOURCE_TYPES: Mapping[str, int] = {"api": 1, "page": 2, "iframe": 3, "mobile": 4, "native": 5}

_NOUN: Mapping[Kind, str] = {
    Kind.DEPOSIT: "deposit",
    Kind.PAYOUT: "withdrawal",
    Kind.REFUND: "refund",
}
assert _NOUN.keys() == set(Kind)
# Of every kind; behind it the noun's own words, the kind's before the status's.
_EVENTS: Mapping[SubStatus, str] = {
    S.UNKNOWN: "transaction.unknown",
    S.CONFLICTED: "transaction.conflicted",
    S.REVERSED: "transaction.reversed",
}
_WORDS: Mapping[Kind, Mapping[SubStatus, str]] = {
    Kind.DEPOSIT: {
        S.CREATED: "created",
        S.AWAITING_PLAYER: "action_required",
        S.EXPIRED: "expired",
    },
    Kind.PAYOUT: {
        S.REQUESTED: "requested",
        S.COOLING: "cooling",
        S.UNDER_REVIEW: "under_review",
        S.AWAITING_KYC: "awaiting_kyc",
        S.AWAITING_SECOND_APPROVAL: "awaiting_second_approval",
        S.APPROVED: "approved",
        S.PARTLY_PAID: "partly_paid",
        S.REJECTED: "rejected",
        S.REJECTED_BY_MERCHANT: "rejected",
        S.RETURNED: "returned",
    },
    Kind.REFUND: {
        S.REQUESTED: "created",
        S.AWAITING_APPROVAL: "awaiting_approval",
        S.AWAITING_SECOND_APPROVAL: "awaiting_approval",
        S.APPROVED: "approved",
        S.REJECTED: "rejected",
    },
}
assert _WORDS.keys() == set(Kind)


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What a notification tells: `type_id` is the operation's, `payment_type_id` the method's.

    Of a dispute, `dispute` is where it stands, and that is told instead of the payment's `sub_status`.
    """

    type_id: int
    number: int
    sub_status: SubStatus
    amount: Money
    real_amount: Money
    site_id: int
    site_login: str
    customer_purse: str
    external_id: str
    provider_reference: str
    message: str
    group_id: int
    payment_type_id: int
    customer_ip: str
    source_type: int
    completed_at: datetime
    dispute: DisputeState | None = None

    @property
    def status_id(self) -> int:
        """The protocol's number of where it stands."""
        if self.dispute is not None:
            return CHARGEBACK_STATUS_ID[self.dispute]
        return status_id(self.sub_status, is_partial=self.is_partial)

    @property
    def is_partial(self) -> bool:
        """Whether less or more was paid than was ordered."""
        return self.real_amount != self.amount


def status_id(sub_status: SubStatus, *, is_partial: bool = False) -> int:
    """The protocol's `status_id` (section 6.1).

    Args:
        sub_status: where the payment stands.
        is_partial: what was really paid is not what was ordered.
    """
    return _PARTIAL_SUCCESS if is_partial and sub_status in _STAYS_PAID else STATUS_ID[sub_status]


def event_type(kind: Kind, sub_status: SubStatus, *, is_late: bool = False) -> str:
    """The name of the event that a change to this state is (payments.md section 1.7)."""
    if sub_status in _EVENTS:
        return _EVENTS[sub_status]
    word = _WORDS[kind].get(sub_status) or STATUS_OF[sub_status].value
    return f"{_NOUN[kind]}.{'late_' if is_late and sub_status is S.COMPLETED else ''}{word}"


def event_aliases(event_type: str, *, is_adjusted: bool = False) -> tuple[str, ...]:
    """Under which names a change is told besides its own (payments.md section 1.7).

    Args:
        event_type: its own.
        is_adjusted: by this change another sum counts than the one that was asked for.
    """
    if event_type in {"deposit.failed", "withdrawal.failed"}:
        return ("transaction.failed",)
    is_credit = event_type in {"deposit.completed", "deposit.late_completed"}
    return ("deposit.amount_adjusted",) if is_credit and is_adjusted else ()


def is_told(sub_status: SubStatus) -> bool:
    """Merchants are told of final states (payments.md section 2)."""
    return sub_status in FINAL


def notification_fields(facts: PaymentFacts, *, extended: bool) -> dict[str, str | int]:
    """The fields of the protocol's notification (section 4.2), without the signature.

    Empty ones are left out.
    """
    fields: dict[str, str | int] = {
        "site_id": facts.site_id,
        "amount": facts.amount.minor,
        "currency": facts.amount.currency,
        "real_amount": facts.real_amount.minor,
        "real_currency": facts.real_amount.currency,
        "extended_info_enabled": int(extended),
        "customer_purse": _signable(facts.customer_purse),
        "site_login": facts.site_login,
        "payment_group_id": facts.group_id,
        "display_payment_group_id": facts.group_id,
        "payment_type_id": facts.payment_type_id,
        "customer_ip": facts.customer_ip,
        "source_type": facts.source_type,
        "type_id": facts.type_id,
        "status_id": facts.status_id,
        "transaction_id": facts.number,
        "external_id": facts.external_id,
        "completed_at": facts.completed_at.isoformat(timespec="seconds"),
    }
    if extended:
        fields |= {
            "processor_id": _signable(facts.provider_reference),
            "processor_message": _signable(facts.message),
        }
    return {name: value for name, value in fields.items() if value != ""}


def _signable(text: str) -> str:
    """A provider's words made safe for the SHA-1 rule, where `:` and `;` delimit (protocol.md section 15)."""
    return "".join(mark if mark.isprintable() and mark not in ":;" else " " for mark in text)[:255].strip()
