"""The queue wakes its workers for new jobs alone, and keeps a line of what went wrong alone."""

from alembic import op

from migrations import statements

revision = "queue_quiet"
down_revision = "young_payments"


def upgrade() -> None:
    for statement in statements("queue_quiet.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER nothing_went_wrong ON queue.pgqueuer_log")
    op.execute("DROP FUNCTION queue.unwritten()")
    op.execute("DROP TRIGGER tg_pgqueuer_changed ON queue.pgqueuer")
    op.execute(
        "CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON queue.pgqueuer "
        "EXECUTE FUNCTION queue.fn_pgqueuer_changed()"
    )
