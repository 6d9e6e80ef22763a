"""Who may call what, and what is told where it goes wrong: the refusals themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic import BaseModel

from app import ledger, merchants, players, staff
from app.kernel import signing
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.access import NotOfThisKind, OperatorNeeded, SiteNotNamed, TokenNeeded, TokenOfAnotherUse
from app.payments.api_schemas import PaymentList
from app.payments.cancels import TooLateToCancel
from app.payments.case_schemas import CaseList, DisputeList
from app.payments.casebook import CaseNotFound
from app.payments.cases import CaseClosed, ProposalWaits
from app.payments.dispute_queries import DisputeNotFound
from app.payments.disputes import DisputeNotMovable
from app.payments.examples import answers
from app.payments.initiation import (
    InitiationMismatch,
    PayoutsNotAccepted,
    WithdrawalOver,
    WithdrawalUnknown,
)
from app.payments.listing import CursorNotFound
from app.payments.meant import ResolutionImpossible
from app.payments.proposals import BadProposal
from app.payments.queries import PaymentNotFound
from app.payments.refund_requests import RefundExceedsCaptured
from app.payments.states import DisputeState
from app.plumbing import idempotency, limits

__all__ = ["ASKED", "BUSY", "CALLS", "EVERYWHERE", "SIGNED", "Call", "Said"]

# A refusal, or what is said without one: status, code, sentence (its code's own where empty), field.
Said: TypeAlias = Refusal | tuple[int, str, str, str | None]
BUSY: Final[Said] = (503, "overloaded", "", None)
_LOGIN: Final = "anna"
_MALFORMED: Final[Said] = (
    400,
    "malformed_field",
    "limit: Input should be less than or equal to 200",
    "limit",
)


@dataclass(frozen=True, slots=True)
class Call:
    """What is said of one operation beside its forms.

    Args:
        answer: one that goes well.
        refusals: one of each code that a caller may meet.
        rights: what a person needs: any of them, by the kind of payment and what is done.
        by_servers: a site's server may too, with a token of the site.
    """

    answer: BaseModel
    refusals: Sequence[Said]
    rights: Sequence[staff.Right]
    by_servers: bool = False


_R = staff.Right
EVERYWHERE: Final[Sequence[Said]] = (
    _MALFORMED, TokenNeeded(), staff.OperatorNotAuthentic(), merchants.SiteNotFound(site_id=999), BUSY,
)  # fmt: skip
_READING: Final[Sequence[Said]] = (TokenOfAnotherUse(scope=merchants.Scope.PLAY.value),)
_NO_PAYMENT: Final = PaymentNotFound()
_REASON: Final = staff.BadReason(field="reason", rule="no card numbers")
_CLOSED: Final = staff.ApprovalClosed(subject=answers.PAYOUT, state=staff.ApprovalState.APPROVED.value)
_BAD_PROPOSAL: Final = BadProposal(field="currency", rule="of amount_minor, and only with it")
_PROPOSED_ALREADY: Final = ProposalWaits(
    resolution="not_paid", expires_at="2026-11-24T12:00:05+00:00", approval_id=answers.APPROVAL
)
_NOT_READABLE: Final = signing.MalformedField(field="currency", rule="is three letters")
_NO_CURSOR: Final = CursorNotFound(payment_id="dep_unknown", field="starting_after")
_OF_A_DEPOSIT: Final = NotOfThisKind(
    payment_id=answers.DEPOSIT, kind="deposit", kinds="withdrawal or a refund"
)
_NOT_OFFERED: Final = players.CurrencyNotOffered(currency="USD", offered="KZT")
_TOO_MANY: Final = limits.TooManyRequests(retry_after_seconds=1)


def _keyed(verb: str) -> tuple[Said, ...]:
    """What may be said of every deed of people."""
    return (
        idempotency.IdempotencyKeyMissing(),
        idempotency.IdempotencyInProgress(retry_after_seconds=1),
        idempotency.IdempotencyKeyReused(),
        SiteNotNamed(),
        OperatorNeeded(verb=verb),
    )


def _denied(right: staff.Right) -> Refusal:
    return staff.NotPermitted(login=_LOGIN, site_id=101, right=right.value)


_CASE_READING: Final = (_denied(_R.PAYMENT_READ), OperatorNeeded(verb="read cases"), SiteNotNamed())
_CASE_ENDING: Final = (_denied(_R.CASE_RESOLVE), CaseNotFound())
_STATUS: Final = (merchants.NotAuthentic(), _NO_PAYMENT)
_INSUFFICIENT: Final = ledger.InsufficientFunds(balance=Money(90_000, "KZT"))

CALLS: Final[Mapping[str, Call]] = {
    "payments_list": Call(
        PaymentList(data=[answers.PAID], has_more=True, next_cursor=answers.DEPOSIT),
        (*_READING, _denied(_R.PAYMENT_READ), _NO_CURSOR),
        (_R.PAYMENT_READ,),
        by_servers=True,
    ),
    "payments_get": Call(
        answers.PAID_WITH_EVENTS,
        (*_READING, _denied(_R.PAYMENT_READ), _NO_PAYMENT),
        (_R.PAYMENT_READ,),
        by_servers=True,
    ),
    "payments_cancel": Call(
        answers.CANCELLED,
        (*_keyed("cancel"), _denied(_R.PAYMENT_CANCEL), _NO_PAYMENT, TooLateToCancel(), _REASON),
        (_R.PAYMENT_CANCEL, _R.REFUND_REQUEST),
    ),
    "payments_approve": Call(
        answers.APPROVED,
        (
            *_keyed("approve"), _OF_A_DEPOSIT, staff.OwnRequest(), _denied(_R.PAYOUT_APPROVE), _NO_PAYMENT,
            _CLOSED, _REASON,
        ),
        (_R.PAYOUT_APPROVE, _R.REFUND_APPROVE),
    ),
    "payments_reject": Call(
        answers.REJECTED,
        (*_keyed("reject"), staff.OwnRequest(), _denied(_R.PAYOUT_REJECT), _NO_PAYMENT, _CLOSED, _REASON),
        (_R.PAYOUT_REJECT, _R.REFUND_APPROVE),
    ),
    "refunds_create": Call(
        answers.REQUESTED,
        (
            *_keyed("refund"), _INSUFFICIENT, _denied(_R.REFUND_REQUEST), _NO_PAYMENT,
            RefundExceedsCaptured(remaining=Money(50_000, "KZT")), _REASON,
        ),
        (_R.REFUND_REQUEST,),
    ),
    "cases_list": Call(
        CaseList(data=[answers.OPENED], has_more=False, next_cursor=None),
        (*_CASE_READING, CaseNotFound()),
        (_R.PAYMENT_READ,),
    ),
    "cases_get": Call(answers.PROPOSED, (*_CASE_READING, CaseNotFound()), (_R.PAYMENT_READ,)),
    "cases_open": Call(
        answers.OPENED,
        (*_keyed("open a case"), _denied(_R.CASE_RESOLVE), _NO_PAYMENT, _REASON),
        (_R.CASE_RESOLVE,),
    ),
    "cases_resolve": Call(
        answers.PROPOSED,
        (
            *_keyed("resolve"), *_CASE_ENDING, CaseClosed(resolution="paid"),
            _PROPOSED_ALREADY, _BAD_PROPOSAL,
        ),
        (_R.CASE_RESOLVE,),
    ),
    "cases_decide": Call(
        answers.RESOLVED,
        (
            *_keyed("decide"), *_CASE_ENDING, staff.OwnRequest(), CaseClosed(resolution="paid"),
            ResolutionImpossible(resolution="paid", why="it is completed, and nothing would change"), _REASON,
        ),
        (_R.CASE_RESOLVE,),
    ),
    "disputes_list": Call(
        DisputeList(data=[answers.DISPUTED], has_more=False, next_cursor=None),
        (*_READING, _denied(_R.PAYMENT_READ), DisputeNotFound()),
        (_R.PAYMENT_READ,),
        by_servers=True,
    ),
    "disputes_move": Call(
        answers.DISPUTED,
        (
            *_keyed("move a dispute"), _denied(_R.CASE_RESOLVE), DisputeNotFound(), _REASON,
            DisputeNotMovable(
                state=DisputeState.WON.value, target=DisputeState.SUBMITTED.value, why="it is over"
            ),
        ),
        (_R.CASE_RESOLVE,),
    ),
}  # fmt: skip
# The protocol's own calls, which answer in forms of their own.
SIGNED: Final[Mapping[str, Sequence[Refusal]]] = {
    "keys_obtain": (_NOT_READABLE, merchants.NotAuthentic(), _NOT_OFFERED, _TOO_MANY),
    "keys_obtain_post": (_NOT_READABLE, merchants.NotAuthentic(), _NOT_OFFERED, _TOO_MANY),
    "players_reset": (_NOT_READABLE, merchants.NotAuthentic()),
    "payments_status": (_NOT_READABLE, *_STATUS),
    "payouts_initiate": (
        _NOT_READABLE,
        merchants.NotAuthentic(),
        _INSUFFICIENT,
        WithdrawalUnknown(external_id="704224078"),
        WithdrawalOver(external_id="704224078", status="cancelled", sub_status="rejected"),
        InitiationMismatch(field="amount"),
        PayoutsNotAccepted(),
    ),
}
# What is sent in their bodies; the salt is `test_salt`.
ASKED: Final[Mapping[str, Mapping[str, str]]] = {
    "keys_obtain_post": {
        "site_id": "101",
        "site_login": "user_test",
        "customer_ip": "203.0.113.7",
        "currency": "KZT",
        "language": "en",
    },
    "players_reset": {"site_id": "101", "site_login": "user_test"},
    "payments_status": {"site_id": "101", "external_id": "704224078"},
    "payouts_initiate": {
        "action": "payout",
        "site_id": "101",
        "site_login": "user_test",
        "amount": "400000",
        "currency": "KZT",
        "external_id": "704224078",
    },
}
