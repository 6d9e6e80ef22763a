"""The life of one deposit, payout or refund, from asked to settled.

Promises that an outcome is never guessed, that nobody is paid out whom nobody let go, that a state changes
together with its money, its event and its webhook, and that what waits too long is asked about. Moves money
only through `ledger`.
"""

# fmt: off
# isort: off
from app.payments.approvals import Refusing, approve, reject, renew_expired
from app.payments.asking import carry_on
from app.payments.cancels import CancelNotAllowed, TooLateToCancel, cancel, cancel_for_staff
from app.payments.casebook import Case, CaseNotFound, case, cases_of_site
from app.payments.cases import decide_case, proposal_waiting, propose_resolution, raise_case
from app.payments.contract import SOURCE_TYPES
from app.payments.deposit_sending import DEPOSITS, PageNotAllowed, ask_provider, page_to_pay
from app.payments.deposits import DepositsStopped, DepositWish, request_deposit
from app.payments.dispute_queries import Dispute, disputes_of, open_disputes, public_dispute
from app.payments.disputes import move_dispute
from app.payments.initiation import Initiated, initiate
from app.payments.legs import Leg, attempts_of, legs_of, payout, payouts_of_site, policy
from app.payments.listing import needing_attention, under_way
from app.payments.model import Attention, CaseKind, CaseState, PayoutPolicy
from app.payments.moves import OrdersUnderWay, move_account
from app.payments.notices import read_notice
from app.payments.obstacles import PAYOUTS
from app.payments.offers import offered
from app.payments.payouts import PayoutWish, PayoutsStopped, request_payout
from app.payments.policies import (
    change_policy, set_accounts, set_most_attempts, set_offer, set_policy, stop_offering,
)
from app.payments.previews import PayoutPart, PayoutPreview, preview_payout
from app.payments.queries import Attempt, Payment, PaymentNotFound, events, payment, payment_of_view
from app.payments.refund_requests import RefundWish, refund, refunds_of, request_refund
from app.payments.refund_sending import REFUNDS
from app.payments.refunds import approve_refund, cancel_refund, end_expired_refunds, reject_refund
from app.payments.requests import available
from app.payments.proposals import Proposal, Resolution
from app.payments.states import DisputeState, Kind, LegState, Status, SubStatus
from app.payments.sweeps import ask_soon, end_abandoned, sweep_due
from app.payments.telling import public_object

__all__ = [
    "DEPOSITS", "PAYOUTS", "REFUNDS", "SOURCE_TYPES", "Attempt", "Attention", "CancelNotAllowed", "Case",
    "CaseKind", "CaseNotFound", "CaseState", "DepositWish", "DepositsStopped", "Dispute", "DisputeState",
    "Initiated", "Kind", "Leg", "LegState", "OrdersUnderWay", "PageNotAllowed", "Payment", "PaymentNotFound",
    "PayoutPart", "PayoutPolicy", "PayoutPreview", "PayoutWish", "PayoutsStopped", "Proposal", "RefundWish",
    "Refusing", "Resolution", "Status", "SubStatus", "TooLateToCancel", "approve", "approve_refund",
    "ask_provider", "ask_soon", "attempts_of", "available", "cancel", "cancel_for_staff", "cancel_refund",
    "carry_on", "case", "cases_of_site", "change_policy", "decide_case", "disputes_of", "end_abandoned",
    "end_expired_refunds", "events", "initiate", "legs_of", "move_account", "move_dispute",
    "needing_attention", "offered", "open_disputes", "page_to_pay", "payment", "payment_of_view", "payout",
    "payouts_of_site", "policy", "preview_payout", "proposal_waiting", "propose_resolution", "public_dispute",
    "public_object", "raise_case", "read_notice", "refund", "refunds_of", "reject", "reject_refund",
    "renew_expired", "request_deposit", "request_payout", "request_refund", "set_accounts",
    "set_most_attempts", "set_offer", "set_policy", "stop_offering", "sweep_due", "under_way",
]
# isort: on
# fmt: on
