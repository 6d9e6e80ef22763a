"""One step of a payment, carried out: state, event, money, webhook and next question commit together.

This is the only place that changes the state of a payment that is there. The caller holds the payment's row
lock; or he has left the row himself a moment ago, and one statement changes that very version of it, or
nothing (`apply_alone`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg
import structlog
from sqlalchemy import ColumnElement, Text, bindparam, case, func, literal_column, select, update

from app import providers
from app.kernel.money import Money
from app.payments.answers import answer_of
from app.payments.cascade import as_of_try, at_its_account, columns_of_try, next_of_deposit, why_said_paid
from app.payments.casebook import is_noted, open_case
from app.payments.changes import Cause, event_of, is_questioned, money_of, moved, next_ask_at, shown_on
from app.payments.contract import is_told
from app.payments.crediting import credit, take_again
from app.payments.evidence import as_ranked, evidence_of
from app.payments.fences import why_fenced
from app.payments.model import Attention, CaseKind, Evidence, Source, Step, Verdict
from app.payments.queries import Attempt, Payment, payment_of
from app.payments.questions import question_about
from app.payments.recalls import again_at
from app.payments.rules import in_conflict, next_step
from app.payments.sources import remember_source
from app.payments.states import FINAL, IllegalTransition, SubStatus, checked_path
from app.payments.tables import payment_events, payments
from app.payments.telling import NOBODY_HEARS, WHO_HEARS, audience_of, tell
from app.plumbing import metrics, queue
from app.plumbing.database import NOBODY, Asked, Built, Database, Transaction, Write

__all__ = [
    "CARRY_ON",
    "Left",
    "apply_alone",
    "apply_evidence",
    "call_about",
    "carry_on_soon",
    "carry_out",
    "legal",
    "remember",
]

# The job that asks a payment's provider, or does whatever else is due of it.
CARRY_ON = "payments.ask_provider"

_log = structlog.get_logger("payments")
_LEFT_AS: ColumnElement[str] = literal_column("payment.xmin::text", Text()).label("left_as")
# Statements of every step, built once.
_CHANGE = Built(
    update(payments)
    .where(payments.c.site_id == bindparam("of_site"), payments.c.payment_id == bindparam("of_payment"))
    .returning(payments, *WHO_HEARS, _LEFT_AS)
)
# The same without a lock before it: where it is another version by now, or somebody hears of changes, the
# statement fails, and nothing that stands beside it is written either; also where somebody has the row, for
# after a wait it would not see who began to hear meanwhile.
_STILL_ALONE = (bindparam("left_as", type_=Text()) == _LEFT_AS) & NOBODY_HEARS
_free = payments.alias("free")
_FREE = (
    select(_free.c.payment_id)
    .where(_free.c.site_id == bindparam("of_site"), _free.c.payment_id == bindparam("of_payment"))
    .with_for_update(nowait=True, key_share=True)
    .scalar_subquery()
)
_CHANGE_ALONE = Built(
    update(payments)
    .where(payments.c.site_id == bindparam("of_site"), payments.c.payment_id == _FREE)
    .values(sequence=case((_STILL_ALONE, bindparam("goes_to")), else_=func.payment_overtaken()))
)
_EVENT = Built(payment_events.insert())
_OF_TRIES = FINAL | {SubStatus.CONFLICTED}


@dataclass(frozen=True, slots=True)
class Left:
    """A payment as a statement of ours has left it, not locked any more.

    Args:
        payment: as it was then.
        version: PostgreSQL's name of that version of the row; whoever changes it gives it another.
        is_heard: somebody hears of each of its changes.
    """

    payment: Payment
    version: str
    is_heard: bool


async def apply_evidence(
    tx: Transaction,
    found: Payment,
    reference: str,
    result: providers.Result,
    source: Source,
    *,
    at: datetime,
    asked_at: datetime | None = None,
    before: Payment | None = None,
) -> Step:
    """Let one piece of evidence do what the model says, and write the provider's answer beside its try.

    `asked_at` is when the provider was asked, of an answer to our question. `before` is the payment as it was
    before this provider's answer to the order was written, which overtakes nothing; None: as it is found.

    Returns:
        The step taken. `ask_again` tells the caller that the provider should be asked now, or the next one;
        the row says so too, so that a caller who dies loses only time.
    """
    evidence = as_ranked(evidence_of(result, source, at), before or found, asked_at)
    found, step, cause = await _weighed(tx, found, (reference, result, source), evidence)
    await carry_out(tx, found, step, cause, at=at)
    return step


async def apply_alone(
    database: Database, left: Left, reference: str, answer: providers.Result, *, at: datetime
) -> Step | None:
    """Let a provider's answer to the order do the same by one statement, without a lock, if that is enough.

    It is, where the payment only goes on: no money moves, no people are called, nobody hears of it, and
    nothing need be asked to decide that.

    Args:
        database: the database; no transaction is open.
        left: the payment, as the caller has left it with the try written.
        reference: the try's id.
        answer: what the provider said.
        at: this instant.

    Returns:
        The step taken; None: nothing is written, and `apply_evidence` decides.
    """
    word, evidence = (reference, answer, Source.ANSWER), evidence_of(answer, Source.ANSWER, at)
    try:
        found, step, cause = await _weighed(NOBODY, left.payment, word, evidence)
    except Asked:
        return None
    is_more = step.attention is not None or money_of(step) is not None
    if left.is_heard or is_more or not step.path or is_told(step.path[-1]):
        return None
    values = moved(found, step, cause, at)
    event = event_of(found, values, step, cause, at)
    its = {"of_site": found.site_id, "of_payment": found.payment_id, "left_as": left.version}
    changes = {name: value for name, value in values.items() if name != "sequence"}
    change = (_CHANGE_ALONE, {**changes, **its, "goes_to": values["sequence"]})
    try:
        await database.write(change, (_EVENT, event), *cause.beside)
    except (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError):
        return None
    metrics.PAYMENTS.labels(found.kind.value, step.path[-1].value).inc()
    return step


async def _weighed(
    tx: Transaction, found: Payment, word: tuple[str, providers.Result, Source], evidence: Evidence
) -> tuple[Payment, Step, Cause]:
    """What one piece of evidence does, and why; of the payment as it is at the account whose word it is."""
    (reference, result, source), at = word, evidence.at
    found, facts, its = await as_of_try(tx, found, *word)
    step = legal(found, next_step(facts, evidence))
    if step.credit is not None and source is Source.SETTLEMENT:
        # Who decides with a proof may have an earlier try in mind; whose the number is, its account says.
        found = await at_its_account(tx, found, evidence.provider_reference)
        reference, its = found.present_attempt or reference, columns_of_try(found)
    step = await _fenced(tx, found, evidence, step)
    step, changes, detail = await next_of_deposit(tx, found, facts, evidence, step)
    changes |= its if step.path else {}
    # Of several tries: the page of another may be open still, and who said that it was paid is heard anew.
    is_end = found.present_attempt is not None and not _OF_TRIES.isdisjoint(step.path[-1:])
    question = await question_about(tx, found, reference, looks=source is Source.SETTLEMENT or is_end)
    is_asked = question.is_open and found.attention is Attention.UNCONFIRMED
    question, step = question.after(evidence, facts, step)
    if is_end and step.credit is None:
        question = question.and_the_others(who_said_paid=step.path[-1] in FINAL)
    is_over = step.is_over or (facts.is_still_open and step.settles)  # under way again it would be news
    its_word = (found.site_id, reference, result, source)
    answer = answer_of(*its_word, is_over=is_over, is_questioned=question.becomes, at=at)
    if result.next_action is not None and step.path[-1:] == (SubStatus.AWAITING_PLAYER,):
        changes["continue_url"] = result.next_action.url
    if step.credit is not None:
        changes |= await remember_source(tx, found, result.instrument, at=at)
        changes |= {"ask_at": at, "asked": 0} if question.writes else {}  # its player may pay there just now
    cause = Cause(
        source=source.name.lower(),
        reason_code=evidence.code,
        reason=evidence.message,
        amount=evidence.amount if evidence.verdict is Verdict.PAID else None,
        provider_reference=evidence.provider_reference,
        changes=changes,
        detail=detail,
        beside=(*answer, *question.writes),
        is_questioned=question.of_payment,
        attempt_id=reference,
        is_news=is_asked and evidence.verdict is Verdict.PAID,
    )
    return found, step, cause


async def carry_on_soon(tx: Transaction, site_id: int, payment_id: str) -> None:
    """Leave a job to carry a payment on now."""
    job = {"site_id": site_id, "payment_id": payment_id}
    await queue.add(tx, CARRY_ON, job, key=f"{CARRY_ON}:{payment_id}", urgent=True)


async def call_about(
    tx: Transaction, found: Payment, one: Attempt, kind: Attention, *, is_news: bool, at: datetime
) -> None:
    """Call people about a try that has said that it was paid; with `is_news` though they have noted it."""
    why = why_said_paid([one])
    its_case = Cause("system", reason=why, provider_reference=one.provider_reference, is_news=is_news)
    await carry_out(tx, found, Step(attention=kind), replace(its_case, attempt_id=one.attempt_id), at=at)


def legal(found: Payment, step: Step) -> Step:
    """The step, unless it leads out of the table of transitions: then a case for people, never silence."""
    try:
        checked_path(found.kind, found.sub_status, step.path)
    except IllegalTransition:
        return Step(attention=Attention.ILLEGAL_CHANGE)
    return step


async def carry_out(
    tx: Transaction, found: Payment, step: Step, cause: Cause, *, at: datetime
) -> Left | None:
    """Write a step: the new state, its event, the ledger's transfer, the webhook, and when to ask next.

    Returns:
        The payment as it is left; None: nothing was to be told of it.

    Raises:
        IllegalTransition: the step leaves the table of transitions; nothing is written.
    """
    values: dict[str, object] = {}
    if step.path or cause.detail:
        step = await _posted(tx, found, step, at)
        values = moved(found, step, cause, at)
    elif step.ask_again or step.settles or step.attention is not None:
        values = await _remarked(tx, found, step, cause, at)
    if not values:
        if cause.beside:
            await tx.write(*cause.beside)
        return None
    its = {"of_site": found.site_id, "of_payment": found.payment_id}
    change: Write = (_CHANGE, {**values, **its})
    if "sequence" not in values:
        await tx.write(change, *cause.beside)
        return None
    if step.attention is not None:
        _alarm(found, step.attention)
    event = event_of(found, values, step, cause, at)
    row = await tx.written(change, (_EVENT, event), *cause.beside)
    now_is, audience = payment_of(row), audience_of(row)
    await tell(tx, found, now_is, str(event["type"]), audience, at=at)
    if step.attention is not None and step.attention is not Attention.UNCONFIRMED:
        await _call_people(tx, found, step.attention, money_of(step) or cause.amount, cause, at)
    if step.path:
        metrics.PAYMENTS.labels(found.kind.value, now_is.sub_status.value).inc()
    return Left(now_is, row.left_as, is_heard=audience.is_there or audience.hears_every_change)


async def _posted(tx: Transaction, found: Payment, step: Step, at: datetime) -> Step:
    """The step with a deposit's money moved; where the ledger refuses it, a case for people."""
    if step.credit is not None and not await credit(tx, found, step.credit, at=at):
        return in_conflict(found.sub_status, Attention.NOT_POSTED)
    if step.taken is not None:
        await take_again(tx, found, step.taken, at=at)
    return step


async def _remarked(
    tx: Transaction, found: Payment, step: Step, cause: Cause, at: datetime
) -> dict[str, object]:
    """The same where nothing moves: it is to be asked about, has been settled, or a person must look."""
    values: dict[str, object] = {}
    why, is_open = step.attention, is_questioned(found, cause)
    if step.ask_again:
        values |= {"ask_at": at, "asked": 0}
    elif found.sub_status in FINAL and not is_open and (step.settles or found.is_questioned):
        values["ask_at"] = next_ask_at(found, found.sub_status, cause, at, ended_at=found.completed_at)
    elif found.facts.is_deposit_in_conflict and found.is_questioned and not is_open:
        values["ask_at"] = await again_at(tx, found, at)  # by nobody any more
    elif is_open and step.settles and found.ask_at is None:  # given up for all, answered for one
        values |= {"ask_at": at, "asked": 0, "changed_at": at}
    if is_open is not found.is_questioned:
        values |= {"is_questioned": is_open, "attention": shown_on(found, cause)}
        values |= {"changed_at": at} if is_open else {}  # from then on its horizon counts
    told = (cause.attempt_id, cause.provider_reference, cause.amount)
    if why is not None and (cause.is_news or not await is_noted(tx, found, why, *told, cause.reason_code)):
        its = {"sequence": found.sequence + 1, "changed_at": at}
        values |= {"attention": shown_on(found, cause, why), **its}
    return values


async def _fenced(tx: Transaction, found: Payment, evidence: Evidence, step: Step) -> Step:
    """The step, unless people must look first.

    It is about another payment's collection, would credit one order a second time, or late a player who may
    play no more; or it would take again a deposit of which something went back already, or is on its way
    there.
    """
    if step.taken is not None and found.remaining != found.captured:
        return Step(attention=step.attention)
    if not step.keeps_number:
        return step
    why = await why_fenced(tx, found, evidence, step)
    return step if why is None else in_conflict(found.sub_status, why)


def _alarm(found: Payment, why: Attention) -> None:
    metrics.ALARMS.labels(f"payment_{why.value}").inc()
    _log.error("payment.attention", payment_id=found.payment_id, why=why.value)


async def remember(tx: Transaction, found: Payment, values: Mapping[str, object]) -> Payment:
    """Write columns of a payment: those of a change, or when it is looked at next and why it waits.

    Returns:
        The payment as it is now.
    """
    its = {"of_site": found.site_id, "of_payment": found.payment_id}
    return payment_of(await tx.one(_CHANGE, {**values, **its}))


async def _call_people(
    tx: Transaction, was: Payment, why: Attention, told: Money | None, cause: Cause, at: datetime
) -> None:
    """Open the case of what people must look at."""
    theirs = {"source": cause.source, "code": cause.reason_code, "text": cause.reason}
    theirs |= {"amount": str(told) if told else "", "provider_reference": cause.provider_reference or ""}
    await open_case(
        tx,
        was,
        CaseKind(why.value),
        theirs,
        about=cause.provider_reference or "",
        exposure=told or was.amount,
        at=at,
        attempt_id=cause.attempt_id,
    )
