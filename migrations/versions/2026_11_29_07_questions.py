"""A question about what is over is one about an attempt, and the payment knows that there is one."""

import sqlalchemy as sa
from alembic import op

revision = "questions"
down_revision = "refund_attempt"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column(
        "payment",
        sa.Column(
            "is_questioned",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="a provider is asked about a try that is over",
        ),
    )
    op.add_column(
        "attempt",
        sa.Column(
            "is_questioned",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="it is over, and its provider is asked about it until it answers",
        ),
    )
    # Which of its attempts a question before was about nobody kept: each of them answers for itself. A graver
    # reason for attention hid that there was one; what is over and still asked about for that had one. What
    # nobody is asked about any more is a person's.
    op.execute(
        "UPDATE payment SET is_questioned = true WHERE ask_at IS NOT NULL AND (attention = 'unconfirmed' OR "
        "(attention IS NOT NULL AND status IN ('completed', 'failed', 'cancelled', 'refunded')))"
    )
    op.execute(
        "UPDATE attempt SET is_questioned = true FROM payment WHERE payment.is_questioned "
        "AND payment.site_id = attempt.site_id AND payment.payment_id = attempt.payment_id"
    )
    op.execute("GRANT UPDATE (is_questioned) ON payment TO cashier_app")
    op.execute("GRANT UPDATE (is_questioned) ON attempt TO cashier_app")
    op.execute("GRANT SELECT (is_questioned) ON payment TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("attempt", "is_questioned")
    op.drop_column("payment", "is_questioned")
