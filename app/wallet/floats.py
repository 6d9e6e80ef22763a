"""Transfers against what the operator has prepaid (rule 76). Pure."""

from collections.abc import MutableMapping

from app.wallet.terms import Ask, Code, Decision, Type, Why

__all__ = ["floated"]


def floated(decision: Decision, ask: Ask, floats: MutableMapping[str, int], currency: str) -> Decision:
    """A transfer's decision, where the float must cover deposits; counted in the float.

    Args:
        decision: applied.
        ask: a deposit or withdrawal.
        floats: minor units that are left, by currency, locked; changed in place.
        currency: of the wallet.
    """
    left = floats.get(currency, 0)
    if ask.type is Type.WITHDRAW:
        floats[currency] = left + decision.amount
    elif ask.policy.prepaid_float and decision.amount > left:
        return Decision(Code.LIMIT_EXCEEDED, amount=decision.amount, why=Why.FLOAT)
    else:
        floats[currency] = left - decision.amount
    return decision
