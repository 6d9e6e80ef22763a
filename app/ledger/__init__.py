"""What is owned: accounts, transfers, entries, holds; double entry, append-only, sealed.

Promises that a posted transfer moved its money exactly once, that every balance is the sum of its entries,
that no player owes, and that a repeated request gets its first answer. Owns every balance there is. Refuses
movements that `chart` does not declare, keys used again for something else, and money that is not there.
Nothing is ever edited: a mistake is mended by a further transfer.
"""

from app.ledger.audit import Report, checkpoint, seal, verify
from app.ledger.chart import (
    BET_BONUS,
    BET_CASH,
    DEPOSIT_TO_MERCHANT,
    DEPOSIT_TO_PLAYER,
    GRANT_BONUS,
    REFUND_BONUS,
    REFUND_CASH,
    REVERSE_BONUS,
    REVERSE_CASH,
    TRANSFER_IN,
    TRANSFER_OUT,
    WIN_BONUS,
    WIN_CASH,
)
from app.ledger.model import (
    AccountName,
    Hold,
    InsufficientFunds,
    KeyReused,
    Movement,
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
from app.ledger.transfers import Move, move, open_accounts

# fmt: off
__all__ = [
    "BET_BONUS", "BET_CASH", "DEPOSIT_TO_MERCHANT", "DEPOSIT_TO_PLAYER", "GRANT_BONUS", "REFUND_BONUS",
    "REFUND_CASH", "REVERSE_BONUS", "REVERSE_CASH", "TRANSFER_IN", "TRANSFER_OUT", "WIN_BONUS", "WIN_CASH",
    "AccountName", "Hold", "HoldExpired", "HoldRequest", "InsufficientFunds", "KeyReused", "Move", "Movement",
    "Outcome", "PostRequest", "Posted", "Purpose", "Report", "account_statement", "balance", "balance_at",
    "balances", "capture", "checkpoint", "find_hold", "hold", "move", "open_accounts", "open_holds", "post",
    "release", "seal", "seal_lag", "verify",
]
# fmt: on
