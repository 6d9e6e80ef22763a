"""Free rounds that the house grants and counts."""

import sqlalchemy as sa
from alembic import op

revision = "free_rounds"
down_revision = "wallet_debts"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.create_table(
        "free_round",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False, comment="the freeRoundId that platforms name"),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("game_code", sa.Text(), nullable=False, comment="empty: any of the platform's"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("spins", sa.Integer(), nullable=False),
        sa.Column(
            "used", sa.Integer(), server_default="0", nullable=False, comment="taken and not rolled back"
        ),
        sa.Column("won_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "paid_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="what of it was credited",
        ),
        sa.Column(
            "max_win_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="in all; 0: no limit",
        ),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("used BETWEEN 0 AND spins", name=op.f("ck_free_round_used")),
        sa.CheckConstraint(
            "won_minor >= 0 AND paid_minor >= 0 AND max_win_minor >= 0", name=op.f("ck_free_round_sums")
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "wallet_id"],
            ["wallet.site_id", "wallet.wallet_id"],
            name=op.f("fk_free_round_site_id_wallet_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "wallet_id", "campaign_id", name=op.f("pk_free_round")),
    )
    op.create_index(
        op.f("ix_free_round_site_id_campaign_id"), "free_round", ["site_id", "campaign_id"], unique=False
    )
    op.execute("REVOKE ALL ON free_round FROM cashier_app")
    op.execute("GRANT SELECT ON free_round TO cashier_app, cashier_reader, cashier_auditor")
    # What was granted stays as it was granted.
    op.execute(
        "GRANT INSERT, UPDATE (used, won_minor, paid_minor, cancelled_at) ON free_round TO cashier_app"
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_table("free_round")
