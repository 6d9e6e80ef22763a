"""How cases and disputes are said in our own API: strict bodies in, explicit fields out."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app import staff
from app.kernel.money import MAX_MINOR
from app.payments.access import SiteNumber, Text
from app.payments.casebook import Case
from app.payments.model import CaseKind, CaseState
from app.payments.proposals import Resolution
from app.payments.states import DisputeState

__all__ = [
    "CaseList",
    "CaseListQuery",
    "CaseObject",
    "DecideBody",
    "DisputeList",
    "DisputeListQuery",
    "DisputeObject",
    "MoveBody",
    "OpenCaseBody",
    "ProposalObject",
    "ResolveBody",
    "case_object",
]

_Note = Annotated[Text, Field(max_length=2_000, description="Why, for colleagues and auditors.")]


class _Query(BaseModel):
    """Which ones, and which part of them."""

    model_config = ConfigDict(extra="forbid")
    site_id: SiteNumber = 0
    payment_id: Text | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 25
    starting_after: Text | None = None


class CaseListQuery(_Query):
    """Which cases, and which part of them."""

    state: CaseState = CaseState.OPEN
    kind: list[CaseKind] = []
    ending_before: Text | None = None


class DisputeListQuery(_Query):
    """Which disputes, and which part of them."""

    is_open: Annotated[bool, Field(alias="open", description="Only those that are not decided.")] = False


class _Body(BaseModel):
    """What a caller may say, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OpenCaseBody(_Body):
    """Why people should look at a payment."""

    reason: _Note


class ResolveBody(_Body):
    """How somebody would end a case; somebody else decides."""

    resolution: Annotated[Resolution, Field(strict=False)]
    note: _Note
    attachment_sha256: Annotated[Text, Field(description="Of the proof: 64 hexadecimal digits.")]
    amount_minor: Annotated[
        int | None, Field(ge=1, le=MAX_MINOR, description="What really came, or went; for accepted.")
    ] = None
    currency: Annotated[Text, Field(description="Of the amount.")] = ""
    provider_reference: Annotated[Text, Field(max_length=255, description="In the proof.")] = ""
    leg: Annotated[int | None, Field(description="Which part of a withdrawal.")] = None
    payment_id: Annotated[Text, Field(max_length=64, description="Whose an orphan is; for matched.")] = ""


class DecideBody(_Body):
    """What the other person says to it. `approval_id`: the proposal that was looked at."""

    verdict: Annotated[staff.Verdict, Field(strict=False)]
    reason: Annotated[Text, Field(max_length=1_000, description="A rejection needs one.")] = ""
    approval_id: Text = ""


class MoveBody(_Body):
    """What people did about a dispute."""

    state: Annotated[DisputeState, Field(strict=False)]
    note: Annotated[Text, Field(max_length=1_000, description="For colleagues and auditors.")]


class ProposalObject(BaseModel):
    """How somebody wants to end a case, while it waits for another person."""

    approval_id: str
    resolution: Resolution
    note: str
    attachment_sha256: str
    amount_minor: int | None
    currency: str | None
    provider_reference: str
    leg: int | None
    payment_id: str
    proposed_by: str
    expires_at: datetime


class CaseObject(BaseModel):
    """What people must look at: what we knew when it was opened, and what was said."""

    object: str = "case"
    id: str
    kind: CaseKind
    state: CaseState
    payment_id: str | None
    notice_id: str | None
    attempt_id: Annotated[str | None, Field(description="Which attempt the evidence was about.")]
    about: Annotated[str, Field(description="The provider's number; of an orphan, the reference it names.")]
    ours: dict[str, Any]
    theirs: dict[str, Any]
    exposure_minor: Annotated[int | None, Field(description="What may be lost.")]
    currency: str | None
    resolution: str
    note: str
    attachment_sha256: str | None
    opened_at: datetime
    resolved_at: datetime | None
    proposal: ProposalObject | None = None


class CaseList(BaseModel):
    """One page, the newest first."""

    object: str = "list"
    data: list[CaseObject]
    has_more: bool
    next_cursor: str | None


class DisputeObject(BaseModel):
    """A deposit that a player's bank takes back."""

    object: str
    id: str
    transaction_id: int
    type_id: int
    status: DisputeState
    status_id: int
    payment_id: str
    amount_minor: int
    posted_minor: Annotated[int, Field(description="What is taken from us at present.")]
    currency: str
    due_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None


class DisputeList(BaseModel):
    """One page, the newest first."""

    object: str = "list"
    data: list[DisputeObject]
    has_more: bool
    next_cursor: str | None


def case_object(its: Case, waiting: staff.Approval | None = None) -> CaseObject:
    """A case as people see it.

    Args:
        its: the case.
        waiting: the proposal that is open; None where there is none.
    """
    return CaseObject(
        id=its.case_id,
        kind=its.kind,
        state=its.state,
        payment_id=its.payment_id,
        notice_id=its.notice_id,
        attempt_id=its.attempt_id,
        about=its.about,
        ours=dict(its.ours),
        theirs=dict(its.theirs),
        exposure_minor=its.exposure.minor if its.exposure else None,
        currency=its.exposure.currency if its.exposure else None,
        resolution=its.resolution,
        note=its.note,
        attachment_sha256=its.attachment_hash.hex() if its.attachment_hash else None,
        opened_at=its.opened_at,
        resolved_at=its.resolved_at,
        proposal=_proposal(waiting) if waiting else None,
    )


def _proposal(waiting: staff.Approval) -> ProposalObject:
    told = waiting.content
    return ProposalObject(
        approval_id=waiting.approval_id,
        resolution=told["resolution"],
        note=told["note"],
        attachment_sha256=told["attachment"],
        amount_minor=told["amount_minor"],
        currency=told["currency"],
        provider_reference=told["provider_reference"],
        leg=told["leg"],
        payment_id=told["payment_id"],
        proposed_by=waiting.maker,
        expires_at=waiting.expires_at,
    )
