"""Webhook endpoints, events, and their way in the outbox; sites that hear of every change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import statements

revision = "webhook_endpoints"
down_revision = "callouts"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.add_column(
        "site",
        sa.Column(
            "tell_every_change",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="notifications of every change, not of final states only",
        ),
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", sa.ARRAY(sa.Text()), server_default="{}", nullable=False, comment="empty = all"),
        sa.Column(
            "is_thin",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="told the id, not the object",
        ),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column(
            "first_failed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="nothing but failures since then",
        ),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="in a row"),
        sa.Column(
            "throttle_ends_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="it asked to be left in peace",
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why_disabled", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('active', 'paused', 'disabled', 'removed')", name=op.f("ck_webhook_endpoint_state")
        ),
        sa.CheckConstraint(
            "why_disabled IN ('gone', 'failing')", name=op.f("ck_webhook_endpoint_why_disabled")
        ),
        sa.CheckConstraint(
            "state <> 'disabled' OR (why_disabled IS NOT NULL AND disabled_at IS NOT NULL)",
            name=op.f("ck_webhook_endpoint_disabled_says_why"),
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_webhook_endpoint_site_id")),
        sa.PrimaryKeyConstraint("site_id", "endpoint_id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_table(
        "webhook_secret",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts up"),
        sa.Column("value", sa.Text(), nullable=False, comment="whsec_ and base64; signs until it is retired"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "retired_at", sa.DateTime(timezone=True), nullable=True, comment="does not sign from here on"
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "endpoint_id"],
            ["webhook_endpoint.site_id", "webhook_endpoint.endpoint_id"],
            name=op.f("fk_webhook_secret_site_id_endpoint_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "endpoint_id", "number", name=op.f("pk_webhook_secret")),
    )
    op.create_table(
        "event",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False, comment="the webhook-id header at every endpoint"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="the id of what changed"),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="gap-free per subject"),
        sa.Column(
            "object",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the thing after the change",
        ),
        sa.Column("previous_attributes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_event_site_id")),
        sa.PrimaryKeyConstraint("site_id", "event_id", name=op.f("pk_event")),
        sa.UniqueConstraint(
            "site_id", "subject", "sequence", "type", name=op.f("uq_event_site_id_subject_sequence_type")
        ),
    )
    op.create_index(op.f("ix_event_site_id_created_at"), "event", ["site_id", "created_at"], unique=False)
    _widen_the_outbox()
    for statement in statements("webhook_endpoints_grants.sql"):
        op.execute(statement)


def _widen_the_outbox() -> None:
    for column in (
        sa.Column(
            "endpoint_id",
            sa.Text(),
            nullable=True,
            comment="none: the site's own addresses, by the protocol",
        ),
        sa.Column(
            "event_id", sa.Text(), nullable=True, comment="what the endpoint is told; its webhook-id header"
        ),
        sa.Column(
            "order_ends_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="an event holds later ones back until then",
        ),
    ):
        op.add_column("webhook", column)
    op.alter_column("webhook", "success", nullable=True)
    op.alter_column("webhook", "fields", nullable=True, comment="of a notification")
    op.alter_column("webhook", "payment_id", comment="or another subject of an event")
    op.alter_column(
        "webhook", "webhook_id", comment="a notification's webhook-id header, same on every repeat"
    )
    op.alter_column("webhook", "next_at", comment="when the next attempt is due; none = held or closed")
    op.alter_column("webhook", "success", comment="which of the site's addresses a notification goes to")
    op.drop_constraint(op.f("ck_webhook_state"), "webhook")
    op.create_check_constraint(
        op.f("ck_webhook_state"),
        "webhook",
        "state IN ('pending', 'delivered', 'exhausted', 'superseded', 'dropped')",
    )
    op.create_check_constraint(
        op.f("ck_webhook_one_product"),
        "webhook",
        "CASE WHEN endpoint_id IS NULL THEN event_id IS NULL AND fields IS NOT NULL AND success IS NOT NULL "
        "ELSE event_id IS NOT NULL AND fields IS NULL AND order_ends_at IS NOT NULL END",
    )
    op.drop_constraint(op.f("uq_webhook_site_id_payment_id_sequence"), "webhook")
    op.create_index(
        "uq_webhook_notification",
        "webhook",
        ["site_id", "payment_id", "sequence"],
        unique=True,
        postgresql_where=sa.text("endpoint_id IS NULL"),
    )
    op.create_unique_constraint(
        op.f("uq_webhook_site_id_event_id_endpoint_id"), "webhook", ["site_id", "event_id", "endpoint_id"]
    )
    op.create_index(
        op.f("ix_webhook_site_id_endpoint_id_payment_id_sequence"),
        "webhook",
        ["site_id", "endpoint_id", "payment_id", "sequence"],
        unique=False,
    )
    op.create_foreign_key(
        op.f("fk_webhook_site_id_endpoint_id"),
        "webhook",
        "webhook_endpoint",
        ["site_id", "endpoint_id"],
        ["site_id", "endpoint_id"],
    )
    op.create_foreign_key(
        op.f("fk_webhook_site_id_event_id"),
        "webhook",
        "event",
        ["site_id", "event_id"],
        ["site_id", "event_id"],
    )
    op.create_index(
        op.f("ix_webhook_attempt_attempted_at"), "webhook_attempt", ["attempted_at"], unique=False
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("REVOKE UPDATE (order_ends_at) ON webhook FROM cashier_app")
    op.execute("REVOKE DELETE ON webhook_attempt FROM cashier_app")
    op.execute(
        "DELETE FROM webhook_attempt a USING webhook w WHERE w.site_id = a.site_id AND w.webhook_id = a.webhook_id AND w.endpoint_id IS NOT NULL"
    )
    op.execute("DELETE FROM webhook WHERE endpoint_id IS NOT NULL")
    op.drop_index(op.f("ix_webhook_attempt_attempted_at"), "webhook_attempt")
    op.drop_constraint(op.f("fk_webhook_site_id_event_id"), "webhook")
    op.drop_constraint(op.f("fk_webhook_site_id_endpoint_id"), "webhook")
    op.drop_index(op.f("ix_webhook_site_id_endpoint_id_payment_id_sequence"), "webhook")
    op.drop_constraint(op.f("uq_webhook_site_id_event_id_endpoint_id"), "webhook")
    op.drop_index("uq_webhook_notification", "webhook")
    op.create_unique_constraint(
        op.f("uq_webhook_site_id_payment_id_sequence"), "webhook", ["site_id", "payment_id", "sequence"]
    )
    op.drop_constraint(op.f("ck_webhook_one_product"), "webhook")
    op.drop_constraint(op.f("ck_webhook_state"), "webhook")
    op.create_check_constraint(
        op.f("ck_webhook_state"), "webhook", "state IN ('pending', 'delivered', 'exhausted', 'superseded')"
    )
    op.alter_column("webhook", "success", nullable=False, comment="which of the site's addresses it goes to")
    op.alter_column("webhook", "next_at", comment="when the next attempt is due")
    op.alter_column("webhook", "webhook_id", comment="the webhook-id header, the same on every repeat")
    op.alter_column("webhook", "payment_id", comment=None)
    op.alter_column("webhook", "fields", nullable=False, comment=None)
    for column in ("order_ends_at", "event_id", "endpoint_id"):
        op.drop_column("webhook", column)
    for table in ("event", "webhook_secret", "webhook_endpoint"):
        op.drop_table(table)
    op.drop_column("site", "tell_every_change")
