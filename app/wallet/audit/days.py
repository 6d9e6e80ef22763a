"""A day closed, who has money, and what stands in the way of another wallet mode (rules 64, 83, 92)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, select, text
from typing_extensions import override

from app.kernel import ids
from app.kernel.money import Money
from app.plumbing.database import Reader
from app.wallet.contract import instant
from app.wallet.tables import operations
from app.wallet.terms import Type, sent_as

__all__ = ["Balance", "Closing", "closing", "mode_blockers", "players_with_balance"]

_AT_ONCE: Final = 5000
# An operation's id is made at the instant that is recorded.
_MARGIN: Final = timedelta(seconds=60)
_WITH_BALANCE: Final = text("""
SELECT p.site_login, a.currency,
       coalesce(sum(a.balance_minor) FILTER (WHERE a.purpose = 'player_cash'), 0)::bigint AS cash,
       coalesce(sum(a.balance_minor) FILTER (WHERE a.purpose = 'player_bonus'), 0)::bigint AS bonus,
       coalesce(sum(a.balance_minor) FILTER (WHERE a.purpose = 'player_held'), 0)::bigint AS held,
       coalesce(-sum(a.balance_minor) FILTER (WHERE a.purpose = 'player_debt'), 0)::bigint AS debt
  FROM account a JOIN player p ON p.site_id = a.site_id AND p.player_id = a.owner
 WHERE a.site_id = :site AND a.purpose LIKE 'player_%' AND a.balance_minor <> 0
 GROUP BY p.site_login, a.currency ORDER BY a.currency, p.site_login
""")
_OPEN_ROUNDS: Final = text("SELECT count(*) FROM wallet_round WHERE site_id = :site AND state = 'open'")
# Of each wallet the balance that its last operation before an instant left.
_STOOD_AT: Final = text("""
SELECT w.currency, coalesce(sum(l.balance_after_minor), 0)::bigint AS minor
  FROM wallet w LEFT JOIN LATERAL (
    SELECT o.balance_after_minor FROM wallet_operation o
     WHERE o.site_id = w.site_id AND o.wallet_id = w.wallet_id AND o.applied AND o.recorded_at < :before
     ORDER BY o.sequence DESC LIMIT 1) l ON true
 WHERE w.site_id = :site GROUP BY w.currency ORDER BY w.currency
""")


class Balance(NamedTuple):
    """What a player has in one currency; minor units."""

    player: str
    currency: str
    cash: int
    bonus: int
    held: int
    debt: int

    @override
    def __str__(self) -> str:
        """Write it for people."""
        owes = f"  owes {self.debt}" if self.debt else ""
        return f"{self.player}  {self.currency}  cash {self.cash}  bonus {self.bonus}  held {self.held}{owes}"


@dataclass(slots=True)
class Closing:
    """One currency's day at a site; minor units.

    `closing` is `opening` and everything in between: deposits, cashier, bonuses, wins and reversals add,
    withdrawals, bets, reversed_wins and repayments take away.

    Args:
        cashier: what the cashier credited, less what it paid out; holds and wins over a cap take away.
        reversals: bets given back.
        reversed_wins: wins taken back, as far as they were still there.
        repayments: what was collected of debts.
        count: operations that moved money.
        sha256: of one line for each of them, in the order of our ids.
    """

    currency: str
    opening: int = 0
    deposits: int = 0
    withdrawals: int = 0
    cashier: int = 0
    bonuses: int = 0
    bets: int = 0
    wins: int = 0
    reversals: int = 0
    reversed_wins: int = 0
    repayments: int = 0
    closing: int = 0
    count: int = 0
    sha256: str = ""
    lines: Any = field(default_factory=hashlib.sha256, repr=False)

    @property
    def is_balanced(self) -> bool:
        """The day's movements lead from its opening to its closing."""
        gained = self.deposits + self.cashier + self.bonuses + self.wins + self.reversals
        lost = self.withdrawals + self.bets + self.reversed_wins + self.repayments
        return self.closing == self.opening + gained - lost

    def told(self) -> dict[str, object]:
        """As data, in this order."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "lines"}

    def add(self, row: Row[Any]) -> None:
        """Count one operation."""
        gain = row.balance_after_minor - row.balance_before_minor
        if row.type == Type.BETWIN:
            # As far as it was credited: what is paid together later was only told.
            won = gain + row.cash_minor + row.bonus_minor
            gain -= won
            self.wins += won
        name, sign = _COUNTED[Type(row.type)]
        setattr(self, name, getattr(self, name) + sign * gain)
        self.count += 1
        self.lines.update(_line(row).encode())


# Which line of a closing an operation belongs to, and whether it adds to the balance there.
_COUNTED: Final = {
    Type.DEPOSIT: ("deposits", 1),
    Type.WITHDRAW: ("withdrawals", -1),
    Type.BET: ("bets", -1),
    Type.BETWIN: ("bets", -1),
    Type.WIN: ("wins", 1),
    Type.ROLLBACK: ("reversals", 1),
    Type.REVERSE_WIN: ("reversed_wins", -1),
    Type.REPAYMENT: ("repayments", -1),
    Type.HOLD: ("cashier", 1),
    Type.CASHIER: ("cashier", 1),
    Type.BONUS: ("bonuses", 1),
    # It moves nothing, and is never applied.
    Type.VOID: ("deposits", 1),
}


def _line(row: Row[Any]) -> str:
    """An operation as both sides can write it from the history."""
    before, after = row.balance_before_minor, row.balance_after_minor
    numbers = f"{row.amount_minor},{row.win_minor},{before},{after},{row.sequence}"
    # The only field that a caller chooses stands last: nothing in it can be taken for another field.
    told = f"{row.operation_id},{row.type},{row.currency},{numbers},{instant(row.recorded_at)}"
    return f"{told},{sent_as(row.key, row.reference)}\n"


async def closing(reader: Reader, site_id: int, day: date) -> list[Closing]:
    """A site's day in UTC, by currency.

    Args:
        reader: one snapshot.
        site_id: whose day.
        day: it should be over for a minute, so that nothing of it is still being written.
    """
    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    opened = {row.currency: row.minor for row in await _stood_at(reader, site_id, since)}
    closed = {row.currency: row.minor for row in await _stood_at(reader, site_id, until)}
    days = {
        currency: Closing(currency, opening=opened.get(currency, 0), closing=minor)
        for currency, minor in closed.items()
    }
    after, last = ids.new("wop", at=since - _MARGIN), ids.new("wop", at=until + _MARGIN)
    while rows := await reader.all(
        select(operations)
        .where(
            operations.c.site_id == site_id,
            operations.c.operation_id > after,
            operations.c.operation_id < last,
        )
        .order_by(operations.c.operation_id)
        .limit(_AT_ONCE)
    ):
        after = rows[-1].operation_id
        for row in rows:
            if row.applied and since <= row.recorded_at < until:
                days[row.currency].add(row)
    for one in days.values():
        one.sha256 = one.lines.hexdigest()
    return list(days.values())


async def _stood_at(reader: Reader, site_id: int, before: datetime) -> Sequence[Row[Any]]:
    return await reader.all(_STOOD_AT, {"site": site_id, "before": before})


async def players_with_balance(reader: Reader, site_id: int) -> list[Balance]:
    """Everybody at a site who has money (won after a withdrawal of everything, say), or owes some."""
    rows = await reader.all(_WITH_BALANCE, {"site": site_id})
    return [Balance(row.site_login, row.currency, row.cash, row.bonus, row.held, row.debt) for row in rows]


async def mode_blockers(reader: Reader, site_id: int) -> list[str]:
    """What a site would leave behind in our wallets if it kept its balances itself; empty: nothing."""
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for one in await players_with_balance(reader, site_id):
        for verb, minor in (("have", one.cash + one.bonus + one.held), ("owe", one.debt)):
            count, total = totals.get((one.currency, verb), (0, 0))
            totals[one.currency, verb] = (count + (minor > 0), total + minor)
    blockers = [
        f"{count} player(s) {verb} {Money(minor, currency)} in all"
        for (currency, verb), (count, minor) in totals.items()
        if count
    ]
    rounds = int(await reader.scalar(_OPEN_ROUNDS, {"site": site_id}))
    return [*blockers, f"{rounds} round(s) are open"] if rounds else blockers
