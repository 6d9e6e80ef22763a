"""The decision about operations of a game: the effect matrix cell by cell, and what stands before it."""

import dataclasses

import pytest

from app.kernel.money import MAX_MINOR
from app.wallet.model import EFFECTS, Asked, Effect, Standing, decide, standing_of
from app.wallet.terms import (
    Code,
    Decision,
    Facts,
    Kind,
    Leg,
    Operation,
    Policy,
    Round,
    ShortReversal,
    Type,
    Wallet,
)
from tests.wallet.examples import (
    BET,
    CANCELLED,
    COMPLETED,
    CONFLICT,
    LATE,
    OF_ANOTHER,
    OPEN,
    OTHER_PRINT,
    REFUNDED,
    REFUSED,
    REPLAYED,
    REVERSED,
    SETTLED,
    TAKEN_BACK,
    WON,
    ask,
    refused,
    unstored,
    wallet,
)

# The effect matrix as it is promised (wallet.md 2.13), in the order of its columns.
MATRIX = """
none          | applied, open | refused earlier | tombstoned          | reversed     | settled or closed
debit         | replay        | replay          | ROLLED_BACK         | replay       | replay
debit         | ID_CONFLICT   | ID_CONFLICT     | ROLLED_BACK         | ID_CONFLICT  | ID_CONFLICT
BET_NOT_FOUND | credit        | BET_NOT_FOUND   | ROLLED_BACK         | ROLLED_BACK  | credit if open
tombstone     | refund        | PARENT_FAILED   | ALREADY             | ALREADY      | ALREADY_SETTLED
replay        | replay        | replay          | replay              | replay       | replay
"""
NOT_WON = dataclasses.replace(WON, code=Code.ROUND_CLOSED, applied=False)
PROMISED = [[cell.strip() for cell in line.split("|")] for line in MATRIX.strip().splitlines()]


def test_the_matrix_is_the_promised_one() -> None:
    spelled = {
        Effect.REPLAY: "replay",
        Effect.TOMBSTONE: "tombstone",
        Effect.ALREADY_ROLLED_BACK: "ALREADY",
        Effect.CREDIT_IF_ROUND_OPEN: "credit if open",
    }
    columns, *rows = PROMISED
    assert columns == [standing.value for standing in Standing]
    assert list(EFFECTS) == list(Asked)
    for asked, promised in zip(EFFECTS, rows, strict=True):
        assert list(EFFECTS[asked]) == list(Standing)
        assert [spelled.get(effect, effect.value) for effect in EFFECTS[asked].values()] == promised, asked


@pytest.mark.parametrize(
    ("operation", "round_", "is_tombstoned", "standing"),
    [
        (None, None, False, Standing.NONE),
        (None, OPEN, False, Standing.NONE),
        (None, None, True, Standing.TOMBSTONED),
        (LATE, OPEN, True, Standing.TOMBSTONED),
        (BET, None, False, Standing.OPEN),
        (BET, OPEN, False, Standing.OPEN),
        (BET, COMPLETED, False, Standing.SETTLED),
        (BET, CANCELLED, False, Standing.SETTLED),
        (SETTLED, None, False, Standing.SETTLED),
        (SETTLED, OPEN, False, Standing.SETTLED),
        (REVERSED, OPEN, False, Standing.REVERSED),
        (REVERSED, CANCELLED, False, Standing.REVERSED),
        (REFUSED, OPEN, False, Standing.REFUSED),
        (REFUSED, COMPLETED, False, Standing.REFUSED),
        (LATE, OPEN, False, Standing.REFUSED),
    ],
)
def test_how_an_operation_stands(
    operation: Operation | None, round_: Round | None, is_tombstoned: bool, standing: Standing
) -> None:
    assert standing_of(operation, round_, is_tombstoned=is_tombstoned) is standing


# Row 1 and 2: the bet itself again.


@pytest.mark.parametrize("known", [BET, REFUSED, LATE, REVERSED, SETTLED, WON])
@pytest.mark.parametrize(
    "what", [Type.BET, Type.WIN, Type.ROLLBACK, Type.DEPOSIT, Type.WITHDRAW, Type.BETWIN]
)
@pytest.mark.parametrize("round_", [None, OPEN, COMPLETED])
def test_a_known_key_is_replayed_or_conflicts_whatever_else_is_wrong(
    known: Operation, what: Type, round_: Round | None
) -> None:
    facts = Facts(known=known, round=round_, session_ok=False, is_tombstoned=True)
    assert decide(ask(what), wallet(0, blocked=True), facts) == REPLAYED
    other = dataclasses.replace(known, fingerprint=OTHER_PRINT)
    assert decide(ask(what), wallet(0), facts._replace(known=other)) == CONFLICT


def test_a_void_answers_to_whatever_comes_with_its_id() -> None:
    voided = dataclasses.replace(BET, type=Type.VOID, code=Code.VOIDED, fingerprint=OTHER_PRINT)
    assert decide(ask(Type.DEPOSIT), wallet(), Facts(known=voided)) == REPLAYED


def test_a_first_bet_is_debited() -> None:
    assert decide(ask(Type.BET), wallet(), Facts()) == Decision(
        Code.OK, stored=True, applied=True, amount=100, legs=((Leg.BET_CASH, 100),)
    )


def test_a_bet_behind_its_rollback_takes_no_money() -> None:
    facts = Facts(is_tombstoned=True, round=COMPLETED, session_ok=False)
    assert decide(ask(Type.BET), wallet(0, blocked=True), facts) == refused(Code.ROLLED_BACK)
    lenient = ask(Type.BET, policy=Policy(tombstoned_bet_ok=True))
    assert decide(lenient, wallet(0, blocked=True), facts) == refused(Code.OK)


# Row 3: the win of a bet.


@pytest.mark.parametrize(
    ("bet", "round_", "is_tombstoned", "decision"),
    [
        (None, None, False, unstored(Code.BET_NOT_FOUND, 50)),
        (REFUSED, OPEN, False, unstored(Code.BET_NOT_FOUND, 50)),
        (None, None, True, refused(Code.ROLLED_BACK, 50)),
        (LATE, OPEN, True, refused(Code.ROLLED_BACK, 50)),
        (REVERSED, OPEN, False, refused(Code.ROLLED_BACK, 50)),
        (BET, COMPLETED, False, refused(Code.ROUND_CLOSED, 50)),
        (SETTLED, COMPLETED, False, refused(Code.ROUND_CLOSED, 50)),
        (BET, CANCELLED, False, refused(Code.ROUND_CLOSED, 50)),
        (WON, OPEN, False, unstored(Code.BET_NOT_FOUND)),
        (dataclasses.replace(BET, type=Type.ROLLBACK), OPEN, False, unstored(Code.BET_NOT_FOUND)),
        (OF_ANOTHER, OPEN, False, unstored(Code.BET_NOT_FOUND)),
        (dataclasses.replace(BET, currency="USD"), OPEN, False, unstored(Code.CURRENCY_MISMATCH)),
    ],
)
def test_a_win_that_is_not_credited(
    bet: Operation | None, round_: Round | None, is_tombstoned: bool, decision: Decision
) -> None:
    facts = Facts(reference=bet, round=round_, is_tombstoned=is_tombstoned)
    assert decide(ask(Type.WIN, amount=50), wallet(), facts) == decision


@pytest.mark.parametrize("bet", [BET, SETTLED, dataclasses.replace(BET, type=Type.BETWIN)])
@pytest.mark.parametrize("round_", [OPEN, None])
def test_a_win_is_split_like_its_bet_and_may_follow_another(bet: Operation, round_: Round | None) -> None:
    # 30 of 100 were bonus: of 333 that is 99.9, and what is left over is cash.
    expected = Decision(Code.OK, applied=True, amount=333, legs=((Leg.WIN_CASH, 234), (Leg.WIN_BONUS, 99)))
    assert decide(ask(Type.WIN, amount=333), wallet(), Facts(reference=bet, round=round_)) == expected


def test_a_win_of_nothing_is_an_operation() -> None:
    nothing = decide(ask(Type.WIN, amount=0), wallet(), Facts(reference=BET, round=OPEN))
    assert nothing == Decision(Code.OK, applied=True)


def test_a_win_of_a_free_bet_is_cash() -> None:
    free = dataclasses.replace(BET, amount=0, cash=0, bonus=0)
    decision = decide(ask(Type.WIN, amount=40), wallet(), Facts(reference=free, round=OPEN))
    assert decision.legs == ((Leg.WIN_CASH, 40),)


@pytest.mark.parametrize("round_id", ["r2", None, ""])
def test_a_win_names_the_round_of_its_bet(round_id: str | None) -> None:
    facts = Facts(reference=BET, round=COMPLETED)
    other = ask(Type.WIN, round_id=round_id)
    assert decide(other, wallet(), facts) == unstored(Code.VALIDATION, field="roundId")


@pytest.mark.parametrize("kind", [Kind.JACKPOT, Kind.PROMO, Kind.FREE_ROUND])
def test_other_wins_need_no_bet_and_heed_no_round(kind: Kind) -> None:
    facts = Facts(round=COMPLETED, session_ok=False, is_tombstoned=True)
    prize = ask(Type.WIN, kind=kind, amount=40, round_id=None)
    assert decide(prize, wallet(blocked=True), facts) == Decision(
        Code.OK, applied=True, amount=40, legs=((Leg.WIN_CASH, 40),)
    )
    assert decide(ask(Type.WIN, kind=kind, amount=0), wallet(), facts) == Decision(Code.OK, applied=True)


@pytest.mark.parametrize("what", [Type.WIN, Type.ROLLBACK])
def test_wins_and_rollbacks_heed_no_session_no_block_and_no_limit(what: Type) -> None:
    narrow = Policy(max_bet=1, max_balance=1, max_transfer=1)
    facts = Facts(reference=BET, round=OPEN, session_ok=False, round_open=True)
    full = wallet(MAX_MINOR, blocked=True)
    decision = decide(ask(what, amount=100, policy=narrow), full, facts)
    assert (decision.code, decision.applied, sum(minor for _, minor in decision.legs)) == (Code.OK, True, 100)


# Rows 4 and 5: the rollback of a bet.


@pytest.mark.parametrize(
    ("original", "round_", "is_tombstoned", "decision"),
    [
        (None, None, False, refused(Code.NOTHING_TO_REVERSE, 0)),
        (None, None, True, refused(Code.ALREADY_ROLLED_BACK, 0)),
        (LATE, OPEN, True, refused(Code.ALREADY_ROLLED_BACK)),
        (REFUSED, OPEN, False, refused(Code.PARENT_FAILED)),
        (REFUSED, COMPLETED, False, refused(Code.PARENT_FAILED)),
        (REVERSED, OPEN, False, refused(Code.ALREADY_ROLLED_BACK)),
        (REVERSED, CANCELLED, False, refused(Code.ALREADY_ROLLED_BACK)),
        (SETTLED, OPEN, False, refused(Code.ALREADY_SETTLED)),
        (BET, COMPLETED, False, refused(Code.ALREADY_SETTLED)),
        (WON, OPEN, False, refused(Code.ALREADY_SETTLED)),
        (TAKEN_BACK, OPEN, False, refused(Code.ALREADY_ROLLED_BACK)),
        (dataclasses.replace(BET, type=Type.ROLLBACK), OPEN, False, refused(Code.ALREADY_SETTLED)),
        (NOT_WON, COMPLETED, False, refused(Code.PARENT_FAILED)),
        (OF_ANOTHER, OPEN, False, unstored(Code.TRANSACTION_NOT_FOUND)),
        (dataclasses.replace(BET, round_id="r2"), OPEN, False, unstored(Code.TRANSACTION_NOT_FOUND)),
        (dataclasses.replace(OF_ANOTHER, is_reversed=True), OPEN, True, unstored(Code.TRANSACTION_NOT_FOUND)),
        (BET, OPEN, False, REFUNDED),
        (BET, None, False, REFUNDED),
    ],
)
def test_a_rollback(
    original: Operation | None, round_: Round | None, is_tombstoned: bool, decision: Decision
) -> None:
    facts = Facts(reference=original, round=round_, is_tombstoned=is_tombstoned)
    assert decide(ask(Type.ROLLBACK, amount=7), wallet(), facts) == decision


def test_a_bet_with_its_win_is_settled_from_the_start() -> None:
    both = dataclasses.replace(BET, type=Type.BETWIN, win=50)
    assert decide(ask(Type.ROLLBACK), wallet(), Facts(reference=both, round=OPEN)) == refused(
        Code.ALREADY_SETTLED
    )


def test_a_rollback_need_not_name_the_round() -> None:
    facts = Facts(reference=BET, round=OPEN)
    assert decide(ask(Type.ROLLBACK, round_id=None), wallet(), facts) == REFUNDED


def test_a_refund_has_only_the_parts_that_the_bet_had() -> None:
    in_cash = dataclasses.replace(BET, cash=100, bonus=0)
    free = dataclasses.replace(BET, amount=0, cash=0, bonus=0)
    rollback = ask(Type.ROLLBACK)
    assert decide(rollback, wallet(), Facts(reference=in_cash, round=OPEN)).legs == ((Leg.REFUND_CASH, 100),)
    assert decide(rollback, wallet(), Facts(reference=free, round=OPEN)) == Decision(Code.OK, applied=True)


# Wins that may be taken back.


def reverse(
    purse: Wallet,
    won: Operation = WON,
    *,
    short: ShortReversal = ShortReversal.DEBT,
) -> Decision:
    policy = Policy(reverse_wins=True, short_reversal=short)
    return decide(ask(Type.ROLLBACK, policy=policy), purse, Facts(reference=won, round=COMPLETED))


@pytest.mark.parametrize("short", ShortReversal)
@pytest.mark.parametrize(("cash", "bonus"), [(70, 30), (1000, 1000)])
def test_a_win_is_taken_back_where_that_is_allowed(cash: int, bonus: int, short: ShortReversal) -> None:
    assert reverse(wallet(cash, bonus), short=short) == Decision(
        Code.OK,
        applied=True,
        amount=100,
        legs=((Leg.REVERSE_CASH, 70), (Leg.REVERSE_BONUS, 30)),
        turned=Type.REVERSE_WIN,
    )


@pytest.mark.parametrize(
    ("cash", "bonus", "legs"),
    [
        (69, 30, ((Leg.REVERSE_CASH, 69), (Leg.REVERSE_BONUS, 30), (Leg.REVERSE_DEBT, 1))),
        (70, 29, ((Leg.REVERSE_CASH, 70), (Leg.REVERSE_BONUS, 29), (Leg.REVERSE_DEBT, 1))),
        (0, 1000, ((Leg.REVERSE_BONUS, 30), (Leg.REVERSE_DEBT, 70))),
        (5, 0, ((Leg.REVERSE_CASH, 5), (Leg.REVERSE_DEBT, 95))),
        (0, 0, ((Leg.REVERSE_DEBT, 100),)),
    ],
)
def test_a_win_that_is_spent_leaves_a_debt_or_is_not_taken_back(
    cash: int, bonus: int, legs: tuple[tuple[Leg, int], ...]
) -> None:
    owing = Decision(Code.OK, applied=True, amount=100, legs=legs, turned=Type.REVERSE_WIN)
    assert reverse(wallet(cash, bonus)) == owing
    short = Decision(Code.INSUFFICIENT_FUNDS, amount=100, turned=Type.REVERSE_WIN)
    assert reverse(wallet(cash, bonus), short=ShortReversal.REFUSE) == short


@pytest.mark.parametrize("short", ShortReversal)
def test_lost_bonus_of_a_win_is_taken_back_in_cash(short: ShortReversal) -> None:
    legs = ((Leg.REVERSE_CASH, 71), (Leg.REVERSE_BONUS, 29))
    expected = Decision(Code.OK, applied=True, amount=100, legs=legs, turned=Type.REVERSE_WIN)
    assert reverse(wallet(71, 29), short=short) == expected


@pytest.mark.parametrize(
    ("cash", "bonus", "legs"),
    [
        (1000, 1000, ((Leg.REVERSE_BONUS, 30),)),
        (1000, 10, ((Leg.REVERSE_CASH, 20), (Leg.REVERSE_BONUS, 10))),
        (5, 0, ((Leg.REVERSE_CASH, 5), (Leg.REVERSE_DEBT, 25))),
    ],
)
def test_of_a_win_that_a_person_took_in_part_only_the_rest_is_taken_back(
    cash: int, bonus: int, legs: tuple[tuple[Leg, int], ...]
) -> None:
    expected = Decision(Code.OK, applied=True, amount=30, legs=legs, turned=Type.REVERSE_WIN)
    assert reverse(wallet(cash, bonus), dataclasses.replace(WON, taken=70)) == expected


def test_a_win_is_taken_back_once_and_never_anothers() -> None:
    assert reverse(wallet(), TAKEN_BACK) == refused(Code.ALREADY_ROLLED_BACK)
    assert reverse(wallet(), dataclasses.replace(WON, player_id="plr_boris")) == unstored(
        Code.TRANSACTION_NOT_FOUND
    )
    # Only of wins: a bet that is settled stays settled.
    assert reverse(wallet(), BET) == refused(Code.ALREADY_SETTLED)
    assert reverse(wallet(), NOT_WON) == refused(Code.PARENT_FAILED)
