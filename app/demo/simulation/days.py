"""The days of a simulation: one event after the other, the jobs they leave, and the sweeps in between."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from app.demo.simulation.canaries import Canary
from app.demo.simulation.chance import Chance, Fault, Place
from app.demo.simulation.judge import Judge
from app.demo.simulation.people import People
from app.demo.simulation.story import Deed, Killed, Timeline, Violated
from app.demo.simulation.world import BANK_HOST, World, settled
from app.kernel import ids
from app.kernel.clock import MovableClock
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker

__all__ = ["Outcome", "Plan", "simulate"]

START: Final = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
DAY: Final = 86_400
TICK: Final = timedelta(seconds=5)  # the shortest schedule of the house
IDLE: Final = timedelta(hours=6)  # when nothing is due of which we know
STALE_SECONDS: Final = 30  # after which another worker takes up a dead one's job
MOST_TRIES: Final = 10
LEDGER_EVERY: Final = 8 * 3_600
# After the last fault: the longest schedule (14 days of asking), and a day for what follows from its end.
HEALED_DAYS: Final = 16
# Late successes are heard of at the daily question.
QUIET: Final = timedelta(hours=40)
LEDGER_TASKS: Final = frozenset({"ledger.seal", "ledger.verify"})
NEW_JOBS: Final = """
SELECT id, entrypoint, convert_from(payload, 'UTF8') AS payload,
       extract(epoch FROM execute_after - created)::float AS wait
  FROM queue.pgqueuer WHERE id > $1 AND status = 'queued' ORDER BY priority DESC, id
"""
# A sweep that finds nothing changes nothing; so the next one that matters is the one behind this.
NEXT_DUE: Final = """
SELECT least((SELECT min(ask_at) FROM payment),
             (SELECT min(changed_at) + interval '61 seconds' FROM payment WHERE sub_status = 'checking'),
             (SELECT min(next_at) + interval '121 seconds' FROM webhook WHERE state = 'pending'),
             (SELECT min(received_at) + interval '301 seconds' FROM notice WHERE state = 'new'),
             (SELECT min(expires_at) + interval '1 second' FROM approval WHERE state = 'open'))
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be simulated: so many payments and faults within so many days."""

    seed: int
    days: int
    payments: int
    faults: int
    canary: Canary | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it; `violation` and `story` say what was wrong first, and how it came to that."""

    plan: Plan
    digest: str = ""
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    evaluated: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unknown_seconds: list[float] = field(default_factory=list)
    steps: int = 0
    calls: int = 0
    violation: str = ""
    story: list[str] = field(default_factory=list)

    def report(self) -> list[str]:
        """The counts, a line each."""
        plan, unknowns = self.plan, self.unknown_seconds
        lines = [
            f"seed {plan.seed}: {sum(self.ends.values())} payments in {plan.days} days, {self.steps} steps",
            f"{sum(self.faults.values())} of {plan.faults} faults struck in {self.calls} calls",
        ]
        for title, counts in (
            ("end state", self.ends),
            ("fault", self.faults),
            ("refused", self.refused),
            ("invariant", self.evaluated),
        ):
            lines += [f"{title:<10} {count:>8}  {name}" for name, count in sorted(counts.items())]
        if unknowns:
            middle, longest = unknowns[len(unknowns) // 2], unknowns[-1]
            lines.append(
                f"unknown    {len(unknowns):>8}  for {middle:.0f} s in the middle, {longest:.0f} s at most"
            )
        if not self.violation:
            lines.append("0 lost, 0 duplicated")
        return [*lines, f"story {self.digest}"]


@dataclass(slots=True)
class _Days:
    plan: Plan
    world: World
    people: People
    judge: Judge
    worker: Worker
    last_job: int = 0
    swept_at: datetime = START
    steps: int = 0
    ran_at: dict[str, datetime] = field(default_factory=dict)

    @property
    def timeline(self) -> Timeline:
        return self.world.timeline

    def begin(self) -> None:
        """Put everybody's wishes and everything that goes wrong on the timeline."""
        chance, span = self.world.chance, self.plan.days * DAY
        for number in range(self.plan.payments):
            self.timeline.after(chance.between(0, span), self._arrival(f"form-{number}"))
        for _ in range(self.plan.faults):
            place, fault = chance.draw()
            self.timeline.after(chance.between(0, span * 0.95), self._fault(place, fault))
        self.timeline.after(LEDGER_EVERY, self._look_at_the_ledger)
        self.timeline.after(60, self.people.sit_at_the_desk)

    def _arrival(self, name: str) -> Deed:
        async def arrive() -> None:
            await self.people.arrive(name)

        return arrive

    def _fault(self, place: Place, fault: Fault) -> Deed:
        async def go_wrong() -> None:
            if place is not Place.PEER:
                self.world.chance.arm(place, fault)
                return
            host = BANK_HOST
            if fault is Fault.MERCHANT_GONE:
                host = self.world.chance.random.choice(["shop.example.com", "seamless.example.com"])
            hours = self.world.chance.between(1, 7)
            self.world.http.gone_until[host] = self.timeline.clock.now() + timedelta(hours=hours)
            self.world.chance.struck[fault] += 1
            self.timeline.tell("", f"fault: {host} is gone for {hours:.1f} hours")

        return go_wrong

    async def run(self) -> None:
        """All the days, and as many more as it takes until nothing is open."""
        ends_at = START + timedelta(days=self.plan.days)
        while self.timeline.clock.now() < ends_at:
            await self._step()
        self.world.chance.heal()
        self.world.http.gone_until.clear()
        self.timeline.tell("", "everything heals")
        last_at = ends_at + timedelta(days=HEALED_DAYS)
        quiet_at = ends_at + QUIET
        while self.timeline.clock.now() < last_at:
            await self._step()
            if self.timeline.clock.now() > quiet_at:
                if await self.judge.is_over():
                    break
                quiet_at = self.timeline.clock.now() + timedelta(hours=6)

    async def _step(self) -> None:
        """The next event or the next sweep, and what it leaves to be done."""
        before = self.timeline.clock.now()
        next_at = self.timeline.next_at()
        sweep_at = await self._next_sweep()
        if next_at is None or sweep_at < next_at:
            self.timeline.reach(sweep_at)
            await self._sweep()
        else:
            await self.timeline.take()()
        self.steps += 1
        await self._collect_jobs()
        self.people.initiate_agreed()
        await self.judge.step(before)

    async def _next_sweep(self) -> datetime:
        due: datetime | None = await self.world.watch.fetchval(NEXT_DUE)
        earliest = self.swept_at + TICK
        if due is None:
            return earliest + IDLE
        return max(due + TICK, earliest)

    async def _sweep(self) -> None:
        self.swept_at = self.timeline.clock.now()
        for name, (seconds, task) in self.worker.tasks.items():
            if (
                name in LEDGER_TASKS
                or self.ran_at.get(name, START) + timedelta(seconds=seconds) > self.swept_at
            ):
                continue
            self.ran_at[name] = self.swept_at
            await self._mortal(task)

    async def _mortal(self, task: Deed) -> bool:
        """Run something of ours; whether its process lived to the end of it."""
        self.world.database.is_mortal = True
        try:
            await task()
        except Killed:
            return False
        finally:
            self.world.database.is_mortal = False
        return True

    async def _collect_jobs(self) -> None:
        for row in await self.world.watch.fetch(NEW_JOBS, self.last_job):
            self.last_job = max(self.last_job, row["id"])
            self.timeline.after(row["wait"], self._job(row["id"], row["entrypoint"], row["payload"], 0))

    def _job(self, job_id: int, name: str, payload: str, tries: int) -> Deed:
        async def run() -> None:
            handler = self.worker.handlers[name]
            try:
                lived = await self._mortal(lambda: handler(json.loads(payload)))
            except Exception as error:
                if tries + 1 >= MOST_TRIES:
                    raise Violated(f"the job {name} {payload} failed every try: {error!r}") from error
                self.timeline.tell("", f"job {name} failed: {type(error).__name__}")
                self.timeline.after(0.5 * 2**tries, self._job(job_id, name, payload, tries + 1))
                return
            if not lived:
                self.timeline.after(STALE_SECONDS, self._job(job_id, name, payload, tries))
                return
            await self.world.watch.execute("DELETE FROM queue.pgqueuer WHERE id = $1", job_id)

        return run

    async def _look_at_the_ledger(self) -> None:
        for name in sorted(LEDGER_TASKS):
            await self.worker.tasks[name][1]()
        await self.judge.ledger()
        self.timeline.after(LEDGER_EVERY, self._look_at_the_ledger)


async def simulate(url: str, plan: Plan, create_worker: Callable[[Pipes], Worker]) -> Outcome:
    """Live through a plan; the same plan gives the same outcome.

    Args:
        url: the owner's address of a migrated database that nobody has used.
        plan: what is to be simulated.
        create_worker: knows every job of the house; handed in by whoever composes the processes.
    """
    outcome = Outcome(plan)
    chance, timeline = Chance(plan.seed), Timeline(MovableClock(START))
    jitter = random.getstate()  # rooms draw their jitter from it
    random.seed(plan.seed)
    with ids.seeded(random.Random(plan.seed + 1)):  # noqa: S311  repeatable on purpose
        world = await settled(url, chance, timeline, plan.canary)
        judge = Judge(world)
        logins = [f"player{number}" for number in range(max(4, plan.payments // 25))]
        people = People(world, logins)
        days = _Days(plan, world, people, judge, create_worker(world.pipes))
        try:
            days.begin()
            await days.run()
            await judge.ledger()
            outcome.ends, outcome.unknown_seconds = await judge.end()
        except Violated as violated:
            outcome.violation = violated.what
            outcome.story = [f"payment {violated.number}", *timeline.of(violated.number)]
            outcome.story += await judge.events(violated.number)
        finally:
            await world.http.aclose()
            await world.database.close()
            await world.watch.close()
            random.setstate(jitter)
    outcome.digest, outcome.steps, outcome.calls = timeline.digest(), days.steps, world.http.calls
    outcome.faults = Counter({str(fault): count for fault, count in chance.struck.items()})
    outcome.evaluated, outcome.refused = judge.evaluated, people.refused
    return outcome
