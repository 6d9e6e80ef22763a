"""How a body on the wire becomes an ask.

Hand-written rather than a model class, because at thousands of calls a second this is the largest part of our
own work, and because each wrong field needs its own sentence. Unknown fields are ignored (wallet.md 2.12).
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import MAX_MINOR, Money, currency_exponent
from app.wallet.bodies import Decimal, wrong
from app.wallet.contract import Answer, Refused
from app.wallet.terms import (
    ID_LENGTH,
    MOST_IN_A_BATCH,
    SAME_ID,
    SWEEPERS,
    Ask,
    Barred,
    Code,
    Kind,
    Operation,
    Policy,
    Scope,
    Type,
    Wallet,
    of_same_id,
)

_OURS: Final = (SWEEPERS, SAME_ID)

__all__ = [
    "amount_of",
    "checked_ask",
    "currency_of",
    "game_ask",
    "operations_of",
    "text_of",
    "transfer_ask",
]


def text_of(body: Mapping[str, Any], name: str) -> str:
    """An id that must be there: 1-128 printable characters, not all of them blanks.

    Raises:
        Refused: VALIDATION.
    """
    found = body.get(name)
    if type(found) is str and 0 < len(found) <= ID_LENGTH and found.isprintable() and not found.isspace():
        return found
    if type(found) is str and found.isspace():
        raise wrong(name, "has nothing but blanks")
    raise wrong(
        name, "is missing" if found is None else f"must be a string of 1-{ID_LENGTH} printable characters"
    )


def _maybe_text(body: Mapping[str, Any], name: str) -> str | None:
    return None if body.get(name) is None else text_of(body, name)


def _flag(body: Mapping[str, Any], name: str) -> bool:
    found = body.get(name)
    if found is None:
        return False
    if type(found) is not bool:
        raise wrong(name, "must be true or false")
    return found


def currency_of(body: Mapping[str, Any]) -> str:
    """A currency that exists.

    Raises:
        Refused: VALIDATION.
    """
    found = text_of(body, "currency")
    try:
        currency_exponent(found)
    except Refusal as refusal:
        raise Refused(Code.VALIDATION, refusal.sentence, field="currency") from refusal
    return found


def amount_of(body: Mapping[str, Any], name: str, currency: str, policy: Policy, *, least: int) -> int:
    """An amount in minor units, exactly as meant.

    Args:
        body: the request.
        name: of the field.
        currency: says how many decimals a major unit may have.
        policy: says which unit the site writes.
        least: 1, or 0 where nothing is an amount too.

    Raises:
        Refused: VALIDATION.
    """
    found = body.get(name)
    if policy.amount_unit == "major":
        found = _from_major(found, name, currency)
    if type(found) is not int:
        raise wrong(name, "is missing" if found is None else "must be a whole number of minor units")
    if not least <= found <= MAX_MINOR:
        raise wrong(name, f"must be from {least} to {MAX_MINOR} minor units")
    return found


def _from_major(found: object, name: str, currency: str) -> int | None:
    if found is None:
        return None
    if type(found) not in {int, Decimal}:
        raise wrong(name, "must be a number")
    try:
        return Money.parse(str(found), currency).minor
    except Refusal as refusal:
        raise Refused(Code.VALIDATION, f"{name}: {refusal.sentence}", field=name) from refusal


def transfer_ask(
    kind: Type, body: Mapping[str, Any], policy: Policy, request_id: str, header_key: str | None = None
) -> Ask:
    """A deposit or withdrawal by the operator.

    Args:
        kind: which of the two.
        body: the request.
        policy: of the site.
        request_id: of the call.
        header_key: the header `Idempotency-Key`.

    Raises:
        Refused: VALIDATION or TRANSFER_ID_REQUIRED.
    """
    player = text_of(body, "playerExternalId")
    currency = currency_of(body)
    amount: int | None
    if kind is Type.WITHDRAW and _flag(body, "all"):
        if body.get("amount") is not None:
            raise wrong("amount", "cannot be given together with all")
        amount = None
    else:
        amount = amount_of(body, "amount", currency, policy, least=1)
    if body.get("transferId") is None and header_key is not None:
        body = {"transferId": header_key}
    if body.get("transferId") is None:
        if not policy.legacy_transfers:
            raise Refused(Code.TRANSFER_ID_REQUIRED, field="transferId")
        body = {"transferId": f"legacy-{ids.secret(16)}"}
    key = text_of(body, "transferId")
    content = (kind.value, player, currency, "all" if amount is None else amount)
    return Ask(
        kind,
        "operator",
        key,
        player,
        policy,
        _fingerprint(content),
        request_id,
        currency=currency,
        amount=amount,
    )


def game_ask(kind: Type, body: Mapping[str, Any], policy_of: Callable[[str], Policy], request_id: str) -> Ask:
    """A bet, win, bet with win, or rollback by a game platform.

    Raises:
        Refused: VALIDATION.
    """
    key, player = text_of(body, "transactionId"), text_of(body, "playerExternalId")
    if key.startswith(_OURS):
        raise wrong("transactionId", f"must not begin with {' or '.join(_OURS)}")
    provider = (
        text_of(body, "providerId") if kind is not Type.ROLLBACK else _maybe_text(body, "providerId") or ""
    )
    policy = policy_of(provider)
    ask = Ask(kind, "game", key, player, policy, b"", request_id, provider=provider)
    ask.session = _maybe_text(body, "sessionId")
    if kind is Type.ROLLBACK:
        ask.reference, ask.round_id = text_of(body, "referenceId"), _maybe_text(body, "roundId")
        ask.amount = 0
        if key == ask.reference:
            ask.key = of_same_id(key)
        if body.get("amount") is not None:
            ask.stated = _stated(body, policy)
    else:
        ask.is_finished = _flag(body, "isRoundFinished")
        _read_play(ask, body, policy)
    ask.within = _within(ask, policy.id_scope)
    content = (
        *(kind.value, player, ask.currency, ask.amount, ask.win, ask.round_id, ask.game),
        *(ask.reference, ask.kind.value, ask.free_round, "" if kind is Type.ROLLBACK else provider),
    )
    ask.fingerprint = _fingerprint(content)
    return ask


def _read_play(ask: Ask, body: Mapping[str, Any], policy: Policy) -> None:
    """What bets and wins have in common."""
    ask.currency = currency_of(body)
    ask.free_round = _maybe_text(body, "freeRoundId")
    if ask.type is Type.WIN:
        ask.kind = _kind(body)
        ask.amount = amount_of(body, "amount", ask.currency, policy, least=0)
        # The other kinds are about no bet, and must not settle one (rule 34).
        ask.reference = text_of(body, "referenceId") if ask.kind is Kind.WIN else None
        if ask.kind is Kind.FREE_ROUND:
            text_of(body, "freeRoundId")
    else:
        name = "amount" if ask.type is Type.BET else "betAmount"
        ask.amount = amount_of(body, name, ask.currency, policy, least=0)
        if ask.free_round and ask.amount:
            raise wrong(name, "must be 0 with a freeRoundId: a free bet moves no money")
        if not (ask.amount or ask.free_round or policy.zero_stakes):
            ask.barred = Barred(Code.VALIDATION, name, f"{name} must be from 1 to {MAX_MINOR} minor units.")
        if ask.type is Type.BETWIN:
            ask.win = amount_of(body, "winAmount", ask.currency, policy, least=0)
    is_about_a_round = ask.kind is Kind.WIN
    ask.round_id = text_of(body, "roundId") if is_about_a_round else _maybe_text(body, "roundId")
    ask.game = text_of(body, "gameCode") if is_about_a_round else _maybe_text(body, "gameCode")


def _stated(body: Mapping[str, Any], policy: Policy) -> int | None:
    """The amount that a rollback states; below nothing where it is none. None: its unit is not told."""
    if policy.amount_unit == "major" and body.get("currency") is None:
        return None
    try:
        currency = "" if policy.amount_unit == "minor" else currency_of(body)
        return amount_of(body, "amount", currency, policy, least=0)
    except Refused:
        return -1


def _kind(body: Mapping[str, Any]) -> Kind:
    found = body.get("kind")
    if found is None:
        return Kind.WIN
    if type(found) is str and found in set(Kind):
        return Kind(found)
    raise wrong("kind", f"must be one of {', '.join(Kind)}")


def _within(ask: Ask, scope: Scope) -> str:
    """Where the id is unique; what that names must be given, also by a rollback."""
    match scope:
        case Scope.SITE:
            return ""
        case Scope.PLAYER:
            return ask.player
        case Scope.PROVIDER:
            if not ask.provider:
                raise wrong("providerId", "is missing: this platform's ids are its own")
            return ask.provider
        case Scope.ROUND:
            if ask.round_id is None:
                raise wrong("roundId", "is missing: this platform's ids are unique within a round")
            # The length first, so that no two pairs of a player and a round are written alike.
            return f"{len(ask.player)}:{ask.player}{ask.round_id}"


def _fingerprint(content: tuple[object, ...]) -> bytes:
    """The written form of a tuple of texts and numbers is never that of another."""
    return hashlib.blake2b(repr(content).encode(), digest_size=16).digest()


def operations_of(
    body: Mapping[str, Any],
    kinds: Mapping[str, Type],
    asked: Callable[[Type, Mapping[str, Any]], Ask],
) -> tuple[list[Ask | Refused], bool]:
    """The operations of a batch, each read or refused in its place, and whether one refusal undoes all.

    Args:
        body: the request.
        kinds: the types it may hold.
        asked: reads one.

    Raises:
        Refused: VALIDATION of the batch as a whole.
    """
    items = body.get("operations")
    if type(items) is not list or not 0 < len(items) <= MOST_IN_A_BATCH:
        raise wrong("operations", f"must be a list of 1-{MOST_IN_A_BATCH} operations")
    all_or_none = _flag(body, "allOrNone")
    found: list[Ask | Refused] = []
    for number, item in enumerate(items):
        try:
            if type(item) is not dict:
                raise wrong("operation", "is not a JSON object")
            kind = kinds.get(item["type"]) if type(item.get("type")) is str else None
            if kind is None:
                raise wrong("type", f"must be one of {', '.join(kinds)}")
            found.append(asked(kind, item))
        except Refused as refusal:
            field = f"operations.{number}.{refusal.data.get('field', 'operation')}"
            data = {**refusal.data, "field": field, "applied": False, "final": True}
            found.append(Refused(refusal.code, str(refusal), **data))
    return found, all_or_none


def checked_ask(ask: Ask, operation_id: str, at: datetime) -> Answer:
    """What would be answered if there were neither balance nor history; nothing is looked up or done."""
    wallet = Wallet(
        wallet_id=0,
        player_id="",
        player=ask.player,
        currency=ask.currency,
        is_blocked=False,
        sequence=0,
        cash=0,
        bonus=0,
        cash_account_id=0,
        bonus_account_id=0,
        cash_version=0,
        bonus_version=0,
    )
    operation = Operation(
        operation_id=operation_id,
        key=ask.operation_key,
        type=ask.type,
        code=Code.OK,
        applied=False,
        fingerprint=ask.fingerprint,
        wallet_id=None,
        currency=wallet.currency,
        amount=ask.amount or 0,
        win=ask.win,
        cash=0,
        bonus=0,
        before=0,
        after=0,
        sequence=0,
        reference=ask.reference,
        round_id=ask.round_id,
        provider=ask.provider,
        game=ask.game,
        session=ask.session,
        detail=ask.free_round,
        request_id=ask.request_id,
        recorded_at=at,
    )
    return Answer(ask, Code.OK, wallet, operation)
