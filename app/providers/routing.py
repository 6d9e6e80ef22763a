"""At which account a payment is tried next: in the site's order, each once, and no more than so many. Pure.

Whether another attempt may follow at all is not asked here: that is what the payment and the evidence say.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Route", "next_account"]


@dataclass(frozen=True, slots=True)
class Route:
    """The account that is asked next; without one, `why` it ends here, in words for operators."""

    account: str = ""
    why: str = ""


def next_account(
    order: Sequence[str], tried: Collection[str], usable: Collection[str], *, most: int
) -> Route:
    """The first account of the site's order that was not asked yet and can be asked now.

    Args:
        order: the accounts of the method, as the site wants them asked.
        tried: those that were asked for this payment, or for this part of a withdrawal.
        usable: those that are there, switched on, and can carry out such a payment.
        most: at so many accounts it is tried at most.
    """
    further = [name for name in order if name not in tried]
    if not further:
        return Route(why="no other account")
    if len(set(tried)) >= most:
        return Route(why=f"tried at {most} of at most {most} accounts")
    ready = [name for name in further if name in usable]
    if not ready:
        return Route(why=f"switched off: {', '.join(further)}")
    return Route(ready[0])
