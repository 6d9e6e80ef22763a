"""Of which date of a dispute the merchant was reminded."""

import sqlalchemy as sa
from alembic import op

revision = "evidence_due"
down_revision = "told_sums"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    comment = "the due_at that the merchant was reminded of"
    op.add_column(
        "dispute", sa.Column("due_told_at", sa.DateTime(timezone=True), nullable=True, comment=comment)
    )
    op.create_index("ix_dispute_due", "dispute", ["due_at"], postgresql_where=sa.text("closed_at IS NULL"))
    op.execute("GRANT UPDATE (due_told_at) ON dispute TO cashier_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_index("ix_dispute_due", "dispute")
    op.drop_column("dispute", "due_told_at")
