"""A notice of nobody may be found to belong to a payment."""

from alembic import op

revision = "cases"
down_revision = "listing"


def upgrade() -> None:
    op.execute("GRANT UPDATE (payment_id) ON payment_case TO cashier_app")


def downgrade() -> None:
    op.execute("REVOKE UPDATE (payment_id) ON payment_case FROM cashier_app")
