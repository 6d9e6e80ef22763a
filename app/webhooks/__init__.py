"""What we tell the merchant's server, and repeat until heard.

Promises that a change and its webhook commit together, that every attempt is recorded, and that one dead
endpoint never delays another. Answers to nobody: who announced does not wait.
"""

from app.webhooks.model import SCHEDULE, AttemptResult, Notification, WebhookState
from app.webhooks.operations import WebhookNotFound, announce, replay

__all__ = [
    "SCHEDULE",
    "AttemptResult",
    "Notification",
    "WebhookNotFound",
    "WebhookState",
    "announce",
    "replay",
]
