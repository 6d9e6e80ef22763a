"""The decision about a win over a cap: it is credited, and its cash is held."""

from datetime import timedelta

import pytest

from app.wallet.states import capped
from app.wallet.terms import Code, Decision, FreeRounds, Grant, Leg, Policy, Type
from tests.wallet.examples import NOON, ask

LEGS = ((Leg.BET_CASH, 7), (Leg.WIN_CASH, 60), (Leg.WIN_BONUS, 40))
MADE = Decision(Code.OK, applied=True, amount=100, legs=LEGS)
HELD = MADE._replace(held=60)


def gift(won: int, most: int) -> Grant:
    return Grant("gift", 1, "acme", "", 10, 3, won, 40, most, NOON + timedelta(days=1), None)


@pytest.mark.parametrize(("most", "decision"), [(0, MADE), (1, HELD), (99, HELD), (100, MADE), (101, MADE)])
def test_a_win_over_the_cap_is_held(most: int, decision: Decision) -> None:
    policy = Policy(max_win=most)
    assert capped(MADE, ask(Type.WIN, policy=policy), None) == decision
    # Of a bet with its win, the win alone counts.
    both = MADE._replace(amount=1000)
    expected = both._replace(held=decision.held)
    assert capped(both, ask(Type.BETWIN, win=100, policy=policy), None) == expected


@pytest.mark.parametrize("what", [Type.BET, Type.ROLLBACK, Type.DEPOSIT])
def test_what_is_no_win_is_not_held(what: Type) -> None:
    assert capped(MADE, ask(what, win=100, policy=Policy(max_win=1)), gift(2, 1)) == MADE


@pytest.mark.parametrize(
    ("won", "most", "decision"),
    [(100, 0, MADE), (2, 1, HELD), (101, 100, HELD), (100, 100, MADE), (0, 39, HELD), (0, 40, MADE)],
)
def test_free_rounds_have_a_cap_for_all_their_wins(won: int, most: int, decision: Decision) -> None:
    assert capped(MADE, ask(Type.WIN), gift(won, most)) == decision
    # The platform counts alone: the house does not know what was won in all.
    alone = Policy(free_rounds=FreeRounds.PLATFORM)
    assert capped(MADE, ask(Type.WIN, policy=alone), gift(won, most)) == MADE


def test_either_cap_is_enough() -> None:
    narrow = Policy(max_win=99)
    assert capped(MADE, ask(Type.WIN, policy=narrow), gift(0, 0)) == HELD
    assert capped(MADE, ask(Type.WIN, policy=narrow), gift(2, 1)) == HELD
