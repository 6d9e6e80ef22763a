"""What the oracle remembers, and how it tells it: the envelopes of the contract's table."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from tests.wallet.wishes import DECIMALS, Kind, Policy, Wish

__all__ = [
    "GAME",
    "STATUS",
    "SUCCESSES",
    "TRANSFERS",
    "Answer",
    "Operation",
    "Round",
    "Wallet",
    "envelope",
    "refused",
    "said",
    "told",
]

# HTTP status, and the envelope with every field that can be foretold.
Answer = tuple[int, dict[str, Any]]
SUCCESSES: Final = frozenset({"OK", "NOTHING_TO_REVERSE", "ALREADY_ROLLED_BACK"})
GAME: Final[tuple[Kind, ...]] = ("bet", "win", "betwin", "rollback")
TRANSFERS: Final[tuple[Kind, ...]] = ("deposit", "withdraw")
STATUS: Final = {
    "OK": 200,
    "NOTHING_TO_REVERSE": 200,
    "ALREADY_ROLLED_BACK": 200,
    "VALIDATION": 400,
    "TRANSFER_ID_REQUIRED": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "INSUFFICIENT_FUNDS": 402,
    "ZERO_BALANCE": 402,
    "PLAYER_NOT_FOUND": 404,
    "TRANSACTION_NOT_FOUND": 404,
    "TRANSFER_NOT_FOUND": 404,
    "BET_NOT_FOUND": 404,
    "ID_CONFLICT": 409,
    "IN_PROGRESS": 409,
    "ROLLED_BACK": 409,
    "ALREADY_SETTLED": 409,
    "ROUND_CLOSED": 409,
    "PARENT_FAILED": 409,
    "VOIDED": 409,
    "TRANSFER_COMPLETED": 409,
    "CURRENCY_MISMATCH": 422,
    "PLAYER_BLOCKED": 422,
    "LIMIT_EXCEEDED": 422,
    "SESSION_EXPIRED": 422,
    "WRONG_WALLET_MODE": 422,
}


@dataclass
class Wallet:
    cash: int = 0
    bonus: int = 0
    debt: int = 0
    held: int = 0
    sequence: int = 0

    @property
    def total(self) -> int:
        return self.cash + self.bonus


@dataclass
class Operation:
    """What became of an id. An operation without a wallet (a rollback of nothing) has no currency."""

    wish: Wish | None
    code: str = "OK"
    applied: bool = True
    limit: str | None = None
    amount: int | None = 0
    currency: str | None = None
    before: int = 0
    after: int = 0
    sequence: int = 0
    cash_part: int = 0
    bonus_part: int = 0
    debt_part: int = 0
    won: int = 0
    won_cash: int = 0
    # Of a campaign of free rounds: which, and what it added to what was won and what was credited there.
    free: str | None = None
    counted: int = 0
    paid: int = 0
    # What it turned out to be, where that is not what was asked.
    kind: str = ""
    reversed: bool = False
    settled: bool = False
    # Of a win that was held: what a person took of it.
    taken: int = 0


@dataclass
class Round:
    state: Literal["open", "completed", "cancelled"] = "open"
    bets: list[Operation] = field(default_factory=list)
    wins: int = 0
    reversed: int = 0
    noted: bool = False


def envelope(code: str, **data: object) -> Answer:
    """An answer of one of the table's codes."""
    return STATUS[code], {"success": STATUS[code] == STATUS["OK"], "code": code, "data": data}


def refused(code: str, field_name: str | None = None) -> Answer:
    """An answer that is not stored; one that is not final says when to ask again."""
    data: dict[str, object] = {"field": field_name} if field_name else {}
    if code == "IN_PROGRESS":
        data |= {"final": False, "retryAfter": 5}
    return envelope(code, **data)


def told(operation: Operation, policy: Policy, *, duplicate: bool) -> dict[str, Any]:
    """What is foretold of an operation's answer, but for the balance now."""
    wish, currency = operation.wish, operation.currency
    assert wish is not None
    data: dict[str, Any] = {
        "playerExternalId": wish.player,
        "duplicate": duplicate,
        "applied": operation.applied,
        "status": "completed" if operation.code in SUCCESSES else "refused",
        "final": True,
    }
    if operation.reversed:
        data["reversed"] = True
    if wish.id is not None:
        data["externalId"] = wish.id
    if operation.limit is not None:
        data["limit"] = operation.limit
    if wish.win_kind in {None, "win"}:
        data["type"] = operation.kind or wish.kind
    if wish.kind in TRANSFERS and wish.id is not None:
        data["transferId"] = wish.id
    if wish.round is not None and wish.kind != "rollback":
        data["roundId"] = wish.round
    if currency is not None:
        data |= {"currency": currency, "sequence": operation.sequence}
        data |= said(policy, currency, _sums(operation, wish))
    return data


def _sums(operation: Operation, wish: Wish) -> dict[str, int]:
    found = {"balanceBefore": operation.before, "balanceAfter": operation.after}
    if operation.amount is not None:
        found["amount"] = operation.amount
        if wish.kind in TRANSFERS:
            found[f"{wish.kind}Amount"] = operation.amount
    if wish.kind == "betwin":
        found |= {"betAmount": wish.amount or 0, "winAmount": wish.win or 0}
    else:
        found |= {"cashPart": operation.cash_part, "bonusPart": operation.bonus_part}
    if operation.kind == "reverse_win" and operation.applied:
        found["debtPart"] = operation.debt_part
    return found


def said(policy: Policy, currency: str, sums: dict[str, int]) -> dict[str, Any]:
    """Sums as the site wants them said: whole minor units, or exact decimals."""
    if policy.amount_unit == "minor":
        return dict(sums)
    return {name: Decimal(value).scaleb(-DECIMALS[currency]) for name, value in sums.items()}
