"""What evidence is, what is known when it arrives, and what can follow from it. Pure.

Source: payments.md section 1.4. The states are in `states`, what evidence does to them in `matrix`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

from app.kernel.money import Money
from app.payments.states import Kind, SubStatus

__all__ = [
    "BY_PEOPLE",
    "CAME_BACK",
    "DISPUTE",
    "Attention",
    "CaseKind",
    "CaseState",
    "Decided",
    "Evidence",
    "Facts",
    "PayoutPolicy",
    "Source",
    "Step",
    "Verdict",
    "graver",
]

# Codes of ours, where a provider's own would stand.
CAME_BACK: Final = "came_back"  # a part of it came back
BY_PEOPLE: Final = "people"  # they have decided what became of it
DISPUTE: Final = "dispute"  # the source of what was told of a dispute


class Source(IntEnum):
    """Where a piece of evidence comes from; a higher rank may overrule a lower (payments.md section 1.4)."""

    # The player's browser coming back, or an answer that something has overtaken: neither proves anything.
    HINT = 1
    ANSWER = 2
    NOTICE = 3
    STATUS_QUERY = 4
    SETTLEMENT = 5


class Verdict(StrEnum):
    """What the evidence says of the provider's order."""

    NEEDS_PLAYER = "needs_player"
    PENDING = "pending"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    TAKEN_BACK = "taken_back"
    NOT_FOUND = "not_found"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Attention(StrEnum):
    """Why a person should look; beside the status, never instead of it. The graver stands later."""

    UNCONFIRMED = "unconfirmed"
    MERCHANT_SILENT = "merchant_silent"
    ORDER_VANISHED = "order_vanished"
    UNRESOLVED = "unresolved"
    REVIVED = "revived"
    AMOUNT_DIFFERS = "amount_differs"
    TAKEN_BACK = "taken_back"
    DENIED_AFTER_SUCCESS = "denied_after_success"
    PAID_AFTER_CANCEL = "paid_after_cancel"
    ILLEGAL_CHANGE = "illegal_change"
    NOT_POSTED = "not_posted"
    REFERENCE_REUSED = "reference_reused"
    PAID_AFTER_RELEASE = "paid_after_release"
    PAID_UNAPPROVED = "paid_unapproved"
    SECOND_PAYMENT = "second_payment"


_GRAVITY: Final = {attention: place for place, attention in enumerate(Attention)}


def graver(one: Attention | None, other: Attention | None) -> Attention | None:
    """The reason to be shown when there are two; every reason has its own event all the same."""
    return max(filter(None, (one, other)), key=_GRAVITY.__getitem__, default=None)


class CaseKind(StrEnum):
    """What a case for people is about: every reason for attention, and what belongs to no payment."""

    UNCONFIRMED = "unconfirmed"
    MERCHANT_SILENT = "merchant_silent"
    ORDER_VANISHED = "order_vanished"
    UNRESOLVED = "unresolved"
    REVIVED = "revived"
    AMOUNT_DIFFERS = "amount_differs"
    TAKEN_BACK = "taken_back"
    DENIED_AFTER_SUCCESS = "denied_after_success"
    PAID_AFTER_CANCEL = "paid_after_cancel"
    ILLEGAL_CHANGE = "illegal_change"
    NOT_POSTED = "not_posted"
    REFERENCE_REUSED = "reference_reused"
    PAID_AFTER_RELEASE = "paid_after_release"
    PAID_UNAPPROVED = "paid_unapproved"
    SECOND_PAYMENT = "second_payment"
    ORPHAN_NOTICE = "orphan_notice"


assert {kind.value for kind in CaseKind} > {attention.value for attention in Attention}


class CaseState(StrEnum):
    """A case is open until two people have resolved it."""

    OPEN = "open"
    RESOLVED = "resolved"


class Decided(StrEnum):
    """What two people with a proof have said became of a try, whatever its provider says."""

    PAID = "paid"
    NOT_PAID = "not_paid"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a payment when evidence arrives; of a payout, what is known of the leg.

    Args:
        kind: deposit, payout or refund.
        sub_status: of the payment; of a payout's leg, once something of it was sent.
        amount: what was ordered.
        provider_reference: the provider's number of what was paid, once paid.
        sent_at: when the present attempt was sent, the last one where there were several; None: nothing was.
        expires_at: the end of the time that a deposit's player has.
        is_superseded: the evidence is about an attempt that another one has taken the place of.
        is_still_open: and nobody has said that it is over: of a deposit, its page may be open.
        captured: what was credited or paid out, once something was; people may have accepted another sum.
        went_back: what came for a deposit and went back to its payer, before anything of it was credited.
        came_back_short: of what went out its provider has told that a part came back.
        against: what two people have decided of the try, where the evidence is a story that they outrank.
    """

    kind: Kind
    sub_status: SubStatus
    amount: Money
    provider_reference: str | None
    sent_at: datetime | None
    expires_at: datetime | None = None
    is_superseded: bool = False
    is_still_open: bool = False
    captured: Money | None = None
    went_back: Money | None = None
    came_back_short: bool = False
    against: Decided | None = None

    @property
    def is_deposit_in_conflict(self) -> bool:
        """Whether it is a deposit whose two stories people have to look at."""
        return self.kind is Kind.DEPOSIT and self.sub_status is SubStatus.CONFLICTED

    @property
    def expected(self) -> Money:
        """The sum that a success must name: what was really taken, before that what was ordered."""
        return self.captured or self.went_back or self.amount


@dataclass(frozen=True, slots=True)
class PayoutPolicy:
    """What a site wants of its withdrawals in one currency; the defaults let nothing out without a person.

    Args:
        auto_below: where all that a player takes out within 24 hours is strictly below this, no person is
            asked; None: always one.
        second_above: where it is strictly above this, two different people; None: one is enough.
        cooling_seconds: so long the player may change his mind before anybody looks.
        player_may_cancel: while it is pending.
        closed_loop: money goes back to where it came from first.
        needs_initiation: nothing is sent before the merchant has initiated it (protocol.md section 3.3).
        allow_without_request: the merchant may initiate what no player asked for.
        approval_hours: an approval that nobody gave by then expires.
    """

    auto_below: Money | None = None
    second_above: Money | None = None
    cooling_seconds: int = 0
    player_may_cancel: bool = True
    closed_loop: bool = True
    needs_initiation: bool = True
    allow_without_request: bool = False
    approval_hours: int = 72


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing the provider said, by whichever way, about our order.

    `retryable` and `undeliverable` belong to a decline, as in `providers.ProviderError`.
    """

    source: Source
    verdict: Verdict
    at: datetime
    amount: Money | None = None
    provider_reference: str | None = None
    code: str = ""
    message: str = ""
    retryable: bool = False
    undeliverable: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a word or a deed; money moves only where it says so.

    Args:
        path: the states to walk through, in order.
        credit: what a deposit brought.
        paid: what a payout or refund took out through the provider.
        came_back: what a completed payout or refund brought back.
        taken: what a credited deposit loses again: it was not paid after all.
        is_late: it was over before.
        ask_again: the provider itself must be asked, and keeps being asked until it answers.
        settles: it has answered such a question, and nothing changes.
        is_over: nothing of this attempt arrived, or it was declined: another may follow.
        send_again: the same order is sent once more under the same reference.
        attention: a person must look.
    """

    path: tuple[SubStatus, ...] = ()
    credit: Money | None = None
    paid: Money | None = None
    came_back: Money | None = None
    taken: Money | None = None
    is_late: bool = False
    ask_again: bool = False
    settles: bool = False
    is_over: bool = False
    send_again: bool = False
    attention: Attention | None = None

    @property
    def keeps_number(self) -> bool:
        """Whether the provider's number is written down with it: paid under it, or in conflict about it."""
        moves_money = self.credit is not None or self.paid is not None
        return moves_money or self.path[-1:] == (SubStatus.CONFLICTED,)
