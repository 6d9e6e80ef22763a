"""The planner knows of young tables of payments what it would learn only from the first ANALYZE."""

from alembic import op

from migrations import statements

revision = "young_payments"
down_revision = "words"


def upgrade() -> None:
    for statement in statements("young_payments.sql"):
        op.execute(statement)


def downgrade() -> None:
    """Nothing to undo: the next ANALYZE replaces what was told."""
