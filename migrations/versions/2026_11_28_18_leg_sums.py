"""Of a part of a withdrawal another sum than was ordered may have been paid, and be accepted."""

import sqlalchemy as sa
from alembic import op

revision = "leg_sums"
down_revision = "reversals"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column(
        "payout_leg",
        sa.Column(
            "captured_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="what really went, once paid",
        ),
    )
    op.execute("UPDATE payout_leg SET captured_minor = amount_minor WHERE paid_at IS NOT NULL")
    op.execute("GRANT UPDATE (captured_minor) ON payout_leg TO cashier_app")
    op.execute("GRANT SELECT (captured_minor) ON payout_leg TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("payout_leg", "captured_minor")
