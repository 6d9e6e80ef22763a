"""How payments appear outside: the merchant protocol's numbers and the names of events. Pure.

Sources: protocol.md sections 4.2, 6.1, 7; payments.md sections 1.7 and 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.kernel.money import Money
from app.payments.model import FINAL, STATUS_OF, Kind, Status, SubStatus

__all__ = [
    "SOURCE_TYPES",
    "TYPE_ID",
    "PaymentFacts",
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
    S.SUBMITTED: 2,
    S.PROVIDER_PENDING: 2,
    S.UNKNOWN: 2,
    S.CONFLICTED: 2,
    S.CREDITING: 2,
    S.COMPLETED: 4,
    S.DECLINED: 6,
    S.PROVIDER_ERROR: 19,
    S.LIMIT_BLOCKED: 7,
    S.RISK_DECLINED: 7,
    S.MERCHANT_UNREACHABLE: 10,
    S.EXPIRED: 13,
    S.BY_PLAYER: 14,
    S.BY_OPERATOR: 5,
    S.REJECTED_BY_MERCHANT: 5,
    S.REFUNDED: 4,
    S.CHARGED_BACK: 4,
}
assert STATUS_ID.keys() == set(SubStatus)

TYPE_ID: Mapping[Kind, int] = {Kind.DEPOSIT: 3}

# protocol.md section 15: which kind of client the player used.
SOURCE_TYPES: Mapping[str, int] = {"api": 1, "page": 2, "iframe": 3, "mobile": 4, "native": 5}

_EVENTS: Mapping[SubStatus, str] = {
    S.CREATED: "deposit.created",
    S.AWAITING_PLAYER: "deposit.action_required",
    S.UNKNOWN: "transaction.unknown",
    S.CONFLICTED: "transaction.conflicted",
    S.EXPIRED: "deposit.expired",
}
_EVENTS_BY_STATUS: Mapping[Status, str] = {
    Status.PENDING: "deposit.pending",
    Status.PROCESSING: "deposit.processing",
    Status.COMPLETED: "deposit.completed",
    Status.FAILED: "deposit.failed",
    Status.CANCELLED: "deposit.cancelled",
    Status.REFUNDED: "deposit.refunded",
}


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What a notification tells of a payment."""

    kind: Kind
    number: int
    sub_status: SubStatus
    amount: Money
    site_id: int
    site_login: str
    external_id: str
    provider_reference: str
    message: str
    group_id: int
    type_id: int
    customer_ip: str
    source_type: int
    completed_at: datetime


def status_id(sub_status: SubStatus) -> int:
    """The protocol's `status_id` (section 6.1)."""
    return STATUS_ID[sub_status]


def event_type(sub_status: SubStatus, *, is_late: bool = False) -> str:
    """The name of the event that a change to this state is (payments.md section 1.7)."""
    if is_late and sub_status is S.COMPLETED:
        return "deposit.late_completed"
    return _EVENTS.get(sub_status) or _EVENTS_BY_STATUS[STATUS_OF[sub_status]]


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
        "real_amount": facts.amount.minor,
        "real_currency": facts.amount.currency,
        "extended_info_enabled": int(extended),
        "site_login": facts.site_login,
        "payment_group_id": facts.group_id,
        "display_payment_group_id": facts.group_id,
        "payment_type_id": facts.type_id,
        "customer_ip": facts.customer_ip,
        "source_type": facts.source_type,
        "type_id": TYPE_ID[facts.kind],
        "status_id": status_id(facts.sub_status),
        "transaction_id": facts.number,
        "external_id": facts.external_id,
        "completed_at": facts.completed_at.isoformat(timespec="seconds"),
    }
    if extended:
        fields |= {"processor_id": facts.provider_reference, "processor_message": _signable(facts.message)}
    return {name: value for name, value in fields.items() if value != ""}


def _signable(text: str) -> str:
    """Free text made safe for the SHA-1 rule, where `:` and `;` are delimiters (protocol.md section 15)."""
    return "".join(mark if mark.isprintable() and mark not in ":;" else " " for mark in text)[:255].strip()
