"""Every call of the wallet's surface: what it is for, who may make it, what it takes and may answer."""

from typing import Any, Final, NamedTuple

from app.wallet.examples import shapes
from app.wallet.rules import SUCCESSES
from app.wallet.terms import Code

__all__ = ["CALLS", "Call", "codes_of"]

OPERATORS: Final = ("wallet",)
PLATFORMS: Final = ("play",)
EITHER: Final = ("wallet", "play")
READERS: Final = ("wallet", "play", "read")
# Whatever is asked, this may be the answer.
_ALWAYS: Final = (Code.UNAUTHENTICATED, Code.RATE_LIMITED, Code.OVERLOADED, Code.INTERNAL)
_MONEY: Final = (Code.OK, Code.PLAYER_NOT_FOUND, Code.ID_CONFLICT, Code.IN_PROGRESS, Code.CURRENCY_MISMATCH)
_TRANSFER: Final = (
    *_MONEY,
    Code.TRANSFER_ID_REQUIRED,
    Code.VOIDED,
    Code.PLAYER_BLOCKED,
    Code.LIMIT_EXCEEDED,
    Code.WRONG_WALLET_MODE,
)
_STAKE: Final = (
    *_MONEY,
    Code.INSUFFICIENT_FUNDS,
    Code.ROLLED_BACK,
    Code.ROUND_CLOSED,
    Code.PLAYER_BLOCKED,
    Code.LIMIT_EXCEEDED,
    Code.SESSION_EXPIRED,
    Code.WRONG_WALLET_MODE,
)
_WON: Final = (*_MONEY, Code.BET_NOT_FOUND, Code.ROLLED_BACK, Code.ROUND_CLOSED)
_UNDONE: Final = (
    Code.OK,
    Code.NOTHING_TO_REVERSE,
    Code.ALREADY_ROLLED_BACK,
    Code.INSUFFICIENT_FUNDS,
    Code.PLAYER_NOT_FOUND,
    Code.TRANSACTION_NOT_FOUND,
    Code.ID_CONFLICT,
    Code.IN_PROGRESS,
    Code.ALREADY_SETTLED,
    Code.PARENT_FAILED,
)


class Call(NamedTuple):
    """One call.

    Args:
        name: by which its examples are kept.
        method, path: how it is reached.
        summary: a line of what it is for.
        scopes: any token with one of these may make it.
        answer: the form of `data` where all is well.
        codes: what it may answer beside what every call may.
        body: the form of the request's body; a list: a batch of these.
        is_checked: it takes something that can be wrong.
    """

    name: str
    method: str
    path: str
    summary: str
    scopes: tuple[str, ...]
    answer: Any
    codes: tuple[Code, ...] = (Code.OK,)
    body: Any = None
    is_checked: bool = True


def codes_of(call: Call) -> tuple[Code, ...]:
    """All that a call may answer, in the order of the code table."""
    found = {*call.codes, *_ALWAYS}
    if call.is_checked:
        found.add(Code.VALIDATION)
    if call.scopes != READERS:
        found.add(Code.FORBIDDEN)
    return tuple(code for code in Code if code in found)


_TRANSFERS: Final = {"deposit": shapes.Deposit, "withdraw": shapes.Withdraw}
_PLAYS: Final = {"bet": shapes.Bet, "win": shapes.Win, "betwin": shapes.Betwin, "rollback": shapes.Rollback}
_WALLET: Final = "/v1/player/wallet"

CALLS: Final = (
    Call(
        "create",
        "post",
        "/v1/player/create",
        "Create a player with a wallet, or link to the one that is known",
        OPERATORS,
        shapes.Created,
        (Code.OK, Code.IN_PROGRESS, Code.CURRENCY_MISMATCH, Code.WRONG_WALLET_MODE),
        shapes.Create,
    ),
    Call(
        "info",
        "get",
        "/v1/player/info",
        "What a player has, by currency",
        READERS,
        shapes.Info,
        (Code.OK, Code.PLAYER_NOT_FOUND),
    ),
    Call(
        "balance",
        "get",
        f"{_WALLET}/balance",
        "What is in one wallet",
        READERS,
        shapes.Purse,
        (Code.OK, Code.PLAYER_NOT_FOUND, Code.CURRENCY_MISMATCH),
    ),
    Call(
        "deposit",
        "post",
        f"{_WALLET}/deposit",
        "Money into a wallet",
        OPERATORS,
        shapes.Money,
        _TRANSFER,
        shapes.Deposit,
    ),
    Call(
        "withdraw",
        "post",
        f"{_WALLET}/withdraw",
        "Money out of a wallet: an amount, or all there is",
        OPERATORS,
        shapes.Money,
        (*_TRANSFER, Code.INSUFFICIENT_FUNDS),
        shapes.Withdraw,
    ),
    Call(
        "transfer",
        "get",
        f"{_WALLET}/transfer/{{transfer_id}}",
        "What became of a transfer; one that is not found has not come yet",
        READERS,
        shapes.Operation,
        (Code.OK, Code.TRANSFER_NOT_FOUND),
    ),
    Call(
        "void",
        "post",
        f"{_WALLET}/transfer/{{transfer_id}}/void",
        "Promise that a transfer which has not come will never be carried out",
        OPERATORS,
        shapes.Money,
        (Code.OK, Code.TRANSFER_COMPLETED, Code.IN_PROGRESS),
    ),
    Call(
        "wallet batch",
        "post",
        f"{_WALLET}/batch",
        "Up to a thousand transfers in one call, in their order",
        OPERATORS,
        shapes.Results,
        (*_TRANSFER, Code.INSUFFICIENT_FUNDS),
        _TRANSFERS,
    ),
    Call(
        "launch",
        "post",
        "/v1/game/launch",
        "Open a game session for a player",
        EITHER,
        shapes.Launched,
        (
            Code.OK,
            Code.ZERO_BALANCE,
            Code.PLAYER_NOT_FOUND,
            Code.IN_PROGRESS,
            Code.CURRENCY_MISMATCH,
            Code.PLAYER_BLOCKED,
            Code.WRONG_WALLET_MODE,
        ),
        shapes.Launch,
    ),
    Call(
        "end",
        "post",
        "/v1/session/end",
        "End a game session",
        EITHER,
        shapes.Ended,
        (Code.OK, Code.IN_PROGRESS, Code.SESSION_EXPIRED),
        shapes.End,
    ),
    Call("bet", "post", "/v1/game/bet", "Take a stake", PLATFORMS, shapes.Money, _STAKE, shapes.Bet),
    Call("win", "post", "/v1/game/win", "Credit a win", PLATFORMS, shapes.Money, _WON, shapes.Win),
    Call(
        "betwin",
        "post",
        "/v1/game/betwin",
        "Take a stake and credit its win: both or neither",
        PLATFORMS,
        shapes.Money,
        _STAKE,
        shapes.Betwin,
    ),
    Call(
        name="rollback",
        method="post",
        path="/v1/game/rollback",
        summary="Undo an operation, whether it has come or not",
        scopes=PLATFORMS,
        answer=shapes.Money,
        codes=_UNDONE,
        body=shapes.Rollback,
    ),
    Call(
        "game batch",
        "post",
        "/v1/game/batch",
        "Up to a thousand operations of games in one call, in their order",
        PLATFORMS,
        shapes.Results,
        # The envelope of a batch is OK where its operations end well in whatever way.
        tuple(
            dict.fromkeys(
                code
                for code in (Code.OK, *_STAKE, *_WON, *_UNDONE)
                if code is Code.OK or code not in SUCCESSES
            )
        ),
        _PLAYS,
    ),
    Call(
        "list",
        "get",
        "/v1/transaction/list",
        "The history, page by page",
        READERS,
        shapes.History,
        (Code.OK, Code.PLAYER_NOT_FOUND, Code.CURRENCY_MISMATCH),
    ),
    Call(
        "round",
        "get",
        "/v1/transaction/round",
        "A round: how it stands, its sums, its operations",
        READERS,
        shapes.Round,
        (Code.OK, Code.PLAYER_NOT_FOUND, Code.TRANSACTION_NOT_FOUND),
    ),
    Call(
        "by reference",
        "get",
        "/v1/transaction/by-reference/{reference}",
        "What an id of the caller's stands for",
        READERS,
        shapes.Matches,
        (Code.OK, Code.TRANSACTION_NOT_FOUND),
    ),
    Call(
        "transaction",
        "get",
        "/v1/transaction/{transaction_id}",
        "One operation by our id",
        READERS,
        shapes.Operation,
        (Code.OK, Code.TRANSACTION_NOT_FOUND),
    ),
    Call(
        "reconcile",
        "post",
        "/v1/reconcile",
        "Hold the caller's book against ours; only the differences come back",
        READERS,
        shapes.Reconciled,
        (Code.OK,),
        shapes.Reconcile,
    ),
    Call(
        "check",
        "post",
        "/v1/wallet/check/{name}",
        "Whether a request is understood; nothing is looked up or done",
        READERS,
        shapes.Money,
        (Code.OK, Code.TRANSFER_ID_REQUIRED),
        shapes.Deposit,
    ),
    Call(
        "effect matrix",
        "get",
        "/v1/wallet/effect-matrix",
        "What each operation does, by how the operation that it is about stands",
        READERS,
        shapes.EffectMatrix,
        is_checked=False,
    ),
)
