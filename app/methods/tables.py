"""How a site's choice of methods is kept."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.methods.model import ACCOUNTS_AT_MOST, Direction
from app.plumbing.database import checked, metadata

__all__ = ["instrument_trials", "instruments", "site_methods"]

site_methods = Table(
    "site_method",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("method", Text, primary_key=True, comment="a code of the catalogue"),
    Column("currency", Text, primary_key=True),
    Column("direction", Text, primary_key=True, server_default=Direction.DEPOSIT),
    Column("enabled", Boolean, nullable=False, server_default="true"),
    Column("minimum_minor", BigInteger, nullable=False),
    Column("maximum_minor", BigInteger, nullable=False),
    Column("account", Text, nullable=False, comment="the provider account that carries it out"),
    Column(
        "further_accounts",
        ARRAY(Text),
        nullable=False,
        server_default="{}",
        comment="asked in this order where an attempt failed for certain and another may not",
    ),
    Column("position", Integer, nullable=False, server_default="0"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    CheckConstraint("0 < minimum_minor AND minimum_minor <= maximum_minor", name="limits"),
    CheckConstraint(
        f"account <> ALL (further_accounts) AND cardinality(further_accounts) < {ACCOUNTS_AT_MOST}",
        name="each_account_once",
    ),
    checked("direction", Direction),
)

instruments = Table(
    "instrument",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("instrument_id", Text, primary_key=True),
    Column("player_id", Text, nullable=False),
    Column("method", Text, nullable=False, comment="a code of the catalogue"),
    Column("account", Text, nullable=False, comment="the provider account that a token is good at"),
    Column("masked", Text, nullable=False, comment="may be shown"),
    Column("fingerprint", Text, nullable=False, comment="tells whether it is the same again"),
    Column("fields", JSONB, nullable=False, comment="where money is sent: a token, or IBAN, name, telephone"),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("last_used_at", DateTime(timezone=True), nullable=False),
    Column("removed_at", DateTime(timezone=True), comment="the player wants it shown no more"),
    UniqueConstraint("site_id", "player_id", "method", "fingerprint"),
    ForeignKeyConstraint(["site_id", "player_id"], ["player.site_id", "player.player_id"]),
    # The other side of the wall: no card number is kept, whatever the code above does (PCI DSS 3.5.1).
    CheckConstraint(
        "method <> 'card' OR (fields - 'token' = '{}'::jsonb AND fields ->> 'token' !~ '^[0-9 -]{13,}$'"
        " AND masked !~ '[0-9]{7}' AND fingerprint !~ '^[0-9 -]{13,}$')",
        name="no_card_number",
    ),
)

instrument_trials = Table(
    "instrument_trial",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("trial_id", Text, primary_key=True),
    Column("player_id", Text, nullable=False),
    Column(
        "tried_at", DateTime(timezone=True), nullable=False, comment="a provider was asked about a number"
    ),
    ForeignKeyConstraint(["site_id", "player_id"], ["player.site_id", "player.player_id"]),
    Index(None, "site_id", "player_id", "tried_at"),
)
