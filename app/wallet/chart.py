"""Which movement of the ledger each leg of an operation is, and which of the house's accounts is across."""

from collections.abc import Mapping
from typing import Final

from app import ledger
from app.wallet.terms import Leg, Wallet

__all__ = ["HOUSE", "MOVEMENTS", "move"]

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
    Leg.GRANT_BONUS: ledger.GRANT_BONUS,
}
_OF_PLAYERS: Final = frozenset({ledger.Purpose.PLAYER_CASH, ledger.Purpose.PLAYER_BONUS})
_LEAVES: Final = {leg: movement.source in _OF_PLAYERS for leg, movement in MOVEMENTS.items()}
_IS_CASH: Final = {
    leg: ledger.Purpose.PLAYER_CASH in {movement.source, movement.target}
    for leg, movement in MOVEMENTS.items()
}
HOUSE: Final[Mapping[Leg, ledger.Purpose]] = {
    leg: movement.target if _LEAVES[leg] else movement.source for leg, movement in MOVEMENTS.items()
}


def move(operation_id: str, leg: Leg, amount: int, wallet: Wallet, house_account_id: int) -> ledger.Move:
    """A leg as the ledger writes it.

    Args:
        operation_id: which operation moves it.
        leg: what it is.
        amount: minor units, above zero.
        wallet: whose cash or bonus.
        house_account_id: the account across, of the purpose that `HOUSE` names.
    """
    account = wallet.cash_account_id if _IS_CASH[leg] else wallet.bonus_account_id
    source, target = (account, house_account_id) if _LEAVES[leg] else (house_account_id, account)
    return ledger.Move(
        MOVEMENTS[leg], amount, wallet.currency, source, target, f"{operation_id}.{leg}", operation_id
    )
