"""What an operator has prepaid: funded, given back, and locked where deposits must stay within it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations import statements

revision = "wallet_floats"
down_revision = "held_wins"

_MOVEMENTS = (
    ("float.fund", "suspense", "operator_float"),
    ("float.return", "operator_float", "suspense"),
)
_KINDS_BEFORE = (
    *("deposit.to_player", "deposit.to_merchant", "hold.place", "hold.release", "hold.capture"),
    *("wallet.deposit", "wallet.withdraw", "wallet.bet_cash", "wallet.bet_bonus", "wallet.win_cash"),
    *("wallet.win_bonus", "wallet.refund_cash", "wallet.refund_bonus", "wallet.reverse_cash"),
    *("wallet.reverse_bonus", "wallet.reverse_debt", "wallet.grant_bonus", "debt.repay"),
    *(
        f"{cause}.{way}_{side}"
        for cause in ("payout", "refund", "chargeback", "reversal")
        for side in ("cash", "debt", "merchant")
        for way in ("from", "to")
    ),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    names = ("kind", "source_purpose", "target_purpose")
    movement = sa.table("movement", *(sa.column(name) for name in names))
    op.bulk_insert(movement, [dict(zip(names, row, strict=True)) for row in _MOVEMENTS])
    _kinds((*_KINDS_BEFORE, *(kind for kind, _, _ in _MOVEMENTS)))
    for statement in statements("wallet_floats.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP FUNCTION wallet_lock_floats")
    _kinds(_KINDS_BEFORE)
    op.execute("DELETE FROM movement WHERE kind IN ('float.fund', 'float.return')")


def _kinds(words: Sequence[str]) -> None:
    """The CHECK that lists the kinds of transfers, anew."""
    name = op.f("ck_transfer_kind")
    op.drop_constraint(name, "transfer", type_="check")
    quoted = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint(name, "transfer", f"kind IN ({quoted})")
