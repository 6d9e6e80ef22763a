"""The simulation tells the truth: the same story twice, everything accounted for, planted faults found."""

import random

import pytest

from app.demo.simulation import Canary, Plan, simulate
from app.demo.simulation.chance import Chance, Fault, Place
from app.worker import create_worker
from tests.conftest import cloned

SMALL = Plan(seed=7, days=1, payments=16, faults=20)
# A run is some seconds of one core, which others may be using.
pytestmark = pytest.mark.timeout(240)


async def test_everything_is_accounted_for_whatever_goes_wrong(clone_url: str) -> None:
    outcome = await simulate(clone_url, SMALL, create_worker)
    assert not outcome.violation, outcome.story
    assert sum(outcome.ends.values()) >= SMALL.payments * 0.9
    assert len(outcome.faults) >= 6
    assert outcome.evaluated["the ledger is as the bank's book"] == sum(outcome.ends.values())
    assert outcome.evaluated["ledger I4"] > 3
    assert "0 lost, 0 duplicated" in outcome.report()


async def test_the_same_seed_tells_the_same_story() -> None:
    outcomes = []
    for _ in range(2):
        async with cloned() as url:
            outcomes.append(await simulate(url, Plan(3, 1, 6, 8), create_worker))
    first, again = outcomes
    assert again.report() == first.report()


@pytest.mark.parametrize("canary", Canary)
async def test_a_planted_fault_is_found(clone_url: str, canary: Canary) -> None:
    outcome = await simulate(clone_url, Plan(3, 1, 30, 60, canary), create_worker)
    assert outcome.violation
    assert any("bank: " in line for line in outcome.story)
    assert "0 lost, 0 duplicated" not in outcome.report()


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
