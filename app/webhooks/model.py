"""What is told, by whom it is heard, and when it is repeated. Pure.

Two products: the protocol's notification (protocol.md section 4), and events for endpoints (payments.md
section 3.5). They differ in body, schedule and what counts as heard; the rest is one machinery.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "EVENT_SCHEDULE",
    "MOST_ENDPOINTS",
    "ORDER_KEPT",
    "SCHEDULE",
    "SECRET_OVERLAP",
    "AttemptResult",
    "Endpoint",
    "EndpointState",
    "Event",
    "Notification",
    "WebhookState",
    "WhyDisabled",
    "delay_after",
    "is_accepted",
    "is_heard",
]

Attributes: TypeAlias = Mapping[str, object]
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
# payments.md section 3.5, the table of Standard Webhooks: the first attempt at once, nine more in 75 hours.
EVENT_SCHEDULE: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)

# An event that an endpoint cannot take holds the later ones of its payment back for so long, counted from
# when it was first due: one poisoned event delays a player, and does not lose him.
ORDER_KEPT = timedelta(minutes=10)
# 48 h, as for salts: a rotation done on a Friday can be repaired on Sunday.
SECRET_OVERLAP = timedelta(hours=48)
MOST_ENDPOINTS = 16  # of a site: each costs every change a row


class WebhookState(StrEnum):
    """A webhook is pending until it is heard, or until the schedule ends and a person must replay it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    SUPERSEDED = "superseded"
    DROPPED = "dropped"


class EndpointState(StrEnum):
    """A paused endpoint's events are kept for it; a disabled one gets none until somebody resumes it."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    REMOVED = "removed"


class WhyDisabled(StrEnum):
    """Why nothing is sent to an endpoint any more."""

    GONE = "gone"
    FAILING = "failing"


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


@dataclass(frozen=True, slots=True)
class Event:
    """One change, as endpoints are told of it.

    Args:
        type: a name of `EVENT_TYPES`.
        subject: the id of what changed; events of one subject are told in the order of `sequence`.
        sequence: counts the subject's changes without gaps; two types may tell of one change.
        object: the thing after the change, fit for JSON and for strangers: masked, money in minor units. Its
            `id` and `object` (what it is) are what a thin endpoint is told.
        previous_attributes: what the changed attributes were before.
        occurred_at: when it happened, by our clock.
    """

    type: str
    subject: str
    sequence: int
    object: Attributes
    previous_attributes: Attributes
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that a site registered for events; no types = all."""

    site_id: int
    endpoint_id: str
    url: str
    types: tuple[str, ...]
    is_thin: bool
    state: EndpointState
    first_failed_at: datetime | None
    failures: int
    throttle_ends_at: datetime | None
    disabled_at: datetime | None
    why_disabled: WhyDisabled | None
    created_at: datetime


def delay_after(attempts: int, chance: float, schedule: tuple[timedelta, ...] = SCHEDULE) -> timedelta | None:
    """How long to wait after so many attempts; nothing when the schedule has ended.

    Args:
        attempts: made so far, at least 1.
        chance: between 0 and 1, handed in; makes the jitter.
        schedule: the notification's by default.
    """
    if attempts > len(schedule):
        return None
    return schedule[attempts - 1] * (1 + _JITTER * chance)


def is_accepted(status: int) -> bool:
    """Whether an endpoint took an event: HTTP 2xx, whatever it says; a 3xx is a failure like any other."""
    return status in _HTTP_OK


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
