"""The ledger: accounts, transfers, entries, holds, seals, and the guards that keep them true."""

import sqlalchemy as sa
from alembic import op

from migrations import statements

revision = "ledger"
down_revision = "merchants"

_PURPOSES = (
    "'player_cash', 'player_bonus', 'player_held', 'player_debt', 'merchant_payable', 'operator_float', "
    "'house_gaming', 'house_fees', 'provider_clearing', 'fx_position', 'suspense'"
)
_MOVEMENTS = (
    ("deposit.to_player", "provider_clearing", "player_cash"),
    ("deposit.to_merchant", "provider_clearing", "merchant_payable"),
    ("hold.place", "player_cash", "player_held"),
    ("hold.release", "player_held", "player_cash"),
    ("hold.capture", "player_held", "provider_clearing"),
    ("wallet.deposit", "operator_float", "player_cash"),
    ("wallet.withdraw", "player_cash", "operator_float"),
    ("wallet.bet_cash", "player_cash", "house_gaming"),
    ("wallet.bet_bonus", "player_bonus", "house_gaming"),
    ("wallet.win_cash", "house_gaming", "player_cash"),
    ("wallet.win_bonus", "house_gaming", "player_bonus"),
    ("wallet.refund_cash", "house_gaming", "player_cash"),
    ("wallet.refund_bonus", "house_gaming", "player_bonus"),
    ("wallet.reverse_cash", "player_cash", "house_gaming"),
    ("wallet.reverse_bonus", "player_bonus", "house_gaming"),
    ("wallet.grant_bonus", "house_gaming", "player_bonus"),
)
_KINDS = ", ".join(f"'{kind}'" for kind, _, _ in _MOVEMENTS)
_SCRIPTS = (
    "ledger_journal.sql",
    "ledger_guards.sql",
    "ledger_history.sql",
    "ledger_audit.sql",
    "ledger_grants.sql",
)
_FUNCTIONS = (
    "ledger_i2",
    "ledger_i3",
    "ledger_i4",
    "ledger_i5",
    "ledger_i6",
    "ledger_fresh_entries",
    "ledger_balance_at",
    "ledger_write",
    "ledger_known_keys",
    "ledger_lock_accounts",
    "ledger_lock",
    "ledger_open",
)
_GUARDS = ("ledger_check_entries", "ledger_refuse_change")
_TABLES = ("verified_account", "verified_site", "seal", "hold", "entry", "transfer", "account", "movement")


def upgrade() -> None:
    _movements()
    _accounts()
    _transfers()
    _entries()
    _holds()
    _seals()
    _verified()
    for name in _SCRIPTS:
        for statement in statements(name):
            op.execute(statement)


def downgrade() -> None:
    for function in _FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for table in _TABLES:
        op.drop_table(table)
    op.execute("DROP SEQUENCE transfer_number")
    for function in _GUARDS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP AGGREGATE ledger_sum(bigint)")


def _movements() -> None:
    table = op.create_table(
        "movement",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("source_purpose", sa.Text, nullable=False),
        sa.Column("target_purpose", sa.Text, nullable=False),
        comment="What money may do. The same rows as app/ledger/chart.py; not of a site.",
    )
    names = ("kind", "source_purpose", "target_purpose")
    op.bulk_insert(table, [dict(zip(names, row, strict=True)) for row in _MOVEMENTS])


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("owner", sa.Text, nullable=False, comment="a player, a site, or a provider"),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("balance_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("floor_minor", sa.BigInteger, comment="the least balance; NULL where the account may owe"),
        sa.Column(
            "version", sa.BigInteger, nullable=False, server_default="0", comment="how many entries it has"
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "moved_at", sa.DateTime(timezone=True), nullable=False, comment="the instant of its last entry"
        ),
        sa.UniqueConstraint("site_id", "owner", "purpose", "currency"),
        sa.CheckConstraint(f"purpose IN ({_PURPOSES})", name="purpose"),
        sa.CheckConstraint("balance_minor >= floor_minor", name="floor"),
        sa.CheckConstraint(
            "left(purpose, 7) <> 'player_' OR coalesce(floor_minor, -1) >= 0", name="player_floor"
        ),
        sa.CheckConstraint("length(owner) BETWEEN 1 AND 128", name="owner_length"),
        sa.CheckConstraint("length(currency) BETWEEN 3 AND 8", name="currency_length"),
        postgresql_with={"fillfactor": 60},
    )


def _transfers() -> None:
    op.execute("CREATE SEQUENCE transfer_number AS bigint")
    number = sa.text("(pg_current_xact_id()::text)::bigint")
    op.create_table(
        "transfer",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False, comment="the namespace of the key"),
        sa.Column("key", sa.Text, nullable=False, comment="the caller's id; never expires"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False, comment="refusals are rows too"),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("source_account_id", sa.BigInteger, nullable=False),
        sa.Column(
            "source_version", sa.BigInteger, nullable=False, comment="of the account after this transfer"
        ),
        sa.Column(
            "source_balance_minor",
            sa.BigInteger,
            nullable=False,
            comment="of the account after this transfer",
        ),
        sa.Column("target_account_id", sa.BigInteger, nullable=False),
        sa.Column("target_version", sa.BigInteger, nullable=False),
        sa.Column("target_balance_minor", sa.BigInteger, nullable=False),
        sa.Column("because", sa.Text, nullable=False, comment="what caused it, e.g. a deposit id"),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_in",
            sa.BigInteger,
            nullable=False,
            server_default=number,
            comment="the writing transaction; below pg_snapshot_xmin nothing is still to come",
        ),
        sa.UniqueConstraint("site_id", "source", "key"),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name="kind"),
        sa.CheckConstraint(
            "outcome IN ('posted', 'insufficient_funds', 'balance_limit_reached', 'conflict')", name="outcome"
        ),
        sa.CheckConstraint("outcome <> 'conflict'", name="is_final"),
        sa.CheckConstraint("amount_minor BETWEEN 1 AND 1000000000000000", name="amount"),
        sa.CheckConstraint("source_account_id <> target_account_id", name="two_accounts"),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 128", name="key_length"),
    )
    op.create_index("ix_transfer_site_id_recorded_in", "transfer", ["site_id", "recorded_in", "transfer_id"])


def _entries() -> None:
    op.create_table(
        "entry",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.BigInteger, primary_key=True),
        sa.Column("account_version", sa.BigInteger, primary_key=True, comment="1, 2, 3 ... without a gap"),
        sa.Column("transfer_id", sa.BigInteger, nullable=False),
        sa.Column(
            "amount_minor", sa.BigInteger, nullable=False, comment="what the account gains; negative: loses"
        ),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("balance_after_minor", sa.BigInteger, nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), nullable=False, comment="ascends with the version"
        ),
        sa.CheckConstraint("account_version > 0", name="version"),
        sa.CheckConstraint("amount_minor <> 0", name="amount"),
    )


def _holds() -> None:
    op.create_table(
        "hold",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column(
            "transfer_id",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="the transfer that placed it",
        ),
        sa.Column("player_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("captured_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("released_minor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), comment="from here on it can only be released"),
        sa.ForeignKeyConstraint(["site_id", "transfer_id"], ["transfer.site_id", "transfer.transfer_id"]),
        sa.CheckConstraint("captured_minor >= 0 AND released_minor >= 0", name="parts"),
        sa.CheckConstraint("captured_minor + released_minor <= amount_minor", name="resolved_once"),
    )
    op.create_index(
        "ix_hold_open",
        "hold",
        ["site_id", "expires_at"],
        postgresql_where=sa.text("captured_minor + released_minor < amount_minor"),
    )


def _seals() -> None:
    op.create_table(
        "seal",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column(
            "number",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="1, 2, 3 ... without a gap",
        ),
        sa.Column(
            "last_recorded_in", sa.BigInteger, nullable=False, comment="position of the last sealed transfer"
        ),
        sa.Column("last_transfer_id", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column(
            "head", sa.LargeBinary, nullable=False, comment="SHA-256 over the head before and these transfers"
        ),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("number > 0 AND row_count > 0", name="counts"),
        sa.CheckConstraint("octet_length(head) = 32", name="head"),
    )


def _verified() -> None:
    op.create_table(
        "verified_site",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column(
            "recorded_in",
            sa.BigInteger,
            nullable=False,
            comment="transfers of earlier transactions are verified",
        ),
        sa.Column("seal_number", sa.BigInteger, nullable=False),
        sa.Column("seal_head", sa.LargeBinary, nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "verified_account",
        sa.Column("site_id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("balance_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
    )
