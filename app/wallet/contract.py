"""What an answer says on the wire: for each code its HTTP status, whether it is final, and its sentence.

The codes, statuses and names are the published contract (wallet.md 4); a caller never parses a sentence.
Amounts are integers of minor units, or exact decimals where the site has chosen major units.
"""

import functools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import pydantic_core
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.kernel.money import Money
from app.wallet.model import BETS, EFFECTS
from app.wallet.terms import SAME_ID, Ask, Code, Operation, Policy, Type, Wallet, Why

__all__ = [
    "MEANINGS",
    "RETRY_SECONDS",
    "Answer",
    "DroppedAnswer",
    "Meaning",
    "Refused",
    "answered",
    "effect_matrix",
    "envelope",
    "instant",
    "rendered",
    "told",
    "units",
]

# Stands around an amount in major units until the whole answer is written, then goes with its quotes. Drawn
# anew by each process, so that no caller's text can contain it.
_EXACT: Final = secrets.token_hex(16)
_DONE: Final = frozenset({Code.OK, Code.NOTHING_TO_REVERSE, Code.ALREADY_ROLLED_BACK})


# Seconds, where nothing says how long it will take; and of a round, whose end nobody knows.
RETRY_SECONDS: Final = 1
_ROUND_SECONDS: Final = 5
# By the limit, or whatever else is in the way, and by the field that is wrong.
_SENTENCES: Final[Mapping[str, str]] = {
    Why.MAX_BET: "The bet is larger than this site allows (limit max_bet).",
    Why.MAX_TRANSFER: "The amount is larger than this site allows for one transfer (limit max_transfer).",
    Why.MAX_BALANCE: "The player would have more than this site allows (limit max_balance).",
    Why.FLOAT: "What the operator has prepaid does not cover the deposit (limit prepaid_float).",
    Why.LARGEST: "The amount, or all that the player would have, is too large (limit largest_amount).",
    Why.SPINS: "No free round of this campaign is left, or its time is over (limit spins).",
    Why.ROUND_OPEN: "A round of this player is open, and money leaves when it has ended: ask again.",
    "gameCode": "gameCode is not the game that the session was launched with.",
    "amount": "amount is not that of the operation that referenceId names.",
    "roundId": "roundId is not the round of the bet that referenceId names.",
    "providerId": "providerId is not the platform of the bet that referenceId names.",
    "freeRoundId": "freeRoundId names nothing that this player was granted for this platform and game.",
}


class Meaning(NamedTuple):
    """How one code is answered: HTTP status, what people read, and whether asking again changes nothing."""

    status: int
    sentence: str
    final: bool = True


MEANINGS: Final[Mapping[Code, Meaning]] = {
    Code.OK: Meaning(200, "Done."),
    Code.NOTHING_TO_REVERSE: Meaning(
        200, "There is no such operation; should it still come, it will move no money."
    ),
    Code.ALREADY_ROLLED_BACK: Meaning(200, "Another rollback of this operation was first."),
    Code.VALIDATION: Meaning(400, "The request is not valid."),
    Code.TRANSFER_ID_REQUIRED: Meaning(
        400, "Give a transferId (or the header Idempotency-Key), so that a retry is safe."
    ),
    Code.UNAUTHENTICATED: Meaning(
        401,
        'The token is missing, unknown or revoked. Send the header "Authorization: Bearer TOKEN"; the '
        "operator of the cashier makes tokens: `cashier token create SITE wallet` (or `play`, or `read`).",
    ),
    Code.FORBIDDEN: Meaning(403, "This token may not do this."),
    Code.INSUFFICIENT_FUNDS: Meaning(402, "There is not enough money."),
    Code.ZERO_BALANCE: Meaning(402, "The player has no money, no open round and no free rounds."),
    Code.PLAYER_NOT_FOUND: Meaning(404, "There is no such player; create the player first."),
    Code.TRANSACTION_NOT_FOUND: Meaning(404, "There is no such operation."),
    Code.TRANSFER_NOT_FOUND: Meaning(404, "This transferId has not come yet."),
    Code.BET_NOT_FOUND: Meaning(404, "There is no accepted bet with this referenceId; nothing was credited."),
    Code.ID_CONFLICT: Meaning(409, "This id was used before for something else; nothing was written."),
    Code.IN_PROGRESS: Meaning(
        409, "Another operation is still running; ask again with the same id.", final=False
    ),
    Code.ROLLED_BACK: Meaning(409, "The bet was rolled back; no money moved."),
    Code.ALREADY_SETTLED: Meaning(409, "The operation is settled and cannot be rolled back."),
    Code.ROUND_CLOSED: Meaning(409, "The round is closed."),
    Code.PARENT_FAILED: Meaning(409, "The operation had been refused; there is nothing to roll back."),
    Code.VOIDED: Meaning(409, "This transferId was voided before it came."),
    Code.TRANSFER_COMPLETED: Meaning(409, "The transfer is completed and cannot be voided."),
    Code.CURRENCY_MISMATCH: Meaning(422, "The currency is not that of the player's wallet or of the bet."),
    Code.PLAYER_BLOCKED: Meaning(422, "The player is blocked."),
    Code.LIMIT_EXCEEDED: Meaning(422, "A limit of the site would be exceeded."),
    Code.SESSION_EXPIRED: Meaning(422, "The session is missing, has ended, or is not this player's."),
    Code.WRONG_WALLET_MODE: Meaning(422, "This site keeps its players' balances itself (seamless mode)."),
    Code.RATE_LIMITED: Meaning(429, "Too many requests; nothing was executed.", final=False),
    Code.OVERLOADED: Meaning(503, "Too much is waiting; nothing was executed.", final=False),
    Code.INTERNAL: Meaning(
        500, "Something went wrong on our side; the outcome is unknown: ask by id.", final=False
    ),
}


class DroppedAnswer(Response):
    """No answer: the connection ends in the middle of one (a fault that integrators ask for)."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise more than comes; the server then closes the connection."""
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def effect_matrix() -> dict[str, Any]:
    """The effect matrix as data: what is asked about operation B, by how B stands."""
    return {
        "rows": {
            asked.value: {standing.value: effect.value for standing, effect in row.items()}
            for asked, row in EFFECTS.items()
        }
    }


class Refused(Exception):
    """An answer of the wallet's own code table; `data` is what the envelope carries beside it."""

    def __init__(self, code: Code, sentence: str = "", **data: object) -> None:
        """Refuse with a code, and a sentence where the code's own says too little."""
        super().__init__(sentence or MEANINGS[code].sentence)
        self.code = code
        self.data = data


@dataclass(slots=True)
class Answer:
    """What is said about one ask.

    Args:
        operation: as it was decided, now or the first time; None when nothing was stored.
        code: of `operation`, or why there is none.
        wallet: as it stands now.
        duplicate: told before.
        field: of the request, what is wrong.
        why: of a refusal that is not stored, what its code does not say.
        refusal: of a batch that was undone, the refusal that would have been stored.
        balance: the wallet's then, minor units, as it was before the batch and is again.
    """

    ask: Ask
    code: Code
    wallet: Wallet | None = None
    operation: Operation | None = None
    duplicate: bool = False
    field: str = ""
    why: Why | None = None
    refusal: Operation | None = None
    balance: int | None = None


@functools.lru_cache(maxsize=256)
def instant(at: datetime) -> str:
    """UTC with milliseconds; written once for all operations of a batch."""
    return f"{at.isoformat(timespec='milliseconds')[:23]}Z"


def envelope(code: Code, data: Mapping[str, object], sentence: str = "") -> dict[str, Any]:
    """The one form of every answer."""
    meaning = MEANINGS[code]
    return {
        "success": meaning.status == 200,  # noqa: PLR2004  the one HTTP status of success
        "code": str(code),
        "message": sentence or meaning.sentence,
        "data": data,
    }


def answered(answer: Answer) -> dict[str, Any]:
    """The envelope of one money answer."""
    if answer.operation is None:
        return envelope(answer.code, _not_stored(answer), _why_not_stored(answer))
    data = told(answer.operation, answer.ask.player, answer.ask.policy, answer)
    return envelope(answer.code, data, "" if answer.code in _DONE else _why(answer.operation))


def told(
    operation: Operation, player: str, policy: Policy, answer: Answer | None = None
) -> dict[str, object]:
    """An operation as data: of an answer (with the wallet now), or of history.

    Args:
        operation: as it was decided.
        player: the site's own id of its player.
        policy: says which unit the site reads.
        answer: what it is told for, if it is an answer.
    """
    unit = units(policy, operation.currency)
    data: dict[str, object] = {
        "transactionId": operation.operation_id,
        "externalId": operation.key.key,
        "type": str(operation.type),
        "playerExternalId": player,
        "currency": operation.currency,
        "amount": unit(operation.amount),
        "balanceBefore": unit(operation.before),
        "balanceAfter": unit(operation.after),
        "cashPart": unit(operation.cash),
        "bonusPart": unit(operation.bonus),
        "sequence": operation.sequence,
        "applied": operation.applied,
        "status": _status(operation),
        "recordedAt": instant(operation.recorded_at),
    }
    _named(data, operation, unit)
    if (limit := _limit_of(operation)) is not None:
        data["limit"] = limit
    if answer is not None and answer.wallet is not None:
        data["balance"] = unit(answer.wallet.balance)
        data["cash"] = unit(answer.wallet.cash)
        data["bonus"] = unit(answer.wallet.bonus)
        if answer.wallet.debt:
            data["debt"] = unit(answer.wallet.debt)
    if answer is not None:
        if operation.applied and answer.ask.stated not in {None, operation.amount}:
            data["warning"] = "The amount that was sent is ignored: the operation's own was given back."
        data["duplicate"] = answer.duplicate
        data["final"] = MEANINGS[answer.code].final
    return data


def _named(data: dict[str, object], operation: Operation, unit: Callable[[int], object]) -> None:
    """The further names that each kind of operation has."""
    match operation.type:
        case Type.DEPOSIT:
            data["transferId"] = operation.key.key
            data["depositAmount"] = data["amount"]
        case Type.WITHDRAW:
            data["transferId"] = operation.key.key
            data["withdrawAmount"] = data["amount"]
        case Type.BETWIN:
            data["betAmount"] = data["amount"]
            data["winAmount"] = unit(operation.win)
        case Type.REVERSE_WIN if operation.applied:
            data["debtPart"] = unit(operation.amount - operation.cash - operation.bonus)
        case _:
            pass
    if operation.round_id is not None:
        data["roundId"] = operation.round_id
    if operation.reference is not None:
        data["referenceId"] = operation.reference
        if operation.key.key.startswith(SAME_ID):
            data["externalId"] = operation.reference
    if operation.is_reversed:
        data["reversed"] = True


def _status(operation: Operation) -> str:
    if operation.code is Code.VOIDED:
        return "voided"
    return "completed" if operation.code in _DONE else "refused"


def _not_stored(answer: Answer) -> dict[str, object]:
    ask = answer.ask
    key = ask.reference if ask.key.startswith(SAME_ID) else ask.key
    data: dict[str, object] = {"externalId": key, "duplicate": False, "applied": False}
    data["final"] = MEANINGS[answer.code].final
    if not data["final"]:
        data["retryAfter"] = _ROUND_SECONDS if answer.why is Why.ROUND_OPEN else RETRY_SECONDS
    if answer.field:
        data["field"] = answer.field
    limit = answer.why if answer.refusal is None else _limit_of(answer.refusal)
    if answer.code is Code.LIMIT_EXCEEDED and limit is not None:
        data["limit"] = limit
    if answer.wallet is not None:
        data["balance"] = units(answer.ask.policy, answer.wallet.currency)(answer.wallet.balance)
    elif answer.refusal is not None and answer.balance is not None:
        data["balance"] = units(answer.ask.policy, answer.refusal.currency)(answer.balance)
    return data


def _limit_of(operation: Operation) -> str | None:
    """Which limit an operation would have exceeded."""
    if operation.code is not Code.LIMIT_EXCEEDED:
        return None
    # Of a free round its campaign is kept; it stakes nothing, so nothing else can have been too much.
    is_spin = operation.type in BETS and not operation.amount
    return Why.SPINS if is_spin else operation.detail


def _why(refusal: Operation) -> str:
    """The sentence of a refusal that was decided; empty: its code says it."""
    match refusal.code:
        case Code.INSUFFICIENT_FUNDS:
            # In words too: the first thing that people look for.
            return f"There is not enough money: the balance was {Money(refusal.before, refusal.currency)}."
        case Code.LIMIT_EXCEEDED:
            return _SENTENCES.get(_limit_of(refusal) or "", "")
        case _:
            return ""


def _why_not_stored(answer: Answer) -> str:
    """The sentence of a refusal that leaves no record; empty: its code says it."""
    barred = answer.ask.barred
    if barred is not None and barred.code is answer.code:
        return barred.sentence
    if answer.refusal is not None:
        return _why(answer.refusal) + _else_left(answer.refusal, answer.balance)
    return _SENTENCES.get(answer.why or answer.field.rpartition(".")[2], "")


def _else_left(refusal: Operation, balance: int | None) -> str:
    """What the batch would have left at its place is not what is there."""
    if refusal.code is not Code.INSUFFICIENT_FUNDS or balance in {None, refusal.before}:
        return ""
    return (
        f" So it would have been at this place of the batch; it is {Money(balance or 0, refusal.currency)}."
    )


def units(policy: Policy, currency: str) -> Callable[[int], object]:
    """How a site reads amounts: as they are, or as decimals of the major unit."""
    if policy.amount_unit == "minor" or not currency:
        return _same
    return lambda minor: f"{_EXACT}{Money(minor, currency).text()}{_EXACT}"


def _same(minor: int) -> object:
    return minor


def rendered(
    status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    """An answer as bytes; amounts in major units become exact numbers."""
    body = pydantic_core.to_json(content)
    if _EXACT.encode() in body:
        body = body.replace(f'"{_EXACT}'.encode(), b"").replace(f'{_EXACT}"'.encode(), b"")
    return Response(body, status, dict(headers or {}), media_type="application/json")
