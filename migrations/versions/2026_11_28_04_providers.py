"""The providers room: what may become of an order that was paid."""

from alembic import op

revision = "providers"
down_revision = "webhook_endpoints"

_BEFORE = "'requires_action', 'processing', 'succeeded', 'failed', 'cancelled', 'not_found', 'unknown'"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_attempt_state"), "attempt")
    op.create_check_constraint(
        op.f("ck_attempt_state"), "attempt", f"state IN ({_BEFORE}, 'returned', 'reversed')"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_attempt_state"), "attempt")
    # What the older code cannot say, it does not know.
    op.execute("UPDATE attempt SET state = 'unknown' WHERE state IN ('returned', 'reversed')")
    op.create_check_constraint(op.f("ck_attempt_state"), "attempt", f"state IN ({_BEFORE})")
