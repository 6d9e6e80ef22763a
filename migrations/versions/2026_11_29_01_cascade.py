"""A method may go through several provider accounts: after a definite failure the next one is asked."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import statements

revision = "cascade"
down_revision = "leg_sums"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column(
        "site_method",
        sa.Column(
            "further_accounts",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="asked in this order where an attempt failed for certain and another may not",
        ),
    )
    op.create_check_constraint(
        op.f("ck_site_method_each_account_once"),
        "site_method",
        "account <> ALL (further_accounts) AND cardinality(further_accounts) < 9",
    )
    op.add_column(
        "site",
        sa.Column(
            "most_attempts",
            sa.Integer(),
            server_default="3",
            nullable=False,
            comment="so many provider accounts are asked for one payment; 1: the first only",
        ),
    )
    op.create_check_constraint(op.f("ck_site_most_attempts"), "site", "most_attempts BETWEEN 1 AND 9")
    op.add_column(
        "payment",
        sa.Column("next_account", sa.Text(), comment="the account that a deposit is to be tried at next"),
    )
    op.add_column(
        "payment",
        sa.Column(
            "present_attempt",
            sa.Text(),
            comment="the attempt that counts now, of a deposit that was tried elsewhere",
        ),
    )
    op.add_column(
        "payment",
        sa.Column(
            "return_url",
            sa.Text(),
            comment="for its next attempt; only while there may be one: it has a token",
        ),
    )
    op.alter_column(
        "payment",
        "sent_at",
        comment="when the provider was asked, the last one",
        existing_comment="when the provider was first asked",
    )
    op.add_column(
        "attempt",
        sa.Column(
            "said_paid",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="its provider has said that money moved, whatever it says now",
        ),
    )
    # Of the tries before, what their providers say now is all that is known of what they said.
    op.execute("UPDATE attempt SET said_paid = true WHERE state IN ('succeeded', 'returned', 'reversed')")
    # What was asked for stays as it was written; through which account it goes may change.
    op.execute("GRANT UPDATE (account, next_account, present_attempt, return_url) ON payment TO cashier_app")
    op.execute("GRANT UPDATE (account) ON payout_leg TO cashier_app")
    for statement in statements("cascade_guards.sql"):
        op.execute(statement)
    op.execute("GRANT UPDATE (said_paid) ON attempt TO cashier_app")
    op.execute("GRANT SELECT (next_account, present_attempt) ON payment TO cashier_reader, cashier_auditor")
    op.execute("GRANT SELECT (most_attempts) ON site TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TRIGGER leg_stays_with_its_token ON payout_leg")
    op.execute("DROP FUNCTION payments_check_leg_account()")
    op.execute("REVOKE UPDATE (account) ON payout_leg FROM cashier_app")
    op.execute("REVOKE UPDATE (account) ON payment FROM cashier_app")
    op.drop_column("attempt", "said_paid")
    op.alter_column(
        "payment",
        "sent_at",
        comment="when the provider was first asked",
        existing_comment="when the provider was asked, the last one",
    )
    for column in ("return_url", "present_attempt", "next_account"):
        op.drop_column("payment", column)
    op.drop_constraint(op.f("ck_site_most_attempts"), "site")
    op.drop_column("site", "most_attempts")
    op.drop_constraint(op.f("ck_site_method_each_account_once"), "site_method")
    op.drop_column("site_method", "further_accounts")
