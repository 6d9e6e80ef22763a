"""Resolving a case: one person proposes with a note and a proof, another decides, and only then it is done.

What two people decide with a proof ranks with a settlement file: it ends what is unknown or conflicted. It is
the only way, besides the provider's own word, in which a payout that is unknown can end. The proof itself is
kept elsewhere; its SHA-256 stands here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, assert_never

from sqlalchemy import update

from app import providers, staff
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.asking import apply
from app.payments.case_tables import payment_cases
from app.payments.casebook import Case, case, case_of, open_case, other_cases
from app.payments.legs import attempts_of, legs_of
from app.payments.model import Attention, CaseKind, CaseState, Source, Step
from app.payments.queries import Attempt, Payment, order_is_paid, payment, reference_is_taken
from app.payments.states import Kind, SubStatus, checked_path
from app.payments.steps import Cause, carry_out, remember
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "BadProposal",
    "CaseClosed",
    "Proposal",
    "Resolution",
    "ResolutionImpossible",
    "decide_case",
    "propose_resolution",
    "raise_case",
]

_LONGEST_NOTE: Final = 2_000
_HOURS: Final = 72
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Resolution(StrEnum):
    """What people can decide."""

    NOTED = "noted"
    PAID = "paid"
    NOT_PAID = "not_paid"
    ACCEPTED = "accepted"
    MONEY_RETURNED = "money_returned"


class CaseClosed(Refusal):
    """The case is resolved already: {resolution}."""


class BadProposal(Refusal):
    """{field}: {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Name the field and the rule that it broke."""
        super().__init__(field=field, rule=rule)
        self.param = field


class ResolutionImpossible(Refusal):
    """It cannot be resolved as {resolution}: {why}."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """How somebody would resolve a case.

    Args:
        resolution: NOTED, nothing moves; PAID or NOT_PAID, what became of it at the provider, to the sum that
            was ordered; ACCEPTED, a deposit is credited with what really came; MONEY_RETURNED, what came for
            a deposit went back to the payer.
        note: why, for colleagues and auditors.
        attachment: the SHA-256 of the proof, 64 hexadecimal digits.
        amount: what really came, for ACCEPTED.
        provider_reference: the provider's number in the proof.
        leg: of a payout with several parts, which one.
    """

    resolution: Resolution
    note: str
    attachment: str
    amount: Money | None = None
    provider_reference: str = ""
    leg: int | None = None


async def raise_case(
    pipes: Pipes, site_id: int, payment_id: str, operator: staff.Operator, *, reason: str
) -> Case:
    """Open a case by hand about a payment that goes on for too long; or the one that is open.

    Raises:
        PaymentNotFound: no such payment at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadProposal: no reason (422).
    """
    if not reason.strip() or len(reason) > _LONGEST_NOTE:
        raise BadProposal(field="reason", rule=f"1 to {_LONGEST_NOTE} characters")

    async def work(tx: Transaction) -> Case:
        at = pipes.clock.now()
        now_is = await staff.operator(tx, operator.operator_id)
        staff.require(now_is, staff.Right.CASE_RESOLVE, site_id)
        found = await payment(tx, site_id, payment_id, lock=True)
        known = await case_of(tx, site_id, payment_id, CaseKind.UNRESOLVED)
        if known is not None:
            return known
        cause = Cause("staff", reason=reason)
        await carry_out(tx, found, Step(attention=Attention.UNRESOLVED), cause, at=at)
        # The event may be an old one's; the case is new.
        theirs = {"source": "staff", "text": reason, "by": operator.actor}
        await open_case(tx, found, CaseKind.UNRESOLVED, theirs, about="", exposure=found.amount, at=at)
        made = await case_of(tx, site_id, payment_id, CaseKind.UNRESOLVED)
        assert made is not None
        return made

    return await pipes.database.retried(work)


async def propose_resolution(
    pipes: Pipes, site_id: int, case_id: str, operator: staff.Operator, proposal: Proposal
) -> staff.Approval:
    """Propose how to resolve a case; somebody else decides.

    Returns:
        the approval that waits.

    Raises:
        CaseNotFound: no such case at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadProposal: note, attachment or amount (422).
        CaseClosed, ApprovalOpenAlready: it is resolved, or another proposal waits (409).
    """
    _check(proposal)

    async def work(tx: Transaction) -> staff.Approval:
        at = pipes.clock.now()
        now_is = await staff.operator(tx, operator.operator_id)
        staff.require(now_is, staff.Right.CASE_RESOLVE, site_id)
        its, found = await _locked(tx, site_id, case_id)
        wish = staff.ApprovalWish(
            staff.ApprovalKind.CASE,
            case_id,
            {**_content(proposal), "standing": _standing(found)},
            operator.actor,
            1,  # besides the one who proposes: two people
            at + timedelta(hours=_HOURS),
        )
        return await staff.open_approval(tx, its.site_id, wish, at=at)

    return await pipes.database.retried(work)


async def decide_case(
    pipes: Pipes,
    site_id: int,
    case_id: str,
    operator: staff.Operator,
    verdict: staff.Verdict,
    *,
    reason: str = "",
    approval_id: str = "",
) -> Case:
    """Decide about a proposal that somebody else made; approved, it is carried out at once.

    Returns:
        the case as it is then: open still where the proposal was rejected.

    Raises:
        CaseNotFound: no such case at this site.
        NotPermitted, OperatorDisabled, OwnRequest: this person may not (403).
        ApprovalNotFound: nobody proposed anything.
        CaseClosed, ApprovalClosed, ApprovalExpired, ContentChanged: not any more (409); the payment changed
            since it was looked at.
        ResolutionImpossible: it cannot be done as proposed; nothing is changed (409).
    """
    cast = staff.Vote(verdict, reason_staff=reason, approval_id=approval_id)

    async def work(tx: Transaction) -> Case:
        at = pipes.clock.now()
        its, found = await _locked(tx, site_id, case_id)
        kind = staff.ApprovalKind.CASE
        newest = await staff.newest_approval(tx, site_id, kind, case_id)
        if newest is None:
            raise staff.ApprovalNotFound(subject=case_id)
        content = {**newest.content, "standing": _standing(found)}
        voted = await staff.vote(tx, site_id, kind, case_id, operator, cast, content=content, at=at)
        if voted.state is staff.ApprovalState.APPROVED:
            await _resolve(tx, its, found, _proposal(voted.content), voted, at)
        return await case(tx, site_id, case_id)

    return await pipes.database.retried(work)


async def _locked(tx: Transaction, site_id: int, case_id: str) -> tuple[Case, Payment | None]:
    """An open case, and its payment; the payment is locked first, as everywhere."""
    seen = await case(tx, site_id, case_id)
    found = None
    if seen.payment_id is not None:
        found = await payment(tx, site_id, seen.payment_id, lock=True)
    its = await case(tx, site_id, case_id, lock=True)
    if its.state is CaseState.RESOLVED:
        raise CaseClosed(resolution=its.resolution)
    return its, found


async def _resolve(
    tx: Transaction,
    its: Case,
    found: Payment | None,
    proposal: Proposal,
    by: staff.Approval,
    at: datetime,
) -> None:
    if proposal.resolution is not Resolution.NOTED:
        if found is None:
            raise ResolutionImpossible(resolution=proposal.resolution.value, why="it is about no payment")
        await _carry_out(tx, its, found, proposal, at)
    closed = {
        "state": CaseState.RESOLVED,
        "resolution": proposal.resolution.value,
        "note": proposal.note,
        "attachment_hash": bytes.fromhex(proposal.attachment),
        "approval_id": by.approval_id,
        "resolved_at": at,
    }
    its_row = (payment_cases.c.site_id == its.site_id) & (payment_cases.c.case_id == its.case_id)
    await tx.execute(update(payment_cases).where(its_row).values(closed))
    if found is not None and not await other_cases(tx, its):
        await remember(tx, found, {"attention": None})
    deciders = [vote.operator_id for vote in by.votes]
    detail = {**_content(proposal), "proposed_by": by.maker, "decided_by": deciders}
    actor = staff.operator_actor(deciders[-1])
    await staff.note(
        tx, its.site_id, actor=actor, deed="case.resolved", subject=its.case_id, detail=detail, at=at
    )


async def _carry_out(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    match proposal.resolution:
        case Resolution.PAID | Resolution.NOT_PAID:
            await _said(tx, found, proposal, at)
        case Resolution.ACCEPTED:
            await _accepted(tx, its, found, proposal, at)
        case Resolution.MONEY_RETURNED:
            if found.kind is not Kind.DEPOSIT:
                raise ResolutionImpossible(resolution=proposal.resolution.value, why="it is about no deposit")
            await _walk(tx, found, Step((SubStatus.REFUNDED,)), proposal, at)
        case Resolution.NOTED:
            pass
        case _:
            assert_never(proposal.resolution)


async def _said(tx: Transaction, found: Payment, proposal: Proposal, at: datetime) -> None:
    """As if the settlement file had said it."""
    attempt, amount = await _attempt(tx, found, proposal)
    is_paid = proposal.resolution is Resolution.PAID
    result = providers.Result(
        providers.State.SUCCEEDED if is_paid else providers.State.FAILED,
        proposal.provider_reference or None,
        amount if is_paid else None,
        error=None if is_paid else providers.ProviderError("people", "decided by two people with proof"),
        raw={"attachment_sha256": proposal.attachment},
    )
    step = await apply(tx, found, attempt, result, Source.SETTLEMENT, at=at)
    if not step.path and not step.is_over:
        raise ResolutionImpossible(
            resolution=proposal.resolution.value, why=f"it is {found.sub_status.value}"
        )


async def _attempt(tx: Transaction, found: Payment, proposal: Proposal) -> tuple[Attempt, Money]:
    """Which try it is about, and what was ordered by it."""
    tries = await attempts_of(tx, found)
    ordered = {part.leg: part.amount for part in await legs_of(tx, found)}
    about = [one for one in tries if proposal.leg is None or one.leg == proposal.leg]
    if not about or len({one.leg for one in about}) > 1:
        why = "name the part of the withdrawal that it is about" if about else "nothing was sent"
        raise ResolutionImpossible(resolution=proposal.resolution.value, why=why)
    last = about[-1]
    return last, found.amount if last.leg is None else ordered[last.leg]


async def _accepted(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """A deposit is credited with what really came, once."""
    assert proposal.amount is not None
    reference = proposal.provider_reference or its.about or found.provider_reference
    fits = found.kind is Kind.DEPOSIT and proposal.amount.currency == found.amount.currency
    if not fits:
        raise ResolutionImpossible(
            resolution=proposal.resolution.value, why="only a deposit can be, in its own currency"
        )
    if await reference_is_taken(tx, found, reference) or await order_is_paid(tx, found):
        raise ResolutionImpossible(
            resolution=proposal.resolution.value, why="another payment was credited for it"
        )
    step = Step((SubStatus.CREDITING, SubStatus.COMPLETED), credit=proposal.amount)
    await _walk(tx, found, step, replace(proposal, provider_reference=reference or ""), at)


async def _walk(tx: Transaction, found: Payment, step: Step, proposal: Proposal, at: datetime) -> None:
    """Carry a step out; one that leads out of the table is refused, and nothing is changed."""
    checked_path(found.kind, found.sub_status, step.path)
    cause = Cause(
        "people",
        reason=proposal.resolution.value,
        amount=step.credit,
        provider_reference=proposal.provider_reference or None,
        detail={"attachment_sha256": proposal.attachment},
    )
    await carry_out(tx, found, step, cause, at=at)


def _standing(found: Payment | None) -> dict[str, object]:
    """What people looked at: a payment that moved meanwhile is another one."""
    return {} if found is None else {"sub_status": found.sub_status.value, "sequence": found.sequence}


def _content(proposal: Proposal) -> dict[str, Any]:
    return {
        "resolution": proposal.resolution.value,
        "note": proposal.note,
        "attachment": proposal.attachment,
        "amount_minor": proposal.amount.minor if proposal.amount else None,
        "currency": proposal.amount.currency if proposal.amount else None,
        "provider_reference": proposal.provider_reference,
        "leg": proposal.leg,
    }


def _proposal(content: Mapping[str, Any]) -> Proposal:
    minor = content["amount_minor"]
    return Proposal(
        Resolution(content["resolution"]),
        content["note"],
        content["attachment"],
        None if minor is None else Money(minor, content["currency"]),
        content["provider_reference"],
        content["leg"],
    )


def _check(proposal: Proposal) -> None:
    if not proposal.note.strip() or len(proposal.note) > _LONGEST_NOTE:
        raise BadProposal(field="note", rule=f"1 to {_LONGEST_NOTE} characters")
    if not _SHA256.fullmatch(proposal.attachment):
        raise BadProposal(field="attachment", rule="the SHA-256 of the proof, 64 hexadecimal digits")
    if (proposal.amount is None) is (proposal.resolution is Resolution.ACCEPTED):
        raise BadProposal(field="amount", rule="what really came, for accepted and nothing else")
    if proposal.amount is not None and proposal.amount.minor <= 0:
        raise BadProposal(field="amount", rule="above zero")
