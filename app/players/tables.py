"""How players and their cashier sessions are kept."""

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.players.model import PlayerStatus
from app.plumbing.database import checked, metadata

__all__ = ["players", "sessions"]

players = Table(
    "player",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("player_id", Text, primary_key=True),
    Column("site_login", Text, nullable=False, comment="the merchant's id of the player"),
    Column(
        "personal",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="what the merchant told about the person",
    ),
    Column("last_method", Text, nullable=False, server_default="", comment="preselected on the next visit"),
    Column("status", Text, nullable=False, server_default=PlayerStatus.ACTIVE),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("site_id", "site_login"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    checked("status", PlayerStatus),
)

sessions = Table(
    "cashier_session",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column(
        "key_hash", LargeBinary, nullable=False, comment="SHA-256; the key itself is only ever in the browser"
    ),
    Column("player_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("customer_ip", Text, nullable=False),
    Column(
        "wishes",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="how the merchant wants the cashier shown",
    ),
    Column("obtained_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("site_id", "key_hash"),
    ForeignKeyConstraint(["site_id", "player_id"], ["player.site_id", "player.player_id"]),
    Index(None, "site_id", "player_id"),
    Index(None, "obtained_at"),
)
