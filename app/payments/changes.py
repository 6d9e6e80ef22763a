"""What a step writes of a payment: columns that change, and a line of its history. Nothing is asked here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.kernel.money import Money
from app.payments.contract import event_type
from app.payments.model import Attention, Source, Step, graver
from app.payments.queries import Payment
from app.payments.schedules import ask_delay, next_question
from app.payments.states import FINAL, STATUS_OF, SubStatus, checked_path
from app.plumbing.database import Write

__all__ = ["Cause", "event_of", "is_questioned", "money_of", "moved", "next_ask_at", "shown_on"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a step is taken, for the event: who said so, and what they said.

    `changes` are columns of the payment that change with it; `beside` is what else is written, also where
    nothing changes. With a `detail`, which the event keeps, something has happened even if the payment goes
    nowhere; `event` is its name then. `is_questioned` is whether a provider is asked about a try that is
    over, from now on; None: as it was. `attempt_id` is the try of which it was said. With `is_news` people
    are called although they were before.
    """

    source: str
    reason_code: str = ""
    reason: str = ""
    amount: Money | None = None
    provider_reference: str | None = None
    occurred_at: datetime | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    detail: Mapping[str, object] = field(default_factory=dict)
    beside: Sequence[Write] = ()
    is_questioned: bool | None = None
    attempt_id: str | None = None
    is_news: bool = False
    event: str = ""


def moved(found: Payment, step: Step, cause: Cause, at: datetime) -> dict[str, object]:
    """The columns that change when a payment goes somewhere, or something of it is to be told."""
    target = checked_path(found.kind, found.sub_status, step.path)
    values: dict[str, object] = {
        "sub_status": target,
        "status": STATUS_OF[target],
        "sequence": found.sequence + 1,
        "changed_at": at,
        "is_late": found.is_late or step.is_late,
    }
    if step.path:
        values |= {"reason_code": cause.reason_code, "reason": cause.reason}
    if step.path and found.next_account is not None:
        values["next_account"] = None  # something else has become of it
    values |= {"is_questioned": is_questioned(found, cause), **cause.changes}
    values |= _asked_next(found, target, step, cause, at)
    if step.credit is not None:
        values["captured_minor"] = step.credit.minor
    elif step.taken is not None:
        values["captured_minor"] = 0  # nothing of it ever came
    values["attention"] = shown_on(found, cause, step.attention)
    if target in FINAL and step.path:
        values |= {"completed_at": at, "continue_url": None, "expires_at": None}
        values |= {} if found.return_url is None else {"return_url": None}
    is_paid = SubStatus.COMPLETED in step.path or (
        SubStatus.CONFLICTED in step.path and step.attention is not Attention.REFERENCE_REUSED
    )
    if found.sub_status is SubStatus.CONFLICTED and step.is_over:
        values["provider_reference"] = None  # nothing was paid under it: another payment may be
    elif is_paid and cause.provider_reference is not None:
        values["provider_reference"] = cause.provider_reference
    return values


def _asked_next(
    found: Payment, target: SubStatus, step: Step, cause: Cause, at: datetime
) -> dict[str, object]:
    """When it is looked at next, where that changes: whoever ends a payment ends no question about it."""
    is_open = is_questioned(found, cause)
    if "ask_at" in cause.changes:
        is_kept = cause.changes["ask_at"] is not None or not is_open
        return {} if is_kept else {"ask_at": at + ask_delay(found.kind, found.asked)}
    is_answered = found.is_questioned and not is_open and found.sub_status in FINAL
    if step.path or step.ask_again or is_answered:
        return {"ask_at": at if step.ask_again else next_ask_at(found, target, cause, at, ended_at=at)}
    return {}


def next_ask_at(
    found: Payment, target: SubStatus, cause: Cause, at: datetime, *, ended_at: datetime | None
) -> datetime | None:
    """When a payment in this state is looked at next; None: not by itself. `ended_at`, if it has ended."""
    if is_questioned(found, cause):
        return at + ask_delay(found.kind, found.asked)
    if target is SubStatus.DECLINED and cause.source == Source.SETTLEMENT.name.lower():
        return None  # two people had the proof: the provider repeating its story must not open it again
    has_tries = found.present_attempt is not None
    return next_question(found.kind, target, found.asked, ended_at, at, has_tries=has_tries)


def is_questioned(found: Payment, cause: Cause) -> bool:
    """Whether a provider is asked about a try that is over, once this was done."""
    return found.is_questioned if cause.is_questioned is None else cause.is_questioned


def shown_on(found: Payment, cause: Cause, why: Attention | None = None) -> Attention | None:
    """The gravest reason for attention, `why` being a new one: a question shows where there is no graver."""
    others = None if found.attention is Attention.UNCONFIRMED else found.attention
    question = Attention.UNCONFIRMED if is_questioned(found, cause) else None
    return graver(graver(others, why), question)


def event_of(
    was: Payment, values: Mapping[str, object], step: Step, cause: Cause, at: datetime
) -> dict[str, object]:
    """The row of the payment's history that tells of a change to these columns."""
    sub_status = SubStatus(str(values.get("sub_status", was.sub_status)))
    detail: dict[str, object] = {
        "path": [state.value for state in (was.sub_status, *step.path)],
        **cause.detail,
    }
    if step.attention is not None:
        detail["attention"] = step.attention.value
        if cause.attempt_id is not None:
            detail["attempt_id"] = cause.attempt_id
    if cause.reason or cause.reason_code:
        detail["reason"] = {"code": cause.reason_code, "text": cause.reason}
    told = money_of(step) or cause.amount
    # A part of a payout may have a story of its own: of one that has ended it is no second end.
    is_news = bool(cause.detail) and step.attention is None and was.sub_status not in FINAL
    has_moved = bool(step.path or money_of(step) is not None or is_news)
    known_as = event_type(was.kind, sub_status, is_late=step.is_late) if has_moved else "payment.attention"
    return {
        "site_id": was.site_id,
        "payment_id": was.payment_id,
        "sequence": values["sequence"],
        "type": cause.event or known_as,
        "status": STATUS_OF[sub_status],
        "sub_status": sub_status,
        "source": cause.source,
        "amount_minor": told.minor if told else None,
        "currency": told.currency if told else None,
        "provider_reference": cause.provider_reference,
        "detail": detail,
        "occurred_at": cause.occurred_at,
        "recorded_at": at,
    }


def money_of(step: Step) -> Money | None:
    """The money that a step moves, if any."""
    return step.credit or step.paid or step.came_back or step.taken
