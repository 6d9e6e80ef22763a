"""What is forgotten every ten minutes is found by an index: 60 days of claims are not read for it."""

import pytest
from sqlalchemy import text

from app.plumbing.database import Database


@pytest.mark.parametrize(
    "forgotten",
    ["claim WHERE claimed_at < now() - interval '60 days'", "cashier_session WHERE obtained_at < now()"],
)
async def test_what_is_old_is_found_by_its_age(owner_database: Database, forgotten: str) -> None:
    """A statement has five seconds. Once reading all of it takes longer, nothing is ever forgotten again."""
    async with owner_database.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.all(text(f"EXPLAIN DELETE FROM {forgotten}"))  # noqa: S608  our own words
    assert "Seq Scan" not in "\n".join(row[0] for row in plan)
