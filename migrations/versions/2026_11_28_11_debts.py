"""What is gone of a win that is taken back is owed, and collected from what comes in next."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from migrations import statements

revision = "wallet_debts"
down_revision = "cases"

_TYPES_BEFORE = (
    *("deposit", "withdraw", "bet", "win", "betwin", "rollback", "reverse_win", "void", "cashier"),
    "bonus",
)
_KINDS_BEFORE = (
    *("deposit.to_player", "deposit.to_merchant", "hold.place", "hold.release", "hold.capture"),
    *("wallet.deposit", "wallet.withdraw", "wallet.bet_cash", "wallet.bet_bonus", "wallet.win_cash"),
    *("wallet.win_bonus", "wallet.refund_cash", "wallet.refund_bonus", "wallet.reverse_cash"),
    *("wallet.reverse_bonus", "wallet.grant_bonus", "debt.repay"),
    *(
        f"{cause}.{way}_{side}"
        for cause in ("payout", "refund", "chargeback", "reversal")
        for side in ("cash", "debt", "merchant")
        for way in ("from", "to")
    ),
)
_KIND = "wallet.reverse_debt"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    names = ("kind", "source_purpose", "target_purpose")
    movement = sa.table("movement", *(sa.column(name) for name in names))
    op.bulk_insert(movement, [dict(zip(names, (_KIND, "player_debt", "house_gaming"), strict=True))])
    _listed("transfer", "kind", (*_KINDS_BEFORE, _KIND))
    _listed("wallet_operation", "type", (*_TYPES_BEFORE, "repayment"))
    op.add_column(
        "wallet",
        sa.Column(
            "debt_account_id",
            sa.BigInteger(),
            nullable=True,
            comment="once anything was owed, to whatever room; a trigger notes it",
        ),
    )
    op.create_unique_constraint(
        op.f("uq_wallet_site_id_debt_account_id"), "wallet", ["site_id", "debt_account_id"]
    )
    op.create_foreign_key(
        op.f("fk_wallet_site_id_debt_account_id"),
        "wallet",
        "account",
        ["site_id", "debt_account_id"],
        ["site_id", "account_id"],
    )
    for statement in statements("wallet_debts.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TRIGGER account_debt_noted ON account")
    op.execute("DROP TRIGGER wallet_debt_found ON wallet")
    for function in ("wallet_note_debt", "wallet_find_debt", "wallet_load"):
        op.execute(f"DROP FUNCTION {function}")
    for statement in statements("wallet_journal.sql"):
        if "FUNCTION wallet_load" in statement:
            op.execute(statement)
    op.drop_column("wallet", "debt_account_id")
    _listed("wallet_operation", "type", _TYPES_BEFORE)
    _listed("transfer", "kind", _KINDS_BEFORE)
    op.execute(f"DELETE FROM movement WHERE kind = '{_KIND}'")  # noqa: S608  the constant above


def _listed(table: str, column: str, words: Sequence[str]) -> None:
    """The CHECK that lists the words of a column, anew."""
    name = op.f(f"ck_{table}_{column}")
    op.drop_constraint(name, table, type_="check")
    quoted = ", ".join(f"'{word}'" for word in words)
    op.create_check_constraint(name, table, f"{column} IN ({quoted})")
