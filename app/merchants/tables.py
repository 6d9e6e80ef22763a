"""How merchants, their sites, salts and tokens are kept."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Table,
    Text,
    func,
)

from app.kernel.signing import Dialect
from app.merchants.model import ATTEMPTS_LIMIT, MOST_ATTEMPTS, MessageFormat, Scope
from app.plumbing.database import checked, metadata

__all__ = [
    "api_tokens",
    "issued_signatures",
    "merchants",
    "seen_signatures",
    "site_numbers",
    "site_salts",
    "sites",
]

merchants = Table(
    "merchant",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

site_numbers = Sequence("site_number", start=101, metadata=metadata)

sites = Table(
    "site",
    metadata,
    Column(
        "site_id",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="the protocol's integer site number",
    ),
    Column("merchant_id", Text, ForeignKey("merchant.merchant_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("callout_url", Text, nullable=False, comment="check_deposit and request_payout go here"),
    Column(
        "notify_url", Text, nullable=False, comment="notifications; also of failures where the next is empty"
    ),
    Column("notify_failure_url", Text, nullable=False, server_default=""),
    Column("callback_url", Text, nullable=False, server_default="", comment="empty = balance transfer mode"),
    Column("message_format", Text, nullable=False, server_default=MessageFormat.JSON),
    Column("dialect", Text, nullable=False, server_default=Dialect.G),
    Column("frame_origins", ARRAY(Text), nullable=False, server_default="{}"),
    Column("currencies", ARRAY(Text), nullable=False),
    Column("languages", ARRAY(Text), nullable=False, server_default="{en,ru,kk}"),
    Column("extended_info", Boolean, nullable=False, server_default="false"),
    Column("is_test", Boolean, nullable=False, server_default="false"),
    Column(
        "tell_every_change",
        Boolean,
        nullable=False,
        server_default="false",
        comment="notifications of every change, not of final states only",
    ),
    Column(
        "most_attempts",
        Integer,
        nullable=False,
        server_default=str(MOST_ATTEMPTS),
        comment="so many provider accounts are asked for one payment; 1: the first only",
    ),
    Column("webhook_secret", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    checked("message_format", MessageFormat),
    checked("dialect", Dialect),
    CheckConstraint("cardinality(currencies) > 0", name="has_a_currency"),
    CheckConstraint("cardinality(languages) > 0", name="has_a_language"),
    CheckConstraint(f"most_attempts BETWEEN 1 AND {ATTEMPTS_LIMIT}", name="most_attempts"),
    Index(None, "merchant_id"),
)

site_salts = Table(
    "site_salt",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("number", Integer, primary_key=True, comment="counts up; the highest signs"),
    Column("value", Text, nullable=False, comment="the secret of the SHA-1 rule"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("retired_at", DateTime(timezone=True), comment="not accepted from here on"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
)

api_tokens = Table(
    "api_token",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("token_id", Text, primary_key=True),
    Column("scope", Text, nullable=False),
    Column(
        "hash", LargeBinary, nullable=False, unique=True, comment="SHA-256; the token itself is shown once"
    ),
    Column("label", Text, nullable=False, server_default=""),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    checked("scope", Scope),
)

issued_signatures = Table(
    "issued_signature",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "signature", Text, primary_key=True, comment="ours: a message that comes back with it is a reflection"
    ),
    Column("issued_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    Index(None, "issued_at"),
)

seen_signatures = Table(
    "seen_signature",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "signature", Text, primary_key=True, comment="of a request that was taken: a repeat changes nothing"
    ),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    Index(None, "seen_at"),
)
