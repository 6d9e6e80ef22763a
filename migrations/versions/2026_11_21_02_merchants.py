"""Merchants, their sites, salts, tokens, and the signatures we issued."""

import sqlalchemy as sa
from alembic import op

revision = "merchants"
down_revision = "roles"


def upgrade() -> None:
    op.execute("CREATE SEQUENCE site_number START 101")
    op.create_table(
        "merchant",
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_merchant")),
    )
    op.create_table(
        "site",
        sa.Column(
            "site_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="the protocol's integer site number",
        ),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "callout_url", sa.Text(), nullable=False, comment="check_deposit and request_payout go here"
        ),
        sa.Column(
            "notify_url",
            sa.Text(),
            nullable=False,
            comment="notifications; also of failures where the next is empty",
        ),
        sa.Column("notify_failure_url", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "callback_url",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="empty = balance transfer mode",
        ),
        sa.Column("message_format", sa.Text(), server_default="json", nullable=False),
        sa.Column("dialect", sa.Text(), server_default="G", nullable=False),
        sa.Column("frame_origins", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("currencies", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("languages", sa.ARRAY(sa.Text()), server_default="{en,ru,kk}", nullable=False),
        sa.Column("extended_info", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("is_test", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("webhook_secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("dialect IN ('G', 'P')", name=op.f("ck_site_dialect")),
        sa.CheckConstraint("message_format IN ('json', 'form')", name=op.f("ck_site_message_format")),
        sa.CheckConstraint("cardinality(currencies) > 0", name=op.f("ck_site_has_a_currency")),
        sa.CheckConstraint("cardinality(languages) > 0", name=op.f("ck_site_has_a_language")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"], name=op.f("fk_site_merchant_id")),
        sa.PrimaryKeyConstraint("site_id", name=op.f("pk_site")),
    )
    op.create_index(op.f("ix_site_merchant_id"), "site", ["merchant_id"], unique=False)
    op.create_table(
        "api_token",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column(
            "hash", sa.LargeBinary(), nullable=False, comment="SHA-256; the token itself is shown once"
        ),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("scope IN ('wallet', 'play', 'read')", name=op.f("ck_api_token_scope")),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_api_token_site_id")),
        sa.PrimaryKeyConstraint("site_id", "token_id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_token_hash")),
    )
    op.create_table(
        "issued_signature",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column(
            "signature",
            sa.Text(),
            nullable=False,
            comment="ours: a message that comes back with it is a reflection",
        ),
        sa.Column("issued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_issued_signature_site_id")),
        sa.PrimaryKeyConstraint("site_id", "signature", name=op.f("pk_issued_signature")),
    )
    op.create_index(op.f("ix_issued_signature_issued_at"), "issued_signature", ["issued_at"], unique=False)
    op.create_table(
        "site_salt",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts up; the highest signs"),
        sa.Column("value", sa.Text(), nullable=False, comment="the secret of the SHA-1 rule"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "retired_at", sa.DateTime(timezone=True), nullable=True, comment="not accepted from here on"
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_site_salt_site_id")),
        sa.PrimaryKeyConstraint("site_id", "number", name=op.f("pk_site_salt")),
    )
    op.create_table(
        "seen_signature",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column(
            "signature",
            sa.Text(),
            nullable=False,
            comment="of a request that was taken: a repeat changes nothing",
        ),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_seen_signature_site_id")),
        sa.PrimaryKeyConstraint("site_id", "signature", name=op.f("pk_seen_signature")),
    )
    op.create_index(op.f("ix_seen_signature_seen_at"), "seen_signature", ["seen_at"], unique=False)
    op.execute("GRANT INSERT, UPDATE ON merchant, site, site_salt, api_token TO cashier_app")
    op.execute("GRANT INSERT, DELETE ON issued_signature, seen_signature TO cashier_app")


def downgrade() -> None:
    op.drop_table("seen_signature")
    op.drop_table("site_salt")
    op.drop_table("issued_signature")
    op.drop_table("api_token")
    op.drop_table("site")
    op.drop_table("merchant")
    op.execute("DROP SEQUENCE site_number")
