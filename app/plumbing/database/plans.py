"""When a connection makes its plans anew.

PostgreSQL keeps the plan of a statement until somebody has counted the table's rows, and autovacuum comes
once a minute. A plan that was made while the tables were empty takes any index that begins with the site, and
reads all of it: everything that the site has had until then. So plans are forgotten, and made again by the
tables' real size: first after a hundred uses, then after twice as many, at last after every few thousand.
"""

from dataclasses import dataclass
from typing import Final

import asyncpg

__all__ = ["Plans"]

_FIRST_FOR: Final = 128
_AT_MOST_FOR: Final = 4_096


@dataclass(slots=True)
class Plans:
    """Of one connection: its uses since its plans were made, and how many they are made for."""

    uses: int = 0
    made_for: int = _FIRST_FOR

    async def used(self, connection: asyncpg.Connection, uses: int = 1) -> None:
        """Count uses of the connection, which begin now; of a batch as many as a table may grow by."""
        if self.uses >= self.made_for:
            await connection.execute("DISCARD PLANS")
            self.uses, self.made_for = 0, min(2 * self.made_for, _AT_MOST_FOR)
        self.uses += uses
