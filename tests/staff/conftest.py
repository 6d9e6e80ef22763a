"""A desk on a fresh database."""

from datetime import datetime

import pytest

from app.plumbing.database import Database
from tests.staff.desk import Desk, opened


@pytest.fixture
async def desk(database: Database, now: datetime) -> Desk:
    return await opened(database, now)
