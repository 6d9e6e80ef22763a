"""How each question to a merchant is kept: written before it is asked."""

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from app.callouts.model import CalloutState
from app.plumbing.database import checked, metadata

__all__ = ["callouts"]

callouts = Table(
    "callout",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("callout_id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("request", JSONB, nullable=False, comment="without the signature"),
    Column("state", Text, nullable=False, server_default=CalloutState.SENT),
    Column("http_status", Integer),
    Column("answer", Text, nullable=False, server_default="", comment="masked, at most 20 kB"),
    Column(
        "external_id", Text, nullable=False, server_default="", comment="the merchant's order, once accepted"
    ),
    Column("reason", Text, nullable=False, server_default=""),
    Column("elapsed_ms", Integer),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("answered_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    checked("state", CalloutState),
    Index(None, "site_id", "payment_id"),
)
