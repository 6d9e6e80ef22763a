"""When a notification is repeated, and what counts as heard. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

__all__ = ["SCHEDULE", "AttemptResult", "Notification", "WebhookState", "delay_after", "is_heard"]

_HTTP_OK = range(200, 300)
# protocol.md section 15: up to 10 %, so that a merchant who comes back is not met by everybody at once.
_JITTER = 0.10

# protocol.md section 4.1: after 45 s, 2, 5, 10, 30 minutes, then every hour for 24 hours.
SCHEDULE: tuple[timedelta, ...] = (
    timedelta(seconds=45),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=10),
    timedelta(minutes=30),
    *(timedelta(hours=1),) * 24,
)


class WebhookState(StrEnum):
    """A webhook is pending until it is heard, or until the schedule ends and a person must replay it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    SUPERSEDED = "superseded"


class AttemptResult(StrEnum):
    """How one attempt ended."""

    HEARD = "heard"
    NOT_HEARD = "not_heard"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Notification:
    """What the merchant is to be told of one payment: the protocol's fields, without the signature."""

    payment_id: str
    sequence: int
    success: bool
    fields: Mapping[str, str | int]


def delay_after(attempts: int, chance: float) -> timedelta | None:
    """How long to wait after so many attempts; nothing when the schedule has ended.

    Args:
        attempts: made so far, at least 1.
        chance: between 0 and 1, handed in; makes the jitter.
    """
    if attempts > len(SCHEDULE):
        return None
    return SCHEDULE[attempts - 1] * (1 + _JITTER * chance)


def is_heard(status: int, body: bytes) -> bool:
    """Only HTTP 2xx with JSON `{"code": 0}` ends the repeats (protocol.md sections 4.1 and 15)."""
    if status not in _HTTP_OK:
        return False
    try:
        content = json.loads(body, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and type(content.get("code")) is int and content["code"] == 0


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name appears twice")
    return content
