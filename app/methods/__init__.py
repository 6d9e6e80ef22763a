"""Ways to pay: what a player may choose, where each is offered and within which limits, with what they paid.

A method is what the player sees; who carries it out is a provider account, named here and known in
`providers`. Promises that no card number is kept: of a card there is a token, a mask and a fingerprint.
"""

from app.methods.destinations import (
    DESTINATION_FIELDS,
    BadDestination,
    Destination,
    DestinationField,
    DestinationRule,
    FieldKind,
    marks,
    read_destination,
)
from app.methods.model import (
    CATALOGUE,
    AmountTooHigh,
    AmountTooLow,
    BadAccounts,
    Direction,
    Method,
    MethodUnavailable,
    Offer,
    arranged,
    check_amount,
    narrowed,
    quick_amounts,
)

# fmt: off
# isort: off
from app.methods.operations import (
    note_trial, offer_method, order_accounts, remember_instrument, remove_instrument, switch_method,
)
from app.methods.queries import (
    Instrument, InstrumentNotFound, instrument, instruments, is_offered, new_instruments, offer, offer_in,
    offer_with, offers,
)

__all__ = [
    "CATALOGUE", "DESTINATION_FIELDS", "AmountTooHigh", "AmountTooLow", "BadAccounts", "BadDestination",
    "Destination", "DestinationField", "DestinationRule", "Direction", "FieldKind", "Instrument",
    "InstrumentNotFound", "Method", "MethodUnavailable", "Offer", "arranged", "check_amount", "instrument",
    "instruments", "is_offered", "marks", "narrowed", "new_instruments", "note_trial", "offer",
    "offer_in", "offer_method", "offer_with", "offers", "order_accounts", "quick_amounts", "read_destination",
    "remember_instrument", "remove_instrument", "switch_method",
]
# isort: on
# fmt: on
