"""The decision about money: which "no" comes first, where the limits lie, how stakes and wins are split."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import MAX_MINOR
from app.wallet.model import decide
from app.wallet.terms import Code, Decision, Facts, Leg, Policy, ShortReversal, StakeOrder, Type, Why
from tests.wallet.examples import BET, CANCELLED, COMPLETED, OPEN, WON, around, ask, refused, unstored, wallet

AMOUNTS = st.integers(0, 10**6)
INTO = {Leg.GRANT_BONUS, Leg.DEPOSIT, Leg.WIN_CASH, Leg.WIN_BONUS, Leg.REFUND_CASH, Leg.REFUND_BONUS}
OF_BONUS = {Leg.GRANT_BONUS, Leg.BET_BONUS, Leg.WIN_BONUS, Leg.REFUND_BONUS, Leg.REVERSE_BONUS}


def moved(decision: Decision) -> tuple[int, int]:
    """What a decision does to cash and to bonus."""
    cash = bonus = 0
    for leg, minor in decision.legs:
        assert minor > 0, "a leg moves more than nothing"
        signed = minor if leg in INTO else -minor
        if leg is Leg.REVERSE_DEBT:
            continue
        if leg in OF_BONUS:
            bonus += signed
        else:
            cash += signed
    return cash, bonus


def done(amount: int, *legs: tuple[Leg, int]) -> Decision:
    return Decision(Code.OK, applied=True, amount=amount, legs=legs)


# Transfers in.


def test_a_deposit_is_credited_to_cash() -> None:
    assert decide(ask(Type.DEPOSIT, amount=100), wallet(), Facts()) == done(100, (Leg.DEPOSIT, 100))


@pytest.mark.parametrize("what", [Type.DEPOSIT, Type.WITHDRAW])
def test_a_blocked_player_transfers_only_where_that_is_allowed(what: Type) -> None:
    transfer = ask(what, amount=10**6, policy=Policy(max_transfer=1, max_balance=1))
    assert decide(transfer, wallet(blocked=True), Facts()) == refused(Code.PLAYER_BLOCKED, 10**6)
    allowed = ask(what, policy=Policy(blocked_may_transfer=True))
    assert decide(allowed, wallet(blocked=True), Facts()).applied


@pytest.mark.parametrize(
    ("policy", "cash", "bonus", "most", "why"),
    [
        (Policy(), 0, 0, MAX_MINOR, Why.LARGEST),
        (Policy(), 1, 2, MAX_MINOR - 3, Why.LARGEST),
        (Policy(max_transfer=500), 10**6, 0, 500, Why.MAX_TRANSFER),
        (Policy(max_transfer=MAX_MINOR), 0, 0, MAX_MINOR, Why.MAX_TRANSFER),
        (Policy(max_balance=1), 0, 0, 1, Why.MAX_BALANCE),
        (Policy(max_balance=1500), 900, 100, 500, Why.MAX_BALANCE),
        (Policy(max_balance=1500, max_transfer=400), 900, 100, 400, Why.MAX_TRANSFER),
        (Policy(max_balance=1500, max_transfer=500), 900, 100, 500, Why.MAX_TRANSFER),
        (Policy(max_balance=MAX_MINOR * 2), MAX_MINOR - 7, 0, 7, Why.LARGEST),
        (Policy(max_balance=MAX_MINOR + 1), MAX_MINOR - 7, 0, 7, Why.LARGEST),
        (Policy(max_transfer=MAX_MINOR * 2), MAX_MINOR - 7, 0, 7, Why.LARGEST),
    ],
)
def test_how_much_may_come_in(policy: Policy, cash: int, bonus: int, most: int, why: Why) -> None:
    def answer(amount: int) -> Decision:
        return decide(ask(Type.DEPOSIT, amount=amount, policy=policy), wallet(cash, bonus), Facts())

    assert answer(most) == done(most, (Leg.DEPOSIT, most))
    assert answer(most + 1) == refused(Code.LIMIT_EXCEEDED, most + 1, why)


def test_a_bonus_is_granted_whatever_else_is() -> None:
    grant = ask(Type.BONUS, amount=40, policy=Policy(max_balance=1, max_transfer=1))
    assert decide(grant, wallet(blocked=True), Facts()) == done(40, (Leg.GRANT_BONUS, 40))
    assert decide(ask(Type.BONUS, amount=None), wallet(), Facts()) == done(0)


@pytest.mark.parametrize("what", [Type.DEPOSIT, Type.BONUS, Type.BET, Type.WIN])
def test_an_amount_that_is_not_said_is_nothing(what: Type) -> None:
    assert decide(ask(what, amount=None), wallet(), Facts(reference=BET, round=OPEN)).amount == 0


# Transfers out.


@pytest.mark.parametrize(
    ("amount", "decision"),
    [
        (1, done(1, (Leg.WITHDRAW, 1))),
        (1000, done(1000, (Leg.WITHDRAW, 1000))),
        (None, done(1000, (Leg.WITHDRAW, 1000))),
        (1001, refused(Code.INSUFFICIENT_FUNDS, 1001)),
        (1500, refused(Code.INSUFFICIENT_FUNDS, 1500)),
    ],
)
def test_only_cash_is_paid_out(amount: int | None, decision: Decision) -> None:
    assert decide(ask(Type.WITHDRAW, amount=amount), wallet(1000, 500), Facts()) == decision


def test_all_of_nothing_is_a_success_that_moves_nothing() -> None:
    assert decide(ask(Type.WITHDRAW, amount=None), wallet(0, 500), Facts()) == Decision(Code.OK)


@pytest.mark.parametrize(
    ("most", "amount", "code"),
    [
        (0, 1000, Code.OK),
        (1000, 1000, Code.OK),
        (999, 1000, Code.LIMIT_EXCEEDED),
        (999, None, Code.LIMIT_EXCEEDED),
        (999, 2000, Code.LIMIT_EXCEEDED),
        (2000, 1001, Code.INSUFFICIENT_FUNDS),
    ],
)
def test_how_much_may_go_out(most: int, amount: int | None, code: Code) -> None:
    decision = decide(ask(Type.WITHDRAW, amount=amount, policy=Policy(max_transfer=most)), wallet(), Facts())
    assert (decision.code, decision.applied) == (code, code is Code.OK)
    assert decision.amount == (1000 if amount is None else amount)
    assert decision.why is (Why.MAX_TRANSFER if code is Code.LIMIT_EXCEEDED else None)


def test_more_than_can_be_told_does_not_go_out_at_once() -> None:
    decision = decide(ask(Type.WITHDRAW, amount=None), wallet(MAX_MINOR + 1), Facts())
    assert decision == refused(Code.LIMIT_EXCEEDED, MAX_MINOR + 1, Why.LARGEST)


def test_a_withdrawal_may_have_to_wait_for_an_open_round() -> None:
    waiting = Policy(withdraw_while_round_open=False, max_transfer=1)
    asked = ask(Type.WITHDRAW, policy=waiting)
    assert decide(asked, wallet(blocked=True), Facts(round_open=True)) == waits(100)
    assert decide(asked, wallet(), Facts(round_open=False)).code is Code.LIMIT_EXCEEDED
    assert decide(ask(Type.WITHDRAW), wallet(), Facts(round_open=True)).applied
    # Of everything, "all" names what there was.
    asked = dataclasses.replace(asked, amount=None)
    assert decide(asked, wallet(7), Facts(round_open=True)) == waits(7)


def waits(amount: int) -> Decision:
    return unstored(Code.IN_PROGRESS, amount, why=Why.ROUND_OPEN)


# Bets. Each "no" by the one thing that is wrong, in the order in which they are told.
FAULTS = [
    (Code.ROLLED_BACK, {"is_tombstoned": True}),
    (Code.ROUND_CLOSED, {"round": COMPLETED}),
    (Code.SESSION_EXPIRED, {"session_ok": False}),
    (Code.PLAYER_BLOCKED, {"blocked": True}),
    (Code.LIMIT_EXCEEDED, {"max_bet": 99}),
    (Code.INSUFFICIENT_FUNDS, {"cash": 99}),
]


def bet_with(faults: dict[str, object]) -> Decision:
    facts = {
        name: fault for name, fault in faults.items() if name in {"is_tombstoned", "round", "session_ok"}
    }
    return decide(
        ask(Type.BET, amount=100, policy=Policy(max_bet=99 if "max_bet" in faults else 0)),
        wallet(99 if "cash" in faults else 1000, blocked="blocked" in faults),
        Facts(**facts),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "what", [chosen for size in (1, 2, 6) for chosen in itertools.combinations(FAULTS, size)]
)
def test_the_first_no_is_the_answer(what: tuple[tuple[Code, dict[str, object]], ...]) -> None:
    together = {name: fault for _, faults in what for name, fault in faults.items()}
    why = Why.MAX_BET if what[0][0] is Code.LIMIT_EXCEEDED else None
    assert bet_with(together) == refused(what[0][0], why=why)


@pytest.mark.parametrize(
    ("round_", "one_bet", "code"),
    [
        (None, False, Code.OK),
        (None, True, Code.OK),
        (OPEN, False, Code.OK),
        (OPEN, True, Code.ROUND_CLOSED),
        (around(open_bets=0), True, Code.OK),
        (around(open_bets=2), True, Code.ROUND_CLOSED),
        (COMPLETED, False, Code.ROUND_CLOSED),
        (CANCELLED, False, Code.ROUND_CLOSED),
        (around(CANCELLED.state, open_bets=0), True, Code.ROUND_CLOSED),
    ],
)
@pytest.mark.parametrize("what", [Type.BET, Type.BETWIN])
def test_a_bet_in_its_round(what: Type, round_: object, one_bet: bool, code: Code) -> None:
    facts = Facts(round=round_)  # type: ignore[arg-type]
    decision = decide(ask(what, policy=Policy(one_bet_per_round=one_bet)), wallet(), facts)
    assert (decision.code, decision.applied, decision.amount) == (code, code is Code.OK, 100)


@pytest.mark.parametrize(
    ("most", "amount", "code"),
    [
        (0, 1000, Code.OK),
        (100, 100, Code.OK),
        (100, 101, Code.LIMIT_EXCEEDED),
        (0, 1050, Code.OK),
        (0, 1051, Code.INSUFFICIENT_FUNDS),
        (100, 1051, Code.LIMIT_EXCEEDED),
    ],
)
def test_how_much_may_be_staked(most: int, amount: int, code: Code) -> None:
    decision = decide(ask(Type.BET, amount=amount, policy=Policy(max_bet=most)), wallet(1000, 50), Facts())
    assert (decision.code, decision.stored, decision.amount) == (code, True, amount)


CASH, BONUS = Leg.BET_CASH, Leg.BET_BONUS


@pytest.mark.parametrize(
    ("order", "amount", "legs"),
    [
        (StakeOrder.CASH_FIRST, 60, [(CASH, 60)]),
        (StakeOrder.CASH_FIRST, 70, [(CASH, 70)]),
        (StakeOrder.CASH_FIRST, 71, [(CASH, 70), (BONUS, 1)]),
        (StakeOrder.CASH_FIRST, 110, [(CASH, 70), (BONUS, 40)]),
        (StakeOrder.BONUS_FIRST, 40, [(BONUS, 40)]),
        (StakeOrder.BONUS_FIRST, 41, [(CASH, 1), (BONUS, 40)]),
        (StakeOrder.BONUS_FIRST, 110, [(CASH, 70), (BONUS, 40)]),
        (StakeOrder.CASH_FIRST, 0, []),
        (StakeOrder.BONUS_FIRST, 0, []),
    ],
)
def test_which_money_a_stake_takes(order: StakeOrder, amount: int, legs: list[tuple[Leg, int]]) -> None:
    bet = ask(Type.BET, amount=amount, policy=Policy(stake_order=order))
    assert decide(bet, wallet(70, 40), Facts()) == done(amount, *legs)


@pytest.mark.parametrize(
    ("win", "legs"),
    [
        (0, []),
        (1, [(Leg.WIN_CASH, 1)]),
        (3, [(Leg.WIN_CASH, 3)]),
        (4, [(Leg.WIN_CASH, 3), (Leg.WIN_BONUS, 1)]),
        (333, [(Leg.WIN_CASH, 234), (Leg.WIN_BONUS, 99)]),
    ],
)
def test_a_bet_and_its_win_in_one(win: int, legs: list[tuple[Leg, int]]) -> None:
    both = ask(Type.BETWIN, amount=100, win=win)
    assert decide(both, wallet(70, 30), Facts()) == done(100, (CASH, 70), (BONUS, 30), *legs)
    # The stake must be there before its win is.
    assert decide(both, wallet(69, 30), Facts()) == refused(Code.INSUFFICIENT_FUNDS)


def test_the_win_of_a_free_stake_is_cash() -> None:
    assert decide(ask(Type.BETWIN, amount=0, win=9), wallet(0, 50), Facts()) == done(0, (Leg.WIN_CASH, 9))


# What holds for every amount.


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from(StakeOrder))
def test_a_stake_is_all_there_and_no_part_is_overdrawn(
    cash: int, bonus: int, amount: int, win: int, order: StakeOrder
) -> None:
    bet = ask(Type.BETWIN, amount=amount, win=win, policy=Policy(stake_order=order))
    decision = decide(bet, wallet(cash, bonus), Facts())
    assert decision.applied is (amount <= cash + bonus)
    staked = [minor for leg, minor in decision.legs if leg in {CASH, BONUS}]
    assert sum(staked) == (amount if decision.applied else 0)
    assert sum(moved(decision)) == (win - amount if decision.applied else 0)
    to_cash, to_bonus = moved(decision)
    assert cash + to_cash >= 0
    assert bonus + to_bonus >= 0


@given(AMOUNTS, st.integers(1, 10**6), st.data())
def test_a_win_is_whole_and_its_bonus_never_above_its_share(
    win: int, amount: int, data: st.DataObject
) -> None:
    bonus = data.draw(st.integers(0, amount))
    bet = dataclasses.replace(BET, amount=amount, cash=amount - bonus, bonus=bonus)
    to_cash, to_bonus = moved(decide(ask(Type.WIN, amount=win), wallet(), Facts(reference=bet, round=OPEN)))
    assert to_cash + to_bonus == win
    assert 0 <= win * bonus - to_bonus * amount < amount


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from(StakeOrder))
def test_a_bet_and_its_rollback_leave_everything_as_it_was(
    cash: int, bonus: int, amount: int, order: StakeOrder
) -> None:
    made = decide(
        ask(Type.BET, amount=amount, policy=Policy(stake_order=order)), wallet(cash, bonus), Facts()
    )
    if not made.applied:
        return
    to_cash, to_bonus = moved(made)
    bet = dataclasses.replace(BET, amount=amount, cash=-to_cash, bonus=-to_bonus)
    undone = decide(
        ask(Type.ROLLBACK), wallet(cash + to_cash, bonus + to_bonus), Facts(reference=bet, round=OPEN)
    )
    assert undone.amount == amount
    assert moved(undone) == (-to_cash, -to_bonus)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.sampled_from(ShortReversal))
def test_a_win_taken_back_never_takes_what_is_not_there(
    cash: int, bonus: int, won_cash: int, won_bonus: int, short: ShortReversal
) -> None:
    won = dataclasses.replace(WON, amount=won_cash + won_bonus, cash=won_cash, bonus=won_bonus)
    policy = Policy(reverse_wins=True, short_reversal=short)
    decision = decide(ask(Type.ROLLBACK, policy=policy), wallet(cash, bonus), Facts(reference=won))
    to_cash, to_bonus = moved(decision)
    assert 0 <= -to_cash <= min(cash, won.amount)
    assert 0 <= -to_bonus <= min(bonus, won_bonus)
    whole = cash + min(bonus, won_bonus) >= won.amount
    assert decision.applied is (whole or short is ShortReversal.DEBT)
    owed = dict(decision.legs).get(Leg.REVERSE_DEBT, 0)
    assert (owed > 0) is (decision.applied and not whole)
    if decision.applied:
        # What is not owed was taken, and nobody owes while there is cash.
        assert owed - to_cash - to_bonus == won.amount
        assert not owed or cash + to_cash == 0
