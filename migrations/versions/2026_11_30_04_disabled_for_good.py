"""An operator who was disabled stays disabled, whatever statement says otherwise."""

from alembic import op

from migrations import statements

revision = "disabled_for_good"
down_revision = "decided_attempts"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in statements("staff_disabled.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TRIGGER operator_is_disabled_for_good ON operator")
    op.execute("DROP FUNCTION staff_check_disabled")
