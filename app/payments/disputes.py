"""Disputes: a player's bank takes a deposit back, and gives it back when the dispute is won.

The provider takes the money from us when a dispute is opened. It is taken from the player's cash as far as it
is there and owed beyond that, or from the merchant in seamless mode; won, it comes back. A deposit of which
nothing is left by lost disputes is charged back. The caller holds the deposit's lock. People move a dispute
only where no money moves with it: what they answered the bank, and that they gave in.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import select, update

from app import providers, staff
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.case_tables import disputes
from app.payments.casebook import called_since
from app.payments.changes import Cause
from app.payments.crediting import charge_back, was_charged_back, win_back
from app.payments.dispute_queries import LOST, NO_BEGINNING, OVER, UNDECIDED, Dispute, dispute, dispute_of
from app.payments.dispute_telling import tell_dispute
from app.payments.given_back import settle_deposit
from app.payments.model import DISPUTE, Attention, Step
from app.payments.queries import Attempt, Payment, payment
from app.payments.states import DISPUTE_NEXT, DisputeState, Kind
from app.payments.steps import carry_out
from app.payments.tables import payment_numbers
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "DisputeNotMovable",
    "accept_dispute",
    "apply_dispute",
    "move_dispute",
]

D = DisputeState
# The bank has the money, should it not have been taken before.
_TAKING: Final = UNDECIDED | {D.LOST}
_HAVING: Final = UNDECIDED | LOST
# What people do about a dispute, or settle with the player; the rest is the bank's word.
_BY_HAND: Final = frozenset({D.PREVENTED, D.NEEDS_RESPONSE, D.SUBMITTED, D.ACCEPTED})
# Why a dispute that is known does not go on as it is told.
_OF_KNOWN: Final = frozenset({Attention.AMOUNT_DIFFERS, Attention.ILLEGAL_CHANGE})
_LONGEST_NOTE: Final = 1_000
_STAGES: Final = {stage: DisputeState(stage.value) for stage in providers.DisputeStage}


class _Next(NamedTuple):
    """How a dispute stands next; `posted`: what is taken by it then."""

    state: DisputeState
    amount: Money
    posted: Money
    reason: str
    due_at: datetime | None


class DisputeNotMovable(Refusal):
    """A dispute that is {state} cannot be made {target} by hand: {why}."""


async def apply_dispute(
    tx: Transaction, found: Payment, attempt: Attempt, told: providers.DisputeReport, *, at: datetime
) -> Dispute | None:
    """Let the provider's word about a dispute count, once.

    A stage that cannot follow or cannot be the first, a sum in another currency, above the deposit or other
    than what was taken, and a dispute of what is no deposit are cases for people, never silence. So is one of
    an attempt whose place another has taken: what was credited came by the other.

    Args:
        tx: where to write.
        found: the payment, locked.
        attempt: the one of its tries that the provider speaks of.
        told: what it says.
        at: this instant.

    Returns:
        the dispute as it is then; None where people must look first.
    """
    state, before = _STAGES[told.stage], await _known(tx, found, told.dispute_reference)
    if found.kind is Kind.DEPOSIT and found.present_attempt not in {None, attempt.attempt_id}:
        why: Attention | None = Attention.SECOND_PAYMENT
    elif found.kind is not Kind.DEPOSIT or not _fits(found, told.amount):
        why = Attention.AMOUNT_DIFFERS
    elif before is not None and before.payment_id != found.payment_id:
        why = Attention.REFERENCE_REUSED
    elif before is not None:
        why = _why_not_next(before, told, state)
    else:
        why = Attention.ILLEGAL_CHANGE if state in NO_BEGINNING else None
    if why is not None:
        await _call(tx, found, why, told, attempt, before, at)
        return before if _fits(found, told.amount) and why in _OF_KNOWN else None
    if before is not None:
        return await _followed(tx, found, before, told, state, at)
    posted = told.amount if state in _TAKING else Money(0, told.amount.currency)
    return await _opened(tx, found, told, state, at, posted=posted)


async def accept_dispute(
    tx: Transaction, found: Payment, told: providers.DisputeReport, *, at: datetime
) -> str:
    """Let a word about a dispute count that could not be booked as it came, as two people decided.

    Args:
        tx: where to write.
        found: the deposit, locked.
        told: the stage that the provider told, and the sum that the bank has by it in all, or has given back.
        at: this instant.

    Returns:
        why it cannot be, and then nothing may be committed; empty where it was done.
    """
    if found.kind is not Kind.DEPOSIT or not _fits(found, told.amount):
        return "so much was never credited by it"
    before, state = await _known(tx, found, told.dispute_reference), _STAGES[told.stage]
    if before is None:
        if state not in _HAVING:
            return "no dispute of this number is known by which anything was taken"
        await _opened(tx, found, told, state, at, posted=told.amount)
        return ""
    if before.payment_id != found.payment_id:
        return "it is a dispute of another deposit"
    follows = {before.state, D.WON, D.LOST, *DISPUTE_NEXT[before.state]}
    if state not in follows and (state not in _HAVING or before.posted.minor):
        return f"the dispute is {before.state.value}"
    posted = told.amount if state in _HAVING else before.posted
    if state is D.WON:
        posted = before.posted
        if before.state is D.WON and await was_charged_back(tx, found, _takings(before)):
            posted += before.amount  # it came back
        if posted < told.amount:
            return f"{posted} was taken by it"
        posted -= told.amount
    due_at = before.due_at if state in UNDECIDED else None
    await _moved(tx, found, before, _Next(state, told.amount, posted, told.reason, due_at), at)
    return ""


async def move_dispute(
    pipes: Pipes,
    site_id: int,
    dispute_id: str,
    operator: staff.Operator,
    state: DisputeState,
    *,
    note: str,
) -> Dispute:
    """Say what people did about a dispute: it waits for our answer, was answered, given in to, or settled.

    Args:
        pipes: the pipes.
        site_id: whose dispute it is.
        dispute_id: which.
        operator: whose deed it is.
        state: where it goes.
        note: for colleagues and auditors, 1 to 1,000 characters; it stands in the diary.

    Returns:
        the dispute as it is then.

    Raises:
        DisputeNotFound: no such dispute at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadReason: no note (422).
        DisputeNotMovable: it is the bank's word, or it does not follow; nothing is changed (409).
    """
    if not note.strip() or len(note) > _LONGEST_NOTE:
        raise staff.BadReason(field="note", rule=f"1 to {_LONGEST_NOTE} characters")
    staff.check_text("note", note)

    async def work(tx: Transaction) -> Dispute:
        at = pipes.clock.now()
        now_is = await staff.operator(tx, operator.operator_id)
        staff.require(now_is, staff.Right.CASE_RESOLVE, site_id)
        seen = await dispute(tx, site_id, dispute_id)
        found = await payment(tx, site_id, seen.payment_id, lock=True)
        before = await dispute(tx, site_id, dispute_id)  # as it is behind the lock
        _check_move(before.state, state)
        due_at = before.due_at if state is D.NEEDS_RESPONSE else None
        after_is = _Next(state, before.amount, _posted_after(before, state, before.amount), "", due_at)
        after = await _moved(tx, found, before, after_is, at)
        detail = {"from": before.state.value, "to": state.value, "note": note, "payment": found.payment_id}
        await staff.note(
            tx, site_id, actor=now_is.actor, deed="dispute.moved", subject=dispute_id, detail=detail, at=at
        )
        return after

    return await pipes.database.retried(work)


def _check_move(now_is: DisputeState, target: DisputeState) -> None:
    if target not in _BY_HAND:
        why = "that is the bank's word"
    elif target not in DISPUTE_NEXT[now_is]:
        why = "it does not follow"
    else:
        return
    raise DisputeNotMovable(state=now_is.value, target=target.value, why=why)


def _fits(found: Payment, amount: Money) -> bool:
    return amount.currency == found.amount.currency and 0 < amount.minor <= found.captured.minor


async def _known(tx: Transaction, found: Payment, reference: str) -> Dispute | None:
    row = await tx.first(
        disputes.select()
        .where(
            disputes.c.site_id == found.site_id,
            disputes.c.account == found.account,
            disputes.c.dispute_reference == reference,
        )
        .with_for_update(key_share=True)
    )
    return dispute_of(row) if row else None


async def _opened(
    tx: Transaction,
    found: Payment,
    told: providers.DisputeReport,
    state: DisputeState,
    at: datetime,
    *,
    posted: Money,
) -> Dispute:
    dispute_id = ids.new("dsp", at=at)
    await tx.execute(
        disputes.insert().values(
            site_id=found.site_id,
            dispute_id=dispute_id,
            number=select(payment_numbers.next_value()).scalar_subquery(),
            payment_id=found.payment_id,
            account=found.account,
            dispute_reference=told.dispute_reference,
            state=state,
            amount_minor=told.amount.minor,
            currency=told.amount.currency,
            posted_minor=posted.minor,
            reason=told.reason,
            due_at=told.due_at,
            opened_at=at,
            changed_at=at,
            closed_at=at if state in OVER else None,
        )
    )
    made = await dispute(tx, found.site_id, dispute_id)
    if posted.minor:
        await _take(tx, found, made, posted, at)
    await _count(tx, made, at)
    await tell_dispute(tx, found, None, made, at=at)
    return made


def _why_not_next(before: Dispute, told: providers.DisputeReport, state: DisputeState) -> Attention | None:
    """Why a known dispute cannot stand so; its sum may change while nothing is taken by it."""
    is_repeated, is_same_sum = state is before.state, told.amount == before.amount
    if not is_same_sum and (before.posted.minor or (is_repeated and state is not D.EARLY_WARNING)):
        return Attention.AMOUNT_DIFFERS
    # What has expired is opened where it was a warning that did.
    follows = state in DISPUTE_NEXT[before.state] and not (state is D.OPENED and before.posted.minor)
    return None if is_repeated or follows else Attention.ILLEGAL_CHANGE


async def _followed(
    tx: Transaction,
    found: Payment,
    before: Dispute,
    told: providers.DisputeReport,
    state: DisputeState,
    at: datetime,
) -> Dispute:
    """The next word about a known dispute; of one that is repeated only another date is new."""
    is_same_date = told.due_at in {None, before.due_at} or state in OVER
    if state is before.state and told.amount == before.amount and is_same_date:
        return before
    posted = _posted_after(before, state, told.amount)
    return await _moved(tx, found, before, _Next(state, told.amount, posted, told.reason, told.due_at), at)


async def _moved(tx: Transaction, found: Payment, before: Dispute, now_is: _Next, at: datetime) -> Dispute:
    its = (disputes.c.site_id == found.site_id) & (disputes.c.dispute_id == before.dispute_id)
    await tx.execute(
        update(disputes)
        .where(its)
        .values(
            state=now_is.state,
            amount_minor=now_is.amount.minor,
            posted_minor=now_is.posted.minor,
            reason=now_is.reason or before.reason,
            sequence=before.sequence + 1,
            due_at=now_is.due_at,
            changed_at=at,
            closed_at=at if now_is.state in OVER else None,
        )
    )
    after = await dispute(tx, found.site_id, before.dispute_id)
    if after.posted > before.posted:
        await _take(tx, found, after, after.posted - before.posted, at)
    elif after.posted < before.posted:
        key = f"{after.dispute_id}:back-{after.sequence}"
        await win_back(tx, found, key, before.posted - after.posted, at=at)
    await _count(tx, after, at)
    await tell_dispute(tx, found, before, after, at=at)
    return after


def _posted_after(before: Dispute, state: DisputeState, amount: Money) -> Money:
    """What is taken by a dispute once its provider says that it stands so.

    It is told with the sum that is known already where something is taken; of that a part may have come back.
    """
    if state is D.WON:
        return before.posted - min(before.posted, amount)
    if state in _TAKING and (before.posted.minor == 0 or before.state is D.WON):
        return before.posted + amount
    return before.posted


def _takings(its: Dispute) -> list[str]:
    """The ledger's keys of what may ever have been taken by a dispute."""
    return [f"{its.dispute_id}:taken-{number}" for number in range(1, its.sequence + 1)]


async def _take(tx: Transaction, found: Payment, its: Dispute, amount: Money, at: datetime) -> None:
    """The provider has taken it from us, and we from whoever had it; the dispute as it is then."""
    await charge_back(tx, found, _takings(its)[-1], amount, at=at)
    now_is = await payment(tx, found.site_id, found.payment_id)
    if now_is.remaining < amount:
        # What is refunded, or on its way there, was taken a second time: people look, the figures stay true.
        why = Cause(DISPUTE, its.state.value, amount=amount, provider_reference=its.dispute_reference)
        step = Step(attention=Attention.TAKEN_BACK)
        await carry_out(tx, now_is, step, replace(why, is_news=True), at=at)


async def _count(tx: Transaction, its: Dispute, at: datetime) -> None:
    """Let the deposit stand as it does with the dispute as it is now."""
    cause = Cause(DISPUTE, detail={"dispute": its.dispute_id})
    await settle_deposit(tx, its.site_id, its.payment_id, cause, at=at)


async def _call(
    tx: Transaction,
    found: Payment,
    why: Attention,
    told: providers.DisputeReport,
    attempt: Attempt,
    before: Dispute | None,
    at: datetime,
) -> None:
    """Call people about a word; what they noted before the dispute moved last is another matter."""
    number, stage, its = told.dispute_reference, told.stage.value, attempt.attempt_id
    is_news = before is not None and not await called_since(
        tx,
        found,
        why,
        before.changed_at,
        by=DISPUTE,
        provider_reference=number,
        word=(stage, told.amount),
    )
    cause = Cause(DISPUTE, stage, told.reason, told.amount, number, attempt_id=its, is_news=is_news)
    await carry_out(tx, found, Step(attention=why), cause, at=at)
