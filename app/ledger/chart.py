"""What money may do: every legal movement, declared once. Anything else is refused."""

from typing import Final

from app.ledger.model import Movement, Purpose

__all__ = [
    "DEPOSIT_TO_MERCHANT",
    "DEPOSIT_TO_PLAYER",
    "HOLD_CAPTURE",
    "HOLD_PLACE",
    "HOLD_RELEASE",
    "MOVEMENTS",
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

# A migration writes the same rows into the table `movement`; a test compares.
MOVEMENTS: Final = {
    movement.kind: movement
    for movement in (DEPOSIT_TO_PLAYER, DEPOSIT_TO_MERCHANT, HOLD_PLACE, HOLD_RELEASE, HOLD_CAPTURE)
}
