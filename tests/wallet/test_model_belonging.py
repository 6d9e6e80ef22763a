"""The decision about what belongs together: a win and its bet, a rollback and what it takes back."""

import dataclasses

import pytest

from app.wallet.model import decide
from app.wallet.terms import Code, Decision, Facts, Kind, Policy, Type, Why
from tests.wallet.examples import (
    BET,
    COMPLETED,
    OPEN,
    REFUNDED,
    REVERSED,
    WON,
    ask,
    refused,
    unstored,
    wallet,
)

MOST = 2**63 - 1  # what the ledger can keep


@pytest.mark.parametrize(
    ("round_id", "provider", "field"),
    [("r2", "acme", "roundId"), ("r1", "other", "providerId"), ("r2", "other", "roundId")],
)
def test_a_win_names_the_round_and_the_platform_of_its_bet(round_id: str, provider: str, field: str) -> None:
    won = ask(Type.WIN, round_id=round_id, provider=provider)
    facts = Facts(reference=BET, round=COMPLETED)
    assert decide(won, wallet(), facts) == unstored(Code.VALIDATION, field=field)
    # What became of the bet is told first.
    gone = facts._replace(reference=REVERSED)
    assert decide(won, wallet(), gone) == refused(Code.ROLLED_BACK)


@pytest.mark.parametrize(
    ("provider", "decision"),
    [("", REFUNDED), ("acme", REFUNDED), ("other", unstored(Code.TRANSACTION_NOT_FOUND))],
)
def test_a_rollback_that_names_a_platform_names_its_operations(provider: str, decision: Decision) -> None:
    facts = Facts(reference=BET, round=OPEN)
    assert decide(ask(Type.ROLLBACK, provider=provider), wallet(), facts) == decision


@pytest.mark.parametrize("kind", Kind)
def test_a_win_behind_its_own_rollback_is_not_credited(kind: Kind) -> None:
    facts = Facts(reference=BET, round=OPEN, is_own_tombstoned=True)
    late = ask(Type.WIN, kind=kind, amount=40)
    assert decide(late, wallet(MOST), facts) == refused(Code.ROLLED_BACK, 40)


@pytest.mark.parametrize("kind", Kind)
def test_a_win_that_no_account_can_keep_may_come_again(kind: Kind) -> None:
    facts = Facts(reference=BET, round=OPEN)
    full = wallet(MOST - 60, 20)
    assert decide(ask(Type.WIN, kind=kind, amount=40), full, facts).applied
    assert decide(ask(Type.WIN, kind=kind, amount=41), full, facts) == unstored(
        Code.LIMIT_EXCEEDED, 41, why=Why.LARGEST
    )


def test_of_a_win_that_was_only_counted_nothing_is_taken_back() -> None:
    counted = dataclasses.replace(WON, cash=0, bonus=0)
    reversal = ask(Type.ROLLBACK, policy=Policy(reverse_wins=True))
    assert decide(reversal, wallet(), Facts(reference=counted)) == Decision(
        Code.OK, applied=True, turned=Type.REVERSE_WIN
    )
