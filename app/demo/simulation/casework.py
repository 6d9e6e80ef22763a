"""Two people at the desk who resolve cases by the books of the bank, as a statement would show them."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from app import payments, staff
from app.demo.simulation.looking import Standing, Watcher
from app.demo.simulation.people import People
from app.demo.simulation.world import World
from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = ["Casework"]

# So long a case waits for what the provider itself may yet say.
RIPE: Final = timedelta(hours=6)
EVERY_SECONDS: Final = 7_200
MOST: Final = 10_000
OPEN: Final = frozenset({"pending", "processing"})
UNDECIDED: Final = frozenset({"pending", "awaiting_player"})
R = payments.Resolution


@dataclass(slots=True)
class Casework:
    """Who proposes, who decides, and what they gave up: for that, no resolution is the truth."""

    world: World
    people: People
    watcher: Watcher
    given_up: set[str] = field(default_factory=set)
    resolved: Counter[str] = field(default_factory=Counter)

    async def look_through(self) -> None:
        """Resolve every case that is ripe, and come back later."""
        for site_id in sorted(self.world.sites):
            async with self.world.database.reading() as reader:
                cases = await payments.cases_of_site(reader, site_id, limit=MOST)
            for its in cases:
                ripe = its.opened_at < self.world.timeline.clock.now() - RIPE
                if ripe and its.case_id not in self.given_up:
                    await self._resolve(its)
        self.world.timeline.after(EVERY_SECONDS, self.look_through)

    async def _resolve(self, its: payments.Case) -> None:
        row = await self.watcher.payment(its.site_id, its.payment_id) if its.payment_id else None
        if row is not None and self._is_undecided(row):
            return
        how = R.NOTED if row is None else self._truth(row)
        if how is None:
            self.given_up.add(its.case_id)
            return
        proposal = self._proposal(how, row)
        pipes = self.world.pipes
        [maker], checker = self.world.asking, self.world.deciding[0]
        done = await self.people.attempt(
            lambda: payments.propose_resolution(pipes, its.site_id, its.case_id, maker, proposal)
        )
        if isinstance(done, Refusal) and done.code != "proposal_waits":
            self.given_up.add(its.case_id)
            return
        yes = staff.Verdict.APPROVE
        decided = await self.people.attempt(
            lambda: payments.decide_case(pipes, its.site_id, its.case_id, checker, yes)
        )
        if isinstance(decided, payments.Case):
            self.resolved[f"{its.kind.value}: {how.value}"] += 1
            self.world.timeline.tell(str(row.number) if row else "", f"desk: {its.kind.value} is {how.value}")
        elif isinstance(decided, Refusal):
            self.given_up.add(its.case_id)

    def _is_undecided(self, row: Standing) -> bool:
        orders = self.world.bank.of_number.get(str(row.number), [])
        return any(order.status in UNDECIDED for order in orders)

    def _truth(self, row: Standing) -> payments.Resolution | None:
        """What the books of the bank say of a payment; None where no resolution says the same."""
        bank, number = self.world.bank, str(row.number)
        moved = bank.net[number]
        if row.status not in OPEN:
            if row.posted == moved and row.charged_back == bank.taken_of(number):
                return R.NOTED
            if row.kind != "deposit" or (row.posted and moved):
                return None
            if sum(one.moved_minor > 0 for one in bank.of_number.get(number, [])) > 1:
                return None  # by several accounts: people would look at each
            return R.NOT_PAID if moved == 0 else R.ACCEPTED
        if len(bank.of_number.get(number, [])) != 1:
            return None  # of several parts, people would look at each
        if moved == 0:
            return R.NOT_PAID
        if row.kind == "deposit":
            return R.ACCEPTED if row.sub_status == "conflicted" else R.PAID
        return R.PAID if moved == row.amount_minor else R.ACCEPTED

    def _proposal(self, how: payments.Resolution, row: Standing | None) -> payments.Proposal:
        proof = hashlib.sha256(b"a line of the bank's statement").hexdigest()
        if row is None or how in {R.NOTED, R.NOT_PAID}:
            return payments.Proposal(how, "as the bank's statement has it", proof)
        [order] = [one for one in self.world.bank.of_number[str(row.number)] if one.moved_minor]
        amount = Money(order.moved_minor, order.currency) if how is R.ACCEPTED else None
        return payments.Proposal(how, "as the bank's statement has it", proof, amount, order.theirs)
