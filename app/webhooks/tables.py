"""How endpoints, events, webhooks and every attempt at them are kept."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.plumbing.database import checked, metadata
from app.webhooks.model import AttemptResult, EndpointState, WebhookState, WhyDisabled

__all__ = ["endpoint_secrets", "endpoints", "events", "webhook_attempts", "webhooks"]

endpoints = Table(
    "webhook_endpoint",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("endpoint_id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False, server_default="{}", comment="empty = all"),
    Column("is_thin", Boolean, nullable=False, server_default="false", comment="told the id, not the object"),
    Column("state", Text, nullable=False, server_default=EndpointState.ACTIVE),
    Column("first_failed_at", DateTime(timezone=True), comment="nothing but failures since then"),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row"),
    Column("throttle_ends_at", DateTime(timezone=True), comment="it asked to be left in peace"),
    Column("disabled_at", DateTime(timezone=True)),
    Column("why_disabled", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    checked("state", EndpointState),
    checked("why_disabled", WhyDisabled),
    CheckConstraint(
        "state <> 'disabled' OR (why_disabled IS NOT NULL AND disabled_at IS NOT NULL)",
        name="disabled_says_why",
    ),
)

endpoint_secrets = Table(
    "webhook_secret",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("endpoint_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, comment="counts up"),
    Column("value", Text, nullable=False, comment="whsec_ and base64; signs until it is retired"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True), comment="does not sign from here on"),
    ForeignKeyConstraint(
        ["site_id", "endpoint_id"], ["webhook_endpoint.site_id", "webhook_endpoint.endpoint_id"]
    ),
)

events = Table(
    "event",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("event_id", Text, primary_key=True, comment="the webhook-id header at every endpoint"),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="the id of what changed"),
    Column("sequence", Integer, nullable=False, comment="gap-free per subject"),
    Column("object", JSONB, nullable=False, comment="the thing after the change"),
    Column("previous_attributes", JSONB, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("site_id", "subject", "sequence", "type"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    Index(None, "site_id", "created_at"),
)

# One outbox for both products: a notification of the protocol, or an event on its way to one endpoint.
webhooks = Table(
    "webhook",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "webhook_id",
        Text,
        primary_key=True,
        comment="a notification's webhook-id header, same on every repeat",
    ),
    Column("payment_id", Text, nullable=False, comment="or another subject of an event"),
    Column("sequence", Integer, nullable=False, comment="of the payment's events"),
    Column("endpoint_id", Text, comment="none: the site's own addresses, by the protocol"),
    Column("event_id", Text, comment="what the endpoint is told; its webhook-id header"),
    Column("success", Boolean, comment="which of the site's addresses a notification goes to"),
    Column("fields", JSONB, comment="of a notification"),
    Column("state", Text, nullable=False, server_default=WebhookState.PENDING),
    Column("attempts", Integer, nullable=False, server_default="0", comment="counted by the schedule"),
    Column("next_at", DateTime(timezone=True), comment="when the next attempt is due; none = held or closed"),
    Column("attempt_ends_at", DateTime(timezone=True), comment="an attempt may be under way until then"),
    Column("order_ends_at", DateTime(timezone=True), comment="an event holds later ones back until then"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    ForeignKeyConstraint(
        ["site_id", "endpoint_id"], ["webhook_endpoint.site_id", "webhook_endpoint.endpoint_id"]
    ),
    ForeignKeyConstraint(["site_id", "event_id"], ["event.site_id", "event.event_id"]),
    UniqueConstraint("site_id", "event_id", "endpoint_id"),
    checked("state", WebhookState),
    CheckConstraint(
        "CASE WHEN endpoint_id IS NULL THEN event_id IS NULL AND fields IS NOT NULL AND success IS NOT NULL "
        "ELSE event_id IS NOT NULL AND fields IS NULL AND order_ends_at IS NOT NULL END",
        name="one_product",
    ),
    Index(None, "site_id", "state", "next_at"),
    Index(
        "uq_webhook_notification",
        "site_id",
        "payment_id",
        "sequence",
        unique=True,
        postgresql_where=text("endpoint_id IS NULL"),
    ),
    # The order of one payment at one endpoint.
    Index(None, "site_id", "endpoint_id", "payment_id", "sequence"),
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
    Index(None, "attempted_at"),
)
