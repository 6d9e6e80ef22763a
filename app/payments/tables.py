"""How payments are kept: the payment, each try at a provider, and the events that are never edited."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.payments.model import OPEN, Attention, Kind, Status, SubStatus
from app.plumbing.database import checked, metadata
from app.providers import State

__all__ = ["attempts", "payment_events", "payment_numbers", "payments"]

# The protocol's numeric transaction_id; it starts high so that all have nine digits.
payment_numbers = Sequence("payment_number", start=100_000_001, metadata=metadata)

_OPEN = ", ".join(f"'{status.value}'" for status in sorted(OPEN))

payments = Table(
    "payment",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, comment="the protocol's transaction_id"),
    Column("kind", Text, nullable=False),
    Column("player_id", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("account", Text, nullable=False, comment="the provider account"),
    Column("status", Text, nullable=False),
    Column("sub_status", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("external_id", Text, nullable=False, server_default="", comment="the merchant's order number"),
    Column("provider_reference", Text, comment="the provider's number of what was paid"),
    Column(
        "reason_code", Text, nullable=False, server_default="", comment="the provider's own word, for staff"
    ),
    Column(
        "reason", Text, nullable=False, server_default="", comment="the merchant's or provider's sentence"
    ),
    Column("is_late", Boolean, nullable=False, server_default="false"),
    Column("attention", Text, comment="why a person should look"),
    Column("continue_url", Text, comment="the provider's page, while the player is awaited"),
    Column(
        "view_hash", LargeBinary, nullable=False, comment="SHA-256 of the token that shows this one payment"
    ),
    Column("customer_ip", Text, nullable=False),
    Column("source_type", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("sequence", Integer, nullable=False, server_default="0", comment="of the last event"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True), comment="when the provider was first asked"),
    Column("expires_at", DateTime(timezone=True), comment="while the player is awaited"),
    Column("completed_at", DateTime(timezone=True), comment="when a final status was reached"),
    Column("ask_at", DateTime(timezone=True), comment="when to ask the provider next"),
    Column("asked", Integer, nullable=False, server_default="0"),
    UniqueConstraint("site_id", "number"),
    UniqueConstraint("site_id", "view_hash"),
    ForeignKeyConstraint(["site_id", "player_id"], ["player.site_id", "player.player_id"]),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    checked("kind", Kind),
    checked("status", Status),
    checked("sub_status", SubStatus),
    checked("attention", Attention),
    CheckConstraint("0 < amount_minor AND amount_minor <= 1000000000000000", name="amount"),
    Index(None, "site_id", "player_id", "created_at"),
    Index(None, "site_id", "account"),
    Index(None, "site_id", "external_id"),
    # A merchant's order is paid once: the last word, should two deposits of one order be collected at once.
    Index(
        "uq_payment_paid_order",
        "site_id",
        "kind",
        "external_id",
        unique=True,
        postgresql_where=text("external_id <> '' AND status = 'completed'"),
    ),
    Index("ix_payment_ask_at", "ask_at", postgresql_where=text("ask_at IS NOT NULL")),
    Index("ix_payment_open", "changed_at", postgresql_where=text(f"sub_status IN ({_OPEN})")),
    Index("uq_payment_provider_reference", "site_id", "account", "provider_reference", unique=True),
)

attempts = Table(
    "attempt",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "attempt_id",
        Text,
        primary_key=True,
        comment="our reference at the provider, the same on every repeat",
    ),
    Column("payment_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("account", Text, nullable=False),
    Column("state", Text, comment="what the provider last said; empty = sending, nobody knows"),
    Column("provider_reference", Text),
    Column("error_code", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    Column("answer", JSONB, comment="masked"),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("answered_at", DateTime(timezone=True)),
    UniqueConstraint("site_id", "payment_id", "number"),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    Index(None, "site_id", "account"),
    checked("state", State),
)

payment_events = Table(
    "payment_event",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, comment="gap-free per payment"),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sub_status", Text, nullable=False),
    Column("source", Text, nullable=False, comment="who said so: player, merchant, provider's notice, ..."),
    Column("amount_minor", BigInteger),
    Column("currency", Text),
    Column("provider_reference", Text),
    Column("detail", JSONB, nullable=False, server_default="{}"),
    Column("occurred_at", DateTime(timezone=True), comment="the provider's own time"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    checked("status", Status),
    checked("sub_status", SubStatus),
)
