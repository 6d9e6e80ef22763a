"""The ledger against a model of sixty lines, step by step, in whatever order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app import ledger
from app.kernel.errors import Refusal
from app.ledger.operations import expire_holds
from app.plumbing.database import Database, Transaction
from tests import invariants
from tests.ledger.examples import PROVIDER, kzt

PLAYERS = ("plr_0", "plr_1")
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class ModelHold:
    player: str
    left: int
    expires: int
    resolved: dict[str, int] = field(default_factory=dict)


@dataclass
class Model:
    """What a ledger is, without accounts, entries, locks or SQL."""

    hour: int = 0
    cash: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLAYERS, 0))
    answers: dict[str, tuple[tuple[str, str, int], str]] = field(default_factory=dict)
    holds: dict[str, ModelHold] = field(default_factory=dict)
    captured: int = 0
    deposited: int = 0

    def once(self, key: str, content: tuple[str, str, int], possible: bool) -> tuple[str, bool]:
        """The answer, and whether it is the first one."""
        if key in self.answers:
            known, answer = self.answers[key]
            return (answer if known == content else "conflict"), False
        answer = "posted" if possible else "insufficient_funds"
        self.answers[key] = (content, answer)
        return answer, True

    def deposit(self, key: str, player: str, minor: int) -> str:
        answer, first = self.once(key, ("deposit", player, minor), possible=True)
        if first:
            self.cash[player] += minor
            self.deposited += minor
        return answer

    def hold(self, key: str, player: str, minor: int) -> str:
        answer, first = self.once(key, ("hold", player, minor), possible=self.cash[player] >= minor)
        if first and answer == "posted":
            self.cash[player] -= minor
            self.holds[key] = ModelHold(player, minor, self.hour + 3)
        return answer

    def resolve(self, key: str, verb: str, minor: int) -> str:
        held = self.holds[key]
        if verb in held.resolved:
            return "posted" if held.resolved[verb] == minor else "conflict"
        if verb == "capture" and self.hour >= held.expires:
            return "hold_expired"
        if minor > held.left:
            return "hold_amount_exceeded"
        held.left -= minor
        held.resolved[verb] = minor
        if verb == "capture":
            self.captured += minor
        else:
            self.cash[held.player] += minor
        return "posted"

    def expire(self) -> None:
        for held in self.holds.values():
            if self.hour >= held.expires:
                self.cash[held.player] += held.left
                held.left = 0


T = TypeVar("T")
keys = st.sampled_from(["a", "b", "c", "d", "e", "f"])
players = st.sampled_from(PLAYERS)
amounts = st.integers(1, 5).map(lambda number: number * 20)


class Machine(RuleBasedStateMachine):
    database: Database
    loop: asyncio.AbstractEventLoop
    sites = iter(range(1, 1_000_000))

    def __init__(self) -> None:
        super().__init__()
        self.site = next(self.sites)  # a site a run: no run sees another's money
        self.model = Model()
        self.placed: dict[str, ledger.Hold] = {}

    @property
    def at(self) -> datetime:
        return NOON + timedelta(hours=self.model.hour)

    def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return asyncio.run_coroutine_threadsafe(self.database.retried(work), self.loop).result(30)

    @rule(key=keys, player=players, minor=amounts)
    def deposit(self, key: str, player: str, minor: int) -> None:
        wish = ledger.PostRequest(
            "s", key, ledger.DEPOSIT_TO_PLAYER, kzt(minor), PROVIDER, player, because="x"
        )

        async def work(tx: Transaction) -> list[ledger.Posted]:
            return await ledger.post(tx, self.site, [wish], at=self.at)

        [answer] = self.run(work)
        assert answer.outcome.value == self.model.deposit(key, player, minor)

    @rule(key=keys, player=players, minor=amounts)
    def hold(self, key: str, player: str, minor: int) -> None:
        wish = ledger.HoldRequest("s", key, player, kzt(minor), "x", self.at + timedelta(hours=3))

        async def work(tx: Transaction) -> ledger.Hold | ledger.Posted:
            return await ledger.hold(tx, self.site, wish, at=self.at)

        answer = self.run(work)
        expected = self.model.hold(key, player, minor)
        if isinstance(answer, ledger.Hold):
            assert expected == "posted"
            self.placed[key] = answer
        else:
            assert answer.outcome.value == expected

    @rule(key=keys, verb=st.sampled_from(["capture", "release"]), minor=amounts)
    def resolve(self, key: str, verb: str, minor: int) -> None:
        if key not in self.placed:
            return
        held = self.placed[key]

        async def work(tx: Transaction) -> ledger.Posted:
            if verb == "capture":
                return await ledger.capture(
                    tx, held, provider=PROVIDER, because="x", at=self.at, amount=kzt(minor)
                )
            return await ledger.release(tx, held, because="x", at=self.at, amount=kzt(minor))

        try:
            said = self.run(work).outcome.value
        except Refusal as refusal:
            said = refusal.code
        assert said == self.model.resolve(key, verb, minor)

    @rule(hours=st.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.model.hour += hours

    @rule()
    def expire(self) -> None:
        async def work(tx: Transaction) -> list[ledger.Posted]:
            return await expire_holds(tx, self.site, at=self.at)

        self.run(work)
        self.model.expire()

    @invariant()
    def balances_agree(self) -> None:
        async def work(tx: Transaction) -> tuple[dict[str, int], int]:
            cash = {
                player: (await ledger.balance(tx, self.site, _name(player, ledger.Purpose.PLAYER_CASH))).minor
                for player in PLAYERS
            }
            clearing = await ledger.balance(tx, self.site, _name(PROVIDER, ledger.Purpose.PROVIDER_CLEARING))
            return cash, clearing.minor

        cash, clearing = self.run(work)
        assert cash == self.model.cash
        assert clearing == self.model.captured - self.model.deposited


def _name(owner: str, purpose: ledger.Purpose) -> ledger.AccountName:
    return ledger.AccountName(owner, purpose, "KZT")


@pytest.mark.timeout(180)
async def test_the_ledger_does_what_the_model_does(database: Database) -> None:
    Machine.database, Machine.loop = database, asyncio.get_running_loop()
    await asyncio.to_thread(
        run_state_machine_as_test,
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    await invariants.hold(database)
