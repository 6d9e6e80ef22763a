"""Stop switches: one row a switch and site, obeyed by the deeds that name it. Site 0 stands for all sites."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    ScalarSelect,
    Table,
    Text,
    bindparam,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from app.plumbing.database import Built, Reader, Transaction, metadata

__all__ = ["EVERY_SITE", "all_switches", "is_stopped", "set_switch", "stopped"]

EVERY_SITE = 0

switches = Table(
    "switch",
    metadata,
    Column("site_id", Integer, primary_key=True, comment="0 = every site"),
    Column("name", Text, primary_key=True, comment="what is stopped, e.g. deposits"),
    Column("stopped", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


_STOPPED = Built(
    select(func.bool_or(switches.c.stopped)).where(
        or_(switches.c.site_id == EVERY_SITE, switches.c.site_id == bindparam("of_site")),
        switches.c.name == bindparam("its_name"),
    )
)


async def is_stopped(reader: Reader, site_id: int, name: str) -> bool:
    """Whether `name` is stopped at this site or everywhere."""
    return bool(await reader.scalar(_STOPPED, {"of_site": site_id, "its_name": name}))


def stopped(site_id: ColumnElement[int], name: str | ColumnElement[str]) -> ScalarSelect[bool]:
    """The same as a column of another statement; NULL where nobody has ever used the switch."""
    its = or_(switches.c.site_id == EVERY_SITE, switches.c.site_id == site_id)
    return select(func.bool_or(switches.c.stopped)).where(its, switches.c.name == name).scalar_subquery()


async def all_switches(reader: Reader) -> Sequence[Row[Any]]:
    """Every switch that was ever used, by site and name."""
    return await reader.all(switches.select().order_by(switches.c.site_id, switches.c.name))


async def set_switch(
    tx: Transaction, site_id: int, name: str, *, stopped: bool, reason: str, by: str, at: datetime
) -> None:
    """Stop or release something, with who and why."""
    row = {"stopped": stopped, "reason": reason, "changed_by": by, "changed_at": at}
    await tx.execute(
        insert(switches)
        .values(site_id=site_id, name=name, **row)
        .on_conflict_do_update(index_elements=["site_id", "name"], set_=row)
    )
