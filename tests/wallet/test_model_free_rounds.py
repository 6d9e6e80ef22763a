"""The decision about free rounds: what was not granted is refused, and how what was granted is counted."""

import dataclasses
from datetime import timedelta

import pytest

from app.wallet.states import campaign_of, count, counted
from app.wallet.terms import (
    Ask,
    Code,
    Decision,
    FreeRounds,
    FreeWins,
    Grant,
    Kind,
    Leg,
    Operation,
    Policy,
    Type,
    Why,
)
from tests.wallet.examples import BET, NOON, WON, ask, refused, unstored

EACH, TOGETHER = (Policy(free_wins=how) for how in FreeWins)
PLATFORM = Policy(free_rounds=FreeRounds.PLATFORM)
GRANT = Grant("gift", 1, "acme", "", 10, 3, 100, 40, 0, NOON + timedelta(days=1), None)
LEGS = ((Leg.WIN_CASH, 20), (Leg.WIN_BONUS, 5))
MADE = Decision(Code.OK, applied=True, amount=25, legs=LEGS)
TURNED = MADE._replace(turned=Type.REVERSE_WIN)
UNKNOWN = unstored(Code.VALIDATION, field="freeRoundId")
OF_GIFT = dataclasses.replace(BET, detail="gift")


def of(asked: Ask, grant: Grant | None = GRANT, *, made: Decision = MADE) -> Decision:
    """The decision with a spin left, about a win of 100."""
    return counted(made, asked, grant, WON, has_spin=True)


@pytest.mark.parametrize(
    ("said", "reference", "campaign"),
    [
        # Its bet says whether it is a spin's, whatever the win itself says.
        ("gift", None, None),
        ("gift", BET, None),
        ("gift", dataclasses.replace(BET, detail="other"), "other"),
        (None, None, None),
        (None, BET, None),
        (None, OF_GIFT, "gift"),
        (None, dataclasses.replace(OF_GIFT, type=Type.BETWIN), "gift"),
        (None, dataclasses.replace(OF_GIFT, type=Type.WIN), "gift"),
        (None, dataclasses.replace(OF_GIFT, type=Type.ROLLBACK), None),
        (None, dataclasses.replace(OF_GIFT, type=Type.DEPOSIT), None),
    ],
)
def test_what_a_win_is_about(said: str | None, reference: Operation | None, campaign: str | None) -> None:
    assert campaign_of(ask(Type.WIN, free_round=said), reference) == campaign
    assert campaign_of(ask(Type.ROLLBACK, free_round=said), reference) == campaign


@pytest.mark.parametrize(
    ("asked", "campaign"),
    [
        (ask(Type.BET, free_round="gift"), "gift"),
        (ask(Type.BET), None),
        (ask(Type.BETWIN, free_round="gift"), "gift"),
        (ask(Type.WIN, kind=Kind.FREE_ROUND, free_round="gift"), "gift"),
        # Won without free rounds, whatever it names beside (rule 34).
        (ask(Type.WIN, kind=Kind.JACKPOT, free_round="gift"), None),
        (ask(Type.WIN, kind=Kind.PROMO, free_round="gift"), None),
    ],
)
def test_what_names_no_other_operation_speaks_for_itself(asked: Ask, campaign: str | None) -> None:
    assert campaign_of(asked, None) == campaign
    # Nor does it matter what a bet beside it is about.
    assert campaign_of(asked, OF_GIFT) == campaign


@pytest.mark.parametrize(
    "asked", [ask(Type.BET), ask(Type.WIN), ask(Type.WIN, kind=Kind.FREE_ROUND), ask(Type.ROLLBACK)]
)
def test_what_is_refused_or_left_to_the_platform_is_not_counted(asked: Ask) -> None:
    assert of(asked, made=refused(Code.ROUND_CLOSED)) == refused(Code.ROUND_CLOSED)
    asked = dataclasses.replace(asked, policy=PLATFORM)
    assert of(asked, None) == MADE
    assert of(asked) == MADE


@pytest.mark.parametrize("what", [Type.BET, Type.BETWIN])
def test_a_spin_is_taken_of_what_was_granted_there(what: Type) -> None:
    spin = ask(what, game="plinko", win=6)
    taken = MADE._replace(spins=1, free_win=6)
    assert of(spin) == of(spin, dataclasses.replace(GRANT, game="plinko")) == taken
    assert of(spin, None) == UNKNOWN
    assert of(spin, dataclasses.replace(GRANT, game="dice")) == UNKNOWN
    assert of(spin, dataclasses.replace(GRANT, provider="other")) == UNKNOWN
    assert of(spin, dataclasses.replace(GRANT, provider="other", game="plinko")) == UNKNOWN
    assert counted(MADE, spin, GRANT, None, has_spin=False) == refused(Code.LIMIT_EXCEEDED, 25, Why.SPINS)


def test_a_win_of_a_free_round_is_of_what_was_granted_there() -> None:
    won = ask(Type.WIN, kind=Kind.FREE_ROUND)
    assert of(won) == MADE._replace(free_win=25)
    assert of(won, None) == UNKNOWN
    assert of(won, dataclasses.replace(GRANT, provider="other")) == UNKNOWN
    # The spins may be over, and the game is not said again.
    assert counted(MADE, won, dataclasses.replace(GRANT, game="dice"), None, has_spin=False).applied


@pytest.mark.parametrize("what", [Type.BET, Type.BETWIN, Type.WIN])
def test_wins_that_are_paid_together_move_nothing_yet(what: Type) -> None:
    assert of(ask(what, policy=EACH)).legs == LEGS
    assert of(ask(what, policy=TOGETHER)).legs == ()


@pytest.mark.parametrize(("won", "paid"), [(100, 0), (24, 0), (0, 0), (60, 40)])
def test_what_is_paid_together_was_won_before(won: int, paid: int) -> None:
    grant = dataclasses.replace(GRANT, won=won, paid=paid)
    payment = ask(Type.WIN, kind=Kind.FREE_ROUND, policy=TOGETHER)
    assert of(payment, grant) == MADE._replace(free_win=0)


@pytest.mark.parametrize(("won", "paid", "in_all"), [(100, 0, 100), (24, 25, 25), (60, 60, 60)])
def test_what_was_paid_above_the_wins_counts_as_won(won: int, paid: int, in_all: int) -> None:
    assert dataclasses.replace(GRANT, won=won, paid=paid).won_in_all == in_all


def test_a_win_of_a_spin_is_counted_where_the_spin_was_granted() -> None:
    assert of(ask(Type.WIN)) == MADE._replace(free_win=25)
    assert of(ask(Type.WIN), None) == MADE
    assert of(ask(Type.WIN, kind=Kind.JACKPOT)) == MADE


def test_a_platform_that_counts_alone_is_paid_together_only() -> None:
    alone = dataclasses.replace(PLATFORM, free_wins=FreeWins.TOGETHER)
    for waits in (ask(Type.BETWIN, policy=alone), ask(Type.WIN, policy=alone)):
        assert of(waits, None) == MADE._replace(legs=())
    for at_once in (ask(Type.WIN, kind=Kind.FREE_ROUND, policy=alone), ask(Type.BET, policy=alone)):
        assert of(at_once, None) == MADE


def test_a_payment_that_is_taken_back_leaves_what_the_spins_have_won() -> None:
    payment = dataclasses.replace(WON, reference=None)
    for policy, less in ((TOGETHER, 0), (EACH, -100)):
        back = ask(Type.ROLLBACK, policy=policy)
        made = counted(TURNED, back, GRANT, payment, has_spin=True)
        assert made == TURNED._replace(free_win=less)


def test_a_rollback_gives_the_spin_back_or_takes_the_win_out() -> None:
    assert of(ask(Type.ROLLBACK)) == MADE._replace(spins=-1)
    # Of the win all that was counted, though not all of it need have been credited.
    for policy in (EACH, TOGETHER):
        back = ask(Type.ROLLBACK, policy=policy)
        assert of(back, made=TURNED) == TURNED._replace(free_win=-100)
    assert counted(TURNED, ask(Type.ROLLBACK), GRANT, None, has_spin=True) == TURNED


def test_what_a_person_takes_of_a_win_is_taken_out() -> None:
    take = ask(Type.REVERSE_WIN, amount=60)
    assert campaign_of(take, dataclasses.replace(OF_GIFT, type=Type.WIN)) == "gift"
    for policy in (EACH, TOGETHER):
        made = of(dataclasses.replace(take, policy=policy), made=TURNED)
        assert made == TURNED._replace(free_win=-60)
    both = dataclasses.replace(WON, type=Type.BETWIN, reference=None)
    payment = dataclasses.replace(WON, reference=None)
    take.policy = TOGETHER
    for won, less in ((both, -60), (payment, 0)):
        assert counted(TURNED, take, GRANT, won, has_spin=True) == TURNED._replace(free_win=less)
    nothing = ask(Type.REVERSE_WIN, amount=None)
    assert of(nothing, made=TURNED) == TURNED._replace(free_win=0)
    # The rest of it is its platform's to take.
    rest = counted(TURNED, ask(Type.ROLLBACK), GRANT, dataclasses.replace(WON, taken=60), has_spin=True)
    assert rest == TURNED._replace(free_win=-40)


def test_what_is_no_play_is_not_counted() -> None:
    assert of(ask(Type.DEPOSIT)) == MADE


@pytest.mark.parametrize(
    ("decision", "used", "won", "paid"),
    [
        (MADE._replace(spins=1, free_win=6), 4, 106, 65),
        (MADE._replace(legs=((Leg.BET_CASH, 9), (Leg.WIN_CASH, 2)), spins=1), 4, 100, 42),
        (MADE._replace(legs=((Leg.REFUND_CASH, 9),), spins=-1), 2, 100, 40),
        (MADE._replace(legs=(), spins=-4), 0, 100, 40),
        (TURNED._replace(legs=((Leg.REVERSE_CASH, 9),), free_win=-30), 3, 70, 15),
        (TURNED._replace(amount=41, free_win=-101), 3, 0, 0),
    ],
)
def test_a_decision_is_added_to_the_grant(decision: Decision, used: int, won: int, paid: int) -> None:
    grant = dataclasses.replace(GRANT)
    count(grant, decision)
    assert grant == dataclasses.replace(GRANT, used=used, won=won, paid=paid)
