"""How a site's choice of methods is kept."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
)

from app.plumbing.database import metadata

__all__ = ["site_methods"]

site_methods = Table(
    "site_method",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column("method", Text, primary_key=True, comment="a code of the catalogue"),
    Column("currency", Text, primary_key=True),
    Column("enabled", Boolean, nullable=False, server_default="true"),
    Column("minimum_minor", BigInteger, nullable=False),
    Column("maximum_minor", BigInteger, nullable=False),
    Column("account", Text, nullable=False, comment="the provider account that carries it out"),
    Column("position", Integer, nullable=False, server_default="0"),
    ForeignKeyConstraint(["site_id"], ["site.site_id"]),
    CheckConstraint("0 < minimum_minor AND minimum_minor <= maximum_minor", name="limits"),
)
