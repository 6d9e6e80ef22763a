"""Resolving a case: one person proposes with a note and a proof, another decides, and only then it is done.

What two people decide with a proof ranks with a settlement file: it ends what is unknown or conflicted. It is
the only way, besides the provider's own word, in which a payout that is unknown can end. The proof itself is
kept elsewhere; its SHA-256 stands here.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update

from app import staff
from app.kernel.errors import Refusal
from app.payments.case_tables import payment_cases
from app.payments.case_telling import tell_resolved
from app.payments.casebook import Case, case, case_of, open_case, other_cases
from app.payments.changes import Cause
from app.payments.dispute_queries import disputes_of
from app.payments.meant import impossible
from app.payments.model import Attention, CaseKind, CaseState, Step
from app.payments.proposals import (
    LONGEST_NOTE,
    BadProposal,
    Proposal,
    Resolution,
    check,
    content_of,
    proposal_of,
)
from app.payments.queries import Payment, payment
from app.payments.questions import given_up
from app.payments.recalls import may_be_forgotten
from app.payments.resolutions import answers, execute
from app.payments.schedules import ASK_HORIZON
from app.payments.states import FINAL, OPEN, Kind
from app.payments.steps import carry_out, remember
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "CaseClosed",
    "ProposalWaits",
    "decide_case",
    "proposal_waiting",
    "propose_resolution",
    "raise_case",
]

_HOURS: Final = 72


class CaseClosed(Refusal):
    """The case is resolved already: {resolution}."""


class ProposalWaits(Refusal):
    """It was proposed as {resolution} already: another person approves or rejects that first.

    By {expires_at} it runs out, if nobody does.
    """


async def raise_case(
    pipes: Pipes, site_id: int, payment_id: str, operator: staff.Operator, *, reason: str
) -> Case:
    """Open a case by hand about a payment that goes on for too long; or the one that is open.

    Raises:
        PaymentNotFound: no such payment at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadProposal, BadReason: no reason, or none that may be written down (422).
    """
    if not reason.strip() or len(reason) > LONGEST_NOTE:
        raise BadProposal(field="reason", rule=f"1 to {LONGEST_NOTE} characters")
    staff.check_text("reason", reason)

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
        detail = {"payment": payment_id, "reason": reason}
        await staff.note(
            tx, site_id, actor=operator.actor, deed="case.opened", subject=made.case_id, detail=detail, at=at
        )
        return made

    return await pipes.database.retried(work)


async def propose_resolution(
    pipes: Pipes, site_id: int, case_id: str, operator: staff.Operator, proposal: Proposal
) -> staff.Approval:
    """Propose how to resolve a case; somebody else decides.

    Returns:
        the approval that waits.

    Raises:
        CaseNotFound, PaymentNotFound: no such case, or none to match it to, at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadProposal: note, attachment, amount or payment (422).
        CaseClosed, ProposalWaits: it is resolved, or another proposal waits (409).
        ResolutionImpossible: whatever becomes of it, nobody could ever carry that out (409).
    """
    check(proposal)

    async def work(tx: Transaction) -> staff.Approval:
        at = pipes.clock.now()
        now_is = await staff.operator(tx, operator.operator_id)
        staff.require(now_is, staff.Right.CASE_RESOLVE, site_id)
        its, found = await _locked(tx, site_id, case_id, proposal)
        if why := _why_never(its, found, proposal):
            raise impossible(proposal, why)
        wish = staff.ApprovalWish(
            staff.ApprovalKind.CASE,
            case_id,
            {**content_of(proposal), "standing": await _standing(tx, found)},
            operator.actor,
            1,  # besides the one who proposes: two people
            at + timedelta(hours=_HOURS),
        )
        try:
            return await staff.open_approval(tx, its.site_id, wish, at=at)
        except staff.ApprovalOpenAlready as refusal:
            waiting = await proposal_waiting(tx, its)
            if waiting is None:
                raise
            until = waiting.expires_at.isoformat(timespec="seconds")
            said = {"resolution": waiting.content["resolution"], "expires_at": until}
            raise ProposalWaits(**said, approval_id=waiting.approval_id) from refusal

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
    staff.check_text("reason", reason)
    cast = staff.Vote(verdict, reason_staff=reason, approval_id=approval_id)

    async def work(tx: Transaction) -> Case:
        at = pipes.clock.now()
        kind = staff.ApprovalKind.CASE
        newest = await staff.newest_approval(tx, site_id, kind, case_id)
        if newest is None:
            await case(tx, site_id, case_id)
            raise staff.ApprovalNotFound(subject=case_id)
        proposal = proposal_of(newest.content)
        its, found = await _locked(tx, site_id, case_id, proposal)
        content = {**newest.content, "standing": await _standing(tx, found)}
        voted = await staff.vote(tx, site_id, kind, case_id, operator, cast, content=content, at=at)
        if voted.state is staff.ApprovalState.APPROVED:
            await _resolve(tx, its, found, proposal, voted, at)
        return await case(tx, site_id, case_id)

    return await pipes.database.retried(work)


async def proposal_waiting(reader: Reader, its: Case) -> staff.Approval | None:
    """The proposal about a case that waits for another person."""
    newest = await staff.newest_approval(reader, its.site_id, staff.ApprovalKind.CASE, its.case_id)
    return newest if newest is not None and newest.state is staff.ApprovalState.OPEN else None


def _why_never(its: Case, found: Payment | None, proposal: Proposal) -> str:
    """Why a proposal could never be carried out, so that it is not in the way of one that can; else empty."""
    resolution = proposal.resolution
    if resolution is Resolution.NOTED:
        return ""
    if found is None:
        return "it is about no payment: match it to one first"
    if resolution is Resolution.MATCHED and its.notice_id is None:
        return "it is about no notice"
    if resolution is Resolution.MONEY_RETURNED and found.kind is not Kind.DEPOSIT:
        return "it is about no deposit; what came back of a withdrawal or a refund is not_paid"
    if proposal.amount is not None and proposal.amount.currency != found.amount.currency:
        return "it is counted in its own currency"
    return ""


async def _locked(
    tx: Transaction, site_id: int, case_id: str, proposal: Proposal
) -> tuple[Case, Payment | None]:
    """An open case, and its payment or the one to be matched to it; the payment is locked first."""
    payment_id = (await case(tx, site_id, case_id)).payment_id or proposal.payment_id
    found = await payment(tx, site_id, payment_id, lock=True) if payment_id else None
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
    before = {one.case_id for one in await other_cases(tx, its)}
    await execute(tx, its, found, proposal, at=at)
    await _close(tx, its, found, proposal, by, at)
    if found is None or its.payment_id is None:
        return
    others = await other_cases(tx, its)
    for one in others:
        if answers(proposal, its, one, found, is_new=one.case_id not in before):
            kind = staff.ApprovalKind.CASE
            await staff.withdraw_approval(tx, one.site_id, kind, one.case_id, at=at)
            await _close(tx, one, found, proposal, by, at, answered_by=its.case_id)
    if not await other_cases(tx, its):
        await _taken_off(tx, await payment(tx, found.site_id, found.payment_id), at)


async def _taken_off(tx: Transaction, now_is: Payment, at: datetime) -> None:
    """The last case about a payment is closed: a question that is open shows again.

    One of what is over, which nobody has answered for too long, ends with it. What is open still is looked at
    again: a note does not end it, and nothing stays held that nobody is asked or called about.
    """
    if now_is.is_questioned and now_is.ask_at is None and now_is.sub_status in FINAL:
        await tx.write(given_up(now_is))
        await remember(tx, now_is, {"attention": None, "is_questioned": False})
        return
    question = Attention.UNCONFIRMED if now_is.is_questioned else None
    await remember(tx, now_is, {"attention": question, **_looked_at_again(now_is, at)})


def _looked_at_again(now_is: Payment, at: datetime) -> dict[str, object]:
    """When something is due again of what is open and was given up.

    Of a question that is open the providers are asked anew, as long as the first time. Where none is, they
    have nothing to add; but people are called again while it is open.
    """
    if now_is.ask_at is not None or now_is.sub_status not in OPEN:
        return {}
    if now_is.is_questioned:
        return {"ask_at": at, "asked": 0, "changed_at": at}  # from then on its horizon counts
    return {"ask_at": at + ASK_HORIZON} if may_be_forgotten(now_is) else {}


async def _close(
    tx: Transaction,
    its: Case,
    found: Payment | None,
    proposal: Proposal,
    by: staff.Approval,
    at: datetime,
    *,
    answered_by: str = "",
) -> None:
    """Close a case by what was decided about it, or about another one that asked the same."""
    closed = {
        "state": CaseState.RESOLVED,
        "payment_id": found.payment_id if found else None,
        "resolution": proposal.resolution.value,
        "note": proposal.note,
        "attachment_hash": bytes.fromhex(proposal.attachment),
        "approval_id": by.approval_id,
        "resolved_at": at,
    }
    its_row = (payment_cases.c.site_id == its.site_id) & (payment_cases.c.case_id == its.case_id)
    await tx.execute(update(payment_cases).where(its_row).values(closed))
    if found is not None:
        await tell_resolved(tx, await case(tx, its.site_id, its.case_id), found, at=at)
    deciders = [vote.operator_id for vote in by.votes]
    detail = {**content_of(proposal), "proposed_by": by.maker, "decided_by": deciders}
    if answered_by:
        detail["with"] = answered_by
    actor = staff.operator_actor(deciders[-1])
    await staff.note(
        tx, its.site_id, actor=actor, deed="case.resolved", subject=its.case_id, detail=detail, at=at
    )


async def _standing(reader: Reader, found: Payment | None) -> dict[str, object]:
    """What people looked at: a payment that moved meanwhile is another one, or had a dispute that did."""
    if found is None:
        return {}
    known = await disputes_of(reader, found.site_id, found.payment_id)
    moved = {"disputes": {one.dispute_id: one.sequence for one in known}} if known else {}
    return {"sub_status": found.sub_status.value, "sequence": found.sequence, **moved}
