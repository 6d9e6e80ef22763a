"""Lists of words that a column may hold stand in functions, which PostgreSQL reads once."""

from alembic import op

from migrations import statements

revision = "words"
down_revision = "evidence_due"


def upgrade() -> None:
    for statement in statements("words.sql"):
        op.execute(statement)


def downgrade() -> None:
    for statement in statements("words_undone.sql"):
        op.execute(statement)
