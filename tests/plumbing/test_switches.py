"""Stop switches: for one site or for all of them."""

from datetime import datetime, timedelta

from sqlalchemy import text

from app.plumbing.database import Database
from app.plumbing.switches import EVERY_SITE, is_stopped, set_switch


async def stopped(database: Database, name: str = "deposits") -> list[int]:
    async with database.reading() as reader:
        return [site_id for site_id in (1, 2) if await is_stopped(reader, site_id, name)]


async def turned(database: Database, site_id: int, at: datetime, *, stop: bool, by: str = "test") -> None:
    async with database.transaction() as tx:
        await set_switch(tx, site_id, "deposits", stopped=stop, reason=f"stop {stop}", by=by, at=at)


async def test_a_switch_stops_its_site_or_every_site_and_one_thing_only(
    database: Database, now: datetime
) -> None:
    assert await stopped(database) == []
    await turned(database, 1, now, stop=True)
    assert await stopped(database) == [1]
    assert await stopped(database, "payouts") == []
    await turned(database, EVERY_SITE, now, stop=True)
    assert await stopped(database) == [1, 2]
    await turned(database, 1, now, stop=False)
    assert await stopped(database) == [1, 2], "what is stopped everywhere cannot be released at one site"
    await turned(database, EVERY_SITE, now, stop=False)
    assert await stopped(database) == []


async def test_a_switch_says_who_turned_it_last_and_why(database: Database, now: datetime) -> None:
    await turned(database, 1, now, stop=True, by="ann")
    await turned(database, 1, now + timedelta(hours=1), stop=False, by="bob")
    async with database.reading() as reader:
        row = await reader.one(text("SELECT reason, changed_by, changed_at FROM switch"))
    assert tuple(row) == ("stop False", "bob", now + timedelta(hours=1))
