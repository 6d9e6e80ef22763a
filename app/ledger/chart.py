"""What money may do: every legal movement, declared once. Anything else is refused."""

from typing import Final, NamedTuple

from app.ledger.model import Movement, Purpose

__all__ = [
    "BET_BONUS",
    "BET_CASH",
    "CHARGEBACK",
    "DEBT_REPAY",
    "DEPOSIT_TO_MERCHANT",
    "DEPOSIT_TO_PLAYER",
    "FLOAT_FUND",
    "FLOAT_RETURN",
    "GRANT_BONUS",
    "HOLD_CAPTURE",
    "HOLD_PLACE",
    "HOLD_RELEASE",
    "MOVEMENTS",
    "PAYOUT",
    "REFUND",
    "REFUND_BONUS",
    "REFUND_CASH",
    "REVERSAL",
    "REVERSE_BONUS",
    "REVERSE_CASH",
    "REVERSE_DEBT",
    "TRANSFER_IN",
    "TRANSFER_OUT",
    "WIN_BONUS",
    "WIN_CASH",
    "Outflow",
]

# Balance transfer mode: the player's account with us is credited.
DEPOSIT_TO_PLAYER: Final = Movement("deposit.to_player", Purpose.PROVIDER_CLEARING, Purpose.PLAYER_CASH)
# Seamless mode: the merchant keeps the player's balance, we owe the merchant.
DEPOSIT_TO_MERCHANT: Final = Movement(
    "deposit.to_merchant", Purpose.PROVIDER_CLEARING, Purpose.MERCHANT_PAYABLE
)
HOLD_PLACE: Final = Movement("hold.place", Purpose.PLAYER_CASH, Purpose.PLAYER_HELD)
HOLD_RELEASE: Final = Movement("hold.release", Purpose.PLAYER_HELD, Purpose.PLAYER_CASH)
# The provider has paid the player out: what was held leaves the house through the provider.
HOLD_CAPTURE: Final = Movement("hold.capture", Purpose.PLAYER_HELD, Purpose.PROVIDER_CLEARING)


class Outflow(NamedTuple):
    """Money that leaves through a provider for one reason, from wherever it is, and what of it comes back.

    From the merchant in seamless mode, where the player's balance is not ours. From the player's cash what is
    there and the rest as debt, where it has left already: no balance of a player is ever below nothing. What
    comes back pays the debt first.
    """

    from_cash: Movement
    from_debt: Movement
    from_merchant: Movement
    to_cash: Movement
    to_debt: Movement
    to_merchant: Movement


def _outflow(cause: str) -> Outflow:
    sides = {
        "cash": Purpose.PLAYER_CASH,
        "debt": Purpose.PLAYER_DEBT,
        "merchant": Purpose.MERCHANT_PAYABLE,
    }
    clearing = Purpose.PROVIDER_CLEARING
    return Outflow(
        *(Movement(f"{cause}.from_{name}", side, clearing) for name, side in sides.items()),
        *(Movement(f"{cause}.to_{name}", clearing, side) for name, side in sides.items()),
    )


# A withdrawal: what was held is captured; this is for what was not, and for what the bank sends back.
PAYOUT: Final = _outflow("payout")
# A deposit given back, likewise.
REFUND: Final = _outflow("refund")
# A deposit that the provider takes back from us for a dispute, and gives back when it is won.
CHARGEBACK: Final = _outflow("chargeback")
# A deposit that was credited and is not paid after all.
REVERSAL: Final = _outflow("reversal")
DEBT_REPAY: Final = Movement("debt.repay", Purpose.PLAYER_CASH, Purpose.PLAYER_DEBT)


# Wallet: the operator brings a player's money to us, and takes it back.
TRANSFER_IN: Final = Movement("wallet.deposit", Purpose.OPERATOR_FLOAT, Purpose.PLAYER_CASH)
TRANSFER_OUT: Final = Movement("wallet.withdraw", Purpose.PLAYER_CASH, Purpose.OPERATOR_FLOAT)
# The operator pays in advance for what its players are given: its money has come, or was given back.
FLOAT_FUND: Final = Movement("float.fund", Purpose.SUSPENSE, Purpose.OPERATOR_FLOAT)
FLOAT_RETURN: Final = Movement("float.return", Purpose.OPERATOR_FLOAT, Purpose.SUSPENSE)
# Games: what a stake took from cash and from bonus goes back to where it came from.
BET_CASH: Final = Movement("wallet.bet_cash", Purpose.PLAYER_CASH, Purpose.HOUSE_GAMING)
BET_BONUS: Final = Movement("wallet.bet_bonus", Purpose.PLAYER_BONUS, Purpose.HOUSE_GAMING)
WIN_CASH: Final = Movement("wallet.win_cash", Purpose.HOUSE_GAMING, Purpose.PLAYER_CASH)
WIN_BONUS: Final = Movement("wallet.win_bonus", Purpose.HOUSE_GAMING, Purpose.PLAYER_BONUS)
REFUND_CASH: Final = Movement("wallet.refund_cash", Purpose.HOUSE_GAMING, Purpose.PLAYER_CASH)
REFUND_BONUS: Final = Movement("wallet.refund_bonus", Purpose.HOUSE_GAMING, Purpose.PLAYER_BONUS)
# A win that was taken back.
REVERSE_CASH: Final = Movement("wallet.reverse_cash", Purpose.PLAYER_CASH, Purpose.HOUSE_GAMING)
REVERSE_BONUS: Final = Movement("wallet.reverse_bonus", Purpose.PLAYER_BONUS, Purpose.HOUSE_GAMING)
# ... and is not there any more.
REVERSE_DEBT: Final = Movement("wallet.reverse_debt", Purpose.PLAYER_DEBT, Purpose.HOUSE_GAMING)
GRANT_BONUS: Final = Movement("wallet.grant_bonus", Purpose.HOUSE_GAMING, Purpose.PLAYER_BONUS)

# A migration writes the same rows into the table `movement`; a test compares.
MOVEMENTS: Final = {
    movement.kind: movement
    for movement in (
        DEPOSIT_TO_PLAYER,
        DEPOSIT_TO_MERCHANT,
        HOLD_PLACE,
        HOLD_RELEASE,
        HOLD_CAPTURE,
        FLOAT_FUND,
        FLOAT_RETURN,
        TRANSFER_IN,
        TRANSFER_OUT,
        BET_CASH,
        BET_BONUS,
        WIN_CASH,
        WIN_BONUS,
        REFUND_CASH,
        REFUND_BONUS,
        REVERSE_CASH,
        REVERSE_BONUS,
        REVERSE_DEBT,
        GRANT_BONUS,
        DEBT_REPAY,
        *PAYOUT,
        *REFUND,
        *CHARGEBACK,
        *REVERSAL,
    )
}
