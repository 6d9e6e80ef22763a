"""What is owned: accounts, transfers, entries, holds; double entry, append-only, sealed.

Promises that a posted transfer moved its money once, that a player's balance is never below nothing, and
that a repeat gets the first answer. Nothing is edited: a mistake is mended by a further transfer.
"""

# isort: off
# fmt: off
from app.ledger.audit import Report, checkpoint, seal, verified, verify
from app.ledger.chart import (
    BET_BONUS, BET_CASH, CHARGEBACK, DEBT_REPAY, DEPOSIT_TO_MERCHANT, DEPOSIT_TO_PLAYER, FLOAT_FUND,
    FLOAT_RETURN, GRANT_BONUS, HOLD_PLACE, PAYOUT, REFUND, REFUND_BONUS, REFUND_CASH, REVERSAL,
    REVERSE_BONUS, REVERSE_CASH, REVERSE_DEBT, TRANSFER_IN, TRANSFER_OUT, WIN_BONUS, WIN_CASH, Outflow,
)
from app.ledger.debts import Demand, debt, give, repay, take
from app.ledger.model import (
    AccountName,
    Hold,
    InsufficientFunds,
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
    posted_kinds,
    seal_lag,
)
from app.ledger.transfers import Move, hold_moved, move, move_arguments, move_call, open_accounts
# isort: on

__all__ = [
    "BET_BONUS", "BET_CASH", "CHARGEBACK", "DEBT_REPAY", "DEPOSIT_TO_MERCHANT", "DEPOSIT_TO_PLAYER",
    "FLOAT_FUND", "FLOAT_RETURN", "GRANT_BONUS", "HOLD_PLACE", "PAYOUT", "REFUND", "REFUND_BONUS",
    "REFUND_CASH", "REVERSAL", "REVERSE_BONUS", "REVERSE_CASH", "REVERSE_DEBT", "TRANSFER_IN",
    "TRANSFER_OUT", "WIN_BONUS", "WIN_CASH", "AccountName", "Demand", "Hold", "HoldExpired", "HoldRequest",
    "InsufficientFunds", "Move", "Movement", "Outcome", "Outflow", "PostRequest", "Posted", "Purpose",
    "Report", "account_statement", "balance", "balance_at", "balances", "capture", "checkpoint", "debt",
    "find_hold", "give", "hold", "hold_moved", "move", "move_arguments", "move_call", "open_accounts",
    "open_holds", "post", "posted_kinds", "release", "repay", "seal", "seal_lag", "take", "verified",
    "verify",
]
# fmt: on
