"""A refund says which of its attempts counts now, as a deposit that was tried elsewhere does."""

from alembic import op

revision = "refund_attempt"
down_revision = "leg_attempt"

_BEFORE = "the attempt that counts now, of a deposit that was tried elsewhere"
_NOW = "the attempt that counts now; of a deposit: once tried elsewhere"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # Of refunds sent before it is the last attempt, as it was until now.
    op.alter_column("payment", "present_attempt", comment=_NOW, existing_comment=_BEFORE)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.alter_column("payment", "present_attempt", comment=_BEFORE, existing_comment=_NOW)
