"""A provider account whose secret was changed knows the one before for a while."""

import sqlalchemy as sa
from alembic import op

revision = "former_secret"
down_revision = "questions"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column(
        "provider_account",
        sa.Column(
            "former_secret", sa.Text(), comment="notices may still be signed with it; nothing is sent with it"
        ),
    )
    op.add_column(
        "provider_account",
        sa.Column("former_secret_ends_at", sa.DateTime(timezone=True), comment="from then on it is none"),
    )
    op.create_check_constraint(
        op.f("ck_provider_account_a_former_secret_ends"),
        "provider_account",
        "(former_secret IS NULL) = (former_secret_ends_at IS NULL)",
    )
    # The application may read and write the table; who reports sees when it ends, and not what it is.
    op.execute("GRANT SELECT (former_secret_ends_at) ON provider_account TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_constraint(op.f("ck_provider_account_a_former_secret_ends"), "provider_account")
    op.drop_column("provider_account", "former_secret_ends_at")
    op.drop_column("provider_account", "former_secret")
