"""Answers that go well, made by the same forms as the real ones."""

from datetime import UTC, datetime, timedelta
from typing import Final

from app.payments.api_schemas import PaymentObject
from app.payments.case_schemas import CaseObject, DisputeObject, ProposalObject
from app.payments.contract import CHARGEBACK_STATUS_ID, CHARGEBACK_TYPE_ID, STATUS_ID, TYPE_ID
from app.payments.model import CaseKind, CaseState
from app.payments.proposals import Resolution
from app.payments.states import FINAL, STATUS_OF, DisputeState, Kind, SubStatus

__all__ = [
    "APPROVAL",
    "APPROVED",
    "CANCELLED",
    "CASE",
    "DEPOSIT",
    "DISPUTE",
    "DISPUTED",
    "OPENED",
    "PAID",
    "PAID_WITH_EVENTS",
    "PAYOUT",
    "PROPOSED",
    "REFUND",
    "REJECTED",
    "REQUESTED",
    "RESOLVED",
]

_AT: Final = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)
DEPOSIT, PAYOUT = "dep_01m7yzmhg0e00881mfygwwayrg", "wdr_01m7yzmhg1e00881mfygwwayrh"
REFUND, CASE = "rfd_01m7yzmhg2e00881mfygwwayrj", "cas_01m7yzmhg3e00881mfygwwayrk"
DISPUTE, APPROVAL = "dsp_01m7yzmhg4e00881mfygwwayrm", "apr_01m7yzmhg5e00881mfygwwayrn"
_PROOF: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_KINDS: Final = {"dep": Kind.DEPOSIT, "wdr": Kind.PAYOUT, "rfd": Kind.REFUND}
_WORDS: Final = {"dep": "deposit", "wdr": "withdrawal", "rfd": "refund"}


def _payment(id_: str, number: int, sub_status: SubStatus, **more: object) -> PaymentObject:
    kind = _KINDS[id_[:3]]
    told = {
        "id": id_,
        "object": _WORDS[id_[:3]],
        "transaction_id": number,
        "type_id": TYPE_ID[kind],
        "status": STATUS_OF[sub_status],
        "sub_status": sub_status,
        "status_id": STATUS_ID[sub_status],
        "amount_minor": 150_000,
        "currency": "KZT",
        "captured_minor": 0,
        "refund_pending_minor": 0,
        "refunded_minor": 0,
        "charged_back_minor": 0,
        "player_id": "ply_01m7yzmhg6e00881mfygwwayrp",
        "method": "card",
        "purse": "411111******1111",
        "external_id": "order_123456",
        "order_id": None,
        "parent_id": None,
        "is_late": False,
        "reason": "",
        "created_at": _AT - timedelta(minutes=2),
        "completed_at": _AT if sub_status in FINAL else None,
        **more,
    }
    return PaymentObject.model_validate(told)


PAID: Final = _payment(DEPOSIT, 100000001, SubStatus.COMPLETED, captured_minor=150_000)
PAID_WITH_EVENTS: Final = PAID.model_copy(
    update={
        "events": [
            {
                "sequence": number,
                "type": f"deposit.{word}",
                "status": STATUS_OF[sub_status],
                "sub_status": sub_status,
                "recorded_at": (_AT - timedelta(minutes=2 - number)).isoformat(),
            }
            for number, (word, sub_status) in enumerate(
                [("created", SubStatus.CREATED), ("completed", SubStatus.COMPLETED)], 1
            )
        ]
    }
)
_OUT: Final = {"external_id": "withdrawal_77", "reason_staff": "asked by telephone"}
CANCELLED: Final = _payment(PAYOUT, 100000002, SubStatus.BY_OPERATOR, **_OUT)
APPROVED: Final = _payment(PAYOUT, 100000002, SubStatus.APPROVED, **_OUT)
REJECTED: Final = _payment(PAYOUT, 100000002, SubStatus.REJECTED, **_OUT)
REQUESTED: Final = _payment(REFUND, 100000003, SubStatus.AWAITING_APPROVAL, parent_id=DEPOSIT)
OPENED: Final = CaseObject(
    id=CASE,
    kind=CaseKind.AMOUNT_DIFFERS,
    state=CaseState.OPEN,
    payment_id=DEPOSIT,
    notice_id=None,
    attempt_id="att_01m7yzmhg7e00881mfygwwayrq",
    about="theirs-1",
    ours={"sub_status": "awaiting_player", "amount": "1500.00 KZT"},
    theirs={
        "source": "notice",
        "code": "",
        "text": "",
        "amount": "1200.00 KZT",
        "provider_reference": "theirs-1",
    },
    exposure_minor=120_000,
    currency="KZT",
    resolution="",
    note="",
    attachment_sha256=None,
    opened_at=_AT,
    resolved_at=None,
)
PROPOSED: Final = OPENED.model_copy(
    update={
        "proposal": ProposalObject(
            approval_id=APPROVAL,
            resolution=Resolution.ACCEPTED,
            note="the bank's letter of today",
            attachment_sha256=_PROOF,
            amount_minor=120_000,
            currency="KZT",
            provider_reference="theirs-1",
            leg=None,
            payment_id="",
            proposed_by="operator:opr_01m7yzmhg8e00881mfygwwayrr",
            expires_at=_AT + timedelta(hours=72),
        )
    }
)
RESOLVED: Final = OPENED.model_copy(
    update={
        "state": CaseState.RESOLVED,
        "resolution": Resolution.ACCEPTED.value,
        "note": "the bank's letter of today",
        "attachment_sha256": _PROOF,
        "resolved_at": _AT + timedelta(hours=1),
    }
)
DISPUTED: Final = DisputeObject(
    object="dispute",
    id=DISPUTE,
    transaction_id=100000009,
    type_id=CHARGEBACK_TYPE_ID,
    status=DisputeState.SUBMITTED,
    status_id=CHARGEBACK_STATUS_ID[DisputeState.SUBMITTED],
    payment_id=DEPOSIT,
    amount_minor=150_000,
    posted_minor=150_000,
    currency="KZT",
    due_at=_AT + timedelta(days=7),
    opened_at=_AT,
    closed_at=None,
)
