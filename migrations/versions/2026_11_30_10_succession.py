"""A batch that was decided upon what another one will leave makes sure that it was left."""

from alembic import op

from migrations import statements

revision = "succession"
down_revision = "forgotten_by_age"


def upgrade() -> None:
    for statement in statements("wallet_succession.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION wallet_follow")
