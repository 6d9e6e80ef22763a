"""What an applied operation makes of its round and of the operation that it names."""

import dataclasses

import pytest

from app.wallet.states import opened, repeated, take_part, taken
from app.wallet.terms import Code, Decision, Kind, Leg, Operation, Round, RoundKey, RoundState, Type
from tests.wallet.examples import BET, NOON, OPEN, WON, ask, wallet

BOTH = dataclasses.replace(BET, type=Type.BETWIN, win=9)
ROLLBACK = dataclasses.replace(BET, type=Type.ROLLBACK, reference="B")
# What it took back is less than what was won: the rest was never credited.
REVERSAL = dataclasses.replace(ROLLBACK, type=Type.REVERSE_WIN, amount=60)


def fresh(**changes: object) -> Round:
    """A round that a test may change."""
    return dataclasses.replace(OPEN, **{"open_bets": 2, "bet": 500, "win": 300, "reversed": 7, **changes})  # type: ignore[arg-type]


def test_a_round_is_opened_by_its_first_bet() -> None:
    assert opened(ask(Type.BET, game="plinko"), wallet(), NOON) == Round(
        RoundKey(1, "acme", "r1"),
        "plinko",
        "KZT",
        first_sequence=5,
        last_sequence=5,
        opened_at=NOON,
        changed_at=NOON,
    )
    assert opened(ask(Type.BET), wallet(), NOON).game == ""


def test_only_a_bet_that_names_its_round_opens_one() -> None:
    with pytest.raises(AssertionError, match=r"^a bet names its round$"):
        opened(ask(Type.BET, round_id=None), wallet(), NOON)
    with pytest.raises(AssertionError, match=r"^a bet is part of a round$"):
        take_part(None, ask(Type.BET), BET, None)


@pytest.mark.parametrize(("bet", "win"), [(BET, 300), (BOTH, 309)])
def test_a_bet_is_counted_in_its_round(bet: Operation, win: int) -> None:
    one = fresh()
    assert take_part(one, ask(bet.type), bet, None) is True
    assert one == fresh(open_bets=3, bet=600, win=win)


@pytest.mark.parametrize(
    ("before", "campaign", "after"),
    [(True, "gift", True), (True, None, False), (False, "gift", False), (False, None, False)],
)
def test_a_round_is_free_while_all_its_bets_are(before: bool, campaign: str | None, after: bool) -> None:
    one = fresh(is_free=before)
    take_part(one, ask(Type.BET, free_round=campaign), BET, None)
    assert one.is_free is after


@pytest.mark.parametrize(("finished", "state"), [(False, RoundState.OPEN), (True, RoundState.COMPLETED)])
def test_a_win_settles_its_bet_and_may_end_the_round(finished: bool, state: RoundState) -> None:
    one, bet = fresh(), dataclasses.replace(BET)
    assert take_part(one, ask(Type.WIN, is_finished=finished), WON, bet) is True
    assert one == fresh(win=400, state=state)
    assert bet == dataclasses.replace(BET, is_settled=True)


@pytest.mark.parametrize("kind", [Kind.JACKPOT, Kind.PROMO, Kind.FREE_ROUND])
def test_other_wins_leave_bets_and_rounds_alone(kind: Kind) -> None:
    one, bet = fresh(), dataclasses.replace(BET)
    assert take_part(one, ask(Type.WIN, kind=kind, is_finished=True), WON, bet) is False
    assert (one, bet) == (fresh(), BET)


@pytest.mark.parametrize(("bets", "state"), [(2, RoundState.OPEN), (1, RoundState.CANCELLED)])
def test_a_rollback_takes_its_bet_out_of_the_round(bets: int, state: RoundState) -> None:
    one, bet = fresh(open_bets=bets), dataclasses.replace(BET)
    assert take_part(one, ask(Type.ROLLBACK), ROLLBACK, bet) is True
    assert one == fresh(open_bets=bets - 1, reversed=107, state=state)
    assert bet == dataclasses.replace(BET, is_reversed=True)


def test_a_round_ends_once() -> None:
    cancelled = fresh(open_bets=1)
    take_part(cancelled, ask(Type.ROLLBACK, is_finished=True), ROLLBACK, dataclasses.replace(BET))
    assert cancelled.state is RoundState.CANCELLED


def test_a_win_taken_back_is_taken_out_of_the_round_whole() -> None:
    one, won = fresh(), dataclasses.replace(WON)
    assert take_part(one, ask(Type.ROLLBACK), REVERSAL, won) is True
    assert one == fresh(win=200)
    assert won == dataclasses.replace(WON, is_reversed=True)


def test_a_win_without_a_bet_was_never_in_the_round() -> None:
    one, jackpot = fresh(), dataclasses.replace(WON, reference=None)
    assert take_part(one, ask(Type.ROLLBACK, is_finished=True), REVERSAL, jackpot) is False
    assert one == fresh()
    assert jackpot.is_reversed


@pytest.mark.parametrize(
    ("operation", "reference", "reversed_", "settled"),
    [(WON, BET, False, True), (ROLLBACK, BET, True, False), (REVERSAL, WON, True, False)],
)
def test_what_is_named_is_changed_where_no_round_is(
    operation: Operation, reference: Operation, reversed_: bool, settled: bool
) -> None:
    named = dataclasses.replace(reference)
    asked = ask(Type.WIN if operation is WON else Type.ROLLBACK, is_finished=True)
    assert take_part(None, asked, operation, named) is False
    assert (named.is_reversed, named.is_settled) == (reversed_, settled)


@pytest.mark.parametrize(
    "operation",
    [WON, ROLLBACK, REVERSAL, dataclasses.replace(BET, type=Type.DEPOSIT)],
    ids=lambda one: one.type,
)
def test_what_names_nothing_changes_nothing(operation: Operation) -> None:
    one = fresh()
    assert take_part(one, ask(operation.type, is_finished=True), operation, None) is False
    assert one == fresh()


# A person takes 60 of a win of 100: what was held of it.
TAKEN = ask(Type.REVERSE_WIN, amount=60)


def test_a_win_that_a_person_takes_is_less_by_what_was_held() -> None:
    one, won = fresh(), dataclasses.replace(WON)
    assert take_part(one, TAKEN, REVERSAL, won) is True
    assert one == fresh(win=240)
    assert won == dataclasses.replace(WON, taken=60)
    # And its platform takes the rest of it out.
    assert take_part(one, ask(Type.ROLLBACK), dataclasses.replace(REVERSAL, amount=40), won) is True
    assert one == fresh(win=200)
    assert won == dataclasses.replace(WON, taken=60, is_reversed=True)


def test_a_win_without_a_bet_that_a_person_takes_was_never_in_the_round() -> None:
    one, jackpot = fresh(), dataclasses.replace(WON, reference=None)
    assert take_part(one, TAKEN, REVERSAL, jackpot) is False
    assert one == fresh()
    assert jackpot.taken == 60


def test_of_a_bet_and_its_win_in_one_a_person_takes_the_win() -> None:
    one, both = fresh(), dataclasses.replace(BOTH)
    assert take_part(one, TAKEN, REVERSAL, both) is True
    assert one == fresh(win=240)
    assert not both.is_reversed


@pytest.mark.parametrize(("asked", "amount"), [(60, 60), (None, 0)])
def test_what_is_taken_goes_in_cash_whole(asked: int | None, amount: int) -> None:
    legs = ((Leg.REVERSE_CASH, amount),)
    expected = Decision(Code.OK, applied=True, amount=amount, legs=legs, turned=Type.REVERSE_WIN)
    assert taken(ask(Type.REVERSE_WIN, amount=asked)) == expected


def test_a_void_is_told_again_about_the_wallet_of_the_transfer_that_came_after_it() -> None:
    void = dataclasses.replace(BET, type=Type.VOID, currency="", sequence=0, before=0, after=0)
    told = dataclasses.replace(void, currency="KZT", sequence=5, before=1007, after=1007)
    assert repeated(void, wallet(1000, 7)) == told
    assert repeated(BET, wallet(1000, 7)) == BET
