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
    op.execute("DROP TRIGGER wallet_round_ended ON wallet_round")
    op.execute("DROP TRIGGER game_session_ended ON game_session")
    for statement in statements("wallet_journal.sql"):
        if "FUNCTION wallet_write" in statement:
            op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    for function in ("wallet_revise_its", "wallet_confirm", "wallet_revise"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_column("wallet", "revision")
