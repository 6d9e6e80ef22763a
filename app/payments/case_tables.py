"""How disputes are kept, and the cases that people resolve."""

from sqlalchemy import (
    BigInteger,
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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.payments.model import CaseKind, CaseState
from app.payments.states import DisputeState
from app.plumbing.database import checked, metadata

__all__ = ["disputes", "payment_cases"]

disputes = Table(
    "dispute",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("dispute_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False, comment="the protocol's transaction_id, of payment_number"),
    Column("payment_id", Text, nullable=False, comment="the deposit"),
    Column("account", Text, nullable=False, comment="the provider account"),
    Column("dispute_reference", Text, nullable=False, comment="the provider's number of the dispute"),
    Column("state", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column(
        "posted_minor", BigInteger, nullable=False, server_default="0", comment="taken from us at present"
    ),
    Column("reason_code", Text, nullable=False, server_default="", comment="the scheme's own, for staff"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("sequence", Integer, nullable=False, server_default="1"),
    Column("due_at", DateTime(timezone=True), comment="until when an answer is heard"),
    Column("due_told_at", DateTime(timezone=True), comment="the due_at that the merchant was reminded of"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    UniqueConstraint("site_id", "number"),
    UniqueConstraint("site_id", "account", "dispute_reference"),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    ForeignKeyConstraint(["site_id", "account"], ["provider_account.site_id", "provider_account.account"]),
    Index(None, "site_id", "payment_id"),
    Index("ix_dispute_due", "due_at", postgresql_where=text("closed_at IS NULL")),
    checked("state", DisputeState),
    CheckConstraint("0 < amount_minor AND 0 <= posted_minor", name="amounts"),
)

payment_cases = Table(
    "payment_case",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=CaseState.OPEN),
    Column("payment_id", Text, comment="none for a notice that belongs to none"),
    Column("notice_id", Text),
    Column("attempt_id", Text, comment="which attempt the evidence was about, where it was one"),
    Column("about", Text, nullable=False, server_default="", comment="the provider's number it is about"),
    Column("word", Text, nullable=False, server_default="", comment="of a dispute, which one about it"),
    Column("ours", JSONB, nullable=False, comment="what we knew when it was opened"),
    Column("theirs", JSONB, nullable=False, comment="what the provider said, or the merchant"),
    Column("exposure_minor", BigInteger, nullable=False, server_default="0", comment="what may be lost"),
    Column("currency", Text, nullable=False, server_default="", comment="empty where nothing is known"),
    Column("resolution", Text, nullable=False, server_default="", comment="what was decided"),
    Column("note", Text, nullable=False, server_default=""),
    Column("attachment_hash", LargeBinary, comment="SHA-256 of the proof, which is kept elsewhere"),
    Column("approval_id", Text, comment="by whom, in the room of staff"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["site_id", "payment_id"], ["payment.site_id", "payment.payment_id"]),
    ForeignKeyConstraint(["site_id", "notice_id"], ["notice.site_id", "notice.notice_id"]),
    ForeignKeyConstraint(["site_id", "attempt_id"], ["attempt.site_id", "attempt.attempt_id"]),
    Index(None, "site_id", "payment_id"),
    Index(None, "site_id", "notice_id"),
    Index(None, "site_id", "attempt_id"),
    Index("ix_payment_case_site_id_state_opened_at", "site_id", "state", "opened_at"),
    Index(
        "uq_payment_case_open",
        "site_id",
        "kind",
        text("coalesce(payment_id, notice_id)"),
        "about",
        text("coalesce(attempt_id, '')"),
        "word",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
    checked("kind", CaseKind),
    checked("state", CaseState),
    CheckConstraint("payment_id IS NOT NULL OR notice_id IS NOT NULL", name="about_something"),
    CheckConstraint(
        "(state = 'resolved') = (resolved_at IS NOT NULL AND resolution <> '' AND note <> '')",
        name="resolved",
    ),
)
