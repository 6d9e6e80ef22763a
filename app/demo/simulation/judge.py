"""Who judges: the books of the bank and of the merchants, held against our ledger, payment by payment."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from app import ledger
from app.demo.simulation.looking import Seen, Standing, Watcher
from app.demo.simulation.outcome import Book, Outcome
from app.demo.simulation.story import Violated
from app.demo.simulation.world import World
from app.plumbing.database import Transaction

__all__ = ["Judge"]

UNKNOWNS = """
SELECT extract(epoch FROM next_at - recorded_at)::float AS seconds FROM (
    SELECT sub_status, recorded_at, lead(recorded_at)
      OVER (PARTITION BY site_id, payment_id ORDER BY sequence) AS next_at,
      lead(sub_status) OVER (PARTITION BY site_id, payment_id ORDER BY sequence) AS next_sub
      FROM payment_event) e
 WHERE sub_status = 'unknown' AND next_sub <> 'unknown' ORDER BY 1
"""
# Money is held only for what is not over.
HELD_FOR_NOTHING = """
SELECT p.number FROM payment p JOIN hold h ON h.site_id = p.site_id AND h.transfer_id = p.hold_id
 WHERE h.captured_minor + h.released_minor < h.amount_minor AND p.status NOT IN ('pending', 'processing')
 ORDER BY p.number LIMIT 1
"""
DISPUTES = """
SELECT d.number, d.dispute_reference, d.state, d.posted_minor, p.number AS deposit, p.site_id, p.attention
  FROM dispute d JOIN payment p USING (site_id, payment_id) ORDER BY d.number
"""
IS_OPEN = """
SELECT EXISTS (SELECT FROM payment WHERE status IN ('pending', 'processing') AND attention IS NULL)
    OR EXISTS (SELECT FROM payment WHERE sub_status = 'declined' AND ask_at IS NOT NULL)
    OR EXISTS (SELECT FROM dispute
                WHERE state IN ('opened', 'needs_response', 'submitted', 'pre_arbitration'))
"""
SAID_BY_THE_BANK = frozenset({"declined", "undeliverable", "reversed"})
OPEN = frozenset({"pending", "processing"})


@dataclass(slots=True)
class Judge:
    """Evaluates the invariants and counts how often."""

    world: World
    watcher: Watcher
    evaluated: Counter[str] = field(default_factory=Counter)

    def step(self, seen: Seen) -> None:
        """What can be said cheaply after each step, of what it changed."""
        for row in seen.changed:
            self._never_more_than_the_bank(row)
            self._failed_only_if_the_bank_said_so(row)
        for transfer in seen.transfers:
            for name, holds in zip(("I3", "I4", "I5", "I6"), transfer[2:], strict=True):
                self._count(f"{name} of a transfer", holds, "", f"transfer {transfer.transfer_id}")

    async def ledger(self, *, full: bool = False) -> None:
        """What the ledger says of itself: since the last time, or from its beginning."""

        async def work(tx: Transaction) -> ledger.Report:
            return await ledger.checkpoint(tx, full=full)

        report = await self.world.database.retried(work)
        for name in report.checked:
            self.evaluated[f"{name} of {'everything' if full else 'all that is new'}"] += 1
        for violation in report.violations:
            raise Violated(f"{violation.invariant} at site {violation.site_id}: {violation.what}")

    async def is_over(self) -> bool:
        """Whether every payment is final or a person's and asked about no more, and every dispute decided."""
        found = await self.world.watch.fetchval(IS_OPEN)
        return not found and not self.world.bank.unfinished

    async def end(self, outcome: Outcome, acknowledged: Sequence[str]) -> None:
        """Hold every payment against the books of everybody; the first that differs is raised at the end."""
        rows = await self.watcher.every_payment()
        moved = {site_id: one.moved() for site_id, one in self.world.servers.items()}
        found: list[Violated] = []
        for row in rows:
            listed = f" (listed: {row.attention})" if row.attention else ""
            outcome.ends[f"{row.kind} {row.status}/{row.sub_status}{listed}"] += 1
            merchant = moved[row.site_id][str(row.number)]
            self._enter(outcome, row, merchant)
            failures = self._failures(row, merchant)
            outcome.lost += bool(failures)
            found += failures
        found += await self._disputes(outcome, moved)
        found += self._doubles(outcome)
        found += self._strangers(rows)
        found += self._vanished(rows, acknowledged)
        held = await self.world.watch.fetchval(HELD_FOR_NOTHING)
        found += self._failure("nothing is held for what is over", held is None, str(held), "it still holds")
        async with self.world.database.reading() as reader:
            outcome.unknown_seconds = [float(row.seconds) for row in await reader.all(text(UNKNOWNS))]
        if found:
            raise found[0]

    async def events(self, number: str) -> list[str]:
        """What our own rows say of a payment, for the story."""
        if not number.isdigit():
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
        moved = self.world.bank.gross[str(row.number)]
        self._count(
            "posted is at most moved", row.posted <= moved, str(row.number), f"{row.posted} > {moved}"
        )
        taken = self.world.bank.disputed[str(row.number)]
        self._count(
            "disputed is at most taken",
            row.charged_back <= taken,
            str(row.number),
            f"{row.charged_back} > {taken}",
        )

    def _failed_only_if_the_bank_said_so(self, row: Standing) -> None:
        """A payment that was declined or reversed has no order at the bank that it has not denied."""
        if row.sub_status not in SAID_BY_THE_BANK:
            return
        orders = self.world.bank.of_number.get(str(row.number), [])
        self._count(
            "declined only by the bank's word",
            all(order.said_no for order in orders),
            str(row.number),
            f"it is {row.sub_status}, and the bank never said so",
        )

    def _failures(self, row: Standing, merchant: int) -> list[Violated]:
        """What is wrong with one payment when all is over; nothing is lost unless people are called."""
        number, is_listed = str(row.number), row.attention is not None
        bank, disputed = self.world.bank.net[number], self.world.bank.taken_of(number)
        self._never_more_than_the_bank(row)
        self._failed_only_if_the_bank_said_so(row)
        expected = row.posted if row.kind == "deposit" else -row.posted
        # A withdrawal that waits for people is reserved there as it is here.
        same = merchant == expected or (row.status in OPEN and is_listed)
        return [
            *self._failure(
                "final or listed", row.status not in OPEN or is_listed, number, f"still {row.sub_status}"
            ),
            *self._failure(
                "the ledger is as the bank's book",
                row.posted == bank or is_listed,
                number,
                f"ledger {row.posted}, bank {bank}",
            ),
            *self._failure(
                "disputes are as the bank's book",
                row.charged_back == disputed or is_listed,
                number,
                f"ledger {row.charged_back}, bank {disputed}",
            ),
            *self._failure(
                "the merchant's book is as the ledger",
                same,
                number,
                f"ledger {expected}, merchant {merchant}",
            ),
        ]

    def _enter(self, outcome: Outcome, row: Standing, merchant: int) -> None:
        book = outcome.books.setdefault(f"{row.kind}s", Book())
        bank = self.world.bank.net[str(row.number)]
        book.payments += 1
        if row.attention is None:
            book.bank, book.ledger, book.merchant = (
                book.bank + bank,
                book.ledger + row.posted,
                book.merchant + merchant,
            )
        else:
            book.listed += 1
            book.listed_bank += bank
            book.listed_ledger += row.posted
            book.listed_merchant += merchant

    async def _disputes(self, outcome: Outcome, moved: dict[int, Counter[str]]) -> list[Violated]:
        """Each dispute of ours in the merchant's book; each of the bank's is known here."""
        rows = await self.world.watch.fetch(DISPUTES)
        taken = {one.theirs: one for one in self.world.bank.disputes}
        found: list[Violated] = []
        book = Book()
        for row in rows:
            merchant = moved[row["site_id"]][str(row["number"])]
            outcome.ends[f"dispute {row['state']}"] += 1
            book.payments += 1
            book.bank += taken[row["dispute_reference"]].taken_minor
            book.ledger += row["posted_minor"]
            book.merchant += merchant
            found += self._failure(
                "the merchant's book of disputes is as ours",
                merchant == -row["posted_minor"] or row["attention"] is not None,
                str(row["deposit"]),
                f"dispute {row['number']}: {row['posted_minor']} taken, merchant {merchant}",
            )
        outcome.lost += len(found)
        if rows:
            outcome.books["disputes"] = book
        return found

    def _doubles(self, outcome: Outcome) -> list[Violated]:
        """What moved twice, counted in the books of the others."""
        bank = self.world.bank
        twice = {order.number for order in bank.orders.values() if bank.is_double(order)}
        for server in self.world.servers.values():
            twice.update(server.credited_twice())
        self.evaluated["moved once at the bank"] += len(bank.orders)
        outcome.duplicated = len(twice)
        return [Violated("it moved twice", number) for number in sorted(twice)]

    def _strangers(self, rows: Sequence[Standing]) -> list[Violated]:
        known = {str(row.number) for row in rows}
        found: list[Violated] = []
        for number in self.world.bank.net:
            found += self._failure("no money without a payment", number in known, number, "the bank moved it")
        return found

    def _vanished(self, rows: Sequence[Standing], acknowledged: Sequence[str]) -> list[Violated]:
        """I1: whatever somebody was told stands in the database."""
        known = {str(row.number) for row in rows}
        found: list[Violated] = []
        for number in acknowledged:
            found += self._failure("I1: what was answered stands", number in known, number, "it is gone")
        return found

    def _failure(self, name: str, holds: object, number: str, how: str) -> list[Violated]:
        self.evaluated[name] += 1
        return [] if holds else [Violated(f"{name}: {how}", number)]

    def _count(self, name: str, holds: object, number: str, how: str) -> None:
        for violated in self._failure(name, holds, number, how):
            raise violated
