"""Roles, the job queue, and the tables of the plumbing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.plumbing import queue
from migrations import run_script, statements

revision = "roles"
down_revision = None


def upgrade() -> None:
    for statement in statements("roles.sql"):
        op.execute(statement)
    run_script(queue.install_sql())
    for statement in statements("queue_grants.sql"):
        op.execute(statement)
    op.create_table(
        "claim",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column(
            "scope",
            sa.Text,
            primary_key=True,
            comment="who uses the key for what, e.g. cashier.deposit:ply_...",
        ),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False, comment="SHA-256 of the canonical content"),
        sa.Column("receipt", postgresql.JSONB, comment="what the deed answered, once it has"),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "switch",
        sa.Column("site_id", sa.Integer, primary_key=True, comment="0 = every site"),
        sa.Column("name", sa.Text, primary_key=True, comment="what is stopped, e.g. deposits"),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.execute("GRANT INSERT, UPDATE ON claim, switch TO cashier_app")


def downgrade() -> None:
    op.drop_table("switch")
    op.drop_table("claim")
    run_script(queue.uninstall_sql())
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM cashier_app")
    op.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM cashier_app")
    op.execute("REVOKE ALL ON SCHEMA public FROM cashier_app, cashier_reader, cashier_auditor")
