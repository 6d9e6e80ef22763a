"""What evidence does to a payment. Pure.

Sources: payments.md sections 1.4 (who may overrule whom), 1.5 (the table, in `matrix`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from app.payments.matrix import Arrival, Effect, judge
from app.payments.model import Attention, Decided, Evidence, Facts, Source, Step, Verdict
from app.payments.states import Kind, LegState, SubStatus

__all__ = [
    "in_conflict",
    "is_all_back",
    "next_step",
    "of_legs",
    "rank_of_answer",
    "why_last",
]

S = SubStatus
PATIENCE_SECONDS: Final = 120  # so long "not found" may only mean "not stored yet" (trust.md, scenario 43)
_KNOWN_AT_PROVIDER: Final = frozenset({S.SUBMITTED, S.AWAITING_PLAYER, S.PROVIDER_PENDING})
_AT_PROVIDER: Final = _KNOWN_AT_PROVIDER | {S.UNKNOWN}


_ARRIVALS: Mapping[Verdict, Arrival] = {
    Verdict.DECLINED: Arrival.DECLINED,
    Verdict.CANCELLED: Arrival.CANCELLED,
    Verdict.TAKEN_BACK: Arrival.TAKEN_BACK,
    Verdict.PENDING: Arrival.PENDING,
    Verdict.NEEDS_PLAYER: Arrival.NEEDS_PLAYER,
    Verdict.UNKNOWN: Arrival.UNKNOWN,
    Verdict.NOT_SENT: Arrival.NOT_SENT,
}
assert _ARRIVALS.keys() == set(Verdict) - {Verdict.PAID, Verdict.NOT_FOUND}


def next_step(facts: Facts, evidence: Evidence) -> Step:
    """What one piece of evidence does to a payment; one table for every kind and every way it can arrive.

    Args:
        facts: the payment, or the payout's leg, as it stands, read under the payment's lock.
        evidence: what the provider said.
    """
    if facts.against is not None:
        return _OUTRANKED[facts.against]
    effect = judge(facts, _arrival(facts, evidence), evidence.source)
    if not is_all_back(facts, evidence):
        instead = _MAY_BE_REST if evidence.amount == facts.expected else _NOT_ALL_BACK
        effect = instead.get(effect, effect)
    return _STEPS[effect](facts, evidence)


def is_all_back(facts: Facts, evidence: Evidence) -> bool:
    """Whether nothing is missing of what went out and came back, by a word that tells how much did.

    Where no sum is told it is all, unless another word has told of a part. Of what people let count after
    that, the rest may be the very sum that is told once more.
    """
    if evidence.verdict is not Verdict.TAKEN_BACK or facts.kind is Kind.DEPOSIT:
        return True
    is_rest = facts.captured not in {None, facts.amount}
    if facts.came_back_short and (evidence.amount is None or is_rest):
        return False
    return evidence.amount in {None, facts.expected}


def why_last(facts: Facts, evidence: Evidence) -> str:
    """Why no attempt at another account follows one that failed upon this, in words for operators.

    Empty where one may (payments.md section 1.6, rule 4): after a definite decline that is about the provider
    and not about the player, the card or the destination, or where no byte of the order left us. Never for an
    order that is or was unknown or in conflict, also where a decline has ended that: this provider's first
    word was not its last. A "not found" or a question without an answer that leaves the order where it was
    is no such doubt.
    """
    if facts.kind is Kind.REFUND:
        return "a refund goes back by the account that took the deposit"
    if evidence.verdict is Verdict.NOT_SENT:
        return "" if facts.sub_status is S.SUBMITTED else "something was heard of it all the same"
    if evidence.verdict is not Verdict.DECLINED:
        return "it ended without a decline"
    if evidence.undeliverable:
        return "the destination cannot receive"
    if not evidence.retryable:
        return "the decline is final"
    if facts.sub_status not in _KNOWN_AT_PROVIDER:
        return "it was in conflict" if facts.sub_status is S.CONFLICTED else "for a while nobody knew of it"
    if facts.expires_at is not None and evidence.at >= facts.expires_at:
        return "the player's time is over"
    return ""


def in_conflict(now: SubStatus, why: Attention) -> Step:
    """People must look, and until then it is conflicted; where it is, or was reversed, nothing moves."""
    return Step(() if now in {S.CONFLICTED, S.REVERSED} else (S.CONFLICTED,), attention=why)


def _arrival(facts: Facts, evidence: Evidence) -> Arrival:
    if evidence.verdict is Verdict.PAID:
        # What went back had its number, or none: under any other it is another payment.
        unknown = set() if facts.went_back else {None}
        if facts.provider_reference not in {evidence.provider_reference, *unknown}:
            return Arrival.PAID_AGAIN
        return Arrival.PAID if evidence.amount == facts.expected else Arrival.PAID_OTHERWISE
    if evidence.verdict is Verdict.NOT_FOUND:
        waited = (evidence.at - facts.sent_at).total_seconds() if facts.sent_at is not None else 0
        return Arrival.NOT_FOUND if waited >= PATIENCE_SECONDS else Arrival.NOT_FOUND_YET
    return _ARRIVALS[evidence.verdict]


def _paid(facts: Facts, *, is_late: bool = False, attention: Attention | None = None) -> Step:
    if facts.kind is Kind.DEPOSIT:
        path = (S.CREDITING, S.COMPLETED)
        return Step(path, credit=facts.amount, is_late=is_late, attention=attention)
    # Of what failed after another sum of it was accepted, that sum is paid again, if it is.
    return Step((S.COMPLETED,), paid=facts.expected, is_late=is_late, attention=attention)


def _paid_late(facts: Facts, _: Evidence) -> Step:
    """A deposit's late success is welcome; what went out took what the player has again."""
    return _paid(
        facts, is_late=True, attention=None if facts.kind is Kind.DEPOSIT else Attention.PAID_AFTER_RELEASE
    )


def _reversed(facts: Facts, _: Evidence) -> Step:
    """What was credited was not paid: all of it is taken again, and people are called."""
    return Step((S.REVERSED,), taken=facts.expected, attention=Attention.DENIED_AFTER_SUCCESS)


def _ended(facts: Facts, evidence: Evidence) -> Step:
    """The order is withdrawn: by the player, or by us at the end of the player's time."""
    is_awaited = facts.sub_status is S.AWAITING_PLAYER
    is_ours = is_awaited and facts.expires_at is not None and evidence.at >= facts.expires_at
    return Step((S.EXPIRED if is_ours else S.BY_PLAYER,))


def _nothing_left(facts: Facts, _: Evidence) -> Step:
    """Nothing of it reached the provider: a deposit is over, what goes out waits in the queue again."""
    if facts.kind is Kind.DEPOSIT:
        return Step((S.PROVIDER_ERROR,))
    return Step((S.ALLOCATED if facts.kind is Kind.PAYOUT else S.APPROVED,), is_over=True)


def _failed(facts: Facts, evidence: Evidence) -> Step:
    """The provider's no; of a payout it may be one to the destination."""
    nowhere = evidence.undeliverable and facts.kind is Kind.PAYOUT
    return Step((S.UNDELIVERABLE if nowhere else S.DECLINED,), is_over=True)


def _sent_again(facts: Facts, _: Evidence) -> Step:
    """From now on it is one of which nobody can say that it never left."""
    return Step((S.UNKNOWN,) if facts.sub_status is S.SUBMITTED else (), send_again=True)


def _moved(target: SubStatus, *, ask_again: bool = False) -> Callable[[Facts, Evidence], Step]:
    def moved(facts: Facts, _: Evidence) -> Step:
        return Step(() if facts.sub_status is target else (target,), ask_again=ask_again)

    return moved


def _always(step: Step) -> Callable[[Facts, Evidence], Step]:
    return lambda _facts, _evidence: step


_STEPS: Mapping[Effect, Callable[[Facts, Evidence], Step]] = {
    Effect.STAY: _always(Step()),
    Effect.SETTLE: _always(Step(settles=True)),
    Effect.ASK: _always(Step(ask_again=True)),
    Effect.PEND: _moved(S.PROVIDER_PENDING),
    Effect.PEND_AND_ASK: _moved(S.PROVIDER_PENDING, ask_again=True),
    Effect.AWAIT_PLAYER: _moved(S.AWAITING_PLAYER),
    Effect.DOUBT: _moved(S.UNKNOWN),
    Effect.PAY: lambda facts, _: _paid(facts),
    Effect.PAY_LATE: _paid_late,
    Effect.PAY_UNAPPROVED: lambda facts, _: _paid(facts, is_late=True, attention=Attention.PAID_UNAPPROVED),
    Effect.MONEY_WENT_BACK: _always(Step((S.REFUNDED,))),
    Effect.REVERSE: _reversed,
    Effect.CONFLICT: lambda facts, _: in_conflict(facts.sub_status, Attention.AMOUNT_DIFFERS),
    Effect.FAIL: _failed,
    Effect.END_ORDER: _ended,
    Effect.NOTHING_LEFT: _nothing_left,
    Effect.SEND_AGAIN: _sent_again,
    Effect.REOPEN: _always(Step((S.UNKNOWN,))),
    Effect.RETURN: lambda facts, _: Step((S.RETURNED,), came_back=facts.expected),
    Effect.UNDO: lambda facts, _: Step((S.DECLINED,), came_back=facts.expected, is_over=True),
    Effect.CALL_AMOUNT: _always(Step(attention=Attention.AMOUNT_DIFFERS)),
    Effect.CALL_SECOND: _always(Step(attention=Attention.SECOND_PAYMENT)),
    Effect.CALL_DENIED: _always(Step(attention=Attention.DENIED_AFTER_SUCCESS)),
    Effect.CALL_CANCELLED: _always(Step(attention=Attention.PAID_AFTER_CANCEL)),
    Effect.CALL_VANISHED: _always(Step(attention=Attention.ORDER_VANISHED)),
    Effect.CALL_TAKEN_BACK: _always(Step(attention=Attention.TAKEN_BACK)),
    Effect.CALL_REVIVED: _always(Step(attention=Attention.REVIVED)),
    Effect.CALL_UNAPPROVED: _always(Step(attention=Attention.PAID_UNAPPROVED)),
}
assert _STEPS.keys() == set(Effect)
# What follows instead where another sum of it came back than went: people look, and nothing is given back.
_NOT_ALL_BACK: Mapping[Effect, Effect] = {
    Effect.FAIL: Effect.CONFLICT,
    Effect.STAY: Effect.ASK,
    Effect.SETTLE: Effect.CALL_AMOUNT,
    Effect.RETURN: Effect.CALL_AMOUNT,
    Effect.UNDO: Effect.CALL_AMOUNT,
    Effect.CALL_TAKEN_BACK: Effect.CALL_AMOUNT,
}
# Where as much as the rest that stayed paid came back it is that, or what people have read told once more: no
# sum tells which, so it has a case of its own.
_MAY_BE_REST: Mapping[Effect, Effect] = {
    **_NOT_ALL_BACK,
    Effect.RETURN: Effect.CALL_TAKEN_BACK,
    Effect.UNDO: Effect.CALL_TAKEN_BACK,
}

# What a story of the provider does of which two people with a proof have decided otherwise: they outrank it.
_OUTRANKED: Mapping[Decided, Step] = {
    Decided.PAID: Step(settles=True, attention=Attention.DENIED_AFTER_SUCCESS),
    Decided.NOT_PAID: Step(settles=True),  # they have read it
}

_GRAVEST_FIRST: Final = (LegState.CONFLICTED, LegState.UNKNOWN)
_STILL_OPEN: Final = (LegState.PROVIDER_PENDING, LegState.SUBMITTED)
_NOT_PAID: Final = (LegState.DECLINED, LegState.UNDELIVERABLE, LegState.PROVIDER_ERROR)


def of_legs(legs: Sequence[LegState]) -> SubStatus:
    """Where a payout stands whose legs stand so, once something was sent.

    A conflict or a doubt about one leg is one about the payout. Once a leg is paid and others are not over it
    is partly paid; when all are over it is completed if any was paid, and says by its amounts how far.
    """
    there = set(legs)
    for state in _GRAVEST_FIRST:
        if state in there:
            return SubStatus(state.value)
    is_paid = bool(there & {LegState.COMPLETED, LegState.RETURNED})
    if LegState.PLANNED in there or there & set(_STILL_OPEN):
        if is_paid:
            return S.PARTLY_PAID
        return next((SubStatus(state.value) for state in _STILL_OPEN if state in there), S.ALLOCATED)
    if is_paid:
        return S.COMPLETED if LegState.COMPLETED in there else S.RETURNED
    return next(SubStatus(state.value) for state in _NOT_PAID if state in there)


def rank_of_answer(asked_at: datetime, changed_at: datetime, due_at: datetime | None, at: datetime) -> Source:
    """How much a provider's answer proves (section 1.4): once something has overtaken it, a mere hint.

    Args:
        asked_at: when the provider was asked.
        changed_at: when the payment was changed last.
        due_at: when a question is due, or was, that nobody has asked yet; None: there is none.
        at: this instant.
    """
    is_late = changed_at > asked_at or (due_at is not None and asked_at < due_at <= at)
    return Source.HINT if is_late else Source.STATUS_QUERY
