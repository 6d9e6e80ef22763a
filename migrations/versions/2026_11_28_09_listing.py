"""Payments as pages of a list."""

from alembic import op

revision = "listing"
down_revision = "refunds"


def upgrade() -> None:
    op.create_index("ix_payment_listed", "payment", ["site_id", "created_at", "payment_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_payment_listed", table_name="payment")
