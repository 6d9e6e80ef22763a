"""A withdrawal's numbers at its providers are its legs'; its own row is no part of that comparison."""

import sqlalchemy as sa
from alembic import op

revision = "payout_numbers"
down_revision = "wallet_floats"

_NAME = "uq_payment_provider_reference"
_COLUMNS = ["site_id", "account", "kind", "provider_reference"]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_index(_NAME, table_name="payment")
    op.create_index(_NAME, "payment", _COLUMNS, unique=True, postgresql_where=sa.text("kind <> 'payout'"))


def downgrade() -> None:
    """Refused by the database where two withdrawals already show the same number."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_index(_NAME, table_name="payment")
    op.create_index(_NAME, "payment", _COLUMNS, unique=True)
