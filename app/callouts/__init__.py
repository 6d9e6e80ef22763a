"""What we ask the merchant's server, and wait for.

Promises one signed attempt within five seconds, written down before it is sent; anything but a well-formed
answer is unknown.
"""

from app.callouts.model import Answer, CalloutState, DepositQuestion, PayoutQuestion
from app.callouts.operations import (
    Callout,
    Heard,
    answer_to,
    check_deposit,
    deposit_question,
    request_payout,
    write_answer,
)
from app.callouts.queries import accepted_order

__all__ = [
    "Answer",
    "Callout",
    "CalloutState",
    "DepositQuestion",
    "Heard",
    "PayoutQuestion",
    "accepted_order",
    "answer_to",
    "check_deposit",
    "deposit_question",
    "request_payout",
    "write_answer",
]
