"""How the wallet room is kept: wallets, their operations, rounds, game sessions, games, and policies.

No balance stands here: cash, bonus and debt are ledger accounts, named by each wallet. How a batch is
looked up, confirmed and written stands in `migrations/sql/wallet_debts.sql`, `wallet_one_look.sql` and
`wallet_succession.sql`, what counts a revision in `wallet_confirm.sql` and `wallet_memory.sql`, and who may
change what in `wallet_grants.sql`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.plumbing.database import checked, metadata
from app.wallet.terms import ID_LENGTH, Code, RoundState, Type

__all__ = ["free_rounds", "games", "operations", "policies", "rounds", "sessions", "wallets"]

policies = Table(
    "wallet_policy",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("provider_id", Text, primary_key=True, comment="a game platform; empty: the site itself"),
    Column("policy", JSONB, nullable=False, comment="what differs from the defaults of app/wallet/terms.py"),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
)

wallets = Table(
    "wallet",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("wallet_id", BigInteger, Identity(always=True), primary_key=True),
    Column("player_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column(
        "sequence", BigInteger, nullable=False, server_default="0", comment="of its last applied operation"
    ),
    Column("cash_account_id", BigInteger, nullable=False),
    Column("bonus_account_id", BigInteger, nullable=False),
    Column(
        "debt_account_id", BigInteger, comment="once anything was owed, to whatever room; a trigger notes it"
    ),
    Column(
        "cash_version",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="of the cash account as this wallet left it; a higher one now: another room moved money",
    ),
    Column("bonus_version", BigInteger, nullable=False, server_default="0"),
    Column(
        "balance_minor", BigInteger, nullable=False, server_default="0", comment="as its last operation told"
    ),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column(
        "moved_at",
        DateTime(timezone=True),
        comment="the instant of its last operation; the next is not before it",
    ),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="counts what changes what may be done and moves no money",
    ),
    UniqueConstraint("site_id", "player_id", "currency"),
    UniqueConstraint("site_id", "cash_account_id"),
    UniqueConstraint("site_id", "bonus_account_id"),
    UniqueConstraint("site_id", "debt_account_id"),
    ForeignKeyConstraint(["site_id", "player_id"], ["player.site_id", "player.player_id"]),
    ForeignKeyConstraint(["site_id", "cash_account_id"], ["account.site_id", "account.account_id"]),
    ForeignKeyConstraint(["site_id", "bonus_account_id"], ["account.site_id", "account.account_id"]),
    ForeignKeyConstraint(["site_id", "debt_account_id"], ["account.site_id", "account.account_id"]),
    # Room in each page for the new version of a row: sequences change without touching an index.
    postgresql_with={"fillfactor": 60},
)

operations = Table(
    "wallet_operation",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("operation_id", Text, primary_key=True),
    Column("source", Text, nullable=False, comment="operator, game, cashier, sweeper"),
    Column(
        "within",
        Text,
        nullable=False,
        comment="where the key is unique: all of the source, a player, a round",
    ),
    Column("key", Text, nullable=False, comment="the caller's id; never expires"),
    Column("type", Text, nullable=False),
    Column("code", Text, nullable=False, comment="what was answered; refusals are rows too"),
    Column(
        "applied",
        Boolean,
        nullable=False,
        comment="it took a sequence number; refusals and tombstones do not",
    ),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("wallet_id", BigInteger, comment="none for a transfer that was voided before it came"),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("win_minor", BigInteger, nullable=False, comment="of a bet and its win in one"),
    Column("cash_minor", BigInteger, nullable=False, comment="the part of the amount that is cash"),
    Column("bonus_minor", BigInteger, nullable=False),
    Column("balance_before_minor", BigInteger, nullable=False),
    Column("balance_after_minor", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False, comment="of the wallet when this was decided"),
    Column("reference", Text, comment="the caller's id of the operation this one is about"),
    Column("round_id", Text),
    Column("provider_id", Text, nullable=False, comment="the game platform; empty for transfers"),
    Column("game_code", Text),
    Column("session_id", Text),
    Column("detail", Text, comment="kind of a win, id of a free round"),
    Column("request_id", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column(
        "recorded_in",
        BigInteger,
        nullable=False,
        server_default=text("(pg_current_xact_id()::text)::bigint"),
        comment="the writing transaction; below pg_snapshot_xmin nothing is still to come",
    ),
    # What tells ids apart first: an index compares column by column.
    UniqueConstraint("site_id", "source", "key", "within"),
    # Every operation is in one of these two: by its wallet, in the order of the sequence.
    Index(
        "uq_wallet_operation_sequence",
        "site_id",
        "wallet_id",
        "sequence",
        unique=True,
        postgresql_where=text("applied"),
    ),
    Index(
        "ix_wallet_operation_not_applied",
        "site_id",
        "wallet_id",
        "sequence",
        postgresql_where=text("NOT applied"),
    ),
    Index(
        "ix_wallet_operation_reference",
        "site_id",
        "source",
        "reference",
        "within",
        "code",
        "type",
        postgresql_where=text("reference IS NOT NULL"),
    ),
    Index("ix_wallet_operation_recorded", "site_id", "recorded_in", "operation_id"),
    checked("type", Type),
    checked("code", Code),
    CheckConstraint(f"length(key) BETWEEN 1 AND {ID_LENGTH}", name="key_length"),
    CheckConstraint(
        "amount_minor >= 0 AND win_minor >= 0 AND cash_minor >= 0 AND bonus_minor >= 0", name="amounts"
    ),
    CheckConstraint("cash_minor + bonus_minor <= amount_minor", name="parts"),
)

rounds = Table(
    "wallet_round",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("wallet_id", BigInteger, primary_key=True),
    Column("provider_id", Text, primary_key=True),
    Column("round_id", Text, primary_key=True, comment="the platform's id"),
    Column("game_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("is_free", Boolean, nullable=False, comment="its bets moved no money"),
    Column("open_bets", Integer, nullable=False, comment="bets that are not reversed"),
    Column("bet_minor", BigInteger, nullable=False),
    Column("win_minor", BigInteger, nullable=False),
    Column("reversed_minor", BigInteger, nullable=False),
    Column("first_sequence", BigInteger, nullable=False, comment="its operations stand from here ..."),
    Column("last_sequence", BigInteger, nullable=False, comment="... to here in the wallet's sequence"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("listed_at", DateTime(timezone=True), comment="when the sweeper found it open too long"),
    Index("ix_wallet_round_open", "site_id", "opened_at", postgresql_where=text("state = 'open'")),
    checked("state", RoundState),
    CheckConstraint(
        "bet_minor >= 0 AND win_minor >= 0 AND reversed_minor BETWEEN 0 AND bet_minor", name="sums"
    ),
    CheckConstraint("open_bets >= 0", name="open_bets"),
    postgresql_with={"fillfactor": 70},
)

free_rounds = Table(
    "free_round",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("wallet_id", BigInteger, primary_key=True),
    Column("campaign_id", Text, primary_key=True, comment="the freeRoundId that platforms name"),
    Column("provider_id", Text, nullable=False),
    Column("game_code", Text, nullable=False, comment="empty: any of the platform's"),
    Column("currency", Text, nullable=False),
    Column("spins", Integer, nullable=False),
    Column("used", Integer, nullable=False, server_default="0", comment="taken and not rolled back"),
    Column("won_minor", BigInteger, nullable=False, server_default="0"),
    Column("paid_minor", BigInteger, nullable=False, server_default="0", comment="what of it was credited"),
    Column("max_win_minor", BigInteger, nullable=False, server_default="0", comment="in all; 0: no limit"),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("cancelled_at", DateTime(timezone=True)),
    ForeignKeyConstraint(["site_id", "wallet_id"], ["wallet.site_id", "wallet.wallet_id"]),
    Index(None, "site_id", "campaign_id"),
    CheckConstraint("used BETWEEN 0 AND spins", name="used"),
    CheckConstraint("won_minor >= 0 AND paid_minor >= 0 AND max_win_minor >= 0", name="sums"),
)

sessions = Table(
    "game_session",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("wallet_id", BigInteger, nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("game_code", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("return_url", Text, nullable=False),
    Column(
        "launch_hash", LargeBinary, nullable=False, comment="SHA-256 of the single-use part of the launch URL"
    ),
    Column("launched_at", DateTime(timezone=True), nullable=False),
    Column("opened_at", DateTime(timezone=True), comment="when the launch URL was used; it works once"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("final_balance_minor", BigInteger),
    Column("currency", Text, nullable=False),
    UniqueConstraint("site_id", "launch_hash"),
    ForeignKeyConstraint(["site_id", "wallet_id"], ["wallet.site_id", "wallet.wallet_id"]),
    Index(None, "site_id", "wallet_id"),
)

games = Table(
    "game",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("provider_id", Text, primary_key=True),
    Column("game_code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("launch_url", Text, nullable=False, comment="where the platform serves it; empty: our demo table"),
    Column("is_enabled", Boolean, nullable=False, server_default="true"),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
)
