"""Who owes what: wins that were taken back when their money was gone, and what other rooms let be owed."""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from typing_extensions import override

from app.plumbing.database import Reader
from app.wallet.contract import instant

__all__ = ["Debt", "debts"]

_OWED: Final = text("""
SELECT p.site_login, a.currency, (-a.balance_minor)::bigint AS owed, a.moved_at, o.reference AS win
  FROM account a
  JOIN player p ON p.site_id = a.site_id AND p.player_id = a.owner
  LEFT JOIN wallet w ON w.site_id = a.site_id AND w.debt_account_id = a.account_id
  LEFT JOIN LATERAL (
    SELECT l.reference FROM wallet_operation l
     WHERE l.site_id = w.site_id AND l.wallet_id = w.wallet_id AND l.applied AND l.type = 'reverse_win'
       AND l.cash_minor + l.bonus_minor < l.amount_minor
     ORDER BY l.sequence DESC LIMIT 1) o ON true
 WHERE a.site_id = :site AND a.purpose = 'player_debt' AND a.balance_minor < 0
 ORDER BY a.currency, a.balance_minor, p.site_login
""")


class Debt(NamedTuple):
    """What a player owes in one currency.

    Args:
        minor: minor units, above zero.
        changed_at: when it last grew or was paid.
        win: the platform's id of the last win that was taken back without its money; empty: none was.
    """

    player: str
    currency: str
    minor: int
    changed_at: datetime
    win: str

    @override
    def __str__(self) -> str:
        """Write it for people."""
        why = f"  win {self.win}" if self.win else ""
        return f"{self.player}  {self.currency}  owes {self.minor}  since {instant(self.changed_at)}{why}"


async def debts(reader: Reader, site_id: int) -> list[Debt]:
    """Everybody at a site who owes something, the largest debt of each currency first (rule 45)."""
    rows = await reader.all(_OWED, {"site": site_id})
    return [Debt(row.site_login, row.currency, row.owed, row.moved_at, row.win or "") for row in rows]
