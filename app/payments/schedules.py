"""When a payment's provider is asked, and a merchant who was not understood. Pure.

Source: payments.md section 1.6.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from app.payments.states import Kind, LegState, SubStatus

__all__ = [
    "ASK_HORIZON",
    "PARTS_AT_PROVIDER",
    "WAITS_FOR_US",
    "ask_delay",
    "asks_provider",
    "conflict_question",
    "is_asked_late",
    "late_question",
    "next_question",
    "question_delay",
    "waits_to_be_sent",
]

S = SubStatus
_AT_PROVIDER: Final = frozenset({S.SUBMITTED, S.AWAITING_PLAYER, S.PROVIDER_PENDING, S.UNKNOWN})
PARTS_AT_PROVIDER: Final = frozenset({LegState.SUBMITTED, LegState.PROVIDER_PENDING, LegState.UNKNOWN})


def _minutes(*figures: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=figure) for figure in figures)


_DAY = timedelta(days=1)
_SIX_HOURS = timedelta(hours=6)
ASK_HORIZON = timedelta(days=14)
# payments.md section 1.6; the last one repeats.
_ASK_SCHEDULES: Mapping[Kind, tuple[timedelta, ...]] = {
    Kind.DEPOSIT: (timedelta(seconds=5), timedelta(seconds=15), *_minutes(1, 5, 15, 60, 360), _DAY),
    Kind.PAYOUT: (*_minutes(1, 5, 30, 120), _SIX_HOURS),
    Kind.REFUND: (*_minutes(1, 5, 30, 120), _SIX_HOURS),
}
assert _ASK_SCHEDULES.keys() == set(Kind)
# After the provider's own no to a deposit, from then: for a yes that follows it and whose notice is lost.
# Minutes: the player tries again on the provider's page. Hours: a host that was down says what it did. A day:
# the bank has closed its books. Three: what a Friday's order becomes on Monday. Later: the settlement file.
_AFTER_DECLINE: Final = (*_minutes(10, 60, 360), _DAY, 3 * _DAY)
# A merchant whose answer to `request_payout` was not understood is asked the same again.
_QUESTIONS: Final = (*_minutes(1, 5, 30, 120), _SIX_HOURS)
# No provider has it yet: whatever is due of it stays due, however long it has waited.
WAITS_FOR_US: Final = frozenset(
    {
        *(S.REQUESTED, S.COOLING, S.UNDER_REVIEW, S.AWAITING_KYC, S.APPROVED),
        *(S.AWAITING_APPROVAL, S.AWAITING_SECOND_APPROVAL),
    }
)
# While it may act; and after an end that was not the provider's own word, for a late success.
_ASKED: Final[Mapping[Kind, frozenset[SubStatus]]] = {
    Kind.DEPOSIT: _AT_PROVIDER | {S.EXPIRED, S.PROVIDER_ERROR},
    Kind.PAYOUT: frozenset({S.SUBMITTED, S.PROVIDER_PENDING, S.UNKNOWN, S.PARTLY_PAID}),
    Kind.REFUND: frozenset({S.SUBMITTED, S.PROVIDER_PENDING, S.UNKNOWN}),
}
# Something was sent, and waits to be sent once more: should the job be lost, a sweep sends it.
_QUEUED: Final = frozenset({(Kind.PAYOUT, S.ALLOCATED), (Kind.REFUND, S.APPROVED)})


def asks_provider(kind: Kind, sub_status: SubStatus) -> bool:
    """Whether the provider is still worth asking: while it may act, and after expiry for a late success."""
    return sub_status in _ASKED[kind]


def waits_to_be_sent(kind: Kind, sub_status: SubStatus) -> bool:
    """Whether all that people have approved of it waits in the queue; beside others a part may wait too."""
    return (kind, sub_status) in _QUEUED


def ask_delay(kind: Kind, asked: int) -> timedelta:
    """How long to wait before asking the provider again, having asked so often (payments.md section 1.6)."""
    schedule = _ASK_SCHEDULES[kind]
    return schedule[min(asked, len(schedule) - 1)]


def is_asked_late(kind: Kind, sub_status: SubStatus, *, has_tries: bool) -> bool:
    """Whether a provider that has said no is asked for some days whether it was paid all the same.

    Of a deposit of several tries one has said no, however the deposit ended.
    """
    is_denied = sub_status is S.DECLINED or (has_tries and sub_status in {S.COMPLETED, S.BY_PLAYER})
    return kind is Kind.DEPOSIT and is_denied


def late_question(ended_at: datetime, at: datetime) -> datetime | None:
    """When to ask next about a deposit of which `is_asked_late` is true; None: not any more.

    By the clock, whatever was asked meanwhile, so that it ends.
    """
    return next((due for pause in _AFTER_DECLINE if (due := ended_at + pause) > at), None)


def next_question(
    kind: Kind,
    sub_status: SubStatus,
    asked: int,
    ended_at: datetime | None,
    at: datetime,
    *,
    has_tries: bool,
) -> datetime | None:
    """When to ask a payment's provider next; None: not any more.

    Args:
        kind, sub_status: of the payment.
        asked: how often it was asked.
        ended_at: when it came to its end; None while it is open.
        at: this instant.
        has_tries: more than one was made of it.
    """
    if asks_provider(kind, sub_status):
        return at + ask_delay(kind, asked)
    if waits_to_be_sent(kind, sub_status):
        return at + ask_delay(kind, 0)
    if is_asked_late(kind, sub_status, has_tries=has_tries) and ended_at is not None:
        return late_question(ended_at, at)
    return None


def conflict_question(
    parts: Collection[LegState], asked: int, due_at: datetime | None, at: datetime
) -> datetime | None:
    """When to ask next about a payout in conflict: as long as a part of it may act; None: not any more.

    People end the conflict of one part, and must not wait for what nobody asks about the others.

    Args:
        parts: where its parts stand.
        asked: how often it was asked.
        due_at: when it was to be asked next; None: not any more.
        at: this instant.
    """
    if not PARTS_AT_PROVIDER & set(parts):
        return None
    return due_at or at + ask_delay(Kind.PAYOUT, asked)


def question_delay(asked: int) -> timedelta:
    """How long to wait before asking a merchant about the same withdrawal again, having asked so often."""
    return _QUESTIONS[min(asked, len(_QUESTIONS) - 1)]
