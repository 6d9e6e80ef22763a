"""The life of one deposit, payout or refund, from asked to settled.

Promises that an outcome is never guessed, that a state changes together with its money, its event and its
webhook, and that what waits too long is asked about. Moves money only through `ledger`.
"""

from app.payments.contract import SOURCE_TYPES
from app.payments.deposits import DEPOSITS, DepositsStopped, DepositWish, ask_provider, request_deposit
from app.payments.model import Attention
from app.payments.notices import read_notice
from app.payments.queries import (
    Payment,
    PaymentNotFound,
    events,
    needing_attention,
    payment,
    payment_of_view,
)
from app.payments.states import Kind, Status, SubStatus
from app.payments.sweeps import ask_soon, end_abandoned, sweep_due

__all__ = [
    "DEPOSITS",
    "SOURCE_TYPES",
    "Attention",
    "DepositWish",
    "DepositsStopped",
    "Kind",
    "Payment",
    "PaymentNotFound",
    "Status",
    "SubStatus",
    "ask_provider",
    "ask_soon",
    "end_abandoned",
    "events",
    "needing_attention",
    "payment",
    "payment_of_view",
    "read_notice",
    "request_deposit",
    "sweep_due",
]
