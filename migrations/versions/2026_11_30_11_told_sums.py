"""The sum that a provider told last of an attempt is kept, so that another one is news.

Two people may have denied a success: with the sum that they have read it is no news, with another it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "told_sums"
down_revision = "succession"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    comment = "the sum that it told last"
    op.add_column("attempt", sa.Column("told_minor", sa.BigInteger(), nullable=True, comment=comment))
    op.add_column("attempt", sa.Column("told_currency", sa.Text(), nullable=True))
    op.execute("GRANT UPDATE (told_minor, told_currency) ON attempt TO cashier_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.drop_column("attempt", "told_currency")
    op.drop_column("attempt", "told_minor")
