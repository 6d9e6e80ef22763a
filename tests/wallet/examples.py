"""Small words for the wallet's decisions: one player's wallet, one round, one bet in each of its states."""

import dataclasses
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from app.wallet.terms import (
    Ask,
    Barred,
    Code,
    Decision,
    Kind,
    Leg,
    Operation,
    OperationKey,
    Policy,
    Round,
    RoundKey,
    RoundState,
    Type,
    Wallet,
    Why,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GAME = "game:acme"
PRINT, OTHER_PRINT = b"print", b"other print"


class Said(TypedDict, total=False):
    """What an ask may say beside its type."""

    key: str
    amount: int | None
    win: int
    reference: str | None
    round_id: str | None
    provider: str
    currency: str
    kind: Kind
    policy: Policy
    game: str | None
    free_round: str | None
    is_finished: bool
    stated: int | None
    barred: Barred | None


def ask(what: Type, **said: Unpack[Said]) -> Ask:
    # A rollback need not name its platform.
    own: Said = {"key": "new", "provider": "" if what is Type.ROLLBACK else "acme", "policy": Policy()}
    said = {"amount": 100, "round_id": "r1", "currency": "KZT", **own, **said}
    return Ask(
        type=what,
        source=GAME,
        player="anna",
        fingerprint=PRINT,
        request_id="req",
        **said,
    )


def wallet(cash: int = 1000, bonus: int = 0, *, blocked: bool = False) -> Wallet:
    return Wallet(
        wallet_id=1,
        player_id="plr_anna",
        player="anna",
        currency="KZT",
        is_blocked=blocked,
        sequence=5,
        cash=cash,
        bonus=bonus,
        cash_account_id=11,
        bonus_account_id=12,
        cash_version=1,
        bonus_version=1,
    )


def around(state: RoundState = RoundState.OPEN, *, open_bets: int = 1) -> Round:
    return Round(
        key=RoundKey(1, "acme", "r1"),
        game="g",
        currency="KZT",
        state=state,
        is_free=False,
        open_bets=open_bets,
        bet=100,
        win=0,
        reversed=0,
        first_sequence=1,
        last_sequence=1,
        opened_at=NOON,
        changed_at=NOON,
    )


OPEN, COMPLETED, CANCELLED = (around(state) for state in RoundState)
BET = Operation(
    operation_id="wop_1",
    key=OperationKey(GAME, "", "B"),
    type=Type.BET,
    code=Code.OK,
    applied=True,
    fingerprint=PRINT,
    wallet_id=1,
    currency="KZT",
    amount=100,
    win=0,
    cash=70,
    bonus=30,
    before=1000,
    after=900,
    sequence=1,
    reference=None,
    round_id="r1",
    provider="acme",
    game="g",
    session=None,
    detail=None,
    request_id="req",
    recorded_at=NOON,
    player_id="plr_anna",
)
OF_ANOTHER = dataclasses.replace(BET, player_id="plr_boris")
REFUSED = dataclasses.replace(BET, code=Code.INSUFFICIENT_FUNDS, applied=False)
LATE = dataclasses.replace(BET, code=Code.ROLLED_BACK, applied=False)
REVERSED = dataclasses.replace(BET, is_reversed=True)
SETTLED = dataclasses.replace(BET, is_settled=True)
WON = dataclasses.replace(BET, key=OperationKey(GAME, "", "W"), type=Type.WIN, reference="B")
TAKEN_BACK = dataclasses.replace(WON, is_reversed=True)

REPLAYED = Decision(Code.OK, stored=False, is_replay=True)
CONFLICT = Decision(Code.ID_CONFLICT, stored=False)
REFUNDED = Decision(Code.OK, applied=True, amount=100, legs=((Leg.REFUND_CASH, 70), (Leg.REFUND_BONUS, 30)))


def refused(code: Code, amount: int = 100, why: Why | None = None) -> Decision:
    """A "no" that is kept: nothing moves, no number is taken."""
    return Decision(code, stored=True, applied=False, amount=amount, why=why)


def unstored(code: Code, amount: int = 0, *, field: str = "", why: Why | None = None) -> Decision:
    """A "no" that is forgotten: the same id may come again."""
    return Decision(code, stored=False, applied=False, amount=amount, field=field, why=why)
