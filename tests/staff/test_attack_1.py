"""Attack: the web role lets somebody back in who was sent away for good."""

import asyncpg
import pytest

from app import staff
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.plumbing.test_roles import member


async def test_who_was_sent_away_stays_away(database: Database, clone_url: str, clock: MovableClock) -> None:
    """docs/staff.md: "at once and for good"; the triggers guard votes and approvals, not this column."""
    new = staff.NewOperator("mallory", "Mallory", frozenset({staff.Role.FINANCE}))
    async with database.transaction() as tx:
        made, token = await staff.create_operator(tx, new, at=clock.now())
        await staff.disable_operator(tx, made.operator_id, at=clock.now())
    async with member(clone_url, "cashier_app") as session:
        with pytest.raises(asyncpg.PostgresError):
            await session.execute("UPDATE operator SET disabled_at = NULL")
    async with database.reading() as reader:
        with pytest.raises((staff.OperatorDisabled, staff.OperatorNotAuthentic)):
            await staff.authentic(reader, token)
