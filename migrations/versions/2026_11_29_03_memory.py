"""What a process remembers of wallets is made sure of when it writes."""

from alembic import op

from migrations import statements

revision = "memory"
down_revision = "confirm"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in statements("wallet_memory.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TRIGGER player_status_changed ON player")
    for function in ("wallet_revise_players", "wallet_expect"):
        op.execute(f"DROP FUNCTION {function}")
