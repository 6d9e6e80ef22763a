"""Whether the diary is as it was written: numbers without a gap, and a chain of hashes derived anew."""

import hashlib
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from app.plumbing.database import Reader

__all__ = ["DiaryReport", "verify_diary"]

_ZERO: Final = bytes(32)
# The words of one line as the database's own trigger hashes them (migrations/sql/staff_guards.sql).
_LINES: Final = text(
    """
    SELECT s.number, s.hash, convert_to(jsonb_build_array(e.site_id, s.number, e.entry_id, e.actor, e.deed,
        e.subject, e.detail, to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
    )::text, 'UTF8') AS line
    FROM diary_seal s JOIN diary e USING (site_id, entry_id) WHERE s.site_id = :site_id AND s.number > :after
    ORDER BY s.number LIMIT :limit
    """
)
_UNSEALED: Final = text(
    """
    SELECT count(*) FROM diary e WHERE e.site_id = :site_id
    AND NOT EXISTS (SELECT FROM diary_seal s WHERE s.site_id = e.site_id AND s.entry_id = e.entry_id)
    """
)
_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class DiaryReport:
    """What was found: how many lines, the last hash (write it down elsewhere), and what is wrong."""

    lines: int
    head: bytes
    faults: tuple[str, ...]


async def verify_diary(reader: Reader, site_id: int) -> DiaryReport:
    """Read a site's whole diary and derive its chain anew, in one snapshot.

    A line that was changed, taken out or put in between is a fault. Lines cut off at the end are not, unless
    the head is compared with one written down before: keep it outside this database.
    """
    number, head = 0, _ZERO
    faults: list[str] = []
    while True:
        rows = await reader.all(_LINES, {"site_id": site_id, "after": number, "limit": _BATCH})
        if not rows:
            break
        for row in rows:
            if row.number != number + 1:
                faults.append(f"lines {number + 1} to {row.number - 1} are missing")
            if hashlib.sha256(head + row.line).digest() != row.hash:
                faults.append(f"line {row.number} is not what was sealed")
            number, head = row.number, row.hash
    unsealed = await reader.scalar(_UNSEALED, {"site_id": site_id})
    if unsealed:
        faults.append(f"{unsealed} lines were never sealed")
    return DiaryReport(number, head, tuple(faults))
