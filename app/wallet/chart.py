"""Which movement of the ledger each leg of an operation is, and which account is across: the house's."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from app import ledger
from app.wallet.terms import Leg, Wallet

__all__ = ["ACROSS", "MOVEMENTS", "move"]

MOVEMENTS: Final[Mapping[Leg, ledger.Movement]] = {
    Leg.DEPOSIT: ledger.TRANSFER_IN,
    Leg.WITHDRAW: ledger.TRANSFER_OUT,
    Leg.BET_CASH: ledger.BET_CASH,
    Leg.BET_BONUS: ledger.BET_BONUS,
    Leg.WIN_CASH: ledger.WIN_CASH,
    Leg.WIN_BONUS: ledger.WIN_BONUS,
    Leg.REFUND_CASH: ledger.REFUND_CASH,
    Leg.REFUND_BONUS: ledger.REFUND_BONUS,
    Leg.REVERSE_CASH: ledger.REVERSE_CASH,
    Leg.REVERSE_BONUS: ledger.REVERSE_BONUS,
    Leg.REVERSE_DEBT: ledger.REVERSE_DEBT,
    Leg.REPAY_DEBT: ledger.DEBT_REPAY,
    Leg.HOLD_WIN: ledger.HOLD_PLACE,
    Leg.GRANT_BONUS: ledger.GRANT_BONUS,
}
_OF_WALLETS: Final = {
    ledger.Purpose.PLAYER_CASH: attrgetter("cash_account_id"),
    ledger.Purpose.PLAYER_BONUS: attrgetter("bonus_account_id"),
    ledger.Purpose.PLAYER_DEBT: attrgetter("debt_account_id"),
}
_LEAVES: Final = {leg: movement.source in _OF_WALLETS for leg, movement in MOVEMENTS.items()}
_ACCOUNT: Final = {
    leg: _OF_WALLETS[movement.source if _LEAVES[leg] else movement.target]
    for leg, movement in MOVEMENTS.items()
}
ACROSS: Final[Mapping[Leg, ledger.Purpose]] = {
    leg: movement.target if _LEAVES[leg] else movement.source for leg, movement in MOVEMENTS.items()
}


def move(operation_id: str, leg: Leg, amount: int, wallet: Wallet, across_id: int) -> ledger.Move:
    """A leg as the ledger writes it.

    Args:
        operation_id: which operation moves it.
        leg: what it is.
        amount: minor units, above zero.
        wallet: whose cash, bonus or debt.
        across_id: the account across, of the purpose that `ACROSS` names.
    """
    account = _ACCOUNT[leg](wallet)
    source, target = (account, across_id) if _LEAVES[leg] else (across_id, account)
    return ledger.Move(
        MOVEMENTS[leg], amount, wallet.currency, source, target, f"{operation_id}.{leg}", operation_id
    )
