"""A batch looks at each account and each wallet once to make sure of it."""

from alembic import op

from migrations import statements

revision = "one_look"
down_revision = "payment_overtaken"


def upgrade() -> None:
    for name in ("ledger_places.sql", "wallet_one_look.sql"):
        for statement in statements(name):
            op.execute(statement)


def downgrade() -> None:
    expected = "text[], text[], text[], bigint[], text[], text[], bigint[], text[], text[]"
    op.execute(f"DROP FUNCTION wallet_expect(integer, timestamptz, {expected})")
    op.execute(f"DROP FUNCTION wallet_confirm(integer, {'bigint[], ' * 6}timestamptz[])")
    for name, function in (("ledger_journal.sql", "ledger_write"), ("wallet_confirm.sql", "wallet_write")):
        for statement in statements(name):
            if f"FUNCTION {function}(" in statement:
                op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
