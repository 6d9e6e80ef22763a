"""Wins that were refused because the house itself had ended their round: a person looks (rules 33, 56)."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import ARRAY, Text, bindparam, text
from typing_extensions import override

from app.plumbing.database import Reader
from app.wallet.terms import SWEEPERS

__all__ = ["RefusedWin", "refused_wins"]

# Its bet was given back; or its round was found stuck after the last bet or win that could have ended it.
_OURS: Final = """
SELECT o.operation_id, o.key, o.provider_id, o.round_id, o.currency, o.amount_minor, o.recorded_at,
       p.site_login
  FROM wallet_operation o
  JOIN wallet w ON w.site_id = o.site_id AND w.wallet_id = o.wallet_id
  JOIN player p ON p.site_id = w.site_id AND p.player_id = w.player_id
 WHERE o.site_id = :site AND o.type = 'win' AND NOT o.applied AND (
       o.code = 'ROLLED_BACK' AND EXISTS (
         SELECT FROM wallet_operation b
          WHERE b.site_id = o.site_id AND b.source = o.source AND b.within = o.within
            AND b.reference = o.reference AND b.code = 'OK' AND b.type = 'rollback' AND b.applied
            AND starts_with(b.key, :ours))
    OR o.code = 'ROUND_CLOSED' AND EXISTS (
         SELECT FROM wallet_round r
          WHERE r.site_id = o.site_id AND r.wallet_id = o.wallet_id AND r.provider_id = o.provider_id
            AND r.round_id = o.round_id AND r.state = 'completed' AND r.listed_at > (
              SELECT l.recorded_at FROM wallet_operation l
               WHERE l.site_id = r.site_id AND l.wallet_id = r.wallet_id AND l.applied
                 AND l.sequence BETWEEN r.first_sequence AND r.last_sequence
                 AND l.round_id = r.round_id AND l.provider_id = r.provider_id
                 AND (l.type IN ('bet', 'betwin') OR l.type = 'win' AND l.reference IS NOT NULL)
               ORDER BY l.sequence DESC LIMIT 1)))
"""
_ALL: Final = text(f"{_OURS} ORDER BY o.recorded_at, o.operation_id")
_OF_THESE: Final = text(f"{_OURS} AND o.operation_id = ANY (:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Text))
)


class RefusedWin(NamedTuple):
    """What a player has won by the word of a platform, and has not got; minor units."""

    operation_id: str
    key: str
    player: str
    provider: str
    round_id: str
    currency: str
    amount: int
    at: datetime

    @override
    def __str__(self) -> str:
        """Write it for people."""
        of = f"{self.provider}  {self.round_id}  {self.key}  {self.operation_id}"
        return f"{self.at:%Y-%m-%d %H:%M}  {self.player}  {self.currency}  {self.amount}  {of}"


async def refused_wins(
    reader: Reader, site_id: int, among: Collection[str] | None = None
) -> list[RefusedWin]:
    """Wins above nothing that were refused because the house had ended their round, the oldest first.

    Args:
        reader: where to read.
        site_id: whose.
        among: these only, by our ids; None: all there ever were.
    """
    asked = {"site": site_id, "ours": SWEEPERS}
    if among is None:
        rows = await reader.all(_ALL, asked)
    else:
        rows = await reader.all(_OF_THESE, {**asked, "ids": list(among)})
    return [
        RefusedWin(
            row.operation_id,
            row.key,
            row.site_login,
            row.provider_id,
            row.round_id,
            row.currency,
            row.amount_minor,
            row.recorded_at,
        )
        for row in rows
        if row.amount_minor
    ]
