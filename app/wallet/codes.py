"""What is answered, and why where the code alone does not say it. Pure."""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["Barred", "Code", "Why"]


class Code(StrEnum):
    """What is answered (wallet.md 4)."""

    OK = "OK"
    NOTHING_TO_REVERSE = "NOTHING_TO_REVERSE"
    ALREADY_ROLLED_BACK = "ALREADY_ROLLED_BACK"
    VALIDATION = "VALIDATION"
    TRANSFER_ID_REQUIRED = "TRANSFER_ID_REQUIRED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    ZERO_BALANCE = "ZERO_BALANCE"
    PLAYER_NOT_FOUND = "PLAYER_NOT_FOUND"
    TRANSACTION_NOT_FOUND = "TRANSACTION_NOT_FOUND"
    TRANSFER_NOT_FOUND = "TRANSFER_NOT_FOUND"
    BET_NOT_FOUND = "BET_NOT_FOUND"
    ID_CONFLICT = "ID_CONFLICT"
    IN_PROGRESS = "IN_PROGRESS"
    ROLLED_BACK = "ROLLED_BACK"
    ALREADY_SETTLED = "ALREADY_SETTLED"
    ROUND_CLOSED = "ROUND_CLOSED"
    PARENT_FAILED = "PARENT_FAILED"
    VOIDED = "VOIDED"
    TRANSFER_COMPLETED = "TRANSFER_COMPLETED"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    PLAYER_BLOCKED = "PLAYER_BLOCKED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    SESSION_EXPIRED = "SESSION_EXPIRED"
    WRONG_WALLET_MODE = "WRONG_WALLET_MODE"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    INTERNAL = "INTERNAL"


class Why(StrEnum):
    """Which limit would be exceeded, or what else is in the way."""

    MAX_BET = "max_bet"
    MAX_TRANSFER = "max_transfer"
    MAX_BALANCE = "max_balance"
    FLOAT = "prepaid_float"
    LARGEST = "largest_amount"
    SPINS = "spins"
    ROUND_OPEN = "round_open"


class Barred(NamedTuple):
    """Why an operation is refused that was never asked for before: as the site is now, it offers no such.

    Args:
        code: WRONG_WALLET_MODE, or VALIDATION with the field that is wrong and the sentence that says so.
    """

    code: Code
    field: str = ""
    sentence: str = ""
