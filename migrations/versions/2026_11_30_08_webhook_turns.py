"""Who sends a webhook takes the attempt first, for as long as it can last."""

import sqlalchemy as sa
from alembic import op

revision = "webhook_turns"
down_revision = "reports_see_nobody"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    comment = "an attempt may be under way until then"
    op.add_column("webhook", sa.Column("attempt_ends_at", sa.DateTime(timezone=True), comment=comment))
    op.execute("GRANT UPDATE (attempt_ends_at) ON webhook TO cashier_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("webhook", "attempt_ends_at")
