"""What is owned: accounts, transfers, entries, holds; double entry, append-only, sealed.

Promises that a posted transfer moved its money exactly once, that every balance is the sum of its entries,
that no player owes, and that a repeated request gets its first answer. Owns every balance there is. Refuses
movements that `chart` does not declare, keys used again for something else, and money that is not there.
Nothing is ever edited: a mistake is mended by a further transfer.
"""

from app.ledger.audit import Report, checkpoint, seal, verify
from app.ledger.chart import DEPOSIT_TO_MERCHANT, DEPOSIT_TO_PLAYER
from app.ledger.model import (
    AccountName,
    Hold,
    InsufficientFunds,
    KeyReused,
    Outcome,
    Posted,
    PostRequest,
    Purpose,
)
from app.ledger.operations import HoldExpired, HoldRequest, capture, hold, post, release
from app.ledger.queries import (
    account_statement,
    balance,
    balance_at,
    balances,
    find_hold,
    open_holds,
    seal_lag,
)

__all__ = [
    "DEPOSIT_TO_MERCHANT",
    "DEPOSIT_TO_PLAYER",
    "AccountName",
    "Hold",
    "HoldExpired",
    "HoldRequest",
    "InsufficientFunds",
    "KeyReused",
    "Outcome",
    "PostRequest",
    "Posted",
    "Purpose",
    "Report",
    "account_statement",
    "balance",
    "balance_at",
    "balances",
    "capture",
    "checkpoint",
    "find_hold",
    "hold",
    "open_holds",
    "post",
    "release",
    "seal",
    "seal_lag",
    "verify",
]
