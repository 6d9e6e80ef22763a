"""A part of a withdrawal says which of its attempts counts now: two may have been at one account."""

import sqlalchemy as sa
from alembic import op

revision = "leg_attempt"
down_revision = "case_attempt"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # Of parts that have moved before it is the last attempt at their account, as it was until now.
    op.add_column(
        "payout_leg",
        sa.Column("present_attempt", sa.Text(), comment="the attempt that counts now, the last to move it"),
    )
    op.execute("GRANT UPDATE (present_attempt) ON payout_leg TO cashier_app")
    op.execute("GRANT SELECT (present_attempt) ON payout_leg TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("payout_leg", "present_attempt")
