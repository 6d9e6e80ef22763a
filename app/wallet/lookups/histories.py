"""What was recorded: histories page by page, one operation by their id or ours, rounds, transfers."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from app import players
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes
from app.wallet.access import Access, Caller
from app.wallet.audit import (
    Page,
    Place,
    Wanted,
    history_of_player,
    history_of_site,
    operations_by_their_id,
)
from app.wallet.contract import Refused, effect_matrix, instant, told, units
from app.wallet.lookups.asking import (
    READERS,
    described,
    flag,
    instant_of,
    number,
    ok,
    optional,
    player_and_purses,
    wrong,
)
from app.wallet.queries import SOURCES, operation_by_id, operation_by_key
from app.wallet.rounds import operations_of_round, rounds_named
from app.wallet.schemas import currency_of, text_of
from app.wallet.terms import ID_LENGTH, Code, Operation, OperationKey, Round, RoundState, Type

__all__ = ["mount"]

_MOST_ROWS: Final = 1000
_FARTHEST: Final = 10_000  # of an offset: who wants more takes the cursor
_STATUSES: Final = ("completed", "refused", "voided")
# In the place of a player's id in the cursor of a site's history.
_SITE: Final = "site"
_START: Final = Place(0, 0, "")
_FILTERS: Final = (
    *("playerExternalId", "currency", "roundId", "type", "status", "source", "sessionId", "transferId"),
    *("externalId", "providerId", "startTime", "endTime", "includeRefused", "limit", "cursor", "offset"),
)
_OF_A_ROUND: Final = ("playerExternalId!", "providerId!", "roundId!", "currency")


def mount(routes: APIRouter, pipes: Pipes, access: Access) -> None:
    """Add these calls; the one that takes any word in its path stands last."""

    @routes.get("/v1/transaction/list", **described("wallet_transactions", *_FILTERS))
    async def listed(request: Request) -> Response:
        """A page of the history: of a player by the wallet's sequence, else of the whole site."""
        caller = await access.caller(request, READERS)
        wanted = _wanted(request.query_params)
        async with pipes.database.reading() as reader:
            return ok(await _listed(reader, caller, request.query_params, wanted, pipes))

    @routes.get("/v1/transaction/round", **described("wallet_round", *_OF_A_ROUND))
    async def one_round(request: Request) -> Response:
        """A round: how it stands, its sums, and its operations."""
        caller = await access.caller(request, READERS)
        async with pipes.database.reading() as reader:
            return ok(await _round(reader, caller, request.query_params))

    @routes.get(
        "/v1/transaction/by-reference/{reference:path}", **described("wallet_transaction_by_reference")
    )
    async def by_reference(request: Request, reference: str) -> Response:
        """What their id stands for: the newest operation, and all of them in `matches`, rollbacks too."""
        caller = await access.caller(request, READERS)
        key = text_of({"reference": reference}, "reference")
        async with pipes.database.reading() as reader:
            rows = await _rows(reader, caller, await operations_by_their_id(reader, caller.site_id, key))
        if not rows:
            raise Refused(Code.TRANSACTION_NOT_FOUND)
        return ok({**rows[0], "matches": rows})

    @routes.get("/v1/player/wallet/transfer/{transfer_id:path}", **described("wallet_transfer"))
    async def transfer(request: Request, transfer_id: str) -> Response:
        """What became of a transfer: completed, refused or voided. One that is not found has not come yet."""
        caller = await access.caller(request, READERS)
        key = OperationKey("operator", "", text_of({"transferId": transfer_id}, "transferId"))
        async with pipes.database.reading() as reader:
            found = await operation_by_key(reader, caller.site_id, key)
            rows = await _rows(reader, caller, [found] if found else [])
        if not rows:
            raise Refused(Code.TRANSFER_NOT_FOUND)
        return ok({**rows[0], "transferId": key.key})

    @routes.get("/v1/wallet/effect-matrix", **described("wallet_effect_matrix"))
    async def matrix(request: Request) -> Response:
        """What each operation does, by how the operation that it is about stands."""
        await access.caller(request, READERS)
        return ok(effect_matrix())

    @routes.get("/v1/transaction/{transaction_id}", **described("wallet_transaction"))
    async def by_id(request: Request, transaction_id: str) -> Response:
        """One operation by our id."""
        caller = await access.caller(request, READERS)
        async with pipes.database.reading() as reader:
            found = await operation_by_id(reader, caller.site_id, text_of({"id": transaction_id}, "id"))
            rows = await _rows(reader, caller, [found] if found else [])
        if not rows:
            raise Refused(Code.TRANSACTION_NOT_FOUND)
        return ok(rows[0])


def _wanted(given: Mapping[str, str]) -> Wanted:
    """The filters of a query, each checked: one that is not known would be one that is not heeded."""
    for name in given:
        if name not in _FILTERS:
            raise wrong(name[:ID_LENGTH], "is no parameter of this call")
    since, until = instant_of(given, "startTime"), instant_of(given, "endTime")
    if since is not None and until is not None and until < since:
        raise wrong("endTime", "is before startTime")
    return Wanted(
        key=optional(given, "transferId") or optional(given, "externalId"),
        currency=currency_of(given) if given.get("currency") else "",
        round_id=optional(given, "roundId"),
        type=_one_of(given, "type", list(Type)),
        status=_one_of(given, "status", _STATUSES),
        source=_one_of(given, "source", SOURCES) or ("operator" if given.get("transferId") else ""),
        session=optional(given, "sessionId"),
        provider=optional(given, "providerId"),
        since=since,
        until=until,
        include_refused=flag(given, "includeRefused"),
        limit=number(given, "limit", 100, 1, _MOST_ROWS),
        offset=number(given, "offset", 0, 0, _FARTHEST),
    )


def _one_of(given: Mapping[str, str], name: str, allowed: Iterable[str]) -> str:
    found = given.get(name, "")
    if found and found not in set(allowed):
        raise wrong(name, f"must be one of {', '.join(allowed)}")
    return found


async def _listed(
    reader: Reader, caller: Caller, given: Mapping[str, str], wanted: Wanted, pipes: Pipes
) -> dict[str, object]:
    now, site_id = pipes.clock.now(), caller.site_id
    login = optional(given, "playerExternalId")
    player_id = ""
    if login:
        player_id, _, found = await player_and_purses(reader, site_id, login)
        if wanted.currency and wanted.currency not in found:
            raise Refused(Code.CURRENCY_MISMATCH, field="currency")
        chosen = [one for one in found.values() if one.is_open and wanted.currency in {"", one.currency}]
        places = _read_cursor(given, player_id)
        page = await history_of_player(reader, site_id, chosen, places, wanted, now=now)
    else:
        places = _read_cursor(given, _SITE)
        page = await history_of_site(reader, site_id, places.get(0, _START), wanted, now=now)
    cursor = _cursor(page, player_id or _SITE)
    return {
        "transactions": await _rows(reader, caller, page.operations),
        "nextCursor": None if page.is_last else cursor,
        "resumeCursor": cursor,
        "completeUpTo": instant(page.complete_up_to),
        "limit": wanted.limit,
        "offset": wanted.offset,
        "count": len(page.operations),
    }


def _cursor(page: Page, whose: str) -> str:
    """Where the reader stands, in a form that nobody has a reason to look into."""
    text = json.dumps([whose, {str(wallet): place for wallet, place in page.places.items()}])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(given: Mapping[str, str], whose: str) -> dict[int, Place]:
    text = given.get("cursor", "")
    if not text:
        return {}
    try:
        read: Any = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        owner, places = read
        found = {int(wallet): Place(*place) for wallet, place in places.items()}
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise wrong("cursor", "is none of ours") from error
    if owner != whose or not all(_is_place(place) for place in found.values()):
        raise wrong("cursor", "belongs to another history")
    return found


def _is_place(place: Place) -> bool:
    numbers = (place.sequence, place.recorded_in)
    in_range = all(type(number) is int and -1 <= number < 1 << 63 for number in numbers)
    text = place.operation_id
    return in_range and type(text) is str and len(text) <= ID_LENGTH and text.isascii() and text.isprintable()


async def _rows(reader: Reader, caller: Caller, found: list[Operation]) -> list[dict[str, object]]:
    """Operations as data, with whose they are and all that is known about them."""
    names = await players.logins(reader, caller.site_id, {one.player_id for one in found})
    return [_told(one, names.get(one.player_id, ""), caller) for one in found]


def _told(operation: Operation, login: str, caller: Caller) -> dict[str, object]:
    further = {
        "source": operation.key.source,
        "providerId": operation.provider or None,
        "gameCode": operation.game,
        "sessionId": operation.session,
        "detail": operation.detail,
        "requestId": operation.request_id,
        "code": operation.code,
    }
    return {
        **told(operation, login, caller.policy()),
        **{name: value for name, value in further.items() if value is not None},
    }


async def _round(reader: Reader, caller: Caller, given: Mapping[str, str]) -> dict[str, object]:
    login, round_id = text_of(given, "playerExternalId"), text_of(given, "roundId")
    provider = text_of(given, "providerId")
    currency = currency_of(given) if given.get("currency") else ""
    _, _, purses = await player_and_purses(reader, caller.site_id, login)
    wallets = [purse.wallet_id for purse in purses.values() if currency in {"", purse.currency}]
    # One name may stand for a round in each of the player's currencies: the newest is meant.
    found = next(iter(await rounds_named(reader, caller.site_id, wallets, provider, round_id)), None)
    if found is None:
        raise Refused(Code.TRANSACTION_NOT_FOUND, "There is no such round.", field="roundId")
    rows = await _rows(reader, caller, await operations_of_round(reader, caller.site_id, found))
    return {"playerExternalId": login, **_sums(found, caller), "operations": rows}


def _sums(found: Round, caller: Caller) -> dict[str, object]:
    """How a round stands; `net` is what the player has won by it, below zero: lost."""
    policy = caller.policy(found.key.provider)
    unit = units(caller.policy(), found.currency)
    stuck_at = found.changed_at + timedelta(hours=policy.stuck_after_hours)
    is_open = found.state is RoundState.OPEN
    return {
        "roundId": found.key.round_id,
        "providerId": found.key.provider,
        "gameCode": found.game,
        "currency": found.currency,
        "state": found.state,
        "isFree": found.is_free,
        "bet": unit(found.bet),
        "win": unit(found.win),
        "reversed": unit(found.reversed),
        "net": unit(found.win + found.reversed - found.bet),
        "openedAt": instant(found.opened_at),
        "changedAt": instant(found.changed_at),
        # What becomes of it, and when, if its platform never ends it.
        "stuckAt": instant(stuck_at) if is_open else None,
        "stuckAction": policy.stuck_action if is_open else None,
    }
