"""When somebody's look at a payment last made us ask its provider."""

import sqlalchemy as sa
from alembic import op

revision = "looked_at"
down_revision = "instrument_trials"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    comment = "when somebody's look last made us ask"
    op.add_column(
        "payment", sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True, comment=comment)
    )
    op.execute("GRANT UPDATE (looked_at) ON payment TO cashier_app")
    op.execute("GRANT SELECT (looked_at) ON payment TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("payment", "looked_at")
