"""How the ledger is kept. Every key starts with `site_id`, so that the whole schema can be spread by site.

Triggers, grants and comments on behaviour stand in `migrations/sql/ledger_*.sql`. Entries and transfers
refer to accounts without foreign keys: the one function that writes them takes both from the same rows.
"""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from app.ledger.chart import MOVEMENTS
from app.ledger.model import KEY_LENGTH, Outcome, Purpose
from app.plumbing.database import checked, metadata

__all__ = [
    "accounts",
    "entries",
    "holds",
    "movements",
    "seals",
    "transfer_numbers",
    "transfers",
    "verified_accounts",
    "verified_sites",
]

_Kind = StrEnum("_Kind", {kind: kind for kind in MOVEMENTS})  # type: ignore[misc]  # the chart is the list
_TRANSACTION_NUMBER = text("(pg_current_xact_id()::text)::bigint")

movements = Table(
    "movement",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("source_purpose", Text, nullable=False),
    Column("target_purpose", Text, nullable=False),
    comment="What money may do. The same rows as app/ledger/chart.py; not of a site.",
)

accounts = Table(
    "account",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("account_id", BigInteger, Identity(always=True), primary_key=True),
    Column("owner", Text, nullable=False, comment="a player, a site, or a provider"),
    Column("purpose", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("balance_minor", BigInteger, nullable=False, server_default="0"),
    Column("floor_minor", BigInteger, comment="the least balance; NULL where the account may owe"),
    Column("version", BigInteger, nullable=False, server_default="0", comment="how many entries it has"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False, comment="the instant of its last entry"),
    UniqueConstraint("site_id", "owner", "purpose", "currency"),
    checked("purpose", Purpose),
    CheckConstraint("balance_minor >= floor_minor", name="floor"),
    CheckConstraint(
        "left(purpose, 7) <> 'player_' OR purpose = 'player_debt' OR coalesce(floor_minor, -1) >= 0",
        name="player_floor",
    ),
    CheckConstraint("purpose <> 'player_debt' OR balance_minor <= 0", name="debt_ceiling"),
    CheckConstraint(f"length(owner) BETWEEN 1 AND {KEY_LENGTH}", name="owner_length"),
    CheckConstraint("length(currency) BETWEEN 3 AND 8", name="currency_length"),
    # Room in each page for the new version of a row: balances change without touching an index.
    postgresql_with={"fillfactor": 60},
)

# Drawn one by one while the accounts are locked, never in blocks: so numbers ascend with the versions of
# every account.
transfer_numbers = Sequence("transfer_number", metadata=metadata, data_type=BigInteger)

transfers = Table(
    "transfer",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("transfer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False, comment="the namespace of the key"),
    Column("key", Text, nullable=False, comment="the caller's id; never expires"),
    Column("kind", Text, nullable=False),
    Column("outcome", Text, nullable=False, comment="refusals are rows too"),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("source_account_id", BigInteger, nullable=False),
    Column("source_version", BigInteger, nullable=False, comment="of the account after this transfer"),
    Column("source_balance_minor", BigInteger, nullable=False, comment="of the account after this transfer"),
    Column("target_account_id", BigInteger, nullable=False),
    Column("target_version", BigInteger, nullable=False),
    Column("target_balance_minor", BigInteger, nullable=False),
    Column("because", Text, nullable=False, comment="what caused it, e.g. a deposit id"),
    Column("actor", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column(
        "recorded_in",
        BigInteger,
        nullable=False,
        server_default=_TRANSACTION_NUMBER,
        comment="the writing transaction; below pg_snapshot_xmin nothing is still to come",
    ),
    UniqueConstraint("site_id", "source", "key"),
    Index("ix_transfer_site_id_recorded_in", "site_id", "recorded_in", "transfer_id"),
    # Not a foreign key to `movement`, which would lock that row again for each transfer: a quarter of what
    # writing costs. The purposes, which a key could not look at, `ledger_write` holds against `movement`.
    checked("kind", _Kind),
    checked("outcome", Outcome),
    CheckConstraint("outcome <> 'conflict'", name="is_final"),
    CheckConstraint("amount_minor BETWEEN 1 AND 1000000000000000", name="amount"),
    CheckConstraint("source_account_id <> target_account_id", name="two_accounts"),
    CheckConstraint(f"length(key) BETWEEN 1 AND {KEY_LENGTH}", name="key_length"),
)

entries = Table(
    "entry",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("account_version", BigInteger, primary_key=True, comment="1, 2, 3 ... without a gap"),
    Column("transfer_id", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False, comment="what the account gains; negative: loses"),
    Column("currency", Text, nullable=False),
    Column("balance_after_minor", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, comment="ascends with the version"),
    CheckConstraint("account_version > 0", name="version"),
    CheckConstraint("amount_minor <> 0", name="amount"),
)

holds = Table(
    "hold",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "transfer_id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="the transfer that placed it",
    ),
    Column("player_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("captured_minor", BigInteger, nullable=False, server_default="0"),
    Column("released_minor", BigInteger, nullable=False, server_default="0"),
    Column("currency", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), comment="from here on it can only be released"),
    ForeignKeyConstraint(["site_id", "transfer_id"], ["transfer.site_id", "transfer.transfer_id"]),
    CheckConstraint("captured_minor >= 0 AND released_minor >= 0", name="parts"),
    CheckConstraint("captured_minor + released_minor <= amount_minor", name="resolved_once"),
    Index(
        "ix_hold_open",
        "site_id",
        "expires_at",
        postgresql_where=text("captured_minor + released_minor < amount_minor"),
    ),
)

seals = Table(
    "seal",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3 ... without a gap"),
    Column("last_recorded_in", BigInteger, nullable=False, comment="position of the last sealed transfer"),
    Column("last_transfer_id", BigInteger, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("head", LargeBinary, nullable=False, comment="SHA-256 over the head before and these transfers"),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("number > 0 AND row_count > 0", name="counts"),
    CheckConstraint("octet_length(head) = 32", name="head"),
)

verified_sites = Table(
    "verified_site",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "recorded_in", BigInteger, nullable=False, comment="transfers of earlier transactions are verified"
    ),
    Column("seal_number", BigInteger, nullable=False),
    Column("seal_head", LargeBinary, nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

verified_accounts = Table(
    "verified_account",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
)
