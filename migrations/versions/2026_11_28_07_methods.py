"""The methods room: offers by direction, and the players' instruments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "methods"
down_revision = "payouts"


def upgrade() -> None:
    op.add_column("site_method", sa.Column("direction", sa.Text(), server_default="deposit", nullable=False))
    op.create_check_constraint(
        op.f("ck_site_method_direction"), "site_method", "direction IN ('deposit', 'payout')"
    )
    op.drop_constraint(op.f("pk_site_method"), "site_method")
    op.create_primary_key(
        op.f("pk_site_method"), "site_method", ["site_id", "method", "currency", "direction"]
    )
    op.create_table(
        "instrument",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("instrument_id", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False, comment="a code of the catalogue"),
        sa.Column(
            "account", sa.Text(), nullable=False, comment="the provider account that a token is good at"
        ),
        sa.Column("masked", sa.Text(), nullable=False, comment="may be shown"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="tells whether it is the same again"),
        sa.Column(
            "fields",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="where money is sent: a token, or IBAN, name, telephone",
        ),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "removed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the player wants it shown no more",
        ),
        sa.CheckConstraint(
            "method <> 'card' OR (fields - 'token' = '{}'::jsonb AND fields ->> 'token' !~ '^[0-9 -]{13,}$'"
            " AND masked !~ '[0-9]{7}' AND fingerprint !~ '^[0-9 -]{13,}$')",
            name=op.f("ck_instrument_no_card_number"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "player_id"],
            ["player.site_id", "player.player_id"],
            name=op.f("fk_instrument_site_id_player_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "instrument_id", name=op.f("pk_instrument")),
        sa.UniqueConstraint(
            "site_id",
            "player_id",
            "method",
            "fingerprint",
            name=op.f("uq_instrument_site_id_player_id_method_fingerprint"),
        ),
    )
    op.execute("GRANT INSERT ON instrument TO cashier_app")
    op.execute(
        "GRANT UPDATE (account, masked, fields, last_used_at, removed_at) ON instrument TO cashier_app"
    )
    # Reports see that there is a card, not how to pay to it.
    op.execute(
        "GRANT SELECT (site_id, instrument_id, player_id, method, account, masked, first_seen_at, last_used_at,"
        " removed_at) ON instrument TO cashier_reader, cashier_auditor"
    )


def downgrade() -> None:
    op.drop_table("instrument")
    op.execute("DELETE FROM site_method WHERE direction <> 'deposit'")
    op.drop_constraint(op.f("pk_site_method"), "site_method")
    op.drop_constraint(op.f("ck_site_method_direction"), "site_method")
    op.drop_column("site_method", "direction")
    op.create_primary_key(op.f("pk_site_method"), "site_method", ["site_id", "method", "currency"])
