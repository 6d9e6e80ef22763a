"""Reports and audits read about a person neither what a merchant was asked nor what it was told."""

from alembic import op

revision = "reports_see_nobody"
down_revision = "looked_at"

_ROLES = "cashier_reader, cashier_auditor"
# All of them but `request` and `fields`, which have a player's address, name and where the money goes.
_OPEN = {
    "callout": "site_id, callout_id, payment_id, action, url, state, http_status, answer, external_id, reason, "
    "elapsed_ms, sent_at, answered_at",
    "webhook": "site_id, webhook_id, payment_id, sequence, endpoint_id, event_id, success, state, attempts, "
    "next_at, order_ends_at, created_at, delivered_at",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for table, columns in _OPEN.items():
        op.execute(f"REVOKE SELECT ON {table} FROM {_ROLES}")  # noqa: S608  our own names
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO {_ROLES}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for table, columns in _OPEN.items():
        op.execute(f"REVOKE SELECT ({columns}) ON {table} FROM {_ROLES}")  # noqa: S608  our own names
        op.execute(f"GRANT SELECT ON {table} TO {_ROLES}")
