"""What an attempt at an event means for it and for its endpoint, and what an endpoint is shown. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from app.webhooks.model import EVENT_SCHEDULE, Event, WebhookState, WhyDisabled, delay_after, is_accepted

__all__ = [
    "API_VERSION",
    "LARGEST_BODY",
    "LONGEST_RETRY_AFTER",
    "Answer",
    "Effect",
    "answer_of",
    "body_of",
    "effect_of",
    "why_disabled",
]

API_VERSION: Final = "2026-11-01"
LARGEST_BODY: Final = 20_000  # bytes; receivers bound what they read before they believe it
# 1 h: whoever asks for more is met by our schedule anyway, and a wrong header silences an endpoint no longer.
LONGEST_RETRY_AFTER: Final = timedelta(hours=1)
# Overloaded, or a proxy without its server: one more message would be one too many.
_OVERLOADED: Final = frozenset({429, 502, 503, 504})
_LEFT_IN_PEACE: Final = timedelta(seconds=5)
_GONE: Final = 410
# Five days survive a long weekend. Ten: the schedule of one event is not "nothing but failure".
_PATIENCE: Final = timedelta(days=5)
_LEAST_FAILURES: Final = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered; no status when it did not."""

    status: int | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What follows from an attempt: the event's state, when to try again, how long to spare the endpoint."""

    state: WebhookState
    again_after: timedelta | None = None
    spare_for: timedelta | None = None


def answer_of(status: int, headers: Mapping[str, str], now: datetime) -> Answer:
    """Read an answer; a `Retry-After` that is neither seconds nor an instant says nothing."""
    return Answer(status, _retry_after(headers.get("retry-after", ""), now))


def effect_of(answer: Answer, attempts: int, chance: float) -> Effect:
    """What becomes of an event after its attempt number `attempts`.

    Args:
        answer: what the endpoint said.
        attempts: made so far, with this one.
        chance: between 0 and 1, handed in; makes the jitter.
    """
    if answer.status is not None and is_accepted(answer.status):
        return Effect(WebhookState.DELIVERED)
    spare_for = answer.retry_after
    if spare_for is None and answer.status in _OVERLOADED:
        spare_for = _LEFT_IN_PEACE
    delay = delay_after(attempts, chance, EVENT_SCHEDULE)
    if delay is None:
        return Effect(WebhookState.EXHAUSTED, None, spare_for)
    return Effect(WebhookState.PENDING, max(delay, spare_for or delay), spare_for)


def why_disabled(
    answer: Answer, failures: int, first_failed_at: datetime, now: datetime
) -> WhyDisabled | None:
    """Whether an endpoint is sent nothing more after this failure, its `failures`-th in a row."""
    if answer.status == _GONE:
        return WhyDisabled.GONE
    if failures >= _LEAST_FAILURES and now - first_failed_at >= _PATIENCE:
        return WhyDisabled.FAILING
    return None


def body_of(event_id: str, event: Event, *, is_thin: bool) -> bytes:
    """The bytes of an event: whole, or thin (what changed, not how it is now); too large is made thin."""
    thin = {"object": {"id": event.subject, "object": event.object.get("object", "")}}
    whole = {"object": event.object, "previous_attributes": event.previous_attributes}
    body = _written(event_id, event, thin if is_thin else whole)
    return body if len(body) <= LARGEST_BODY else _written(event_id, event, thin)


def _written(event_id: str, event: Event, data: Mapping[str, object]) -> bytes:
    content = {
        "id": event_id,
        "type": event.type,
        "api_version": API_VERSION,
        "created_at": event.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "sequence": event.sequence,
        "data": {"previous_attributes": {}, **data},
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _retry_after(text: str, now: datetime) -> timedelta | None:
    """RFC 9110 section 10.2.3, clamped: neither in the past nor beyond `LONGEST_RETRY_AFTER`."""
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta(0)), LONGEST_RETRY_AFTER)
