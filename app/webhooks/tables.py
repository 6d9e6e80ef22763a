"""How webhooks and every attempt at them are kept."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.plumbing.database import checked, metadata
from app.webhooks.model import AttemptResult, WebhookState

__all__ = ["webhook_attempts", "webhooks"]

webhooks = Table(
    "webhook",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("webhook_id", Text, primary_key=True, comment="the webhook-id header, the same on every repeat"),
    Column("payment_id", Text, nullable=False),
    Column("sequence", Integer, nullable=False, comment="of the payment's events"),
    Column("success", Boolean, nullable=False, comment="which of the site's addresses it goes to"),
    Column("fields", JSONB, nullable=False),
    Column("state", Text, nullable=False, server_default=WebhookState.PENDING),
    Column("attempts", Integer, nullable=False, server_default="0", comment="counted by the schedule"),
    Column("next_at", DateTime(timezone=True), comment="when the next attempt is due"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    UniqueConstraint("site_id", "payment_id", "sequence"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    checked("state", WebhookState),
    Index(None, "site_id", "state", "next_at"),
)

webhook_attempts = Table(
    "webhook_attempt",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("webhook_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("url", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("http_status", Integer),
    Column("answer", Text, nullable=False, server_default="", comment="masked, its first 2 kB"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("elapsed_ms", Integer),
    Column("attempted_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["site_id", "webhook_id"], ["webhook.site_id", "webhook.webhook_id"]),
    checked("result", AttemptResult),
)
