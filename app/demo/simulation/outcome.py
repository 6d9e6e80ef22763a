"""What is to be simulated, and what came of it, in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.demo.simulation.canaries import Canary, Victim
from app.demo.simulation.chance import Place

__all__ = ["Book", "Outcome", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """So many payments and faults within so many days, and perhaps a planted fault that must be found.

    `payouts` and `refunds` are shares of what people come for, the rest pays in; `places` is where faults
    strike.
    """

    seed: int
    days: int
    payments: int
    faults: int
    canary: Canary | None = None
    victim: Victim = Victim.ALL
    payouts: float = 0.32
    refunds: float = 0.08
    places: frozenset[Place] = frozenset(Place)


@dataclass(slots=True)
class Book:
    """All payments of a kind in three books, in minor units; those that people are called to stand beside."""

    payments: int = 0
    bank: int = 0
    ledger: int = 0
    merchant: int = 0
    listed: int = 0
    listed_bank: int = 0
    listed_ledger: int = 0
    listed_merchant: int = 0

    def lines(self, name: str) -> list[str]:
        """What it says, in a line or two."""
        sums = f"bank {self.bank}, ledger {self.ledger}, merchants {self.merchant}"
        lines = [f"book       {self.payments - self.listed:>9}  {name}: {sums}"]
        if self.listed:
            sums = f"bank {self.listed_bank}, ledger {self.listed_ledger}, merchants {self.listed_merchant}"
            lines.append(f"listed     {self.listed:>9}  {name}: {sums}")
        return lines


@dataclass(slots=True)
class Outcome:
    """What came of a plan; `violation` and `story` say what was wrong first, and how it came to that.

    `lost` are payments that are in one book and not in another, `duplicated` those that moved twice at the
    bank or at a merchant.
    """

    plan: Plan
    digest: str = ""
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    evaluated: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    books: dict[str, Book] = field(default_factory=dict)
    unknown_seconds: list[float] = field(default_factory=list)
    healed_days: float = 0
    steps: int = 0
    calls: int = 0
    lost: int = 0
    duplicated: int = 0
    violation: str = ""
    story: list[str] = field(default_factory=list)

    def report(self) -> list[str]:
        """The counts, a line each."""
        plan, unknowns = self.plan, self.unknown_seconds
        made = f"seed {plan.seed}: {sum(self.ends.values())} payments and disputes in {plan.days} days"
        lines = [
            f"{made} and {self.healed_days:.1f} after them, {self.steps} steps",
            f"{sum(self.faults.values())} of {plan.faults} faults struck in {self.calls} calls",
        ]
        for title, counts in self._tables():
            lines += [f"{title:<10} {count:>9}  {name}" for name, count in sorted(counts.items())]
        if unknowns:
            middle, longest = unknowns[len(unknowns) // 2], unknowns[-1]
            lines.append(
                f"unknown    {len(unknowns):>9}  for {middle:.0f} s in the middle, {longest:.0f} s at most"
            )
        for name, book in sorted(self.books.items()):
            lines += book.lines(name)
        if self.violation and not self.books:
            lines.append("stopped at the first violation, before the books were compared")
        else:
            lines.append(f"{self.lost} lost, {self.duplicated} duplicated")
        return [*lines, f"story {self.digest}"]

    def _tables(self) -> list[tuple[str, Mapping[str, int]]]:
        return [
            ("end state", self.ends),
            ("fault", self.faults),
            ("peers", self.deeds),
            ("refused", self.refused),
            ("invariant", self.evaluated),
        ]
