"""Payouts, refunds, disputes, cases: columns and tables, the movements of their money, what a player owes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import statements

revision = "payouts"
down_revision = "staff"

_SIDES = (("cash", "player_cash"), ("debt", "player_debt"), ("merchant", "merchant_payable"))
_MOVEMENTS = (
    ("debt.repay", "player_cash", "player_debt"),
    *(
        move
        for cause in ("payout", "refund", "chargeback", "reversal")
        for name, side in _SIDES
        for move in (
            (f"{cause}.from_{name}", side, "provider_clearing"),
            (f"{cause}.to_{name}", "provider_clearing", side),
        )
    ),
)
_KINDS_BEFORE = (
    *("deposit.to_player", "deposit.to_merchant", "hold.place", "hold.release", "hold.capture"),
    *("wallet.deposit", "wallet.withdraw", "wallet.bet_cash", "wallet.bet_bonus", "wallet.win_cash"),
    *("wallet.win_bonus", "wallet.refund_cash", "wallet.refund_bonus", "wallet.reverse_cash"),
    *("wallet.reverse_bonus", "wallet.grant_bonus"),
)
_STATES_BEFORE = (
    *("created", "checking", "risk_review", "awaiting_player", "submitted", "provider_pending", "unknown"),
    *("conflicted", "crediting", "completed", "declined", "provider_error", "limit_blocked", "risk_declined"),
    *("merchant_unreachable", "expired", "by_player", "by_operator", "rejected_by_merchant", "refunded"),
    "charged_back",
)
_STATES = (
    *("created", "checking", "risk_review", "awaiting_player", "requested", "cooling", "under_review"),
    *("awaiting_kyc", "awaiting_approval", "awaiting_second_approval", "approved", "allocated", "submitted"),
    *("provider_pending", "unknown", "conflicted", "crediting", "partly_paid", "completed", "declined"),
    *("provider_error", "undeliverable", "limit_blocked", "risk_declined", "merchant_unreachable", "expired"),
    *("by_player", "by_operator", "by_system", "rejected", "rejected_by_merchant", "refunded"),
    *("charged_back", "returned"),
)
_ATTENTIONS_BEFORE = (
    *("unconfirmed", "order_vanished", "unresolved", "amount_differs", "denied_after_success"),
    *("paid_after_cancel", "not_posted", "reference_reused", "second_payment"),
)
_ATTENTIONS = (
    *("unconfirmed", "merchant_silent", "order_vanished", "unresolved", "revived", "amount_differs"),
    *("taken_back", "denied_after_success", "paid_after_cancel", "illegal_change", "not_posted"),
    *("reference_reused", "paid_after_release", "paid_unapproved", "second_payment"),
)
_OPEN_BEFORE = (
    *("awaiting_player", "checking", "conflicted", "created", "crediting", "provider_pending"),
    *("risk_review", "submitted", "unknown"),
)
_OPEN = (
    *("allocated", "approved", "awaiting_approval", "awaiting_kyc", "awaiting_player"),
    *("awaiting_second_approval", "checking", "conflicted", "cooling", "created", "crediting"),
    *("partly_paid", "provider_pending", "requested", "risk_review", "submitted", "under_review", "unknown"),
)
_OF_ITS_KIND = """kind = 'deposit' AND sub_status IN ('awaiting_player', 'by_operator', 'by_player', 'charged_back', 'checking', 'completed', 'conflicted', 'created', 'crediting', 'declined', 'expired', 'limit_blocked', 'merchant_unreachable', 'provider_error', 'provider_pending', 'refunded', 'rejected_by_merchant', 'risk_declined', 'risk_review', 'submitted', 'unknown')
 OR kind = 'payout' AND sub_status IN ('allocated', 'approved', 'awaiting_kyc', 'awaiting_second_approval', 'by_operator', 'by_player', 'by_system', 'completed', 'conflicted', 'cooling', 'declined', 'partly_paid', 'provider_error', 'provider_pending', 'rejected', 'rejected_by_merchant', 'requested', 'returned', 'submitted', 'undeliverable', 'under_review', 'unknown')
 OR kind = 'refund' AND sub_status IN ('approved', 'awaiting_approval', 'awaiting_second_approval', 'by_operator', 'by_system', 'completed', 'conflicted', 'declined', 'provider_error', 'provider_pending', 'rejected', 'requested', 'submitted', 'unknown')"""
_PAID_ORDER = "external_id <> '' AND status = 'completed'"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    _movements()
    _tables()
    _legs()
    _payments()
    for name in ("payouts_debt.sql", "payouts_grants.sql"):
        for statement in statements(name):
            op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    _drop_columns()
    for table in ("payout_leg", "payment_case", "dispute", "payout_policy"):
        op.drop_table(table)
    for statement in statements("ledger_audit.sql"):
        if "FUNCTION ledger_i5" in statement:
            op.execute(statement.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    _accounts(debt=False)
    _listed("transfer", "kind", _KINDS_BEFORE)
    kinds = _quoted([kind for kind, _, _ in _MOVEMENTS])
    op.execute(f"DELETE FROM movement WHERE kind IN ({kinds})")  # noqa: S608  the constants above


def _listed(table: str, column: str, words: Sequence[str]) -> None:
    """The CHECK that lists the words of a column, anew."""
    name = op.f(f"ck_{table}_{column}")
    op.drop_constraint(name, table, type_="check")
    op.create_check_constraint(name, table, f"{column} IN ({_quoted(words)})")


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _movements() -> None:
    names = ("kind", "source_purpose", "target_purpose")
    table = sa.table("movement", *(sa.column(name) for name in names))
    op.bulk_insert(table, [dict(zip(names, row, strict=True)) for row in _MOVEMENTS])
    _listed("transfer", "kind", (*_KINDS_BEFORE, *(kind for kind, _, _ in _MOVEMENTS)))
    _accounts(debt=True)


def _accounts(*, debt: bool) -> None:
    """What a player owes stands in an account without a floor, and with a ceiling."""
    op.drop_constraint(op.f("ck_account_player_floor"), "account", type_="check")
    but = "purpose = 'player_debt' OR " if debt else ""
    op.create_check_constraint(
        op.f("ck_account_player_floor"),
        "account",
        f"left(purpose, 7) <> 'player_' OR {but}coalesce(floor_minor, -1) >= 0",
    )
    if debt:
        op.create_check_constraint(
            op.f("ck_account_debt_ceiling"), "account", "purpose <> 'player_debt' OR balance_minor <= 0"
        )
    else:
        op.drop_constraint(op.f("ck_account_debt_ceiling"), "account", type_="check")


def _tables() -> None:
    op.create_table(
        "payout_policy",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "auto_below_minor",
            sa.BigInteger(),
            nullable=True,
            comment="strictly below: no person; NULL: always one",
        ),
        sa.Column(
            "second_above_minor",
            sa.BigInteger(),
            nullable=True,
            comment="strictly above: two people; NULL: one is enough",
        ),
        sa.Column("cooling_seconds", sa.Integer(), nullable=False),
        sa.Column("player_may_cancel", sa.Boolean(), nullable=False),
        sa.Column("closed_loop", sa.Boolean(), nullable=False),
        sa.Column("needs_initiation", sa.Boolean(), nullable=False),
        sa.Column("allow_without_request", sa.Boolean(), nullable=False),
        sa.Column("approval_hours", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "auto_below_minor >= 0 AND second_above_minor >= 0 AND cooling_seconds >= 0 AND approval_hours > 0",
            name=op.f("ck_payout_policy_figures"),
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_payout_policy_site_id")),
        sa.PrimaryKeyConstraint("site_id", "currency", name=op.f("pk_payout_policy")),
    )
    op.create_table(
        "dispute",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("dispute_id", sa.Text(), nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            comment="the protocol's transaction_id, of payment_number",
        ),
        sa.Column("payment_id", sa.Text(), nullable=False, comment="the deposit"),
        sa.Column("account", sa.Text(), nullable=False, comment="the provider account"),
        sa.Column(
            "dispute_reference", sa.Text(), nullable=False, comment="the provider's number of the dispute"
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "posted_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="taken from us at present",
        ),
        sa.Column(
            "reason_code", sa.Text(), server_default="", nullable=False, comment="the scheme's own, for staff"
        ),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("sequence", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), nullable=True, comment="until when an answer is heard"
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('early_warning', 'prevented', 'opened', 'needs_response', 'submitted', 'won', 'lost', 'accepted', 'expired', 'pre_arbitration')",
            name=op.f("ck_dispute_state"),
        ),
        sa.CheckConstraint("0 < amount_minor AND 0 <= posted_minor", name=op.f("ck_dispute_amounts")),
        sa.ForeignKeyConstraint(
            ["site_id", "account"],
            ["provider_account.site_id", "provider_account.account"],
            name=op.f("fk_dispute_site_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "payment_id"],
            ["payment.site_id", "payment.payment_id"],
            name=op.f("fk_dispute_site_id_payment_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "dispute_id", name=op.f("pk_dispute")),
        sa.UniqueConstraint(
            "site_id",
            "account",
            "dispute_reference",
            name=op.f("uq_dispute_site_id_account_dispute_reference"),
        ),
        sa.UniqueConstraint("site_id", "number", name=op.f("uq_dispute_site_id_number")),
    )
    op.create_index(op.f("ix_dispute_site_id_payment_id"), "dispute", ["site_id", "payment_id"], unique=False)
    op.create_table(
        "payment_case",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=True, comment="none for a notice that belongs to none"),
        sa.Column("notice_id", sa.Text(), nullable=True),
        sa.Column(
            "about", sa.Text(), server_default="", nullable=False, comment="the provider's number it is about"
        ),
        sa.Column(
            "ours",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what we knew when it was opened",
        ),
        sa.Column(
            "theirs",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what the provider said, or the merchant",
        ),
        sa.Column(
            "exposure_minor", sa.BigInteger(), server_default="0", nullable=False, comment="what may be lost"
        ),
        sa.Column(
            "currency", sa.Text(), server_default="", nullable=False, comment="empty where nothing is known"
        ),
        sa.Column("resolution", sa.Text(), server_default="", nullable=False, comment="what was decided"),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "attachment_hash",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the proof, which is kept elsewhere",
        ),
        sa.Column("approval_id", sa.Text(), nullable=True, comment="by whom, in the room of staff"),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'resolved') = (resolved_at IS NOT NULL AND resolution <> '' AND note <> '')",
            name=op.f("ck_payment_case_resolved"),
        ),
        sa.CheckConstraint(
            "kind IN ('unconfirmed', 'merchant_silent', 'order_vanished', 'unresolved', 'revived', 'amount_differs', 'taken_back', 'denied_after_success', 'paid_after_cancel', 'illegal_change', 'not_posted', 'reference_reused', 'paid_after_release', 'paid_unapproved', 'second_payment', 'orphan_notice')",
            name=op.f("ck_payment_case_kind"),
        ),
        sa.CheckConstraint("state IN ('open', 'resolved')", name=op.f("ck_payment_case_state")),
        sa.CheckConstraint(
            "payment_id IS NOT NULL OR notice_id IS NOT NULL", name=op.f("ck_payment_case_about_something")
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "notice_id"],
            ["notice.site_id", "notice.notice_id"],
            name=op.f("fk_payment_case_site_id_notice_id"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "payment_id"],
            ["payment.site_id", "payment.payment_id"],
            name=op.f("fk_payment_case_site_id_payment_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "case_id", name=op.f("pk_payment_case")),
    )
    op.create_index(
        op.f("ix_payment_case_site_id_notice_id"), "payment_case", ["site_id", "notice_id"], unique=False
    )
    op.create_index(
        op.f("ix_payment_case_site_id_payment_id"), "payment_case", ["site_id", "payment_id"], unique=False
    )
    op.create_index(
        "ix_payment_case_site_id_state_opened_at",
        "payment_case",
        ["site_id", "state", "opened_at"],
        unique=False,
    )
    op.create_index(
        "uq_payment_case_open",
        "payment_case",
        ["site_id", "kind", sa.literal_column("coalesce(payment_id, notice_id)"), "about"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )


def _legs() -> None:
    op.create_table(
        "payout_leg",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column(
            "leg", sa.Integer(), autoincrement=False, nullable=False, comment="1, 2, ... of its payout"
        ),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False, comment="the provider account"),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("instrument_id", sa.Text(), nullable=True, comment="where it goes, once kept"),
        sa.Column(
            "destination",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what the provider needs; of a card its token only",
        ),
        sa.Column("masked", sa.Text(), nullable=False, comment="what people may see of the destination"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="the same for the same destination"),
        sa.Column(
            "why",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="why so much goes there: closed loop",
        ),
        sa.Column("provider_reference", sa.Text(), nullable=True, comment="the provider's number, once paid"),
        sa.Column(
            "is_released",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="its money was given back",
        ),
        sa.Column("hold_id", sa.BigInteger(), nullable=True, comment="of a leg that was opened again"),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('planned', 'submitted', 'provider_pending', 'unknown', 'conflicted', 'completed', 'declined', 'provider_error', 'undeliverable', 'returned')",
            name=op.f("ck_payout_leg_state"),
        ),
        sa.CheckConstraint(
            "0 < amount_minor AND amount_minor <= 1000000000000000", name=op.f("ck_payout_leg_amount")
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "account"],
            ["provider_account.site_id", "provider_account.account"],
            name=op.f("fk_payout_leg_site_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "hold_id"],
            ["hold.site_id", "hold.transfer_id"],
            name=op.f("fk_payout_leg_site_id_hold_id"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "payment_id"],
            ["payment.site_id", "payment.payment_id"],
            name=op.f("fk_payout_leg_site_id_payment_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "payment_id", "leg", name=op.f("pk_payout_leg")),
    )
    op.create_index(
        op.f("ix_payout_leg_site_id_account_provider_reference"),
        "payout_leg",
        ["site_id", "account", "provider_reference"],
        unique=True,
    )
    op.create_index(
        op.f("ix_payout_leg_site_id_fingerprint"), "payout_leg", ["site_id", "fingerprint"], unique=False
    )
    op.create_index(op.f("ix_payout_leg_site_id_hold_id"), "payout_leg", ["site_id", "hold_id"], unique=False)
    op.add_column("attempt", sa.Column("leg", sa.Integer(), nullable=True, comment="of a payout"))
    op.add_column(
        "attempt",
        sa.Column(
            "is_over",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="declined, or nothing arrived",
        ),
    )
    op.create_index(
        op.f("ix_attempt_site_id_payment_id_leg"), "attempt", ["site_id", "payment_id", "leg"], unique=False
    )
    op.create_index(
        "uq_attempt_live",
        "attempt",
        ["site_id", "payment_id", sa.literal_column("coalesce(leg, 0)")],
        unique=True,
        postgresql_where=sa.text("NOT is_over"),
    )
    op.create_foreign_key(
        op.f("fk_attempt_site_id_payment_id_leg"),
        "attempt",
        "payout_leg",
        ["site_id", "payment_id", "leg"],
        ["site_id", "payment_id", "leg"],
    )


def _payments() -> None:
    op.add_column(
        "payment",
        sa.Column("parent_id", sa.Text(), nullable=True, comment="the deposit that a refund gives back"),
    )
    op.add_column(
        "payment",
        sa.Column(
            "purse",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="where it goes, as people may see it",
        ),
    )
    op.add_column(
        "payment",
        sa.Column(
            "captured_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="what really went through",
        ),
    )
    op.add_column(
        "payment", sa.Column("refund_pending_minor", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "payment",
        sa.Column(
            "refunded_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="refunded; of a payout: returned",
        ),
    )
    op.add_column(
        "payment", sa.Column("charged_back_minor", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(
        "payment",
        sa.Column(
            "hold_id", sa.BigInteger(), nullable=True, comment="the ledger's hold of the player's money"
        ),
    )
    op.add_column(
        "payment",
        sa.Column(
            "order_id",
            sa.Text(),
            nullable=True,
            comment="the protocol's 30 digits, from the merchant's initiation",
        ),
    )
    op.add_column(
        "payment",
        sa.Column(
            "reason_player", sa.Text(), server_default="", nullable=False, comment="what the player may read"
        ),
    )
    op.add_column(
        "payment",
        sa.Column(
            "approved_hash",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of what was approved; sending compares",
        ),
    )
    op.add_column("payment", sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "payment",
        sa.Column(
            "initiated_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the merchant initiated the payout",
        ),
    )
    op.alter_column(
        "payment",
        "view_hash",
        existing_type=postgresql.BYTEA(),
        nullable=True,
        existing_comment="SHA-256 of the token that shows this one payment",
    )
    op.alter_column(
        "payment",
        "expires_at",
        existing_type=postgresql.TIMESTAMP(timezone=True),
        comment="while the player is awaited, or may cancel; of an approval",
        existing_comment="while the player is awaited",
        existing_nullable=True,
    )
    op.alter_column(
        "payment",
        "ask_at",
        existing_type=postgresql.TIMESTAMP(timezone=True),
        comment="when to ask the provider next, or to carry on",
        existing_comment="when to ask the provider next",
        existing_nullable=True,
    )
    op.drop_index(op.f("uq_payment_provider_reference"), table_name="payment")
    op.create_index(
        "uq_payment_provider_reference",
        "payment",
        ["site_id", "account", "kind", "provider_reference"],
        unique=True,
    )
    op.create_index(op.f("ix_payment_site_id_hold_id"), "payment", ["site_id", "hold_id"], unique=False)
    op.create_index(op.f("ix_payment_site_id_parent_id"), "payment", ["site_id", "parent_id"], unique=False)
    op.create_index(
        "uq_payment_payout_order",
        "payment",
        ["site_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id <> '' AND kind = 'payout'"),
    )
    op.create_unique_constraint(op.f("uq_payment_site_id_order_id"), "payment", ["site_id", "order_id"])
    op.create_foreign_key(
        op.f("fk_payment_site_id_hold_id"),
        "payment",
        "hold",
        ["site_id", "hold_id"],
        ["site_id", "transfer_id"],
    )
    op.create_foreign_key(
        op.f("fk_payment_site_id_parent_id"),
        "payment",
        "payment",
        ["site_id", "parent_id"],
        ["site_id", "payment_id"],
    )
    _listed("payment", "kind", ("deposit", "payout", "refund"))
    for table in ("payment", "payment_event"):
        _listed(table, "sub_status", _STATES)
    _listed("payment", "attention", _ATTENTIONS)
    # What was credited before is what can go back.
    op.execute("UPDATE payment SET captured_minor = amount_minor WHERE status = 'completed'")
    for name, rule in (
        ("sub_status_of_its_kind", _OF_ITS_KIND),
        ("parent_of_a_refund", "(kind = 'refund') = (parent_id IS NOT NULL)"),
        (
            "never_more_back",
            (
                "refund_pending_minor >= 0 AND refunded_minor >= 0 AND charged_back_minor >= 0 "
                "AND refund_pending_minor + refunded_minor + charged_back_minor <= captured_minor"
            ),
        ),
        ("order_id", "order_id ~ '^[0-9]{30}$'"),
    ):
        op.create_check_constraint(op.f(f"ck_payment_{name}"), "payment", rule)
    _indexes(_OPEN, f"{_PAID_ORDER} AND kind <> 'refund'")


def _indexes(opened: Sequence[str], paid_order: str) -> None:
    op.drop_index("ix_payment_open", table_name="payment")
    op.create_index(
        "ix_payment_open",
        "payment",
        ["changed_at"],
        postgresql_where=sa.text(f"sub_status IN ({_quoted(opened)})"),
    )
    op.drop_index("uq_payment_paid_order", table_name="payment")
    op.create_index(
        "uq_payment_paid_order",
        "payment",
        ["site_id", "kind", "external_id"],
        unique=True,
        postgresql_where=sa.text(paid_order),
    )


def _drop_columns() -> None:
    for name in ("sub_status_of_its_kind", "parent_of_a_refund", "never_more_back", "order_id"):
        op.drop_constraint(op.f(f"ck_payment_{name}"), "payment", type_="check")
    _listed("payment", "attention", _ATTENTIONS_BEFORE)
    for table in ("payment", "payment_event"):
        _listed(table, "sub_status", _STATES_BEFORE)
    _listed("payment", "kind", ("deposit",))
    _indexes(_OPEN_BEFORE, _PAID_ORDER)
    op.drop_constraint(op.f("fk_payment_site_id_parent_id"), "payment", type_="foreignkey")
    op.drop_constraint(op.f("fk_payment_site_id_hold_id"), "payment", type_="foreignkey")
    op.drop_constraint(op.f("uq_payment_site_id_order_id"), "payment", type_="unique")
    op.drop_index(
        "uq_payment_payout_order",
        table_name="payment",
        postgresql_where=sa.text("external_id <> '' AND kind = 'payout'"),
    )
    op.drop_index(op.f("ix_payment_site_id_parent_id"), table_name="payment")
    op.drop_index(op.f("ix_payment_site_id_hold_id"), table_name="payment")
    op.drop_index("uq_payment_provider_reference", table_name="payment")
    op.create_index(
        op.f("uq_payment_provider_reference"),
        "payment",
        ["site_id", "account", "provider_reference"],
        unique=True,
    )
    op.alter_column(
        "payment",
        "ask_at",
        existing_type=postgresql.TIMESTAMP(timezone=True),
        comment="when to ask the provider next",
        existing_comment="when to ask the provider next, or to carry on",
        existing_nullable=True,
    )
    op.alter_column(
        "payment",
        "expires_at",
        existing_type=postgresql.TIMESTAMP(timezone=True),
        comment="while the player is awaited",
        existing_comment="while the player is awaited, or may cancel; of an approval",
        existing_nullable=True,
    )
    op.alter_column(
        "payment",
        "view_hash",
        existing_type=postgresql.BYTEA(),
        nullable=False,
        existing_comment="SHA-256 of the token that shows this one payment",
    )
    op.drop_column("payment", "initiated_at")
    op.drop_column("payment", "approved_at")
    op.drop_column("payment", "approved_hash")
    op.drop_column("payment", "reason_player")
    op.drop_column("payment", "order_id")
    op.drop_column("payment", "hold_id")
    op.drop_column("payment", "charged_back_minor")
    op.drop_column("payment", "refunded_minor")
    op.drop_column("payment", "refund_pending_minor")
    op.drop_column("payment", "captured_minor")
    op.drop_column("payment", "purse")
    op.drop_column("payment", "parent_id")
    op.drop_constraint(op.f("fk_attempt_site_id_payment_id_leg"), "attempt", type_="foreignkey")
    op.drop_index("uq_attempt_live", table_name="attempt", postgresql_where=sa.text("NOT is_over"))
    op.drop_index(op.f("ix_attempt_site_id_payment_id_leg"), table_name="attempt")
    op.drop_column("attempt", "is_over")
    op.drop_column("attempt", "leg")
