"""What a provider's word does to a refund, to the money set aside for it, and to its deposit.

The caller holds the refund's lock; the deposit is locked here, always after it. State, event, money, the
deposit's figures and what others hear of it commit together.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import update

from app import ledger, providers
from app.kernel.money import Money
from app.payments.answers import answer_of
from app.payments.changes import Cause
from app.payments.doubts import Word, kept_back
from app.payments.evidence import as_kept, as_ranked, as_read, decided_against, evidence_of, sum_of
from app.payments.fences import reference_is_taken
from app.payments.given_back import REFUND, settle_deposit
from app.payments.legs import attempts_of, present_try_of
from app.payments.model import Attention, Facts, Source, Step
from app.payments.queries import Attempt, Payment, payment
from app.payments.questions import question_about
from app.payments.rules import in_conflict, next_step
from app.payments.states import Kind, Status, SubStatus
from app.payments.steps import carry_out, legal, remember
from app.payments.tables import attempts
from app.plumbing.database import Transaction

__all__ = ["SOURCE", "accept_refund", "apply_to_refund", "count_given_back", "deposit_of", "let_go"]

SOURCE = "payments"  # the namespace of our keys in the ledger
_RESERVED = frozenset(
    {
        *(SubStatus.REQUESTED, SubStatus.AWAITING_APPROVAL, SubStatus.AWAITING_SECOND_APPROVAL),
        *(SubStatus.APPROVED, SubStatus.SUBMITTED, SubStatus.PROVIDER_PENDING),
        *(SubStatus.UNKNOWN, SubStatus.CONFLICTED),
    }
)


async def apply_to_refund(
    tx: Transaction,
    found: Payment,
    attempt: Attempt,
    result: providers.Result,
    source: Source,
    *,
    at: datetime,
    asked_at: datetime | None = None,
) -> Step:
    """Let one piece of evidence about a refund's try do what the table says; returns the step taken.

    `asked_at` is when the provider was asked, of an answer to our question.
    """
    tries = await attempts_of(tx, found)
    evidence = as_ranked(evidence_of(result, source, at), found, asked_at)
    facts = _facts_of_try(found, as_read(attempt, tries), tries, result, source)
    result = as_kept(result, facts, evidence)
    step = legal(found, next_step(facts, evidence))
    if step.keeps_number and await reference_is_taken(tx, found, evidence.provider_reference):
        step = in_conflict(found.sub_status, Attention.REFERENCE_REUSED)
    word = Word(attempt, tries, result, evidence)
    kept = await kept_back(tx, found, step, word, is_held=_is_reserved(found), at=at)
    if kept is not None:
        return kept
    if step.path:
        step = legal(found, await _moved(tx, found, step, at))
    question = await question_about(tx, found, attempt.attempt_id, looks=source is Source.SETTLEMENT)
    question, step = question.after(evidence, facts, step, before=word.before)
    said = (found.site_id, attempt.attempt_id, result, source)
    answer = answer_of(*said, is_over=step.is_over, is_questioned=question.becomes, at=at)
    if step.path[-1:] == (SubStatus.UNKNOWN,):
        # It is not over after all; as long as it is not, no other try can begin.
        its = (attempts.c.site_id == found.site_id) & (attempts.c.attempt_id == attempt.attempt_id)
        await tx.execute(update(attempts).where(its).values(is_over=False))
    changes: dict[str, object] = {"present_attempt": attempt.attempt_id} if step.path else {}
    if step.paid is not None:
        changes["captured_minor"] = step.paid.minor
    cause = Cause(
        source=source.name.lower(),
        reason_code=evidence.code,
        reason=evidence.message,
        amount=sum_of(evidence),
        provider_reference=evidence.provider_reference,
        changes=changes,
        beside=(*answer, *question.writes),
        is_questioned=question.of_payment,
        attempt_id=attempt.attempt_id,
    )
    await carry_out(tx, found, step, cause, at=at)
    if step.path:
        await count_given_back(tx, found, at=at)
    return step


def _facts_of_try(
    found: Payment, attempt: Attempt, tries: Sequence[Attempt], result: providers.Result, source: Source
) -> Facts:
    """What is known of a refund as evidence about one of its tries finds it.

    Who decides with a proof speaks of the refund, whichever of its tries they mean.
    """
    is_present = present_try_of(found, tries).attempt_id == attempt.attempt_id
    return replace(
        found.facts,
        is_superseded=source is not Source.SETTLEMENT and not is_present,
        came_back_short=attempt.came_back_short,
        against=decided_against(attempt, result, source),
    )


async def accept_refund(
    tx: Transaction, found: Payment, attempt: Attempt, paid: Money, cause: Cause, *, at: datetime
) -> str:
    """Let a refund in conflict end as paid by this attempt with what really went back, as people decided.

    So too one that was let go, and of which only a part came back. Of one that is paid, and of which a part
    came back, the rest stays paid.

    Returns:
        why it cannot be, and then nothing may be committed; empty where it was done.
    """
    if found.sub_status is SubStatus.COMPLETED:
        return await _accept_rest(tx, found, attempt, paid, cause, at=at)
    is_short = as_read(attempt, await attempts_of(tx, found)).came_back_short
    is_gone = found.status in {Status.FAILED, Status.CANCELLED} and is_short
    if found.sub_status is not SubStatus.CONFLICTED and not is_gone:
        return f"it is {found.sub_status.value}, and only what is in conflict can be"
    if await reference_is_taken(tx, found, cause.provider_reference):
        return "the provider's number is another payment's"
    step = await _moved(tx, found, Step((SubStatus.COMPLETED,), paid=paid, is_late=is_gone), at)
    if step.attention is Attention.SECOND_PAYMENT:
        return "so much cannot go back of its deposit"
    if step.paid is None:
        return "the ledger refuses it"
    its = {"captured_minor": paid.minor, "present_attempt": attempt.attempt_id}
    cause = replace(cause, changes={**cause.changes, **its})
    await carry_out(tx, found, step, cause, at=at)
    await count_given_back(tx, found, at=at)
    return ""


async def _accept_rest(
    tx: Transaction, found: Payment, attempt: Attempt, rest: Money, cause: Cause, *, at: datetime
) -> str:
    """Bring back what is no rest of a refund that is paid; returns why it cannot be, or an empty string."""
    tries = await attempts_of(tx, found)
    if attempt.attempt_id != present_try_of(found, tries).attempt_id:
        return "it was paid by another attempt"
    if not as_read(attempt, tries).came_back_short:
        return "it is completed, and nobody has told that a part of it came back"
    if rest >= found.captured:
        return f"{found.captured} of it went: say how much less stays there"
    step = Step(came_back=found.captured - rest)
    await _moved(tx, found, step, at)
    await carry_out(tx, found, step, replace(cause, changes={"captured_minor": rest.minor}), at=at)
    await count_given_back(tx, found, at=at)
    return ""


async def let_go(tx: Transaction, found: Payment, *, at: datetime) -> None:
    """Give back what is set aside for a refund that does not happen: the player's, the deposit's.

    The deposit is counted anew by the caller, once the refund is written (`count_given_back`).
    """
    if found.hold_id is not None:
        held = await ledger.find_hold(tx, found.site_id, found.hold_id)
        if held.remaining.minor:
            await ledger.release(tx, held, because=found.payment_id, at=at)
    deposit = await deposit_of(tx, found)
    await remember(tx, deposit, {"refund_pending_minor": (deposit.refund_pending - found.amount).minor})


async def count_given_back(tx: Transaction, found: Payment, *, at: datetime) -> None:
    """Let the deposit stand as it does with the refund as it is now, which is written already."""
    assert found.parent_id is not None
    cause = Cause(REFUND, detail={"refund": found.payment_id})
    await settle_deposit(tx, found.site_id, found.parent_id, cause, at=at)


async def deposit_of(tx: Transaction, found: Payment) -> Payment:
    """The deposit that a refund gives back, its row locked."""
    assert found.parent_id is not None
    return await payment(tx, found.site_id, found.parent_id, lock=True, kind=Kind.DEPOSIT)


def _is_reserved(found: Payment) -> bool:
    """Whether money is set aside for it: not for a conflict about one that was over and let go."""
    return found.sub_status in _RESERVED and found.completed_at is None


async def _moved(tx: Transaction, found: Payment, step: Step, at: datetime) -> Step:
    """Move the money of a step and the deposit's figures, or say why it cannot be."""
    if step.paid is not None:
        return await _paid(tx, found, step, step.paid, at)
    if step.came_back is not None:
        await _came_back(tx, found, step.came_back, at)
    elif step.path[-1] is SubStatus.DECLINED and _is_reserved(found):
        await let_go(tx, found, at=at)
    return step


async def _paid(tx: Transaction, found: Payment, step: Step, paid: Money, at: datetime) -> Step:
    """The money has gone back: what was held is captured; what was let go is taken, or owed."""
    deposit = await deposit_of(tx, found)
    is_reserved = _is_reserved(found)
    room = deposit.remaining + found.amount if is_reserved else deposit.remaining
    if room < paid:
        # More went back than ever came: no figure of the deposit can say so, people must.
        return in_conflict(found.sub_status, Attention.SECOND_PAYMENT)
    if not await _taken(tx, found, paid, is_reserved=is_reserved, at=at):
        return in_conflict(found.sub_status, Attention.NOT_POSTED)
    values: dict[str, object] = {"refunded_minor": (deposit.refunded + paid).minor}
    if is_reserved:
        values["refund_pending_minor"] = (deposit.refund_pending - found.amount).minor
    await remember(tx, deposit, values)
    return step


async def _taken(tx: Transaction, found: Payment, paid: Money, *, is_reserved: bool, at: datetime) -> bool:
    """Where people accepted another sum than was set aside, the rest of it is the player's again, or more."""
    if found.hold_id is None:
        posted = await _post(tx, found, ledger.REFUND.from_merchant, paid, at)
        return posted.is_posted
    if not is_reserved:
        await ledger.take(tx, found.site_id, _demand(found, f"late-{found.sequence}", paid), at=at)
        return True
    held = await ledger.find_hold(tx, found.site_id, found.hold_id)
    because, from_hold = found.payment_id, min(found.amount, paid)
    captured = await ledger.capture(
        tx, held, provider=found.account, because=because, at=at, amount=from_hold
    )
    if paid < found.amount:
        await ledger.release(tx, held, because=because, at=at, amount=found.amount - paid)
    elif paid > found.amount:
        beyond = _demand(found, f"beyond-{found.sequence}", paid - found.amount)
        await ledger.take(tx, found.site_id, beyond, at=at)
    return captured.is_posted


async def _came_back(tx: Transaction, found: Payment, amount: Money, at: datetime) -> None:
    """It failed after it had succeeded: a new entry, never an edit of the old one."""
    if found.hold_id is None:
        await _post(tx, found, ledger.REFUND.to_merchant, amount, at)
    else:
        await ledger.give(tx, found.site_id, _demand(found, f"back-{found.sequence}", amount), at=at)
    deposit = await deposit_of(tx, found)
    await remember(tx, deposit, {"refunded_minor": (deposit.refunded - amount).minor})


def _demand(found: Payment, why: str, amount: Money) -> ledger.Demand:
    return ledger.Demand(
        SOURCE,
        f"{found.payment_id}:{why}",
        ledger.REFUND,
        amount,
        found.player_id,
        found.account,
        found.payment_id,
    )


async def _post(
    tx: Transaction, found: Payment, movement: ledger.Movement, amount: Money, at: datetime
) -> ledger.Posted:
    """In seamless mode: between the merchant and the provider."""
    out = movement.target is ledger.Purpose.PROVIDER_CLEARING
    owners = ("site", found.account) if out else (found.account, "site")
    request = ledger.PostRequest(
        SOURCE,
        f"{found.payment_id}:{movement.kind}:{found.sequence}",
        movement,
        amount,
        *owners,
        because=found.payment_id,
    )
    [posted] = await ledger.post(tx, found.site_id, [request], at=at)
    return posted
