"""What people can decide about a case, and how each decision is carried out once two have made it.

What two people decide with a proof ranks with a settlement file (payments.md section 1.4) and goes through
the same table as the provider's word. What cannot be done as proposed is refused, and nothing is changed.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never

from sqlalchemy import update

from app import providers
from app.payments.asking import apply
from app.payments.cascade import at_its_account, at_try, columns_of_try
from app.payments.casebook import Case, open_about_notice
from app.payments.changes import Cause
from app.payments.disputes import accept_dispute, apply_dispute
from app.payments.fences import reference_is_taken, taken
from app.payments.leg_steps import accept_leg
from app.payments.legs import attempts_of, legs_of, present_try_of
from app.payments.meant import (
    Meant,
    ResolutionImpossible,
    by_our_reference,
    check_number,
    check_rest,
    doubted_try,
    impossible,
    meant_try,
    other_of_case,
    present_of,
)
from app.payments.model import BY_PEOPLE, DISPUTE, Attention, CaseKind, Decided, Source, Step
from app.payments.proposals import Proposal, Resolution
from app.payments.queries import Attempt, Payment, payment, taken_again
from app.payments.questions import question_about
from app.payments.refund_steps import accept_refund
from app.payments.schedules import ASK_HORIZON
from app.payments.states import Kind, LegState, Status, SubStatus, checked_path
from app.payments.steps import carry_on_soon, carry_out, remember
from app.payments.tables import attempts
from app.plumbing.database import Transaction

__all__ = ["ResolutionImpossible", "answers", "execute"]

# Whether it was paid in the end: of these cases all ask it, and of these decisions each answers it.
_WAS_IT_PAID: Final = frozenset(
    {CaseKind.TAKEN_BACK, CaseKind.DENIED_AFTER_SUCCESS, CaseKind.REVIVED, CaseKind.PAID_AFTER_RELEASE}
)
# Of which the provider's word could not be booked.
_WORD_OF_DISPUTE: Final = frozenset({CaseKind.AMOUNT_DIFFERS, CaseKind.ILLEGAL_CHANGE})
_PEOPLE: Final = providers.ProviderError(BY_PEOPLE, "decided by two people with proof")
_IT_WAS_OR_NOT: Final = frozenset({Resolution.PAID, Resolution.NOT_PAID, Resolution.ACCEPTED})


def answers(proposal: Proposal, its: Case, other: Case, found: Payment, *, is_new: bool) -> bool:
    """Whether what was decided about a case answers another one of the same payment as well.

    Args:
        proposal: what was decided.
        its: the case that it was decided about.
        other: the other one.
        found: the payment before it.
        is_new: what was carried out has opened it. The provider's word calls people for what it does to the
            player; here they have just said so themselves.
    """
    is_of_payment = DISPUTE not in {its.theirs.get("source"), other.theirs.get("source")}
    if proposal.resolution not in _IT_WAS_OR_NOT or other.kind not in _WAS_IT_PAID or not is_of_payment:
        return False
    if is_new:
        return True
    if its.attempt_id is not None and its.attempt_id == other.attempt_id:
        return other.about in {"", its.about, proposal.provider_reference}
    if found.kind is not Kind.DEPOSIT or found.present_attempt is not None:
        # It may have several parts or tries, and what has no number may be about another one's.
        return bool(other.about) and other.about in {its.about, proposal.provider_reference}
    return other.about in {"", its.about, proposal.provider_reference, found.provider_reference}


async def execute(
    tx: Transaction, its: Case, found: Payment | None, proposal: Proposal, *, at: datetime
) -> None:
    """Do what was decided; the payment, which is the matched one for MATCHED, and the case are locked.

    Raises:
        ResolutionImpossible: it cannot be done (409).
        IllegalTransition: it leads out of the table of transitions (409).
    """
    if proposal.resolution is Resolution.NOTED:
        return
    if found is None:
        raise impossible(proposal, "it is about no payment")
    its, named = await by_our_reference(tx, its, found, proposal)
    match proposal.resolution:
        case Resolution.PAID | Resolution.NOT_PAID:
            await _said(tx, its, found, named, at)
        case Resolution.ACCEPTED:
            await _accepted(tx, its, found, named, at)
        case Resolution.MONEY_RETURNED:
            await _returned(tx, its, found, named, at)
        case Resolution.MATCHED:
            await _matched(tx, its, found, named, at)
        case _:
            assert_never(proposal.resolution)
    now_is = await payment(tx, found.site_id, found.payment_id)
    _check_credited(now_is, proposal)
    if now_is.status is Status.PROCESSING or (now_is.kind is Kind.DEPOSIT and now_is.is_questioned):
        # The rest of it may have waited for this, or another try's page is open still; the provider's
        # schedule knows nothing of that.
        await carry_on_soon(tx, found.site_id, found.payment_id)


def _check_credited(now_is: Payment, proposal: Proposal) -> None:
    """What the ledger has refused is not resolved by saying so."""
    is_credit = proposal.resolution in {Resolution.PAID, Resolution.ACCEPTED} and now_is.kind is Kind.DEPOSIT
    if is_credit and not now_is.captured.minor:
        raise impossible(proposal, "the account to be credited does not take it: see its limits")


async def _said(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """As if the settlement file had said it."""
    is_paid = proposal.resolution is Resolution.PAID
    meant = await meant_try(tx, its, found, proposal)
    result = providers.Result(
        providers.State.SUCCEEDED if is_paid else providers.State.FAILED,
        # Where nobody names one it is the number that the case is about: another payment may have it.
        proposal.provider_reference or meant.number or (its.about if is_paid else "") or None,
        meant.ordered if is_paid else None,
        error=None if is_paid else _PEOPLE,
        raw={"attachment_sha256": proposal.attachment},
    )
    doubted = None if is_paid else await doubted_try(tx, its, found, proposal, meant)
    if doubted is not None:
        await _not_paid(tx, found, doubted, proposal, at)
        return
    if is_paid:
        check_number(proposal, meant.number)
        await _check_ordered(tx, found, meant.attempt, proposal)
    if meant.is_other and found.kind is Kind.DEPOSIT:
        found = replace(at_try(found, meant.attempt), provider_reference=None)  # that is the other try's
    await _counted(tx, found, meant.attempt, result, proposal, at)


async def _not_paid(
    tx: Transaction, found: Payment, attempt: Attempt, proposal: Proposal, at: datetime
) -> None:
    """Nothing moves: what somebody has said of a try, for which others wait, counts no more.

    Where nobody is asked any more, what is under way besides it is asked about anew: its no may count now.
    """
    await _decide(tx, found, attempt.attempt_id, Decided.NOT_PAID)
    question = (await question_about(tx, found, attempt.attempt_id, looks=True)).decided(is_paid=False)
    # Once it is as old, a turn that it has is one for people alone.
    is_given_up = found.ask_at is None or at - (found.sent_at or found.created_at) > ASK_HORIZON
    if is_given_up and found.status is Status.PROCESSING:
        question = question.and_the_others()
        found = await remember(tx, found, {"ask_at": at, "asked": 0, "changed_at": at})
    cause = replace(_cause(proposal), is_questioned=question.of_payment, beside=question.writes, detail={})
    await carry_out(tx, found, Step(settles=True), cause, at=at)


async def _counted(
    tx: Transaction,
    found: Payment,
    attempt: Attempt,
    result: providers.Result,
    proposal: Proposal,
    at: datetime,
) -> None:
    if why := await _why_nothing(tx, found, attempt, result, at):
        raise impossible(proposal, why)


async def _why_nothing(
    tx: Transaction, found: Payment, attempt: Attempt, result: providers.Result, at: datetime
) -> str:
    """Let a word count; returns why it changes nothing, or an empty string."""
    step = await apply(tx, found, attempt, result, Source.SETTLEMENT, at=at)
    has_answered = attempt.is_questioned and step.settles
    if has_answered or step.path or step.credit or step.paid or step.came_back or step.is_over:
        return ""
    is_kept = step.attention is Attention.UNCONFIRMED
    why = "another attempt may be paid: decide about that one first" if is_kept else "nothing would change"
    return f"it is {found.sub_status.value}, and {why}"


async def _accepted(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """What really moved counts."""
    assert proposal.amount is not None
    if proposal.amount.currency != found.amount.currency:
        raise impossible(proposal, "it is counted in its own currency")
    if its.theirs.get("source") == DISPUTE:
        await _accepted_dispute(tx, its, found, proposal, at)
    elif found.kind is Kind.DEPOSIT:
        await _accepted_in(tx, its, found, proposal, at)
    else:
        await _accepted_out(tx, its, found, proposal, at)


async def _accepted_in(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """A deposit is credited with what really came, once."""
    assert proposal.amount is not None
    if not await attempts_of(tx, found):
        raise impossible(proposal, "nothing was sent")
    reference = proposal.provider_reference or its.about or found.provider_reference
    if its.kind is CaseKind.SECOND_PAYMENT and found.sub_status is not SubStatus.CONFLICTED:
        meant: Meant | None = await meant_try(tx, its, found, proposal)
    else:
        meant = await other_of_case(tx, its, found, proposal)
    if meant is not None and meant.is_other:
        found = at_try(found, meant.attempt)
        reference = proposal.provider_reference or meant.number or its.about
    found = await at_its_account(tx, found, reference)
    others = await taken(tx, found, reference)
    if others.reference or others.order:
        raise impossible(proposal, "another payment was credited for it")
    is_late = found.sub_status is SubStatus.REVERSED  # it was completed before, and told so
    step = Step((SubStatus.CREDITING, SubStatus.COMPLETED), credit=proposal.amount, is_late=is_late)
    await _walk(tx, found, step, replace(proposal, provider_reference=reference or ""), at)


async def _accepted_dispute(
    tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime
) -> None:
    """What the provider said of a dispute counts, with the sum that its bank really took or gave back."""
    assert proposal.amount is not None
    if its.kind not in _WORD_OF_DISPUTE:
        raise impossible(proposal, "what it is about was booked: note it")
    if its.attempt_id is not None and found.present_attempt not in {None, its.attempt_id}:
        raise impossible(proposal, "it is about another attempt than the one that was credited")
    stage, reason = providers.DisputeStage(its.theirs["code"]), str(its.theirs["text"])
    told = providers.DisputeReport(its.about, stage, proposal.amount, reason, None)
    if why := await accept_dispute(tx, found, told, at=at):
        raise impossible(proposal, why)


async def _returned(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """What came for a deposit by one of its tries went back to its payer, and nothing was credited.

    That try and its number count from then on: what comes by another, or under another, is another payment.
    """
    if found.kind is not Kind.DEPOSIT or found.captured.minor:
        # What was credited goes back by a refund, which takes it from the player.
        raise impossible(proposal, "it is about no deposit, or one that was credited: refund that")
    meant = await meant_try(tx, its, found, proposal)
    told = its.about if its.attempt_id == meant.attempt.attempt_id else ""
    number = proposal.provider_reference or told or meant.number or meant.attempt.provider_reference
    if not meant.is_other:
        check_number(proposal, meant.number, number or "")
    found = at_try(found, meant.attempt)
    if await reference_is_taken(tx, found, number):
        raise impossible(proposal, "another payment has this number of the provider")
    # What its provider says again of this sum is no news, and of any other it is.
    went = replace(proposal, provider_reference=number or "", amount=its.exposure)
    await _walk(tx, found, Step((SubStatus.REFUNDED,)), went, at)


async def _accepted_out(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """Of a withdrawal or refund in conflict, or a withdrawal that came back, counts what really went."""
    assert proposal.amount is not None
    meant = await meant_try(tx, its, found, proposal)
    check_number(proposal, meant.number)
    await check_rest(tx, found, proposal, meant)
    attempt, number = meant.attempt, proposal.provider_reference or meant.number or its.about
    cause = await _ending(tx, found, attempt.attempt_id, _cause(replace(proposal, provider_reference=number)))
    await _decide(tx, found, attempt.attempt_id, Decided.PAID)
    if found.kind is Kind.PAYOUT:
        why = await accept_leg(tx, found, attempt, proposal.amount, cause, at=at)
    else:
        why = await accept_refund(tx, found, attempt, proposal.amount, cause, at=at)
    if why:
        raise impossible(proposal, why)


async def _check_ordered(tx: Transaction, found: Payment, attempt: Attempt, proposal: Proposal) -> None:
    """What moved with another sum, and then back, does not move again as it was ordered."""
    if found.sub_status is SubStatus.REVERSED:
        taken = await taken_again(tx, found)
        if taken != found.amount:
            why = f"{taken} was credited and taken again: say accepted, and what really came"
            raise impossible(proposal, why)
    for part in await legs_of(tx, found):
        came_back = part.leg == attempt.leg and part.state is LegState.RETURNED
        if came_back and part.captured != part.amount:
            why = f"{part.captured} was paid and came back: say accepted, and what really went"
            raise impossible(proposal, why)


async def _walk(tx: Transaction, found: Payment, step: Step, proposal: Proposal, at: datetime) -> None:
    """Carry a step of a deposit out, at the try that it stands at from now on.

    One that leads out of the table is refused, and nothing is changed.
    """
    checked_path(found.kind, found.sub_status, step.path)
    number = proposal.provider_reference or found.provider_reference
    changes = {**columns_of_try(found), "provider_reference": number}
    cause = replace(_cause(proposal), changes=changes)
    tries = await attempts_of(tx, found)
    if tries:
        # Whichever end it is, the page of another try may be open still, and is asked about.
        its_try = present_try_of(found, tries).attempt_id
        cause = await _ending(tx, found, its_try, cause)
        if step.credit is not None:
            await _decide(tx, found, its_try, Decided.PAID)
    await carry_out(tx, found, step, cause, at=at)


async def _ending(tx: Transaction, found: Payment, attempt_id: str, cause: Cause) -> Cause:
    """The cause of what people have let count of a try, with the question about it ended."""
    question = (await question_about(tx, found, attempt_id, looks=True)).decided(is_paid=True)
    return replace(cause, is_questioned=question.of_payment, beside=question.writes)


async def _decide(tx: Transaction, found: Payment, attempt_id: str, decided: Decided) -> None:
    """Keep beside a try what two people say became of it: its provider's own word stays what it was."""
    values = {"decided": decided} | ({"said_paid": False} if decided is Decided.NOT_PAID else {})
    of_try = (attempts.c.site_id == found.site_id) & (attempts.c.attempt_id == attempt_id)
    await tx.execute(update(attempts).where(of_try).values(values))


def _cause(proposal: Proposal) -> Cause:
    return Cause(
        "people",
        reason=proposal.resolution.value,
        amount=proposal.amount,
        provider_reference=proposal.provider_reference or None,
        detail={"attachment_sha256": proposal.attachment},
    )


async def _matched(tx: Transaction, its: Case, found: Payment, proposal: Proposal, at: datetime) -> None:
    """What a notice of nobody says counts for this payment, with the rank of those who matched it."""
    notice = None
    if its.notice_id is not None:
        notice = await providers.stored_notice(tx, its.site_id, its.notice_id, lock=True)
    if notice is None:
        raise impossible(proposal, "it is about no notice")
    account = await providers.account(tx, its.site_id, notice.account)
    reports = providers.reports_of(account, notice)
    told = [one for one in reports if one.reference[:64] == its.about]  # as long as a case has it
    if not told:
        raise impossible(proposal, f"the notice says nothing of {its.about}")
    in_vain = [await _matched_fact(tx, its, found, proposal, report, notice.account, at) for report in told]
    if all(in_vain):
        raise impossible(proposal, in_vain[0])
    if not await open_about_notice(tx, its):
        why = f"matched to {found.payment_id}"
        is_read = providers.NoticeState.READ
        await providers.close_notice(
            tx, its.site_id, notice.notice_id, is_read, at=at, reason=why, was=notice.state
        )


async def _matched_fact(
    tx: Transaction,
    its: Case,
    found: Payment,
    proposal: Proposal,
    report: providers.Report,
    account: str,
    at: datetime,
) -> str:
    """Let one fact of a notice count; returns why it changes nothing, or an empty string."""
    found = await payment(tx, found.site_id, found.payment_id)
    attempt = await _attempt_at(tx, its, found, proposal, account, report.result)
    if report.dispute is None:
        its_try = found if found.kind is not Kind.DEPOSIT else at_try(found, attempt)
        return await _why_nothing(tx, its_try, attempt, report.result, at)
    dispute = await apply_dispute(tx, found, attempt, report.dispute, at=at)
    if dispute is None or dispute.state.value != report.dispute.stage.value:
        raise impossible(proposal, "the dispute does not fit this payment")
    return ""


async def _attempt_at(
    tx: Transaction, its: Case, found: Payment, proposal: Proposal, account: str, said: providers.Result
) -> Attempt:
    """The try that a notice which came through this account is about: the present one, if it went by it.

    Unless the number in it is another's there: its no ends nothing of the present one. Of a deposit that has
    failed any of its tries may have been paid after all. As long as the present one may still be paid,
    another's word decides nothing about the deposit.
    """
    now = await present_of(tx, its, found, proposal)
    present, number = now.attempt, said.provider_reference
    there = [one for one in await attempts_of(tx, found) if one.account == account]
    numbered = [
        one for one in there if one.leg == present.leg and number and one.provider_reference == number
    ]
    is_others = bool(numbered) and number not in {now.number, present.provider_reference}
    if present.account == account and is_others and found.kind is not Kind.DEPOSIT:
        if said.state is providers.State.SUCCEEDED:
            return numbered[-1]
        raise impossible(proposal, f"{number} is the number of another attempt: say what became of that one")
    if present.account == account:
        return present
    if not there or found.kind is not Kind.DEPOSIT or found.status is not Status.FAILED:
        raise impossible(proposal, f"the notice came through {account}, it went by {present.account}")
    return there[-1]
