"""What disputes took counts as far as there is room beside the refunds, also once a refund has ended."""

from alembic import op

revision = "charged_back"
down_revision = "case_tries"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # Counted when the bank took it, and not when a refund ended that had left it no room.
    op.execute(
        "UPDATE payment SET charged_back_minor = taken.room FROM ("
        "  SELECT p.site_id, p.payment_id, least(sum(d.posted_minor), "
        "         p.captured_minor - p.refunded_minor - p.refund_pending_minor) AS room"
        "    FROM payment p JOIN dispute d ON d.site_id = p.site_id AND d.payment_id = p.payment_id"
        "   WHERE p.kind = 'deposit' GROUP BY p.site_id, p.payment_id"
        ") AS taken WHERE payment.site_id = taken.site_id AND payment.payment_id = taken.payment_id "
        "AND payment.charged_back_minor <> taken.room"
    )


def downgrade() -> None:
    """Nothing to undo: the release before reads the figure as it is."""
