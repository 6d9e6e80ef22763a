"""Batches are decided without locks, and confirmed when they are written."""

import sqlalchemy as sa
from alembic import op

from migrations import statements

revision = "confirm"
down_revision = "cascade"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column(
        "wallet",
        sa.Column(
            "revision",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="counts what changes what may be done and moves no money",
        ),
    )
    for statement in statements("wallet_confirm.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TRIGGER wallet_operation_tombstoned ON wallet_operation")
    for function in ("wallet_revise_tombstoned", "wallet_confirm", "wallet_revise"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_column("wallet", "revision")
