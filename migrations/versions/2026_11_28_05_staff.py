"""The staff room: operators, approvals and their votes, and the diary."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import statements

revision = "staff"
down_revision = "providers"


def upgrade() -> None:
    op.create_table(
        "operator",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "roles",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="never change: other roles are another operator",
        ),
        sa.Column("sites", postgresql.ARRAY(sa.Integer()), nullable=True, comment="none = every site"),
        sa.Column(
            "token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256; the token itself is shown once"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("login ~ '^[a-z0-9][a-z0-9._-]{1,63}$'", name=op.f("ck_operator_login")),
        sa.CheckConstraint(
            "roles <@ ARRAY['administrator', 'finance', 'fraud', 'support', 'compliance', 'auditor']",
            name=op.f("ck_operator_roles"),
        ),
        sa.CheckConstraint("cardinality(roles) > 0", name=op.f("ck_operator_has_a_role")),
        sa.CheckConstraint("sites IS NULL OR cardinality(sites) > 0", name=op.f("ck_operator_has_a_site")),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("ck_operator_token_hash")),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operator")),
        sa.UniqueConstraint("login", name=op.f("uq_operator_login")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_operator_token_hash")),
    )
    op.create_table(
        "approval",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("approval_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="the id of what it is about"),
        sa.Column(
            "content",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="exactly what people say yes to",
        ),
        sa.Column(
            "content_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the canonical content"
        ),
        sa.Column("maker", sa.Text(), nullable=False, comment="who asked, and may therefore not vote"),
        sa.Column("people_needed", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="nobody can vote from here on",
        ),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('payout', 'refund', 'case')", name=op.f("ck_approval_kind")),
        sa.CheckConstraint(
            "state IN ('open', 'approved', 'rejected', 'expired', 'withdrawn')",
            name=op.f("ck_approval_state"),
        ),
        sa.CheckConstraint(
            "maker ~ '^(system|(player|merchant|operator|machine):[A-Za-z0-9._-]{1,64})$'",
            name=op.f("ck_approval_maker"),
        ),
        sa.CheckConstraint("people_needed BETWEEN 1 AND 5", name=op.f("ck_approval_people_needed")),
        sa.CheckConstraint("octet_length(content_hash) = 32", name=op.f("ck_approval_content_hash")),
        sa.CheckConstraint("(state = 'open') = (decided_at IS NULL)", name=op.f("ck_approval_decided")),
        sa.CheckConstraint("expires_at > made_at", name=op.f("ck_approval_expires_later")),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_approval_site_id")),
        sa.PrimaryKeyConstraint("site_id", "approval_id", name=op.f("pk_approval")),
        sa.UniqueConstraint(
            "site_id", "approval_id", "maker", name=op.f("uq_approval_site_id_approval_id_maker")
        ),
    )
    op.create_index(
        "ix_approval_expires_at",
        "approval",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        op.f("ix_approval_site_id_kind_subject_made_at"),
        "approval",
        ["site_id", "kind", "subject", "made_at"],
        unique=False,
    )
    op.create_index(
        "uq_approval_open",
        "approval",
        ["site_id", "kind", "subject"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "approval_vote",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("approval_id", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False, comment="one vote a person"),
        sa.Column(
            "maker", sa.Text(), nullable=False, comment="of the approval, as the foreign key makes sure"
        ),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason_staff", sa.Text(), nullable=False),
        sa.Column("reason_player", sa.Text(), nullable=False),
        sa.Column("do_not_tip_off", sa.Boolean(), nullable=False),
        sa.Column("voted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("verdict IN ('approve', 'reject')", name=op.f("ck_approval_vote_verdict")),
        sa.CheckConstraint(
            "maker <> 'operator:' || operator_id", name=op.f("ck_approval_vote_maker_is_not_checker")
        ),
        sa.CheckConstraint(
            "verdict <> 'reject' OR reason_staff <> ''", name=op.f("ck_approval_vote_rejected_with_a_reason")
        ),
        sa.CheckConstraint(
            "length(reason_staff) <= 1000 AND length(reason_player) <= 1000",
            name=op.f("ck_approval_vote_reasons"),
        ),
        sa.ForeignKeyConstraint(
            ["operator_id"], ["operator.operator_id"], name=op.f("fk_approval_vote_operator_id")
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "approval_id", "maker"],
            ["approval.site_id", "approval.approval_id", "approval.maker"],
            name=op.f("fk_approval_vote_site_id_approval_id_maker"),
        ),
        sa.PrimaryKeyConstraint("site_id", "approval_id", "operator_id", name=op.f("pk_approval_vote")),
    )
    op.create_index(op.f("ix_approval_vote_operator_id"), "approval_vote", ["operator_id"], unique=False)
    op.create_index(
        op.f("ix_approval_vote_site_id_approval_id_maker"),
        "approval_vote",
        ["site_id", "approval_id", "maker"],
        unique=False,
    )
    op.create_table(
        "diary",
        sa.Column("site_id", sa.Integer(), nullable=False, comment="0 = the house"),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("deed", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "actor ~ '^(system|(player|merchant|operator|machine):[A-Za-z0-9._-]{1,64})$'",
            name=op.f("ck_diary_actor"),
        ),
        sa.CheckConstraint("deed <> ''", name=op.f("ck_diary_deed")),
        sa.PrimaryKeyConstraint("site_id", "entry_id", name=op.f("pk_diary")),
    )
    op.create_index(op.f("ix_diary_site_id_subject"), "diary", ["site_id", "subject"], unique=False)
    op.create_table(
        "diary_seal",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="gap-free, in commit order",
        ),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column(
            "hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the seal before and this entry; written by the database at COMMIT",
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "entry_id"],
            ["diary.site_id", "diary.entry_id"],
            name=op.f("fk_diary_seal_site_id_entry_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "number", name=op.f("pk_diary_seal")),
        sa.UniqueConstraint("site_id", "entry_id", name=op.f("uq_diary_seal_site_id_entry_id")),
    )
    for name in ("staff_guards.sql", "staff_grants.sql"):
        for statement in statements(name):
            op.execute(statement)


def downgrade() -> None:
    for table in ("diary_seal", "diary", "approval_vote", "approval", "operator"):
        op.drop_table(table)
    for function in ("staff_seal_line", "staff_check_approval", "staff_check_vote"):
        op.execute(f"DROP FUNCTION {function}")
