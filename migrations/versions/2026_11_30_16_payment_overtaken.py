"""A change of a payment that another has overtaken fails as a whole."""

from alembic import op

from migrations import statements

revision = "payment_overtaken"
down_revision = "queue_quiet"


def upgrade() -> None:
    for statement in statements("payment_overtaken.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION payment_overtaken()")
