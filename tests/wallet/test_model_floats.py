"""The decision about a transfer where the operator has prepaid: within what is left, and counted in it."""

import pytest

from app.wallet.floats import floated
from app.wallet.terms import Code, Decision, Leg, Policy, Type, Why
from tests.wallet.examples import ask, refused

MADE = Decision(Code.OK, applied=True, amount=100, legs=((Leg.DEPOSIT, 100),))
PREPAID, OPEN_ENDED = Policy(prepaid_float=True), Policy()


def after(what: Type, policy: Policy, left: dict[str, int]) -> tuple[Decision, dict[str, int]]:
    return floated(MADE, ask(what, policy=policy), left, "KZT"), left


@pytest.mark.parametrize("policy", [PREPAID, OPEN_ENDED])
def test_transfers_are_counted_in_the_float_of_their_currency(policy: Policy) -> None:
    left = {"KZT": 250, "USD": 9}
    assert after(Type.DEPOSIT, policy, dict(left)) == (MADE, {"KZT": 150, "USD": 9})
    assert after(Type.WITHDRAW, policy, dict(left)) == (MADE, {"KZT": 350, "USD": 9})


def test_what_was_prepaid_is_the_most_that_comes_in() -> None:
    assert after(Type.DEPOSIT, PREPAID, {"KZT": 100}) == (MADE, {"KZT": 0})
    assert after(Type.DEPOSIT, PREPAID, {"KZT": 99}) == (
        refused(Code.LIMIT_EXCEEDED, why=Why.FLOAT),
        {"KZT": 99},
    )
    assert after(Type.WITHDRAW, PREPAID, {"KZT": -100}) == (MADE, {"KZT": 0})


def test_where_nothing_is_prepaid_the_operator_may_owe() -> None:
    assert after(Type.DEPOSIT, OPEN_ENDED, {"KZT": 99}) == (MADE, {"KZT": -1})


def test_a_currency_that_was_never_funded_has_nothing_left() -> None:
    assert after(Type.DEPOSIT, PREPAID, {"USD": 900}) == (
        refused(Code.LIMIT_EXCEEDED, why=Why.FLOAT),
        {"USD": 900},
    )
    assert after(Type.DEPOSIT, OPEN_ENDED, {}) == (MADE, {"KZT": -100})
    assert after(Type.WITHDRAW, PREPAID, {}) == (MADE, {"KZT": 100})
