"""What people propose about a case: checked for what nobody could decide about, and kept as plain JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app import staff
from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = ["LONGEST_NOTE", "BadProposal", "Proposal", "Resolution", "check", "content_of", "proposal_of"]

LONGEST_NOTE: Final = 2_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Resolution(StrEnum):
    """What people can decide."""

    NOTED = "noted"
    PAID = "paid"
    NOT_PAID = "not_paid"
    ACCEPTED = "accepted"
    MONEY_RETURNED = "money_returned"
    MATCHED = "matched"


class BadProposal(Refusal):
    """{field}: {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Name the field and the rule that it broke."""
        super().__init__(field=field, rule=rule)
        self.param = field


@dataclass(frozen=True, slots=True)
class Proposal:
    """How somebody would resolve a case.

    Args:
        resolution: NOTED, nothing moves; PAID or NOT_PAID, what became of it at the provider, to the sum that
            was ordered; ACCEPTED, a deposit is credited with what really came, of a withdrawal or refund
            counts what really went, and of a dispute what the bank really has, or gave back; MONEY_RETURNED,
            what came for a deposit went back to the payer; MATCHED, a notice of nobody is about a payment of
            ours.
        note: why, for colleagues and auditors.
        attachment: the SHA-256 of the proof, 64 hexadecimal digits.
        amount: what really came or went, for ACCEPTED.
        provider_reference: the provider's number in the proof; empty: the one that is known already.
        leg: of a payout with several parts, which one.
        payment_id: whose the notice is, for MATCHED.
    """

    resolution: Resolution
    note: str
    attachment: str
    amount: Money | None = None
    provider_reference: str = ""
    leg: int | None = None
    payment_id: str = ""


def check(proposal: Proposal) -> None:
    """Refuse what nobody could decide about.

    Raises:
        BadProposal: a field that is missing, malformed, or said of a resolution that has no use for it (422).
        BadReason: control characters or a card number in the note (422).
    """
    if not proposal.note.strip() or len(proposal.note) > LONGEST_NOTE:
        raise BadProposal(field="note", rule=f"1 to {LONGEST_NOTE} characters")
    staff.check_text("note", proposal.note)
    if not _SHA256.fullmatch(proposal.attachment):
        raise BadProposal(field="attachment", rule="the SHA-256 of the proof, 64 hexadecimal digits")
    if (proposal.amount is None) is (proposal.resolution is Resolution.ACCEPTED):
        raise BadProposal(field="amount", rule="what was really paid; needed for accepted, and only there")
    if proposal.amount is not None and proposal.amount.minor <= 0:
        raise BadProposal(field="amount", rule="above zero")
    if bool(proposal.payment_id) is not (proposal.resolution is Resolution.MATCHED):
        raise BadProposal(field="payment_id", rule="whose it is; needed for matched, and only there")


def content_of(proposal: Proposal) -> dict[str, Any]:
    """What people say yes to, as plain JSON."""
    return {
        "resolution": proposal.resolution.value,
        "note": proposal.note,
        "attachment": proposal.attachment,
        "amount_minor": proposal.amount.minor if proposal.amount else None,
        "currency": proposal.amount.currency if proposal.amount else None,
        "provider_reference": proposal.provider_reference,
        "leg": proposal.leg,
        "payment_id": proposal.payment_id,
    }


def proposal_of(content: Mapping[str, Any]) -> Proposal:
    """What `content_of` has made."""
    minor = content["amount_minor"]
    return Proposal(
        Resolution(content["resolution"]),
        content["note"],
        content["attachment"],
        None if minor is None else Money(minor, content["currency"]),
        content["provider_reference"],
        content["leg"],
        content["payment_id"],
    )
