"""Closed loop: money goes back to where it came from first, and says why, in words. Pure.

What a player paid in by an instrument and did not get back by it yet is what it may be owed; what is above
the sum of all of that (winnings) goes where the player chose. A site's policy, on by default.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.kernel.money import Money

__all__ = ["Paid", "Part", "plan"]


@dataclass(frozen=True, slots=True)
class Paid:
    """What came by one instrument of a player, and went back to it.

    Args:
        instrument_id: which.
        name: as people know it, "card *4242".
        deposited: all that was captured from it.
        returned: refunded, charged back, paid out, or on its way to one of these.
        can_be_paid: whether a payout can be sent there at all.
    """

    instrument_id: str
    name: str
    deposited: Money
    returned: Money
    can_be_paid: bool

    @property
    def outstanding(self) -> Money:
        """What it did not get back yet; nothing where it got more."""
        return max(self.deposited - self.returned, Money(0, self.deposited.currency))

    @property
    def story(self) -> str:
        """The reason in words."""
        return f"deposited {self.deposited.text()}, already returned {self.returned.text()}"


@dataclass(frozen=True, slots=True)
class Part:
    """So much goes to this instrument, and why: as a sentence, and as the figures that it tells.

    Args:
        instrument_id: where to.
        amount: all of this part.
        sentence: the reason, for people at a desk.
        paid: what came from there; None: nothing that is to go back.
        beyond: how much of the part is more than is to go back anywhere, so where the player chose.
    """

    instrument_id: str
    amount: Money
    sentence: str
    paid: Paid | None = None
    beyond: Money | None = None


def plan(paid: Sequence[Paid], amount: Money, chosen_id: str, chosen_name: str) -> list[Part]:
    """Split a withdrawal.

    The chosen instrument is served first as far as it is owed something, the others in the order given; the
    rest goes to the chosen one.

    Args:
        paid: what came, by instrument, in the order in which they are to be paid back.
        amount: what is to be paid out.
        chosen_id: where the player wants it.
        chosen_name: as people know that, "card *1111".

    Returns:
        at least one part, each above zero; they sum to the amount, and no instrument has two.
    """
    nothing = Money(0, amount.currency)
    left, parts, passed = amount, [], []
    for one in sorted(paid, key=lambda source: source.instrument_id != chosen_id):
        if one.outstanding <= nothing:
            continue
        if not one.can_be_paid and one.instrument_id != chosen_id:
            passed.append(one.name)
            continue
        share = min(one.outstanding, left)
        if share > nothing:
            sentence = f"{share.text()} to {one.name}: {one.story}"
            parts.append(Part(one.instrument_id, share, sentence, one))
            left -= share
    if left > nothing:
        parts = _with_rest(parts, left, chosen_id, chosen_name, passed)
    return parts


def _with_rest(
    parts: Sequence[Part], rest: Money, chosen_id: str, chosen_name: str, passed: Sequence[str]
) -> list[Part]:
    """The parts, and what is above all deposits where the player wants it."""
    why = "more than is to go back elsewhere, so where the player chose"
    if passed:
        why = f"{why}; nothing can be sent to {', '.join(passed)}"
    own = [part for part in parts if part.instrument_id == chosen_id]
    others = [part for part in parts if part.instrument_id != chosen_id]
    if not own:
        return [*others, Part(chosen_id, rest, f"{rest.text()} to {chosen_name}: {why}", beyond=rest)]
    sentence = f"{own[0].sentence}; and {rest.text()}: {why}"
    return [Part(chosen_id, own[0].amount + rest, sentence, own[0].paid, rest), *others]
