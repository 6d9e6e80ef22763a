"""What we tell the merchant's server, and repeat until heard.

Two products of one outbox: the protocol's notification of a payment to the site's own addresses (`announce`),
and events to any number of endpoints that a site registers (`publish`). Promises that a change and its
webhook commit together, that every attempt is recorded, that the events of one payment arrive in order, and
that one dead endpoint never delays another. Answers to nobody: who tells does not wait.
"""

from app.webhooks.model import (
    SCHEDULE,
    AttemptResult,
    Endpoint,
    EndpointState,
    Event,
    Notification,
    WebhookState,
)
from app.webhooks.outbox import WebhookNotFound, WebhookOvertaken, announce, is_heard_at, publish, replay
from app.webhooks.queries import EndpointNotFound, attempts_at, endpoint, endpoint_list
from app.webhooks.terms import EVENT_TYPES

__all__ = [
    "EVENT_TYPES",
    "SCHEDULE",
    "AttemptResult",
    "Endpoint",
    "EndpointNotFound",
    "EndpointState",
    "Event",
    "Notification",
    "WebhookNotFound",
    "WebhookOvertaken",
    "WebhookState",
    "announce",
    "attempts_at",
    "endpoint",
    "endpoint_list",
    "is_heard_at",
    "publish",
    "replay",
]
