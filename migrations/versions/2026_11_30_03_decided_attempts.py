"""What two people have decided of an attempt, and what its provider has told, stand beside its last word.

They stood where the code of that word stands, and the next word could wipe them out.
"""

import sqlalchemy as sa
from alembic import op

revision = "decided_attempts"
down_revision = "case_words"

_MEANS = {
    "was_spoken_of": "its provider has told of it, in a word that we do not know",
    "came_back_short": "of what went out by it a part came back",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for name, comment in _MEANS.items():
        column = sa.Column(name, sa.Boolean(), server_default="false", nullable=False, comment=comment)
        op.add_column("attempt", column)
    means = "what two people with a proof have said became of it"
    op.add_column("attempt", sa.Column("decided", sa.Text(), nullable=True, comment=means))
    op.create_check_constraint("decided", "attempt", "decided IN ('paid', 'not_paid')")
    op.execute("UPDATE attempt SET was_spoken_of = true, error_code = '' WHERE error_code = 'spoken_of'")
    op.execute("UPDATE attempt SET came_back_short = true WHERE error_code = 'came_back'")
    op.execute("UPDATE attempt SET decided = 'not_paid', error_code = '' WHERE error_code = 'people'")
    op.execute("GRANT UPDATE (was_spoken_of, came_back_short, decided) ON attempt TO cashier_app")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("UPDATE attempt SET error_code = 'spoken_of' WHERE was_spoken_of")
    op.execute("UPDATE attempt SET error_code = 'came_back' WHERE came_back_short")
    op.execute("UPDATE attempt SET error_code = 'people' WHERE decided = 'not_paid'")
    for name in ("decided", *_MEANS):
        op.drop_column("attempt", name)
