"""What a provider's word does to one leg of a payout, and so to the payout: decided, then carried out.

The caller holds the payment's lock. The leg, its money, the try, the payout's state, its event and what
others hear of it commit together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select, update

from app import providers
from app.kernel.money import Money
from app.payments.answers import answer_of
from app.payments.cascade import next_of_leg
from app.payments.changes import Cause
from app.payments.doubts import Word, kept_back
from app.payments.evidence import as_kept, as_ranked, as_read, decided_against, evidence_of, sum_of
from app.payments.leg_money import bring_back, hold_again, let_go, pay
from app.payments.legs import Leg, attempts_of, facts_of, legs_of, present_try
from app.payments.model import Attention, Facts, Source, Step
from app.payments.queries import Attempt, Payment
from app.payments.questions import question_about
from app.payments.recalls import again_at
from app.payments.rules import next_step, of_legs
from app.payments.schedules import conflict_question
from app.payments.states import LegState, SubStatus
from app.payments.steps import carry_on_soon, carry_out, legal
from app.payments.tables import attempts, legs
from app.plumbing.database import Transaction

__all__ = ["accept_leg", "apply_to_leg"]

_UNPAID = frozenset({LegState.DECLINED, LegState.PROVIDER_ERROR, LegState.UNDELIVERABLE})
_TOLD_AS_PAID = frozenset({SubStatus.COMPLETED, SubStatus.RETURNED})


@dataclass(frozen=True, slots=True)
class _Moved:
    """A leg's next state, and what goes with it."""

    state: LegState
    provider_reference: str | None
    is_released: bool
    hold_id: int | None
    account: str
    paid_at: datetime | None = None


async def apply_to_leg(
    tx: Transaction,
    found: Payment,
    attempt: Attempt,
    result: providers.Result,
    source: Source,
    *,
    at: datetime,
    asked_at: datetime | None = None,
) -> Step:
    """Let one piece of evidence about a try of a leg do what the table says.

    `asked_at` is when the provider was asked, of an answer to our question.

    Returns:
        The step taken. `ask_again`: the provider should be asked now; `send_again`: the same order should be
        sent once more. The row says when anyway, so that a caller who dies loses only time.
    """
    parts = await legs_of(tx, found)
    [leg] = [part for part in parts if part.leg == attempt.leg]
    tries = [one for one in await attempts_of(tx, found) if one.leg == leg.leg]
    evidence = as_ranked(evidence_of(result, source, at), found, asked_at)
    leg, facts = _as_of_try(found, leg, as_read(attempt, tries), tries, result, source)
    step = next_step(facts, evidence)
    if step.keeps_number:
        step = await _fenced(tx, found, leg, evidence.provider_reference, step)
    step, onward, changes, detail = await next_of_leg(tx, found, leg, facts, evidence, step, at=at)
    word = Word(attempt, tries, as_kept(result, facts, evidence), evidence)
    kept = await kept_back(tx, found, step, word, is_held=not leg.is_released, at=at)
    if kept is not None:
        return kept
    question = await question_about(tx, found, attempt.attempt_id, looks=source is Source.SETTLEMENT)
    moved, path = None, step.path
    if step.path:
        step, moved = await _moved(tx, found, parts, leg, step, evidence.provider_reference, at)
    # What really became of the leg: its money may have been gone, and the payout may stand there already.
    became = step if moved is None else replace(step, path=path)
    question, became = question.after(evidence, facts, became, before=word.before)
    step = replace(step, attention=became.attention, settles=became.settles)
    said = (found.site_id, attempt.attempt_id, word.result, source)
    answer = answer_of(*said, is_over=step.is_over, is_questioned=question.becomes, at=at)
    cause = Cause(
        source=source.name.lower(),
        reason_code=evidence.code,
        reason=evidence.message,
        amount=sum_of(evidence),
        provider_reference=evidence.provider_reference,
        changes=changes if moved is not None else {},
        detail=detail if moved is not None else {},
        beside=(*answer, *question.writes),
        is_questioned=question.of_payment,
        attempt_id=attempt.attempt_id,
    )
    if moved is None:
        await carry_out(tx, found, replace(step, path=()), cause, at=at)
        return step
    await _write(tx, found, parts, replace(moved, account=onward or leg.account), attempt, step, cause, at=at)
    if onward:
        await carry_on_soon(tx, found.site_id, found.payment_id)
    return step


def _as_of_try(
    found: Payment,
    leg: Leg,
    attempt: Attempt,
    tries: Sequence[Attempt],
    result: providers.Result,
    source: Source,
) -> tuple[Leg, Facts]:
    """A leg as evidence about one of its tries finds it, at that try's account, and what is known of it.

    A try is superseded while another one that has its place was paid or still may be. Who decides with a
    proof speaks of the leg: where they mean another try, the number that is known is not that one's.
    """
    is_present = present_try(leg, tries).attempt_id == attempt.attempt_id
    is_superseded = source is not Source.SETTLEMENT and leg.state not in _UNPAID and not is_present
    if source is Source.SETTLEMENT and not is_present:
        leg = replace(leg, provider_reference=None)
    # Also while it waits for the next account: what is said is about the account of this try.
    facts = facts_of(found, leg, is_superseded=is_superseded)
    against = decided_against(attempt, result, source)
    facts = replace(facts, came_back_short=attempt.came_back_short, against=against)
    return replace(leg, account=attempt.account), facts


async def accept_leg(
    tx: Transaction, found: Payment, attempt: Attempt, paid: Money, cause: Cause, *, at: datetime
) -> str:
    """Let a leg in conflict, or one that came back, end as paid with what really went, whatever was ordered.

    So too one that was given back, and of which only a part came back. Of one that is paid, and of which a
    part came back, the rest stays paid. People have decided it.

    Returns:
        why it cannot be, and then nothing may be committed; empty where it was done.
    """
    parts = await legs_of(tx, found)
    [leg] = [part for part in parts if part.leg == attempt.leg]
    if leg.state is LegState.COMPLETED:
        return await _accept_rest(tx, found, parts, leg, attempt, paid, cause, at=at)
    is_short = as_read(attempt, await attempts_of(tx, found)).came_back_short
    is_gone = leg.is_released and is_short
    if leg.state not in {LegState.CONFLICTED, LegState.RETURNED} and not is_gone:
        return f"it is {leg.state.value}, and only what is in conflict or came back can be"
    # It may be another try than the present one that was paid: its account has the books, and its number.
    leg = replace(leg, account=attempt.account)
    # What came back was told as paid before, and what was given back as not.
    step = Step((SubStatus.COMPLETED,), paid=paid, is_late=leg.state is not LegState.CONFLICTED)
    step = await _fenced(tx, found, leg, cause.provider_reference, step)
    if step.paid is None:
        return "the provider's number is another payment's"
    step, moved = await _moved(tx, found, parts, leg, step, cause.provider_reference, at)
    if moved is None or step.paid is None:
        return "the ledger refuses it"
    await _write(tx, found, parts, moved, attempt, step, cause, at=at)
    return ""


async def _accept_rest(
    tx: Transaction,
    found: Payment,
    parts: Sequence[Leg],
    leg: Leg,
    attempt: Attempt,
    rest: Money,
    cause: Cause,
    *,
    at: datetime,
) -> str:
    """Bring back what is no rest of a leg that is paid; returns why it cannot be, or an empty string."""
    tries = [one for one in await attempts_of(tx, found) if one.leg == leg.leg]
    if attempt.attempt_id != present_try(leg, tries).attempt_id:
        return "it was paid by another attempt"
    if not as_read(attempt, tries).came_back_short:
        return "it is completed, and nobody has told that a part of it came back"
    if rest >= leg.captured:
        return f"{leg.captured} of it went: say how much less stays there"
    came_back = leg.captured - rest
    await bring_back(tx, found, leg, came_back, at)
    still = _Moved(leg.state, leg.provider_reference, leg.is_released, leg.hold_id, leg.account)
    await _write(tx, found, parts, still, attempt, Step(came_back=came_back), cause, at=at)
    return ""


async def _fenced(tx: Transaction, found: Payment, leg: Leg, reference: str | None, step: Step) -> Step:
    """The step, unless the provider's number is another leg's through the same account."""
    if reference is None:
        return step
    taken = await tx.first(
        select(legs.c.leg).where(
            legs.c.site_id == found.site_id,
            legs.c.account == leg.account,
            legs.c.provider_reference == reference,
            (legs.c.payment_id != found.payment_id) | (legs.c.leg != leg.leg),
        )
    )
    reused = Step((SubStatus.CONFLICTED,), attention=Attention.REFERENCE_REUSED)
    return step if taken is None else reused


async def _moved(
    tx: Transaction,
    found: Payment,
    parts: Sequence[Leg],
    leg: Leg,
    step: Step,
    reference: str | None,
    at: datetime,
) -> tuple[Step, _Moved | None]:
    """The leg's next state with its money moved, and the payout's way; or why neither can be."""
    state = _state_of(step)
    on = _of_payout(found, parts, leg, state)
    if legal(found, replace(step, path=on)).path != on:
        return Step(attention=Attention.ILLEGAL_CHANGE), None
    own = leg.provider_reference
    moved = _Moved(state, own, leg.is_released, leg.hold_id, leg.account)
    if step.paid is not None:
        is_paid = await pay(tx, found, leg, step.paid, at)
        if not is_paid and leg.state is LegState.RETURNED:
            return Step(attention=Attention.NOT_POSTED), None  # it stays the player's, for people
        if not is_paid:
            conflict = Step((SubStatus.CONFLICTED,), attention=Attention.NOT_POSTED)
            on = _of_payout(found, parts, leg, LegState.CONFLICTED)
            return replace(conflict, path=on), replace(moved, state=LegState.CONFLICTED)
        moved = replace(moved, provider_reference=reference, paid_at=at)
    elif step.came_back is not None:
        await bring_back(tx, found, leg, step.came_back, at)
    elif state is LegState.CONFLICTED and step.attention is not Attention.REFERENCE_REUSED:
        moved = replace(moved, provider_reference=reference)
    elif state in {LegState.DECLINED, LegState.UNDELIVERABLE}:
        await let_go(tx, found, leg, at)
        moved = replace(moved, is_released=True, provider_reference=None)  # nothing was paid under it
    elif state is LegState.UNKNOWN and leg.is_released:
        hold_id = await hold_again(tx, found, leg, at)
        if hold_id is None:
            return Step(attention=Attention.REVIVED), None
        moved = replace(moved, is_released=False, hold_id=hold_id or None)
    return replace(step, path=on), moved


def _state_of(step: Step) -> LegState:
    target = step.path[-1]
    return LegState.PLANNED if target is SubStatus.ALLOCATED else LegState(target.value)


def _of_payout(found: Payment, parts: Sequence[Leg], leg: Leg, state: LegState) -> tuple[SubStatus, ...]:
    """Where the payout goes when the leg goes there; nowhere when it stands there already.

    One that was told as paid stays so while the two stories of a part of it that failed are looked into; what
    becomes of its other parts is measured by itself.
    """
    states = [state if part.leg == leg.leg else _now(part) for part in parts]
    if found.sub_status in _TOLD_AS_PAID:
        states = [one for one in states if one is not LegState.CONFLICTED] or states
    target = of_legs(states)
    return () if target is found.sub_status else (target,)


def _now(part: Leg) -> LegState:
    """A leg that was given back before anything was sent is over."""
    is_over = part.is_released and part.state is LegState.PLANNED
    return LegState.DECLINED if is_over else part.state


async def _write(
    tx: Transaction,
    found: Payment,
    parts: Sequence[Leg],
    moved: _Moved,
    attempt: Attempt,
    step: Step,
    cause: Cause,
    *,
    at: datetime,
) -> None:
    values: dict[str, object] = {
        "state": moved.state,
        "provider_reference": moved.provider_reference,
        "is_released": moved.is_released,
        "hold_id": moved.hold_id,
        "account": moved.account,
        "present_attempt": attempt.attempt_id,
    }
    if step.paid is not None:
        values |= {"paid_at": moved.paid_at, "captured_minor": step.paid.minor}
    elif step.came_back is not None and moved.state is LegState.COMPLETED:  # a part of it did
        values["captured_minor"] = legs.c.captured_minor - step.came_back.minor
    its = (legs.c.site_id == found.site_id) & (legs.c.payment_id == found.payment_id)
    await tx.execute(update(legs).where(its, legs.c.leg == attempt.leg).values(values))
    if moved.state is LegState.UNKNOWN:
        # It is not over, or not after all, whatever was read before the lock was taken; as long as it is
        # not, no other try of this leg can begin.
        mine = (attempts.c.site_id == found.site_id) & (attempts.c.attempt_id == attempt.attempt_id)
        await tx.execute(update(attempts).where(mine).values(is_over=False))
    if len(parts) > 1 or not step.path:
        of_leg = {"leg": attempt.leg, "leg_state": moved.state.value}
        cause = replace(cause, detail={**cause.detail, **of_leg})
    changes: dict[str, object] = dict(cause.changes)
    if (step.path[-1] if step.path else found.sub_status) is SubStatus.CONFLICTED:
        states = [moved.state if part.leg == attempt.leg else part.state for part in parts]
        due_at = conflict_question(states, found.asked, found.ask_at, at)
        if due_at is None and step.attention in {None, Attention.UNCONFIRMED}:  # by this no case is opened
            due_at = await again_at(tx, found, at)
        changes = {"ask_at": due_at} | changes
    if step.paid is not None:
        [before] = [part.came_back for part in parts if part.leg == attempt.leg]  # and did not, after all
        changes["captured_minor"] = (found.captured - before + step.paid).minor
        if before.minor:
            changes["refunded_minor"] = (found.refunded - before).minor
    if step.came_back is not None:
        changes["refunded_minor"] = (found.refunded + step.came_back).minor
    await carry_out(tx, found, step, replace(cause, changes=changes), at=at)
