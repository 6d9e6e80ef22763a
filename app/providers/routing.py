"""At which accounts a payment may be tried next: in the site's order, each once, the first so many. Pure.

Whether another attempt may follow at all is not asked here: that is what the payment and the evidence say.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Route", "next_account"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a payment may go from its account.

    Args:
        accounts: those that may be asked next, in the site's order; without one, it ends where it is.
        why: why the others may not, in words for operators; never empty where none may.
    """

    accounts: tuple[str, ...] = ()
    why: str = ""

    @property
    def account(self) -> str:
        """The first of them, which is asked next; empty where none may be."""
        return self.accounts[0] if self.accounts else ""


def next_account(
    order: Sequence[str], tried: Collection[str], usable: Collection[str], *, most: int, own: str = ""
) -> Route:
    """The accounts of the site's order that were not asked yet and can be asked now.

    Args:
        order: the accounts of the method, as the site wants them asked.
        tried: those that were asked for this payment, or for this part of a withdrawal.
        usable: those that are there, switched on, and can carry out such a payment.
        most: so many are asked at most, and none that stands behind so many in the order: with 1 the first
            only. One that is passed by keeps its place.
        own: where the payment is now, whether it was asked there or not.
    """
    further = [name for name in order if name not in tried and name != own]
    if not further:
        return Route(why="no other account")
    if len(set(tried)) >= most:
        return Route(why=f"tried at {most} of at most {most} accounts")
    first = [name for name in further if name in order[:most]]
    off = [name for name in first if name not in usable]
    beyond = [name for name in further if name not in first]
    words = {"switched off": off, f"behind the first {most}": beyond}
    why = "; ".join(f"{word}: {', '.join(names)}" for word, names in words.items() if names)
    return Route(tuple(name for name in first if name in usable), why)
