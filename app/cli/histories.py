"""What happened to a payment and who did it, as lines for people; what others wrote stays on its line."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Row

from app import staff
from app.kernel.masking import mask_text
from app.kernel.money import Money
from app.payments import SubStatus
from app.plumbing.database import Reader

__all__ = ["event_line", "logins_of", "people_of"]

# What a person has done by moving a refund to where it is then.
_DEEDS: Mapping[str, str] = {
    SubStatus.AWAITING_APPROVAL: "asked",
    SubStatus.AWAITING_SECOND_APPROVAL: "approved",
    SubStatus.APPROVED: "approved",
    SubStatus.REJECTED: "rejected",
    SubStatus.BY_OPERATOR: "called off",
}
# Who said so, in words; other sources are words already.
_SOURCES: Mapping[str, str] = {
    "answer": "provider's answer",
    "notice": "provider's notice",
    "status_query": "provider, asked",
    "settlement": "two people with a proof",
}


async def logins_of(reader: Reader) -> Mapping[str, str]:
    """The login of every operator, by how events name the operator."""
    return {one.actor: one.login for one in await staff.operators_of(reader)}


def people_of(history: Sequence[Row[Any]], logins: Mapping[str, str]) -> list[str]:
    """What people did about a refund, in order, and why: "asked by anna: paid twice"."""
    told = []
    for row in history:
        deed, by = _DEEDS.get(row.sub_status), row.detail.get("by")
        if row.source == "staff" and deed is not None and by is not None:
            text = row.detail.get("reason", {}).get("text", "")
            told.append(f"{deed} by {logins.get(by, by)}: {mask_text(text) or 'no reason given'}")
    return told


def event_line(row: Row[Any], logins: Mapping[str, str]) -> str:
    """One event: its number, when, what it made of the payment, who said so, how much, and why."""
    came = Money(row.amount_minor, row.currency) if row.amount_minor is not None else None
    by = row.detail.get("by")
    why = row.detail.get("reason", {})
    attention = row.detail.get("attention")
    facts = (
        f"{row.sequence:>3}  {row.recorded_at:%Y-%m-%d %H:%M:%S}",
        row.type,
        row.sub_status,
        f"by {logins.get(by, by) if by else _SOURCES.get(row.source, row.source)}",
        str(came) if came else "",
        f"number {mask_text(row.provider_reference)}" if row.provider_reference else "",
        mask_text(" ".join(filter(None, (why.get("code"), why.get("text"))))),
        f"!{attention}" if attention else "",
        f"next at {row.detail['next_account']}" if "next_account" in row.detail else "",
        f"no other attempt: {row.detail['why_last']}" if "why_last" in row.detail else "",
    )
    return "  ".join(filter(None, facts))
