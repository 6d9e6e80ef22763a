"""With what a deposit was paid, so that withdrawals go back there first."""

import sqlalchemy as sa
from alembic import op

revision = "refunds"
down_revision = "methods"


def upgrade() -> None:
    op.add_column(
        "payment",
        sa.Column(
            "instrument_id", sa.Text(), nullable=True, comment="with what a deposit was paid, once known"
        ),
    )
    op.create_foreign_key(
        op.f("fk_payment_site_id_instrument_id_instrument"),
        "payment",
        "instrument",
        ["site_id", "instrument_id"],
        ["site_id", "instrument_id"],
    )
    op.create_index(op.f("ix_payment_site_id_instrument_id"), "payment", ["site_id", "instrument_id"])
    op.execute("GRANT UPDATE (instrument_id) ON payment TO cashier_app")
    op.execute("GRANT SELECT (instrument_id) ON payment TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.drop_index(op.f("ix_payment_site_id_instrument_id"), table_name="payment")
    op.drop_constraint(op.f("fk_payment_site_id_instrument_id_instrument"), "payment")
    op.drop_column("payment", "instrument_id")
