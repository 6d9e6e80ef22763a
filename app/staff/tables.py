"""How operators, approvals, votes and the diary are kept."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.plumbing.database import checked, metadata
from app.staff.model import ApprovalKind, ApprovalState, Role, Verdict
from app.staff.rules import ACTOR, LOGIN, LONGEST_REASON, MOST_PEOPLE

__all__ = ["approval_votes", "approvals", "diary_entries", "diary_seals", "operators"]

_ROLES = ", ".join(f"'{role.value}'" for role in Role)

operators = Table(
    "operator",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False, comment="never change: other roles are another operator"),
    Column("sites", ARRAY(Integer), comment="none = every site"),
    Column(
        "token_hash",
        LargeBinary,
        nullable=False,
        unique=True,
        comment="SHA-256; the token itself is shown once",
    ),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("disabled_at", DateTime(timezone=True)),
    CheckConstraint(f"login ~ '^{LOGIN}$'", name="login"),
    CheckConstraint(f"roles <@ ARRAY[{_ROLES}]", name="roles", info={"enum": Role, "column": "roles"}),
    CheckConstraint("cardinality(roles) > 0", name="has_a_role"),
    CheckConstraint("sites IS NULL OR cardinality(sites) > 0", name="has_a_site"),
    CheckConstraint("octet_length(token_hash) = 32", name="token_hash"),
)

approvals = Table(
    "approval",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("approval_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="the id of what it is about"),
    Column("content", JSONB, nullable=False, comment="exactly what people say yes to"),
    Column("content_hash", LargeBinary, nullable=False, comment="SHA-256 of the canonical content"),
    Column("maker", Text, nullable=False, comment="who asked, and may therefore not vote"),
    Column("people_needed", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False, comment="nobody can vote from here on"),
    Column("decided_at", DateTime(timezone=True)),
    UniqueConstraint("site_id", "approval_id", "maker"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    checked("kind", ApprovalKind),
    checked("state", ApprovalState),
    CheckConstraint(f"maker ~ '^{ACTOR}$'", name="maker"),
    CheckConstraint(f"people_needed BETWEEN 1 AND {MOST_PEOPLE}", name="people_needed"),
    CheckConstraint("octet_length(content_hash) = 32", name="content_hash"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
    CheckConstraint("expires_at > made_at", name="expires_later"),
    Index(
        "uq_approval_open",
        "site_id",
        "kind",
        "subject",
        unique=True,
        postgresql_where=text("state = 'open'"),
    ),
    Index(None, "site_id", "kind", "subject", "made_at"),
    Index("ix_approval_expires_at", "expires_at", postgresql_where=text("state = 'open'")),
)

approval_votes = Table(
    "approval_vote",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("approval_id", Text, primary_key=True),
    Column("operator_id", Text, primary_key=True, comment="one vote a person"),
    Column("maker", Text, nullable=False, comment="of the approval, as the foreign key makes sure"),
    Column("verdict", Text, nullable=False),
    Column("reason_staff", Text, nullable=False),
    Column("reason_player", Text, nullable=False),
    Column("do_not_tip_off", Boolean, nullable=False),
    Column("voted_at", DateTime(timezone=True), nullable=False),
    # The maker stands in both rows, so that a plain CHECK can say it: maker is not checker.
    ForeignKeyConstraint(
        ["site_id", "approval_id", "maker"], ["approval.site_id", "approval.approval_id", "approval.maker"]
    ),
    ForeignKeyConstraint(["operator_id"], ["operator.operator_id"]),
    checked("verdict", Verdict),
    CheckConstraint("maker <> 'operator:' || operator_id", name="maker_is_not_checker"),
    CheckConstraint("verdict <> 'reject' OR reason_staff <> ''", name="rejected_with_a_reason"),
    CheckConstraint(
        f"length(reason_staff) <= {LONGEST_REASON} AND length(reason_player) <= {LONGEST_REASON}",
        name="reasons",
    ),
    Index(None, "site_id", "approval_id", "maker"),
    Index(None, "operator_id"),
)

diary_entries = Table(
    "diary",
    metadata,
    Column("site_id", Integer, primary_key=True, comment="0 = the house"),
    Column("entry_id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("deed", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"actor ~ '^{ACTOR}$'", name="actor"),
    CheckConstraint("deed <> ''", name="deed"),
    Index(None, "site_id", "subject"),
)

diary_seals = Table(
    "diary_seal",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False, comment="gap-free, in commit order"),
    Column("entry_id", Text, nullable=False),
    Column(
        "hash",
        LargeBinary,
        nullable=False,
        comment="SHA-256 of the seal before and this entry; written by the database at COMMIT",
    ),
    UniqueConstraint("site_id", "entry_id"),
    ForeignKeyConstraint(["site_id", "entry_id"], ["diary.site_id", "diary.entry_id"]),
)
