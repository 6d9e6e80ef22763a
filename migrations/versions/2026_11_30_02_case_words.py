"""Each word about a dispute is a matter of its own: another word is another case."""

import sqlalchemy as sa
from alembic import op

revision = "case_words"
down_revision = "charged_back"

_PAYMENT = sa.literal_column("coalesce(payment_id, notice_id)")
_TRY = sa.literal_column("coalesce(attempt_id, '')")
_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    comment = "of a dispute, which one about it"
    word = sa.Column("word", sa.Text(), server_default="", nullable=False, comment=comment)
    op.add_column("payment_case", word)
    # Whatever the former one lets in, the next one does: it is there before the other is gone.
    its = ["site_id", "kind", _PAYMENT, "about", _TRY, "word"]
    op.create_index("uq_payment_case_next", "payment_case", its, unique=True, postgresql_where=_OPEN)
    op.drop_index("uq_payment_case_open", "payment_case")
    op.execute("ALTER INDEX uq_payment_case_next RENAME TO uq_payment_case_open")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    # Where two words about a dispute have a case of one kind that is open it fails: one must be resolved.
    its = ["site_id", "kind", _PAYMENT, "about", _TRY]
    op.create_index("uq_payment_case_former", "payment_case", its, unique=True, postgresql_where=_OPEN)
    op.drop_index("uq_payment_case_open", "payment_case")
    op.execute("ALTER INDEX uq_payment_case_former RENAME TO uq_payment_case_open")
    op.drop_column("payment_case", "word")
