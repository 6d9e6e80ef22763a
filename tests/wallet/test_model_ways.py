"""The decision upon what a site has decided since, a session's game, and an amount that is stated."""

import dataclasses

import pytest

from app.wallet.model import decide, decide_nowhere
from app.wallet.policy import OtherAmount, SessionGames
from app.wallet.terms import Barred, Code, Decision, Facts, Operation, Policy, Type
from tests.wallet.examples import (
    BET,
    CONFLICT,
    OPEN,
    OTHER_PRINT,
    REFUNDED,
    REFUSED,
    REPLAYED,
    ask,
    unstored,
    wallet,
)

OTHER = dataclasses.replace(BET, fingerprint=OTHER_PRINT)
BARRED = Barred(Code.VALIDATION, "gameCode", "gameCode is not listed.")
SEAMLESS = Barred(Code.WRONG_WALLET_MODE)
STRICT = Policy(rollback_amount=OtherAmount.REFUSE)
WRONG_AMOUNT = unstored(Code.VALIDATION, field="amount")
WRONG_GAME = unstored(Code.VALIDATION, field="gameCode")


@pytest.mark.parametrize(("known", "decision"), [(BET, REPLAYED), (OTHER, CONFLICT)])
def test_what_was_done_is_told_whatever_the_site_has_decided_since(
    known: Operation, decision: Decision
) -> None:
    late = ask(Type.BET, barred=BARRED)
    assert decide(late, wallet(), Facts(known)) == decision
    for is_player in (True, False):
        assert decide_nowhere(late, Facts(known), is_player=is_player) == decision


@pytest.mark.parametrize("barred", [BARRED, SEAMLESS])
def test_what_was_not_is_refused_as_it_is_now(barred: Barred) -> None:
    expected = unstored(barred.code, field=barred.field)
    new = ask(Type.BET, barred=barred)
    assert decide(new, wallet(), Facts()) == expected
    for is_player in (True, False):
        assert decide_nowhere(new, Facts(), is_player=is_player) == expected


@pytest.mark.parametrize(
    ("what", "is_player", "code"),
    [
        (Type.BET, True, Code.CURRENCY_MISMATCH),
        (Type.BET, False, Code.PLAYER_NOT_FOUND),
        (Type.ROLLBACK, True, Code.PLAYER_NOT_FOUND),
        (Type.ROLLBACK, False, Code.PLAYER_NOT_FOUND),
    ],
)
def test_who_has_no_wallet_hears_why(what: Type, is_player: bool, code: Code) -> None:
    assert decide_nowhere(ask(what), Facts(), is_player=is_player) == unstored(code)


@pytest.mark.parametrize(
    ("games", "launched", "decided"),
    [
        (SessionGames.OWN, "g", None),
        (SessionGames.OWN, "another", WRONG_GAME),
        (SessionGames.OWN, None, None),  # nothing is known of it
        (SessionGames.PLATFORM, "another", None),
    ],
)
def test_a_bet_in_a_session_is_of_its_game(
    games: SessionGames, launched: str | None, decided: Decision | None
) -> None:
    bet = ask(Type.BET, game="g", policy=Policy(session_games=games))
    found = decide(bet, wallet(), Facts(session_game=launched))
    assert found == decided if decided else found.applied


@pytest.mark.parametrize(
    ("policy", "stated", "decision"),
    [
        (STRICT, None, REFUNDED),
        (STRICT, 100, REFUNDED),
        (STRICT, 99, WRONG_AMOUNT),
        (Policy(), 99, REFUNDED),
        (Policy(), None, REFUNDED),
    ],
)
def test_a_rollback_that_states_another_amount_is_refused_where_that_counts(
    policy: Policy, stated: int | None, decision: Decision
) -> None:
    rollback = ask(Type.ROLLBACK, policy=policy, stated=stated)
    assert decide(rollback, wallet(), Facts(reference=BET, round=OPEN)) == decision


def test_of_a_bet_that_was_refused_no_amount_counts() -> None:
    rollback = ask(Type.ROLLBACK, policy=STRICT, stated=99)
    expected = decide(ask(Type.ROLLBACK, policy=STRICT), wallet(), Facts(reference=REFUSED, round=OPEN))
    assert decide(rollback, wallet(), Facts(reference=REFUSED, round=OPEN)) == expected
    assert expected.code is not Code.VALIDATION
