"""The days of a simulation: one event after the other, the jobs they leave, and the sweeps in between."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from app.demo.simulation.casework import Casework
from app.demo.simulation.chance import Chance, Fault, Place
from app.demo.simulation.judge import Judge
from app.demo.simulation.looking import DUE, Seen, Watcher
from app.demo.simulation.outcome import Outcome, Plan
from app.demo.simulation.people import People
from app.demo.simulation.story import Deed, Killed, Timeline, Violated
from app.demo.simulation.world import BANK_HOST, World, settled
from app.kernel import ids
from app.kernel.clock import MovableClock
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker

__all__ = ["simulate"]

START: Final = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
DAY: Final = 86_400
TICK: Final = timedelta(seconds=5)  # the shortest schedule of the house
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
STALE_SECONDS: Final = 30  # after which another worker takes up a dead one's job
MOST_TRIES: Final = 10
LEDGER_EVERY: Final = 8 * 3_600
# After the last fault: the longest schedule (14 days of asking), and two days for what follows from its end.
HEALED_DAYS: Final = 17
# Late successes are heard of at the daily question.
QUIET: Final = timedelta(hours=40)
LEDGER_TASKS: Final = ("ledger.seal", "ledger.verify")


@dataclass(slots=True)
class _Days:
    plan: Plan
    world: World
    people: People
    casework: Casework
    judge: Judge
    worker: Worker
    watcher: Watcher
    seen: Seen = field(default_factory=lambda: Seen({}, [], [], []))
    steps: int = 0
    transactions: int = -1
    ran_at: dict[str, datetime] = field(default_factory=dict)

    @property
    def timeline(self) -> Timeline:
        return self.world.timeline

    def lay_out(self) -> None:
        """Put everybody's wishes and everything that goes wrong on the timeline."""
        chance, span = self.world.chance, self.plan.days * DAY
        for number in range(self.plan.payments):
            self.timeline.after(chance.between(0, span), self._arrival(f"form-{number}"))
        for _ in range(self.plan.faults):
            place, fault = chance.draw(self.plan.places)
            self.timeline.after(chance.between(0, span * 0.95), self._fault(place, fault))
        self.timeline.after(LEDGER_EVERY, self._look_at_the_ledger)
        self.timeline.after(60, self.people.sit_at_the_desk)
        self.timeline.after(60, self.casework.look_through)
        self.timeline.after(DAY, self._do_the_rest)

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

    async def run(self) -> float:
        """All the days, and as many more as it takes until nothing is open; returns how many those were."""
        ends_at = START + timedelta(days=self.plan.days)
        while self.timeline.clock.now() < ends_at:
            await self._step()
        self.world.chance.heal()
        self.world.http.gone_until.clear()
        self.timeline.tell("", "everything heals")
        last_at = ends_at + timedelta(days=HEALED_DAYS)
        quiet_at, was_over = ends_at + QUIET, False
        while self.timeline.clock.now() < last_at:
            await self._step()
            if self.timeline.clock.now() > quiet_at:
                is_over = await self.judge.is_over()
                if is_over and was_over:
                    break
                # What was heard of last may have its consequences yet.
                was_over, quiet_at = is_over, self.timeline.clock.now() + timedelta(hours=6)
        return (self.timeline.clock.now() - ends_at) / timedelta(days=1)

    async def _step(self) -> None:
        """The next event or the next sweep, and what it leaves to be done."""
        before = self.timeline.clock.now()
        next_at = self.timeline.next_at()
        name, sweep_at = self._next_sweep()
        if next_at is None or sweep_at < next_at:
            self.timeline.reach(sweep_at)
            self.ran_at[name] = self.timeline.clock.now()
            await self._mortal(self.worker.tasks[name][1])
        else:
            await self.timeline.take()()
        self.steps += 1
        await self._look(before)
        self.people.initiate_agreed()

    async def _look(self, before: datetime) -> None:
        """See what the step has changed; what opened no transaction has changed nothing."""
        if self.world.database.transactions == self.transactions:
            return
        self.transactions = self.world.database.transactions
        self.seen = await self.watcher.look(before)
        for job in self.seen.jobs:
            self.timeline.after(job.wait, self._job(job.id, job.entrypoint, job.payload, 0))
        self.judge.step(self.seen)

    def _next_sweep(self) -> tuple[str, datetime]:
        """The first task that is due: not before its own period is over since it ran last."""
        found = ("", NEVER)
        for name in DUE:
            due = self.seen.due.get(name)
            if due is not None:
                period = timedelta(seconds=self.worker.tasks[name][0])
                at = max(due + TICK, self.ran_at.get(name, START) + period)
                found = min(found, (name, at), key=lambda one: one[1])
        return found

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
        for name in LEDGER_TASKS:
            await self.worker.tasks[name][1]()
        await self.judge.ledger()
        self.timeline.after(LEDGER_EVERY, self._look_at_the_ledger)

    async def _do_the_rest(self) -> None:
        """What has no due time: forgetting, and what the wallet looks after."""
        for name in sorted(self.worker.tasks.keys() - DUE.keys() - set(LEDGER_TASKS)):
            await self._mortal(self.worker.tasks[name][1])
        self.timeline.after(DAY, self._do_the_rest)


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
    try:
        with ids.seeded(random.Random(plan.seed + 1)):  # noqa: S311  repeatable on purpose
            world = await settled(url, chance, timeline, plan.canary, plan.victim)
            try:
                await _live(plan, world, create_worker(world.pipes), outcome)
            finally:
                await world.http.aclose()
                await world.database.close()
                await world.watch.close()
    finally:
        random.setstate(jitter)
    return outcome


async def _live(plan: Plan, world: World, worker: Worker, outcome: Outcome) -> None:
    watcher = Watcher(world.watch, sorted(world.sites))
    judge = Judge(world, watcher)
    people = People(world, plan, [f"player{number}" for number in range(max(4, plan.payments // 25))])
    casework = Casework(world, people, watcher)
    days = _Days(plan, world, people, casework, judge, worker, watcher)
    try:
        days.lay_out()
        outcome.healed_days = await days.run()
        await judge.ledger(full=True)
        await judge.end(outcome, people.acknowledged)
    except Violated as violated:
        outcome.violation = violated.what
        outcome.story = [f"payment {violated.number}", *world.timeline.of(violated.number)]
        outcome.story += await judge.events(violated.number)
    outcome.digest, outcome.steps, outcome.calls = world.timeline.digest(), days.steps, world.http.calls
    outcome.faults = Counter({str(fault): count for fault, count in world.chance.struck.items()})
    outcome.deeds = Counter({f"bank: {deed}": count for deed, count in world.bank.deeds.items()})
    for server in world.servers.values():
        outcome.deeds.update({f"merchants: heard, {effect}": count for effect, count in server.heard.items()})
    outcome.deeds.update({f"desk: {how}": count for how, count in casework.resolved.items()})
    outcome.evaluated, outcome.refused = judge.evaluated, people.refused
