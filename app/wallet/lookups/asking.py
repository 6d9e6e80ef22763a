"""What these calls have in common: scopes, parameters, documents, and a transaction's refusals."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import asyncpg
from fastapi import Request, Response
from sqlalchemy.exc import DBAPIError

from app import players
from app.merchants import Scope, WalletMode
from app.plumbing.database import Reader, Transaction, sqlstate
from app.plumbing.pipes import Pipes
from app.wallet.access import Caller
from app.wallet.contract import MEANINGS, Refused, envelope, rendered
from app.wallet.openings import purses
from app.wallet.queries import Purse
from app.wallet.schemas import currency_of, text_of
from app.wallet.terms import Code

__all__ = [
    "OPERATORS",
    "PLATFORMS",
    "READERS",
    "check_mode",
    "described",
    "done",
    "flag",
    "instant_of",
    "number",
    "ok",
    "optional",
    "player_and_purses",
    "purse_of",
    "wrong",
]

OPERATORS: Final = frozenset({Scope.WALLET})
PLATFORMS: Final = frozenset({Scope.WALLET, Scope.PLAY})
READERS: Final = frozenset(Scope)
# lock_not_available, query_canceled: nothing was done, and it is likely to pass later.
_BUSY: Final = frozenset({"55P03", "57014"})
_FLAGS: Final = {"": False, "false": False, "0": False, "true": True, "1": True}
_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2999
_LONGEST_NUMBER: Final = 9
T = TypeVar("T")


def wrong(field: str, why: str) -> Refused:
    """A refusal that names a parameter."""
    return Refused(Code.VALIDATION, f"{field} {why}.", field=field)


def ok(data: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
    """An answer that all is well."""
    return rendered(MEANINGS[Code.OK].status, envelope(Code.OK, data), headers)


def check_mode(caller: Caller) -> None:
    """Refuse what a site in seamless mode has no use for (rule 64).

    Raises:
        Refused: WRONG_WALLET_MODE.
    """
    if caller.site.wallet_mode is not WalletMode.TRANSFER:
        raise Refused(Code.WRONG_WALLET_MODE)


async def done(pipes: Pipes, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Run a deed in a transaction, again after a deadlock.

    Raises:
        Refused: IN_PROGRESS when another operation holds what it needs for too long.
    """
    try:
        return await pipes.database.retried(work)
    except (DBAPIError, asyncpg.PostgresError) as error:
        if sqlstate(error) in _BUSY:
            raise Refused(Code.IN_PROGRESS) from error
        raise


def optional(given: Mapping[str, Any], name: str) -> str:
    """An id that need not be there; empty then.

    Raises:
        Refused: VALIDATION.
    """
    found = given.get(name)
    return "" if found is None or found == "" else text_of(given, name)


def flag(given: Mapping[str, str], name: str) -> bool:
    """True or false in a query.

    Raises:
        Refused: VALIDATION.
    """
    found = _FLAGS.get(given.get(name, ""))
    if found is None:
        raise wrong(name, "must be true or false")
    return found


def number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number in a query.

    Raises:
        Refused: VALIDATION.
    """
    text = given.get(name, "")
    if not text:
        return default
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER and least <= int(text) <= most:
        return int(text)
    raise wrong(name, f"must be a whole number from {least} to {most}")


def instant_of(given: Mapping[str, Any], name: str) -> datetime | None:
    """An instant, in ISO 8601 with its zone: without one nobody knows which is meant.

    Raises:
        Refused: VALIDATION.
    """
    text = given.get(name)
    if text is None or text == "":
        return None
    try:
        found = datetime.fromisoformat(text) if type(text) is str else None
    except ValueError:
        found = None
    if found is None or not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise wrong(name, "must be an instant such as 2026-11-21T12:00:00Z")
    if found.tzinfo is None:
        raise wrong(name, "has no zone: write 2026-11-21T12:00:00Z, or +05:00 in the place of Z")
    return found.astimezone(UTC)


async def player_and_purses(reader: Reader, site_id: int, login: str) -> tuple[str, str, dict[str, Purse]]:
    """Our id of a player, the player's status, and what is in each wallet.

    Raises:
        Refused: PLAYER_NOT_FOUND.
    """
    try:
        player, status = await players.player_of_login(reader, site_id, login)
    except players.PlayerNotFound as refusal:
        raise Refused(Code.PLAYER_NOT_FOUND, field="playerExternalId") from refusal
    return player.player_id, status, await purses(reader, site_id, player.player_id)


async def purse_of(reader: Reader, request: Request, caller: Caller) -> tuple[str, Purse]:
    """The wallet that a query names: the site's id of the player, and what is in it.

    Raises:
        Refused: VALIDATION, PLAYER_NOT_FOUND or CURRENCY_MISMATCH.
    """
    given = request.query_params
    login, currency = text_of(given, "playerExternalId"), currency_of(given)
    _, _, found = await player_and_purses(reader, caller.site_id, login)
    if currency not in found:
        raise Refused(Code.CURRENCY_MISMATCH, field="currency")
    return login, found[currency]


def described(operation_id: str, *names: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    """What the document says about a call: its name, and what it takes; `name!` must be given.

    Args:
        operation_id: its name.
        names: parameters of the query.
        body: an example of the request's body.
    """
    extra: dict[str, Any] = {
        "parameters": [
            {
                "name": name.rstrip("!"),
                "in": "query",
                "required": name.endswith("!"),
                "schema": {"type": "string"},
            }
            for name in names
        ]
    }
    if body is not None:
        content = {"application/json": {"schema": {"type": "object"}, "example": dict(body)}}
        extra["requestBody"] = {"required": True, "content": content}
    return {"operation_id": operation_id, "openapi_extra": extra}
