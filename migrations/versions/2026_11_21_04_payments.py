"""Players, methods, providers, callouts, webhooks and payments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import statements

revision = "payments"
down_revision = "ledger"


def upgrade() -> None:
    op.execute("CREATE SEQUENCE payment_number START 100000001")
    op.create_table(
        "callout",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("callout_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "request",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="without the signature",
        ),
        sa.Column("state", sa.Text(), server_default="sent", nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False, comment="masked, at most 20 kB"),
        sa.Column(
            "external_id",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the merchant's order, once accepted",
        ),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("elapsed_ms", sa.Integer(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('sent', 'accepted', 'refused', 'unknown')", name=op.f("ck_callout_state")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_callout_site_id")),
        sa.PrimaryKeyConstraint("site_id", "callout_id", name=op.f("pk_callout")),
    )
    op.create_index(op.f("ix_callout_site_id_payment_id"), "callout", ["site_id", "payment_id"], unique=False)
    op.create_table(
        "player",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("site_login", sa.Text(), nullable=False, comment="the merchant's id of the player"),
        sa.Column(
            "personal",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="what the merchant told about the person",
        ),
        sa.Column(
            "last_method",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="preselected on the next visit",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_player_site_id")),
        sa.PrimaryKeyConstraint("site_id", "player_id", name=op.f("pk_player")),
        sa.UniqueConstraint("site_id", "site_login", name=op.f("uq_player_site_id_site_login")),
    )
    op.create_table(
        "provider_account",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column(
            "page_origin",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="where the player's browser is sent",
        ),
        sa.Column(
            "credentials", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_provider_account_site_id")),
        sa.PrimaryKeyConstraint("site_id", "account", name=op.f("pk_provider_account")),
    )
    op.create_table(
        "site_method",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False, comment="a code of the catalogue"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("minimum_minor", sa.BigInteger(), nullable=False),
        sa.Column("maximum_minor", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False, comment="the provider account that carries it out"),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "0 < minimum_minor AND minimum_minor <= maximum_minor", name=op.f("ck_site_method_limits")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_site_method_site_id")),
        sa.PrimaryKeyConstraint("site_id", "method", "currency", name=op.f("pk_site_method")),
    )
    op.create_table(
        "webhook",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column(
            "webhook_id", sa.Text(), nullable=False, comment="the webhook-id header, the same on every repeat"
        ),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="of the payment's events"),
        sa.Column(
            "success", sa.Boolean(), nullable=False, comment="which of the site's addresses it goes to"
        ),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column(
            "attempts", sa.Integer(), server_default="0", nullable=False, comment="counted by the schedule"
        ),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), nullable=True, comment="when the next attempt is due"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'exhausted', 'superseded')", name=op.f("ck_webhook_state")
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_webhook_site_id")),
        sa.PrimaryKeyConstraint("site_id", "webhook_id", name=op.f("pk_webhook")),
        sa.UniqueConstraint(
            "site_id", "payment_id", "sequence", name=op.f("uq_webhook_site_id_payment_id_sequence")
        ),
    )
    op.create_index(
        op.f("ix_webhook_site_id_state_next_at"), "webhook", ["site_id", "state", "next_at"], unique=False
    )
    op.create_table(
        "cashier_session",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column(
            "key_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256; the key itself is only ever in the browser",
        ),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("customer_ip", sa.Text(), nullable=False),
        sa.Column(
            "wishes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="how the merchant wants the cashier shown",
        ),
        sa.Column("obtained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id", "player_id"],
            ["player.site_id", "player.player_id"],
            name=op.f("fk_cashier_session_site_id_player_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "session_id", name=op.f("pk_cashier_session")),
        sa.UniqueConstraint("site_id", "key_hash", name=op.f("uq_cashier_session_site_id_key_hash")),
    )
    op.create_index(
        op.f("ix_cashier_session_site_id_player_id"),
        "cashier_session",
        ["site_id", "player_id"],
        unique=False,
    )
    op.create_table(
        "notice",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "dedupe_key",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the raw body: no optional header decides",
        ),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="masked"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="exactly as it arrived"),
        sa.Column("state", sa.Text(), server_default="new", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "arrivals",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment="how often the same bytes came",
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('new', 'read', 'orphan', 'unreadable')", name=op.f("ck_notice_state")),
        sa.ForeignKeyConstraint(
            ["site_id", "account"],
            ["provider_account.site_id", "provider_account.account"],
            name=op.f("fk_notice_site_id_account"),
        ),
        sa.PrimaryKeyConstraint("site_id", "notice_id", name=op.f("pk_notice")),
        sa.UniqueConstraint(
            "site_id", "account", "dedupe_key", name=op.f("uq_notice_site_id_account_dedupe_key")
        ),
    )
    op.create_index(
        op.f("ix_notice_site_id_state_received_at"),
        "notice",
        ["site_id", "state", "received_at"],
        unique=False,
    )
    op.create_table(
        "payment",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="the protocol's transaction_id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False, comment="the provider account"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sub_status", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "external_id", sa.Text(), server_default="", nullable=False, comment="the merchant's order number"
        ),
        sa.Column(
            "provider_reference", sa.Text(), nullable=True, comment="the provider's number of what was paid"
        ),
        sa.Column(
            "reason_code",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the provider's own word, for staff",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the merchant's or provider's sentence",
        ),
        sa.Column("is_late", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("attention", sa.Text(), nullable=True, comment="why a person should look"),
        sa.Column(
            "continue_url",
            sa.Text(),
            nullable=True,
            comment="the provider's page, while the player is awaited",
        ),
        sa.Column(
            "view_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the token that shows this one payment",
        ),
        sa.Column("customer_ip", sa.Text(), nullable=False),
        sa.Column("source_type", sa.Integer(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), server_default="0", nullable=False, comment="of the last event"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "sent_at", sa.DateTime(timezone=True), nullable=True, comment="when the provider was first asked"
        ),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=True, comment="while the player is awaited"
        ),
        sa.Column(
            "completed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when a final status was reached",
        ),
        sa.Column(
            "ask_at", sa.DateTime(timezone=True), nullable=True, comment="when to ask the provider next"
        ),
        sa.Column("asked", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "attention IN ('unconfirmed', 'order_vanished', 'unresolved', 'amount_differs', 'denied_after_success', 'paid_after_cancel', 'not_posted', 'reference_reused', 'second_payment')",
            name=op.f("ck_payment_attention"),
        ),
        sa.CheckConstraint("kind IN ('deposit')", name=op.f("ck_payment_kind")),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded')",
            name=op.f("ck_payment_status"),
        ),
        sa.CheckConstraint(
            "sub_status IN ('created', 'checking', 'risk_review', 'awaiting_player', 'submitted', 'provider_pending', 'unknown', 'conflicted', 'crediting', 'completed', 'declined', 'provider_error', 'limit_blocked', 'risk_declined', 'merchant_unreachable', 'expired', 'by_player', 'by_operator', 'rejected_by_merchant', 'refunded', 'charged_back')",
            name=op.f("ck_payment_sub_status"),
        ),
        sa.CheckConstraint(
            "0 < amount_minor AND amount_minor <= 1000000000000000", name=op.f("ck_payment_amount")
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "account"],
            ["provider_account.site_id", "provider_account.account"],
            name=op.f("fk_payment_site_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "player_id"],
            ["player.site_id", "player.player_id"],
            name=op.f("fk_payment_site_id_player_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "payment_id", name=op.f("pk_payment")),
        sa.UniqueConstraint("site_id", "number", name=op.f("uq_payment_site_id_number")),
        sa.UniqueConstraint("site_id", "view_hash", name=op.f("uq_payment_site_id_view_hash")),
    )
    op.create_index(
        "ix_payment_ask_at",
        "payment",
        ["ask_at"],
        unique=False,
        postgresql_where=sa.text("ask_at IS NOT NULL"),
    )
    op.create_index(
        "ix_payment_open",
        "payment",
        ["changed_at"],
        unique=False,
        postgresql_where=sa.text(
            "sub_status IN ('awaiting_player', 'checking', 'conflicted', 'created', 'crediting', 'provider_pending', 'risk_review', 'submitted', 'unknown')"
        ),
    )
    op.create_index(op.f("ix_payment_site_id_account"), "payment", ["site_id", "account"], unique=False)
    op.create_index(
        op.f("ix_payment_site_id_external_id"), "payment", ["site_id", "external_id"], unique=False
    )
    op.create_index(
        op.f("ix_payment_site_id_player_id_created_at"),
        "payment",
        ["site_id", "player_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "uq_payment_paid_order",
        "payment",
        ["site_id", "kind", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id <> '' AND status = 'completed'"),
    )
    op.create_index(
        "uq_payment_provider_reference", "payment", ["site_id", "account", "provider_reference"], unique=True
    )
    op.create_table(
        "webhook_attempt",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), server_default="", nullable=False, comment="masked, its first 2 kB"),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("elapsed_ms", sa.Integer(), nullable=True),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "result IN ('heard', 'not_heard', 'no_answer')", name=op.f("ck_webhook_attempt_result")
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "webhook_id"],
            ["webhook.site_id", "webhook.webhook_id"],
            name=op.f("fk_webhook_attempt_site_id_webhook_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "webhook_id", "number", name=op.f("pk_webhook_attempt")),
    )
    op.create_table(
        "attempt",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column(
            "attempt_id",
            sa.Text(),
            nullable=False,
            comment="our reference at the provider, the same on every repeat",
        ),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Text(),
            nullable=True,
            comment="what the provider last said; empty = sending, nobody knows",
        ),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True, comment="masked"),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('requires_action', 'processing', 'succeeded', 'failed', 'cancelled', 'not_found', 'unknown')",
            name=op.f("ck_attempt_state"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "account"],
            ["provider_account.site_id", "provider_account.account"],
            name=op.f("fk_attempt_site_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "payment_id"],
            ["payment.site_id", "payment.payment_id"],
            name=op.f("fk_attempt_site_id_payment_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "attempt_id", name=op.f("pk_attempt")),
        sa.UniqueConstraint(
            "site_id", "payment_id", "number", name=op.f("uq_attempt_site_id_payment_id_number")
        ),
    )
    op.create_index(op.f("ix_attempt_site_id_account"), "attempt", ["site_id", "account"], unique=False)
    op.create_table(
        "payment_event",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="gap-free per payment"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sub_status", sa.Text(), nullable=False),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="who said so: player, merchant, provider's notice, ...",
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("provider_reference", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column(
            "occurred_at", sa.DateTime(timezone=True), nullable=True, comment="the provider's own time"
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'cancelled', 'refunded')",
            name=op.f("ck_payment_event_status"),
        ),
        sa.CheckConstraint(
            "sub_status IN ('created', 'checking', 'risk_review', 'awaiting_player', 'submitted', 'provider_pending', 'unknown', 'conflicted', 'crediting', 'completed', 'declined', 'provider_error', 'limit_blocked', 'risk_declined', 'merchant_unreachable', 'expired', 'by_player', 'by_operator', 'rejected_by_merchant', 'refunded', 'charged_back')",
            name=op.f("ck_payment_event_sub_status"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "payment_id"],
            ["payment.site_id", "payment.payment_id"],
            name=op.f("fk_payment_event_site_id_payment_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "payment_id", "sequence", name=op.f("pk_payment_event")),
    )
    for statement in statements("payments_grants.sql"):
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("payment_event")
    op.drop_table("attempt")
    op.drop_table("webhook_attempt")
    op.drop_table("payment")
    op.drop_table("notice")
    op.drop_table("cashier_session")
    op.drop_table("webhook")
    op.drop_table("site_method")
    op.drop_table("provider_account")
    op.drop_table("player")
    op.drop_table("callout")
    op.execute("DROP SEQUENCE payment_number")
