"""How often the number of a card of a player's was asked about is kept, for a day."""

import sqlalchemy as sa
from alembic import op

revision = "instrument_trials"
down_revision = "disabled_for_good"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.create_table(
        "instrument_trial",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column(
            "tried_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="a provider was asked about a number",
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "player_id"],
            ["player.site_id", "player.player_id"],
            name=op.f("fk_instrument_trial_site_id_player_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "trial_id", name=op.f("pk_instrument_trial")),
    )
    op.create_index(
        op.f("ix_instrument_trial_site_id_player_id_tried_at"),
        "instrument_trial",
        ["site_id", "player_id", "tried_at"],
        unique=False,
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON instrument_trial TO cashier_app")
    op.execute("GRANT SELECT ON instrument_trial TO cashier_reader, cashier_auditor")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_table("instrument_trial")
