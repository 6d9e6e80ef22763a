"""What is kept back because another try of the same order may have been paid, or may yet be.

A try that is declined, or that brings its money back, ends its order only where none of the others is
doubted. Else the money stays where it is, and the try is asked about until its word can count. People who
decide what became of the other one end that.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from app import providers
from app.kernel.errors import Refusal
from app.payments.answers import answer_of
from app.payments.cascade import may_be_paid, why_doubted
from app.payments.casebook import called_since
from app.payments.changes import Cause
from app.payments.evidence import as_read
from app.payments.legs import attempts_of, legs_of
from app.payments.model import Attention, Evidence, Step
from app.payments.queries import Attempt, Payment, payment
from app.payments.questions import question_about
from app.payments.states import STATUS_OF, Status
from app.payments.steps import call_about, carry_out
from app.plumbing.database import Transaction

__all__ = ["MayBePaid", "Word", "check_none_paid", "kept_back"]


class MayBePaid(Refusal):
    """Nothing can be given back: {why}. Decide about that one first."""


@dataclass(frozen=True, slots=True)
class Word:
    """What was said of a try of something that goes out.

    Args:
        attempt: the try.
        tries: all of the payment, or of the part of a withdrawal, as they were.
        result: what its provider said, or people.
        evidence: the same as evidence.
    """

    attempt: Attempt
    tries: Sequence[Attempt]
    result: providers.Result
    evidence: Evidence

    @property
    def before(self) -> Attempt:
        """The try as it was."""
        return as_read(self.attempt, self.tries)


async def kept_back(
    tx: Transaction,
    found: Payment,
    step: Step,
    word: Word,
    *,
    is_held: bool,
    at: datetime,
) -> Step | None:
    """Take another step than one that would give money back to the player while another try may be paid.

    What was said is kept beside its try, which is asked about until it can count.

    Args:
        tx: holds the payment's lock.
        found: the payment.
        step: what would follow.
        word: what was said.
        is_held: the money is set aside still.
        at: this instant.

    Returns:
        the step that was taken instead: nothing moves. None where nothing stands against it.
    """
    ends = is_held and bool(step.path) and STATUS_OF[step.path[-1]] is Status.FAILED
    if not ends and step.came_back is None:
        return None
    its, evidence = word.attempt.attempt_id, word.evidence
    others = [one for one in word.tries if one.attempt_id != its and may_be_paid(one)]
    why = why_doubted(others, besides=its)
    if not why:
        return None
    question = (await question_about(tx, found, its)).opened()
    said = (found.site_id, its, word.result, evidence.source)
    answer = answer_of(*said, is_over=False, is_questioned=question.becomes, at=at)
    instead = Step(settles=True, attention=Attention.UNCONFIRMED)
    cause = Cause(
        source=evidence.source.name.lower(),
        reason_code=evidence.code,
        reason=f"nothing is given back: {why}",
        provider_reference=evidence.provider_reference,
        beside=(*answer, *question.writes),
        is_questioned=True,
        attempt_id=its,
    )
    await carry_out(tx, found, instead, cause, at=at)
    for one in others:
        if one.said_paid:
            await _called_about(tx, found, one, word.before.sent_at or found.created_at, at)
    return instead


async def check_none_paid(tx: Transaction, found: Payment, parts: Collection[int] | None = None) -> None:
    """Refuse to call off what goes out while some try of it may be paid.

    One person could else give back what two have to decide about.

    Args:
        tx: holds the payment's lock.
        found: a withdrawal or refund that waits to be sent.
        parts: those of a withdrawal that are called off; None: all whose money is still held.

    Raises:
        MayBePaid: some provider has said so, or is asked.
    """
    gone = {part.leg for part in await legs_of(tx, found) if part.is_released}
    tries = [one for one in await attempts_of(tx, found) if may_be_paid(one) and one.leg not in gone]
    tries = [one for one in tries if parts is None or one.leg in parts]
    if tries:
        raise MayBePaid(why=why_doubted(tries, besides=""))


async def _called_about(tx: Transaction, found: Payment, one: Attempt, since: datetime, at: datetime) -> None:
    """Call people about a try that said that it was paid, once: they noted it while another might be too."""
    kind = Attention.DENIED_AFTER_SUCCESS if one.contradicts else Attention.SECOND_PAYMENT
    number, its = one.provider_reference, one.attempt_id
    if not await called_since(tx, found, kind, since, by="system", provider_reference=number, attempt_id=its):
        now_is = await payment(tx, found.site_id, found.payment_id)
        await call_about(tx, now_is, one, kind, is_news=True, at=at)
