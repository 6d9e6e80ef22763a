"""How provider accounts and the notices they send are kept."""

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.plumbing.database import checked, metadata

__all__ = ["NoticeState", "notices", "provider_accounts"]


class NoticeState(StrEnum):
    """How far a notice has come."""

    NEW = "new"
    READ = "read"
    ORPHAN = "orphan"
    UNREADABLE = "unreadable"


provider_accounts = Table(
    "provider_account",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column(
        "page_origin", Text, nullable=False, server_default="", comment="where the player's browser is sent"
    ),
    Column("credentials", JSONB, nullable=False, server_default="{}"),
    Column("enabled", Boolean, nullable=False, server_default="true"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("former_secret", Text, comment="notices may still be signed with it; nothing is sent with it"),
    Column("former_secret_ends_at", DateTime(timezone=True), comment="from then on it is none"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    CheckConstraint("(former_secret IS NULL) = (former_secret_ends_at IS NULL)", name="a_former_secret_ends"),
)

notices = Table(
    "notice",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("notice_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False, comment="SHA-256 of the raw body: no optional header decides"),
    Column("path", Text, nullable=False),
    Column("headers", JSONB, nullable=False, comment="masked"),
    Column("body", LargeBinary, nullable=False, comment="exactly as it arrived"),
    Column("state", Text, nullable=False, server_default=NoticeState.NEW),
    Column("reason", Text, nullable=False, server_default=""),
    Column("arrivals", Integer, nullable=False, server_default="1", comment="how often the same bytes came"),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("read_at", DateTime(timezone=True)),
    UniqueConstraint("site_id", "account", "dedupe_key"),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    checked("state", NoticeState),
    Index(None, "site_id", "state", "received_at"),
)
