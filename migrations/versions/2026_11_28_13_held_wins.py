"""Wins over a cap are set aside, in an operation of their own."""

from alembic import op

revision = "held_wins"
down_revision = "free_rounds"

_TYPES_BEFORE = (
    *("deposit", "withdraw", "bet", "win", "betwin", "rollback", "reverse_win", "void", "cashier"),
    *("bonus", "repayment"),
)


def upgrade() -> None:
    _listed(*_TYPES_BEFORE, "hold")


def downgrade() -> None:
    _listed(*_TYPES_BEFORE)


def _listed(*types: str) -> None:
    """The CHECK that lists the types of operations, anew."""
    op.execute("SET LOCAL lock_timeout = '2s'")
    name = op.f("ck_wallet_operation_type")
    op.drop_constraint(name, "wallet_operation", type_="check")
    quoted = ", ".join(f"'{word}'" for word in types)
    op.create_check_constraint(name, "wallet_operation", f"type IN ({quoted})")
