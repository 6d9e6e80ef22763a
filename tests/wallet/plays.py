"""How each answer of each call comes about: what is done at a site of its own, then the call itself.

A step starts from the example of its call's request and changes some of it.
"""

from typing import Any, Final, NamedTuple

from app.wallet.examples import SESSION

# Stand for what an earlier step answered.
MADE_SESSION: Final = "<the session that was opened>"
MADE_TRANSACTION: Final = "<the operation that was recorded>"


class Step(NamedTuple):
    """One call, or something done behind the calls.

    Args:
        name: of a call; or "block", "decide", "lock".
        more: fields that differ from the example; None leaves one out.
    """

    name: str
    more: dict[str, Any]


def step(name: str, **more: object) -> Step:
    return Step(name, more)


Play = tuple[Step, ...]
NEW, PAID, BET, WON, BACK = (step(name) for name in ("create", "deposit", "bet", "win", "rollback"))
BLOCK, LOCK, VOID = step("block"), step("lock"), step("void")
FUNDED: Final[Play] = (NEW, PAID)
CALLED_OFF: Final[Play] = (*FUNDED, step("decide", many_sessions="false"), LOCK)
ALL: Final = step("withdraw", amount=None, all=True)


def _transfer(name: str, before: Play) -> dict[str, Play]:
    one = step(name)
    return {
        "OK": (*before, one),
        "OK told again": (*before, one, one),
        "PLAYER_NOT_FOUND": (one,),
        "ID_CONFLICT": (*before, one, step(name, amount=1)),
        "IN_PROGRESS": (*before, LOCK, one),
        "CURRENCY_MISMATCH": (*before, step(name, currency="USD")),
        "TRANSFER_ID_REQUIRED": (*before, step(name, transferId=None)),
        "VOIDED": (*before, step("void", transfer_id=f"transfer-{len(before)}"), one),
        "PLAYER_BLOCKED": (*before, BLOCK, one),
        "LIMIT_EXCEEDED": (*before, step("decide", max_transfer="1000"), one),
    }


def _stake(name: str, key: str, amount: str) -> dict[str, Play]:
    one = step(name)
    return {
        "OK": (*FUNDED, one),
        "OK told again": (*FUNDED, one, one),
        "INSUFFICIENT_FUNDS": (NEW, one),
        "PLAYER_NOT_FOUND": (one,),
        "ID_CONFLICT": (*FUNDED, one, step(name, **{amount: 1})),
        "IN_PROGRESS": (*FUNDED, LOCK, one),
        "CURRENCY_MISMATCH": (*FUNDED, step(name, currency="USD")),
        "ROLLED_BACK": (*FUNDED, step("rollback", referenceId=key), one),
        "ROUND_CLOSED": (*FUNDED, step("bet", transactionId="bet-0", isRoundFinished=True), one),
        "PLAYER_BLOCKED": (*FUNDED, BLOCK, one),
        "LIMIT_EXCEEDED": (*FUNDED, step("decide", max_bet="100"), one),
        "SESSION_EXPIRED": (*FUNDED, step(name, sessionId=SESSION)),
    }


_WIN: Final[dict[str, Play]] = {
    "OK": (*FUNDED, BET, WON),
    "OK told again": (*FUNDED, BET, WON, WON),
    "OK of a jackpot": (
        NEW,
        step("win", kind="jackpot", referenceId=None, roundId=None, gameCode=None, isRoundFinished=None),
    ),
    "PLAYER_NOT_FOUND": (WON,),
    "BET_NOT_FOUND": (*FUNDED, WON),
    "ID_CONFLICT": (*FUNDED, BET, WON, step("win", amount=1)),
    "IN_PROGRESS": (*FUNDED, BET, LOCK, WON),
    "ROLLED_BACK": (*FUNDED, BET, BACK, WON),
    "ROUND_CLOSED": (*FUNDED, BET, WON, step("win", transactionId="win-2")),
    "CURRENCY_MISMATCH": (*FUNDED, BET, step("win", currency="USD")),
}
OWING: Final = (
    *FUNDED,
    step("decide", reverse_wins="true"),
    BET,
    WON,
    ALL,
    step("rollback", referenceId="win-1"),
)
_ROLLBACK: Final[dict[str, Play]] = {
    "OK": (*FUNDED, BET, BACK),
    "OK told again": (*FUNDED, BET, BACK, BACK),
    "OK of a win": (
        *FUNDED,
        step("decide", reverse_wins="true"),
        BET,
        WON,
        step("rollback", referenceId="win-1"),
    ),
    "OK of a win that is gone": OWING,
    "NOTHING_TO_REVERSE": (*FUNDED, BACK),
    "ALREADY_ROLLED_BACK": (*FUNDED, BET, BACK, step("rollback", transactionId="rollback-2")),
    "INSUFFICIENT_FUNDS": (
        *FUNDED,
        step("decide", reverse_wins="true", short_reversal="refuse"),
        BET,
        WON,
        ALL,
        step("rollback", referenceId="win-1"),
    ),
    "PLAYER_NOT_FOUND": (BACK,),
    "TRANSACTION_NOT_FOUND": (*FUNDED, BET, step("rollback", roundId="round-2")),
    "ID_CONFLICT": (*FUNDED, BACK, step("rollback", referenceId="bet-2")),
    "IN_PROGRESS": (*FUNDED, BET, LOCK, BACK),
    "ALREADY_SETTLED": (*FUNDED, BET, WON, BACK),
    "PARENT_FAILED": (NEW, BET, BACK),
}
_DEPOSIT: Final = {
    **_transfer("deposit", (NEW,)),
    "OK that pays a debt": (*OWING, step("deposit", transferId="transfer-3", amount=30_000)),
}
_WITHDRAW: Final = {
    **_transfer("withdraw", FUNDED),
    "OK of all there is": (*FUNDED, ALL),
    "INSUFFICIENT_FUNDS": (*FUNDED, step("withdraw", amount=200_000)),
    "IN_PROGRESS while a round is open": (
        *FUNDED,
        step("decide", withdraw_while_round_open="false"),
        BET,
        step("withdraw"),
    ),
}
FREE: Final = step("bet", amount=0, freeRoundId="campaign-1")
SPENT: Final = step("bet", amount=0, freeRoundId="campaign-1", transactionId="bet-2")
_BET: Final = {
    **_stake("bet", "bet-1", "amount"),
    "OK of a free round": (*FUNDED, step("grant"), FREE),
    "LIMIT_EXCEEDED when no spin is left": (*FUNDED, step("grant"), FREE, SPENT),
}


def _batch(name: str, neighbour: dict[str, Any], *singles: tuple[str, dict[str, Play]]) -> dict[str, Play]:
    """Each refusal of a single call, as that of a batch of which nothing is done then."""
    found: dict[str, Play] = {}
    for kind, plays in singles:
        for code, play in plays.items():
            if code.partition(" ")[0] in {"OK", "NOTHING_TO_REVERSE", "ALREADY_ROLLED_BACK"}:
                continue
            items = [neighbour, {"type": kind, "example": kind, **play[-1].more}]
            found.setdefault(code, (*play[:-1], step(name, operations=items, allOrNone=True)))
    return found


_SMALL_DEPOSIT: Final = {"type": "deposit", "example": "deposit", "amount": 500, "transferId": "transfer-0"}
_PROMO: Final = {
    "type": "win",
    "example": "win",
    "transactionId": "win-0",
    "amount": 100,
    "kind": "promo",
    **dict.fromkeys(("referenceId", "roundId", "gameCode", "isRoundFinished")),
}

PLAYS: Final[dict[str, dict[str, Play]]] = {
    "create": {
        "OK": (NEW,),
        "OK told again": (NEW, NEW),
        "IN_PROGRESS": (NEW, LOCK, step("create", currency="USD")),
        "CURRENCY_MISMATCH": (step("create", currency="EUR"),),
    },
    "info": {"OK": (*FUNDED, step("info")), "PLAYER_NOT_FOUND": (step("info"),)},
    "balance": {
        "OK": (*FUNDED, step("balance")),
        "PLAYER_NOT_FOUND": (step("balance"),),
        "CURRENCY_MISMATCH": (*FUNDED, step("balance", currency="USD")),
    },
    "deposit": _DEPOSIT,
    "withdraw": _WITHDRAW,
    "transfer": {
        "OK": (*FUNDED, step("transfer")),
        "OK of one refused": (
            *FUNDED,
            step("withdraw", amount=200_000),
            step("transfer", transfer_id="transfer-2"),
        ),
        "TRANSFER_NOT_FOUND": (NEW, step("transfer")),
    },
    "void": {
        "OK": (NEW, VOID),
        "OK told again": (NEW, VOID, VOID),
        "OK of one refused": (NEW, step("withdraw", transferId="transfer-1"), VOID),
        "TRANSFER_COMPLETED": (*FUNDED, VOID),
        "IN_PROGRESS": (NEW, step("underway", transfer="transfer-1"), VOID),
    },
    "wallet batch": {
        "OK": (NEW, step("wallet batch")),
        "OK with one refused": (
            NEW,
            step("wallet batch", operations=[_SMALL_DEPOSIT, {"type": "withdraw", "example": "withdraw"}]),
        ),
        **_batch("wallet batch", _SMALL_DEPOSIT, ("deposit", _DEPOSIT), ("withdraw", _WITHDRAW)),
    },
    "launch": {
        "OK": (*FUNDED, step("launch")),
        "OK for fun": (step("launch", demo=True),),
        "ZERO_BALANCE": (NEW, step("launch")),
        "PLAYER_NOT_FOUND": (step("launch"),),
        "IN_PROGRESS": (*CALLED_OFF, step("launch")),
        "CURRENCY_MISMATCH": (*FUNDED, step("launch", currency="USD")),
        "PLAYER_BLOCKED": (*FUNDED, BLOCK, step("launch")),
    },
    "end": {
        "OK": (*FUNDED, step("launch"), step("end", sessionId=MADE_SESSION)),
        "IN_PROGRESS": (*FUNDED, step("launch"), LOCK, step("end", sessionId=MADE_SESSION)),
        "SESSION_EXPIRED": (step("end"),),
    },
    "bet": _BET,
    "win": _WIN,
    "betwin": _stake("betwin", "bet-2", "betAmount"),
    "rollback": _ROLLBACK,
    "game batch": {
        "OK": (*FUNDED, step("game batch")),
        "OK with one refused": (
            *FUNDED,
            step("game batch", operations=[_PROMO, {"type": "win", "example": "win"}]),
        ),
        "OK of rollbacks": (
            *FUNDED,
            BET,
            step(
                "game batch",
                operations=[
                    {"type": "rollback", "example": "rollback"},
                    {"type": "rollback", "example": "rollback", "transactionId": "rollback-2"},
                    {
                        "type": "rollback",
                        "example": "rollback",
                        "transactionId": "r-3",
                        "referenceId": "bet-3",
                    },
                ],
            ),
        ),
        **_batch("game batch", _PROMO, ("bet", _BET), ("win", _WIN), ("rollback", _ROLLBACK)),
    },
    "list": {
        "OK": (*FUNDED, BET, step("list")),
        "OK at the end": (*FUNDED, step("list", limit="100", includeRefused="true")),
        "PLAYER_NOT_FOUND": (step("list"),),
        "CURRENCY_MISMATCH": (*FUNDED, step("list", currency="USD")),
    },
    "round": {
        "OK": (*FUNDED, BET, WON, step("round")),
        "OK of an open one": (*FUNDED, BET, step("round")),
        "PLAYER_NOT_FOUND": (step("round"),),
        "TRANSACTION_NOT_FOUND": (*FUNDED, step("round")),
    },
    "by reference": {
        "OK": (*FUNDED, BET, step("by reference")),
        "TRANSACTION_NOT_FOUND": (step("by reference"),),
    },
    "transaction": {
        "OK": (*FUNDED, BET, step("transaction", transaction_id=MADE_TRANSACTION)),
        "TRANSACTION_NOT_FOUND": (step("transaction"),),
    },
    "reconcile": {"OK": (*FUNDED, step("withdraw"), step("reconcile"))},
    "check": {
        "OK": (step("check"),),
        "TRANSFER_ID_REQUIRED": (step("check", transferId=None),),
    },
    "effect matrix": {"OK": (step("effect matrix"),)},
}
