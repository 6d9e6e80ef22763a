"""What is forgotten by its age is found by it; before, each look read all there was."""

from alembic import op

revision = "forgotten_by_age"
down_revision = "webhook_turns"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # Writes to the two tables wait while they are read once: seconds for some ten million claims.
    op.create_index(op.f("ix_claim_claimed_at"), "claim", ["claimed_at"])
    op.create_index(op.f("ix_cashier_session_obtained_at"), "cashier_session", ["obtained_at"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_index(op.f("ix_cashier_session_obtained_at"), "cashier_session")
    op.drop_index(op.f("ix_claim_claimed_at"), "claim")
