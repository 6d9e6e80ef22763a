"""The sum of a dispute may change until it is taken."""

from alembic import op

revision = "dispute_sums"
down_revision = "payout_numbers"


def upgrade() -> None:
    op.execute("GRANT UPDATE (amount_minor) ON dispute TO cashier_app")


def downgrade() -> None:
    op.execute("REVOKE UPDATE (amount_minor) ON dispute FROM cashier_app")
