"""Who judges: the books of the bank and of the merchants, held against our ledger, payment by payment."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text

from app import ledger
from app.demo.simulation.story import Violated
from app.demo.simulation.world import World

__all__ = ["Judge"]

# What the ledger says that a payment moved: into the house for a deposit, out of it for a withdrawal.
ROWS: Final = """
SELECT p.site_id, p.payment_id, p.number, p.kind, p.status, p.sub_status, p.attention,
       p.amount_minor, coalesce((
    SELECT sum(CASE WHEN t.kind LIKE 'payout.to_%' OR t.kind LIKE 'reversal.from_%'
                    THEN -t.amount_minor ELSE t.amount_minor END)
      FROM transfer t
     WHERE t.site_id = p.site_id AND t.because = p.payment_id AND t.outcome = 'posted'
       AND (t.kind LIKE 'deposit.%' OR t.kind LIKE 'payout.%' OR t.kind LIKE 'reversal.%'
            OR t.kind = 'hold.capture')), 0)::bigint AS posted
  FROM payment p
"""
UNKNOWNS: Final = """
SELECT extract(epoch FROM next_at - recorded_at)::float AS seconds FROM (
    SELECT sub_status, recorded_at, lead(recorded_at)
      OVER (PARTITION BY site_id, payment_id ORDER BY sequence) AS next_at,
      lead(sub_status) OVER (PARTITION BY site_id, payment_id ORDER BY sequence) AS next_sub
      FROM payment_event) e
 WHERE sub_status = 'unknown' AND next_sub <> 'unknown' ORDER BY 1
"""
SAID_BY_THE_BANK: Final = frozenset({"declined", "undeliverable"})
OPEN: Final = frozenset({"pending", "processing"})


class Standing(NamedTuple):
    """A payment as it stands, and what the ledger says that it moved."""

    site_id: int
    payment_id: str
    number: int
    kind: str
    status: str
    sub_status: str
    attention: str | None
    amount_minor: int
    posted: int


@dataclass(slots=True)
class Judge:
    """Evaluates the invariants and counts how often."""

    world: World
    evaluated: Counter[str] = field(default_factory=Counter)

    async def step(self, since: datetime) -> None:
        """What can be said cheaply after each step, of the payments that it changed."""
        for row in await self._rows("WHERE p.changed_at >= $1", since):
            self._never_more_than_the_bank(row)
            self._failed_only_if_the_bank_said_so(row)

    async def ledger(self) -> None:
        """What the ledger says of itself."""
        async with self.world.database.transaction() as tx:
            report = await ledger.checkpoint(tx)
        for name in report.checked:
            self.evaluated[f"ledger {name}"] += 1
        for violation in report.violations:
            raise Violated(f"{violation.invariant} at site {violation.site_id}: {violation.what}")

    async def is_over(self) -> bool:
        """Whether every payment is final or a person's."""
        return not await self._rows("WHERE p.status IN ('pending', 'processing') AND p.attention IS NULL")

    async def end(self) -> tuple[Counter[str], list[float]]:
        """Hold every payment against the books of everybody; returns end states, and unknowns in seconds."""
        ends: Counter[str] = Counter()
        moved = {site_id: one.moved() for site_id, one in self.world.servers.items()}
        rows = await self._rows("ORDER BY p.number")
        known = {str(row.number) for row in rows}
        for number in self.world.bank.moved:
            self._count("no money without a payment", number in known, number)
        for row in rows:
            listed = f" (listed: {row.attention})" if row.attention else ""
            ends[f"{row.kind} {row.status}/{row.sub_status}{listed}"] += 1
            self._never_more_than_the_bank(row)
            self._failed_only_if_the_bank_said_so(row)
            self._final_or_listed(row)
            self._as_the_bank(row)
            self._as_the_merchant(row, moved[row.site_id][str(row.number)])
        async with self.world.database.reading() as reader:
            unknowns = [float(row.seconds) for row in await reader.all(text(UNKNOWNS))]
        return ends, unknowns

    async def events(self, number: str) -> list[str]:
        """What our own rows say of a payment, for the story."""
        if not number:
            return []
        async with self.world.database.reading() as reader:
            rows = await reader.all(
                text(
                    "SELECT e.recorded_at, e.source, e.type, e.sub_status FROM payment_event e "
                    "JOIN payment p USING (site_id, payment_id) WHERE p.number = :number ORDER BY e.sequence"
                ),
                {"number": int(number)},
            )
        return [
            f"{row.recorded_at:%m-%d %H:%M:%S.%f}  we: {row.source}, {row.type}, {row.sub_status}"
            for row in rows
        ]

    def _never_more_than_the_bank(self, row: Standing) -> None:
        """Nothing is credited that the bank did not collect; nothing is debited that it did not pay."""
        moved = self.world.bank.moved[str(row.number)]
        self._count(
            "posted is at most moved", row.posted <= moved, str(row.number), f"{row.posted} > {moved}"
        )

    def _failed_only_if_the_bank_said_so(self, row: Standing) -> None:
        """A payment that was declined has no order at the bank that it has not denied."""
        if row.sub_status not in SAID_BY_THE_BANK:
            return
        orders = self.world.bank.of_number.get(str(row.number), [])
        self._count(
            "declined only by the bank's word",
            all(order.said_no for order in orders),
            str(row.number),
            f"it is {row.sub_status}, and the bank never said so",
        )

    def _final_or_listed(self, row: Standing) -> None:
        is_over = row.status not in OPEN or row.attention is not None
        self._count("final or listed", is_over, str(row.number), f"still {row.sub_status}, and on no list")

    def _as_the_bank(self, row: Standing) -> None:
        """0 lost: unless people are called, the ledger has exactly what the bank moved."""
        moved = self.world.bank.moved[str(row.number)]
        same = row.posted == moved or row.attention is not None
        self._count(
            "the ledger is as the bank's book", same, str(row.number), f"ledger {row.posted}, bank {moved}"
        )

    def _as_the_merchant(self, row: Standing, moved: int) -> None:
        """The merchant's book has exactly what the ledger has."""
        expected = row.posted if row.kind == "deposit" else -row.posted
        # A withdrawal that waits for people is reserved there as it is here.
        same = moved == expected or (row.status in OPEN and row.attention is not None)
        self._count(
            "the merchant's book is as the ledger",
            same,
            str(row.number),
            f"ledger {expected}, merchant {moved}",
        )

    def _count(self, name: str, holds: object, number: str, how: str = "") -> None:
        self.evaluated[name] += 1
        if not holds:
            raise Violated(f"{name}: {how}", number)

    async def _rows(self, where: str, *values: object) -> list[Standing]:
        return [Standing(*row) for row in await self.world.watch.fetch(ROWS + where, *values)]
