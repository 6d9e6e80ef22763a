"""The simulation tells the truth: the same story twice, everything accounted for, planted faults found."""

import os
import random
import subprocess
import sys

import pytest

from app.demo.simulation import Canary, Plan, Victim, simulate
from app.demo.simulation.chance import Chance, Fault, Place
from app.worker import create_worker
from tests.conftest import cloned

SMALL = Plan(seed=7, days=1, payments=30, faults=25)
# A run is some seconds of one core, which others may be using.
pytestmark = pytest.mark.timeout(240)


async def test_everything_is_accounted_for_whatever_goes_wrong(clone_url: str) -> None:
    outcome = await simulate(clone_url, SMALL, create_worker)
    assert not outcome.violation, outcome.story
    assert {"deposits", "payouts", "refunds"} <= outcome.books.keys()
    assert sum(book.payments for book in outcome.books.values()) == sum(outcome.ends.values())
    assert len(outcome.faults) >= 6
    assert outcome.evaluated["I3 of a transfer"] == outcome.evaluated["I6 of a transfer"] > 15
    assert outcome.evaluated["I9 of everything"] == 1
    assert (outcome.lost, outcome.duplicated) == (0, 0)
    assert "0 lost, 0 duplicated" in outcome.report()
    for book in outcome.books.values():
        assert book.bank == book.ledger == abs(book.merchant)


async def test_the_same_seed_tells_the_same_story() -> None:
    outcomes = []
    for _ in range(2):
        async with cloned() as url:
            outcomes.append(await simulate(url, Plan(3, 1, 6, 8), create_worker))
    first, again = outcomes
    assert again.report() == first.report()


# Nothing but silence about new orders goes wrong, and most people want what the planted fault meets.
SHARES = {Victim.DEPOSITS: (0.0, 0.0), Victim.PAYOUTS: (0.5, 0.0), Victim.REFUNDS: (0.0, 0.5)}


# A second refund under another reference is mostly refused by the bank: no more goes back than came.
FOUND = [(canary, victim) for canary in Canary for victim in SHARES]
FOUND.remove((Canary.RETRY_WITH_NEW_REFERENCE, Victim.REFUNDS))


@pytest.mark.parametrize(("canary", "victim"), FOUND)
async def test_a_planted_fault_is_found(clone_url: str, canary: Canary, victim: Victim) -> None:
    payouts, refunds = SHARES[victim]
    silence = frozenset({Place.SENDING})
    plan = Plan(3, 1, 60, 300, canary, victim, payouts, refunds, silence)
    outcome = await simulate(clone_url, plan, create_worker)
    assert outcome.violation
    assert any("bank: " in line and victim.value.removesuffix("s") in line for line in outcome.story)
    assert "0 lost, 0 duplicated" not in outcome.report()


@pytest.mark.parametrize("victim", SHARES)
async def test_without_a_planted_fault_nothing_is_found(clone_url: str, victim: Victim) -> None:
    payouts, refunds = SHARES[victim]
    plan = Plan(3, 1, 12, 60, None, Victim.ALL, payouts, refunds, frozenset({Place.SENDING}))
    outcome = await simulate(clone_url, plan, create_worker)
    assert not outcome.violation, outcome.story
    assert "0 lost, 0 duplicated" in outcome.report()


async def test_what_the_bank_pays_after_its_no_and_tells_nobody_is_found(clone_url: str) -> None:
    """Of this seed one deposit is lost where nobody asks about what was declined."""
    plan = Plan(3, 2, 60, 90, None, Victim.ALL, 0.1, 0.02, frozenset({Place.ORDER, Place.NOTICE}))
    outcome = await simulate(clone_url, plan, create_worker)
    assert not outcome.violation, outcome.story
    assert "0 lost, 0 duplicated" in outcome.report()


def test_the_command_fails_with_the_story_of_a_planted_fault() -> None:
    asked = ["simulate", "--seed", "3", "--days", "1", "--payments", "30", "--faults", "60"]
    planted = ["--plant", "timeout-is-failure", "--plant-on", "deposits"]
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *asked, *planted],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == 1, done.stderr
    assert "the bank never said so" in done.stderr
    assert "bank: deposit order" in done.stderr
    assert "0 lost" not in done.stdout


def test_faults_strike_where_they_belong_and_end_with_the_healing() -> None:
    chance = Chance(1)
    for _ in range(200):
        chance.arm(*chance.draw())
    struck = {chance.strike(Place.NOTICE) for _ in range(1_000)} - {None}
    assert struck == {Fault.NOTICE_LOST, Fault.NOTICE_REPEATED, Fault.NOTICE_REORDERED}
    assert chance.heal() > 0
    assert all(chance.strike(place) is None for place in Place)


async def test_a_simulation_leaves_the_chance_of_others_alone(clone_url: str) -> None:
    before = random.getstate()
    await simulate(clone_url, Plan(1, 1, 1, 0), create_worker)
    assert random.getstate() == before
