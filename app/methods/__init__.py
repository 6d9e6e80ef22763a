"""Ways to pay: what a player may choose, where each is offered and within which limits.

A method is what the player sees; who carries it out is a provider account, named here and known in
`providers`.
"""

from app.methods.model import (
    CATALOGUE,
    AmountTooHigh,
    AmountTooLow,
    Method,
    MethodUnavailable,
    Offer,
    arranged,
    check_amount,
    narrowed,
    quick_amounts,
)
from app.methods.operations import offer_method, switch_method
from app.methods.queries import offer, offers

__all__ = [
    "CATALOGUE",
    "AmountTooHigh",
    "AmountTooLow",
    "Method",
    "MethodUnavailable",
    "Offer",
    "arranged",
    "check_amount",
    "narrowed",
    "offer",
    "offer_method",
    "offers",
    "quick_amounts",
    "switch_method",
]
