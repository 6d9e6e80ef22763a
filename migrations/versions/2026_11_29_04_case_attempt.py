"""A case names the attempt that its evidence was about."""

import sqlalchemy as sa
from alembic import op

revision = "case_attempt"
down_revision = "memory"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # Of cases opened before nobody knows it; what is null was about no attempt, or is one of those.
    op.add_column(
        "payment_case",
        sa.Column("attempt_id", sa.Text(), comment="which attempt the evidence was about, where it was one"),
    )
    op.create_foreign_key(
        op.f("fk_payment_case_site_id_attempt_id"),
        "payment_case",
        "attempt",
        ["site_id", "attempt_id"],
        ["site_id", "attempt_id"],
    )
    op.create_index(
        op.f("ix_payment_case_site_id_attempt_id"), "payment_case", ["site_id", "attempt_id"], unique=False
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("payment_case", "attempt_id")
