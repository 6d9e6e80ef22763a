"""What goes onto a page and what comes off it: records only. Pure."""

from datetime import datetime
from typing import NamedTuple

from app.wallet.terms import Code, Grant, Leg, Operation, Round, Wallet

__all__ = ["Moved", "Seat", "Sheet", "Verdict"]


class Seat(NamedTuple):
    """What was found around one ask: whether there is such a player, and the rest as in `Facts`.

    For a rollback `wallet` is any of the player's.
    """

    is_known: bool
    wallet: Wallet | None
    session_ok: bool
    round_open: bool


class Moved(NamedTuple):
    """Money to be moved by the ledger: one leg of an operation."""

    operation_id: str
    leg: Leg
    amount: int
    wallet: Wallet


class Verdict(NamedTuple):
    """What became of one ask: the operation that tells it, or why there is none."""

    code: Code
    operation: Operation | None
    wallet: Wallet | None
    duplicate: bool = False
    field: str = ""


class Sheet(NamedTuple):
    """What is to be written of a page: what was decided since the last sheet, and how things stand now."""

    at: datetime
    written: list[Operation]
    moved: list[Moved]
    wallets: list[Wallet]
    rounds: list[Round]
    grants: list[Grant]
