"""A provider's words as evidence: what they mean, and how much they prove of the payment as it is now."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from app import providers
from app.kernel.money import Money
from app.payments.model import CAME_BACK, Decided, Evidence, Facts, Source, Verdict
from app.payments.queries import Attempt, Payment
from app.payments.rules import is_all_back, rank_of_answer

__all__ = ["as_kept", "as_ranked", "as_read", "decided_against", "evidence_of", "sum_of"]

_VERDICTS: Mapping[providers.State, Verdict] = {
    providers.State.REQUIRES_ACTION: Verdict.NEEDS_PLAYER,
    providers.State.PROCESSING: Verdict.PENDING,
    providers.State.SUCCEEDED: Verdict.PAID,
    providers.State.FAILED: Verdict.DECLINED,
    providers.State.CANCELLED: Verdict.CANCELLED,
    providers.State.NOT_FOUND: Verdict.NOT_FOUND,
    providers.State.UNKNOWN: Verdict.UNKNOWN,
    providers.State.REVERSED: Verdict.TAKEN_BACK,
    providers.State.RETURNED: Verdict.TAKEN_BACK,
}
_MOVES = frozenset({Verdict.PAID, Verdict.TAKEN_BACK})
_NO = frozenset({providers.State.FAILED, providers.State.CANCELLED})
assert _VERDICTS.keys() == set(providers.State)


def evidence_of(result: providers.Result, source: Source, at: datetime) -> Evidence:
    """A provider's result as evidence.

    A call that never left is the only failure known without the provider.
    """
    verdict = (
        Verdict.NOT_SENT if result.nothing_was_sent and source is Source.ANSWER else _VERDICTS[result.state]
    )
    return Evidence(
        source=source,
        verdict=verdict,
        at=at,
        amount=result.amount,
        provider_reference=result.provider_reference,
        code=result.error.code if result.error else "",
        message=result.error.message if result.error else "",
        retryable=bool(result.error and result.error.retryable),
        undeliverable=bool(result.error and result.error.undeliverable),
    )


def as_ranked(evidence: Evidence, found: Payment, asked_at: datetime | None) -> Evidence:
    """The evidence, as much as it proves of the payment as it is now; `asked_at`: when it was asked for."""
    if asked_at is None:
        return evidence
    # A question that was asked is no new one: to a slow provider the next turn comes before its answer.
    due_at = None if found.asked else found.ask_at
    rank = rank_of_answer(asked_at, found.changed_at, due_at, evidence.at)
    return replace(evidence, source=rank)


def as_kept(result: providers.Result, facts: Facts, evidence: Evidence) -> providers.Result:
    """The result as its try keeps it: one of which not all came back was paid, and is so still."""
    if is_all_back(facts, evidence):
        return result
    why = providers.ProviderError(CAME_BACK, f"{evidence.amount or 'a part'} of it")
    return replace(result, state=providers.State.SUCCEEDED, error=why)


def as_read(one: Attempt, tries: Sequence[Attempt]) -> Attempt:
    """This try as it is among those that were read behind the lock."""
    return next(its for its in tries if its.attempt_id == one.attempt_id)


def decided_against(one: Attempt, result: providers.Result, source: Source) -> Decided | None:
    """What two people have decided of this try that its provider's word would undo; None: nothing.

    That it was not paid stands against the success that they have read, once more; under another number, with
    another sum, or after another word, it is news. That it was paid stands against every no: they outrank
    its provider.

    Args:
        one: the try, as it was read behind the lock.
        result: what its provider says, or people.
        source: how it came; another decision of people is not held against them.
    """
    if source is Source.SETTLEMENT or one.decided is None:
        return None
    if one.decided is Decided.PAID:
        return one.decided if result.state in _NO else None
    is_known = one.state is result.state and result.provider_reference in {None, one.provider_reference}
    is_known = is_known and (one.told is None or result.amount in {None, one.told})
    return one.decided if is_known and result.state is providers.State.SUCCEEDED else None


def sum_of(evidence: Evidence) -> Money | None:
    """The sum that moved by a word of the provider, for the history; a word that moves nothing has none."""
    return evidence.amount if evidence.verdict in _MOVES else None
