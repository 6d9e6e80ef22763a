"""The wallet room: wallets, operations, rounds, sessions, games, policies; and whether a player is blocked."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import statements

revision = "wallet"
down_revision = "payments"


def upgrade() -> None:
    op.add_column("player", sa.Column("status", sa.Text(), server_default="active", nullable=False))
    op.create_check_constraint(
        op.f("ck_player_status"), "player", "status IN ('active', 'blocked', 'closed')"
    )
    op.create_table(
        "wallet_operation",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="operator, game, cashier, sweeper"),
        sa.Column(
            "within",
            sa.Text(),
            nullable=False,
            comment="where the key is unique: all of the source, a player, a round",
        ),
        sa.Column("key", sa.Text(), nullable=False, comment="the caller's id; never expires"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False, comment="what was answered; refusals are rows too"),
        sa.Column(
            "applied",
            sa.Boolean(),
            nullable=False,
            comment="it took a sequence number; refusals and tombstones do not",
        ),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column(
            "wallet_id",
            sa.BigInteger(),
            nullable=True,
            comment="none for a transfer that was voided before it came",
        ),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("win_minor", sa.BigInteger(), nullable=False, comment="of a bet and its win in one"),
        sa.Column(
            "cash_minor", sa.BigInteger(), nullable=False, comment="the part of the amount that is cash"
        ),
        sa.Column("bonus_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_before_minor", sa.BigInteger(), nullable=False),
        sa.Column("balance_after_minor", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="of the wallet when this was decided"),
        sa.Column(
            "reference",
            sa.Text(),
            nullable=True,
            comment="the caller's id of the operation this one is about",
        ),
        sa.Column("round_id", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=False, comment="the game platform; empty for transfers"),
        sa.Column("game_code", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True, comment="kind of a win, id of a free round"),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_in",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
            nullable=False,
            comment="the writing transaction; below pg_snapshot_xmin nothing is still to come",
        ),
        sa.CheckConstraint(
            "code IN ('OK', 'NOTHING_TO_REVERSE', 'ALREADY_ROLLED_BACK', 'VALIDATION', 'TRANSFER_ID_REQUIRED', 'UNAUTHENTICATED', 'FORBIDDEN', 'INSUFFICIENT_FUNDS', 'ZERO_BALANCE', 'PLAYER_NOT_FOUND', 'TRANSACTION_NOT_FOUND', 'TRANSFER_NOT_FOUND', 'BET_NOT_FOUND', 'ID_CONFLICT', 'IN_PROGRESS', 'ROLLED_BACK', 'ALREADY_SETTLED', 'ROUND_CLOSED', 'PARENT_FAILED', 'VOIDED', 'TRANSFER_COMPLETED', 'CURRENCY_MISMATCH', 'PLAYER_BLOCKED', 'LIMIT_EXCEEDED', 'SESSION_EXPIRED', 'WRONG_WALLET_MODE', 'RATE_LIMITED', 'OVERLOADED', 'INTERNAL')",
            name=op.f("ck_wallet_operation_code"),
        ),
        sa.CheckConstraint(
            "type IN ('deposit', 'withdraw', 'bet', 'win', 'betwin', 'rollback', 'reverse_win', 'void', 'cashier', 'bonus')",
            name=op.f("ck_wallet_operation_type"),
        ),
        sa.CheckConstraint(
            "amount_minor >= 0 AND win_minor >= 0 AND cash_minor >= 0 AND bonus_minor >= 0",
            name=op.f("ck_wallet_operation_amounts"),
        ),
        sa.CheckConstraint(
            "cash_minor + bonus_minor <= amount_minor", name=op.f("ck_wallet_operation_parts")
        ),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 128", name=op.f("ck_wallet_operation_key_length")),
        sa.PrimaryKeyConstraint("site_id", "operation_id", name=op.f("pk_wallet_operation")),
        sa.UniqueConstraint(
            "site_id", "source", "key", "within", name=op.f("uq_wallet_operation_site_id_source_key_within")
        ),
    )
    op.create_index(
        "ix_wallet_operation_not_applied",
        "wallet_operation",
        ["site_id", "wallet_id", "sequence"],
        unique=False,
        postgresql_where=sa.text("NOT applied"),
    )
    op.create_index(
        "ix_wallet_operation_recorded",
        "wallet_operation",
        ["site_id", "recorded_in", "operation_id"],
        unique=False,
    )
    op.create_index(
        "ix_wallet_operation_reference",
        "wallet_operation",
        ["site_id", "source", "reference", "within", "code", "type"],
        unique=False,
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_index(
        "uq_wallet_operation_sequence",
        "wallet_operation",
        ["site_id", "wallet_id", "sequence"],
        unique=True,
        postgresql_where=sa.text("applied"),
    )
    op.create_table(
        "wallet_round",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("round_id", sa.Text(), nullable=False, comment="the platform's id"),
        sa.Column("game_code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("is_free", sa.Boolean(), nullable=False, comment="its bets moved no money"),
        sa.Column("open_bets", sa.Integer(), nullable=False, comment="bets that are not reversed"),
        sa.Column("bet_minor", sa.BigInteger(), nullable=False),
        sa.Column("win_minor", sa.BigInteger(), nullable=False),
        sa.Column("reversed_minor", sa.BigInteger(), nullable=False),
        sa.Column(
            "first_sequence", sa.BigInteger(), nullable=False, comment="its operations stand from here ..."
        ),
        sa.Column(
            "last_sequence", sa.BigInteger(), nullable=False, comment="... to here in the wallet's sequence"
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "listed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the sweeper found it open too long",
        ),
        sa.CheckConstraint("state IN ('open', 'completed', 'cancelled')", name=op.f("ck_wallet_round_state")),
        sa.CheckConstraint(
            "bet_minor >= 0 AND win_minor >= 0 AND reversed_minor BETWEEN 0 AND bet_minor",
            name=op.f("ck_wallet_round_sums"),
        ),
        sa.CheckConstraint("open_bets >= 0", name=op.f("ck_wallet_round_open_bets")),
        sa.PrimaryKeyConstraint(
            "site_id", "wallet_id", "provider_id", "round_id", name=op.f("pk_wallet_round")
        ),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_wallet_round_open",
        "wallet_round",
        ["site_id", "opened_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "game",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("game_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "launch_url",
            sa.Text(),
            nullable=False,
            comment="where the platform serves it; empty: our demo table",
        ),
        sa.Column("is_enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_game_site_id")),
        sa.PrimaryKeyConstraint("site_id", "provider_id", "game_code", name=op.f("pk_game")),
    )
    op.create_table(
        "wallet_policy",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column(
            "provider_id", sa.Text(), nullable=False, comment="a game platform; empty: the site itself"
        ),
        sa.Column(
            "policy",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what differs from the defaults of app/wallet/terms.py",
        ),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["site_id"], ["site.site_id"], name=op.f("fk_wallet_policy_site_id")),
        sa.PrimaryKeyConstraint("site_id", "provider_id", name=op.f("pk_wallet_policy")),
    )
    op.create_table(
        "wallet",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("player_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column(
            "sequence",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of its last applied operation",
        ),
        sa.Column("cash_account_id", sa.BigInteger(), nullable=False),
        sa.Column("bonus_account_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "cash_version",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="of the cash account as this wallet left it; a higher one now: another room moved money",
        ),
        sa.Column("bonus_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "balance_minor",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="as its last operation told",
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "moved_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the instant of its last operation; the next is not before it",
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "player_id"],
            ["player.site_id", "player.player_id"],
            name=op.f("fk_wallet_site_id_player_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "wallet_id", name=op.f("pk_wallet")),
        sa.ForeignKeyConstraint(
            ["site_id", "cash_account_id"],
            ["account.site_id", "account.account_id"],
            name=op.f("fk_wallet_site_id_cash_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id", "bonus_account_id"],
            ["account.site_id", "account.account_id"],
            name=op.f("fk_wallet_site_id_bonus_account_id"),
        ),
        sa.UniqueConstraint("site_id", "cash_account_id", name=op.f("uq_wallet_site_id_cash_account_id")),
        sa.UniqueConstraint("site_id", "bonus_account_id", name=op.f("uq_wallet_site_id_bonus_account_id")),
        sa.UniqueConstraint(
            "site_id", "player_id", "currency", name=op.f("uq_wallet_site_id_player_id_currency")
        ),
        postgresql_with={"fillfactor": 60},
    )
    op.create_table(
        "game_session",
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("game_code", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column(
            "launch_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the single-use part of the launch URL",
        ),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the launch URL was used; it works once",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("final_balance_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site_id", "wallet_id"],
            ["wallet.site_id", "wallet.wallet_id"],
            name=op.f("fk_game_session_site_id_wallet_id"),
        ),
        sa.PrimaryKeyConstraint("site_id", "session_id", name=op.f("pk_game_session")),
        sa.UniqueConstraint("site_id", "launch_hash", name=op.f("uq_game_session_site_id_launch_hash")),
    )
    op.create_index(
        op.f("ix_game_session_site_id_wallet_id"), "game_session", ["site_id", "wallet_id"], unique=False
    )

    for name in ("wallet_journal.sql", "wallet_grants.sql"):
        for statement in statements(name):
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION wallet_write")
    op.execute("DROP FUNCTION wallet_load")
    for table in ("game_session", "game", "wallet_round", "wallet_operation", "wallet", "wallet_policy"):
        op.drop_table(table)
    op.drop_column("player", "status")
