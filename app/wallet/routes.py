"""The wallet's money calls over HTTP: transfers, bets, wins, rollbacks, batches, voids (wallet.md 4).

Bodies are read by `schemas` and answers written by `contract`; FastAPI only finds the way here. `/check` is
the same call without its effect: for integrators who ask whether a request is understood.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match

from app.kernel import ids
from app.merchants import Scope, WalletMode
from app.plumbing.pipes import Pipes
from app.wallet import lookups
from app.wallet.access import Access, Caller, Direct
from app.wallet.bodies import read_body
from app.wallet.contract import (
    MEANINGS,
    RETRY_SECONDS,
    Answer,
    DroppedAnswer,
    Refused,
    answered,
    envelope,
    rendered,
    told,
)
from app.wallet.journal import Journal
from app.wallet.rules import SUCCESSES
from app.wallet.schemas import checked_ask, game_ask, operations_of, text_of, transfer_ask
from app.wallet.terms import ID_LENGTH, Ask, Barred, Code, Type

__all__ = ["mount"]

_log = structlog.get_logger("wallet")

_WALLET: Final = frozenset({Scope.WALLET})
_PLAY: Final = frozenset({Scope.PLAY})
_ANY: Final = frozenset(Scope)
_TRANSFERS: Final = {"deposit": Type.DEPOSIT, "withdraw": Type.WITHDRAW}
_PLAYS: Final = {"bet": Type.BET, "win": Type.WIN, "betwin": Type.BETWIN, "rollback": Type.ROLLBACK}
_BETS: Final = frozenset({Type.BET, Type.BETWIN})
# These reach the player whatever the site has changed meanwhile.
_IN_ANY_MODE: Final = frozenset({Type.WIN, Type.ROLLBACK})
_FAMILIES: Final = ("player", "game", "session", "transaction", "wallet", "reconcile")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_NO_CALL: Final = (404, "path", "There is no such call.")
_NO_METHOD: Final = (405, "method", "This call is made by another method.")
_SEAMLESS: Final = Barred(Code.WRONG_WALLET_MODE)
_NOT_LISTED: Final = Barred(Code.VALIDATION, "gameCode", "gameCode is not in this site's catalogue.")
_NAMES_NO_PLATFORM: Final = Barred(
    Code.VALIDATION,
    "providerId",
    "providerId is missing: this site's platforms differ in what a rollback does, or in units.",
)
_FAULTS: Final = ("delay", "drop-after-commit", "duplicate", "error-500", "garbage")
_DELAY_SECONDS: Final = 3  # of the fault "delay": longer than platforms wait for a bet

_Read = Callable[[Caller, Type, Mapping[str, Any], Request], Ask]


def mount(app: FastAPI, pipes: Pipes, journal: Journal) -> None:
    """Put the whole surface of the wallet on an application, the money calls before everything else.

    Args:
        app: the application; no pages are on it yet.
        pipes: the database, the clock, the public address.
        journal: where operations are posted; opened and closed by the process.
    """
    routes = APIRouter(route_class=Direct, tags=["wallet"])
    access = Access(pipes)
    for name, kind in _PLAYS.items():
        _single(routes, f"/v1/game/{name}", kind, access, journal, _game, _PLAY)
    for name, kind in _TRANSFERS.items():
        _single(routes, f"/v1/player/wallet/{name}", kind, access, journal, _transfer, _WALLET)
    _check(routes, pipes, access)
    _batch(routes, "/v1/player/wallet/batch", _TRANSFERS, access, journal, _one_of_many, _WALLET)
    _batch(routes, "/v1/game/batch", _PLAYS, access, journal, _game, _PLAY)
    _void(routes, access, journal)
    # Not included but put there: direct routes are looked for before everything else.
    app.router.routes.extend(routes.routes)
    reads = lookups.router(pipes, access)
    app.include_router(reads)
    app.include_router(_elsewhere([*routes.routes, *reads.routes]))


def _elsewhere(known: Sequence[BaseRoute]) -> APIRouter:
    """What is asked under the wallet's paths and is no call of it: behind all that is known."""
    others = APIRouter(route_class=Direct)

    async def nothing(request: Request) -> Response:
        allowed: set[str] = set()
        for route in known:
            if isinstance(route, APIRoute) and route.matches(request.scope)[0] is Match.PARTIAL:
                allowed |= route.methods or set()
        status, field, sentence = _NO_CALL
        headers = None
        if allowed:
            status, field, sentence = _NO_METHOD
            headers = {"allow": ", ".join(sorted(allowed))}
        return rendered(status, envelope(Code.VALIDATION, {"field": field, "final": True}, sentence), headers)

    for name in _FAMILIES:
        for path in (f"/v1/{name}", f"/v1/{name}/{{rest:path}}"):
            others.add_api_route(path, nothing, methods=list(_METHODS), include_in_schema=False)
    return others


def _single(
    routes: APIRouter,
    path: str,
    kind: Type,
    access: Access,
    journal: Journal,
    read: _Read,
    scopes: frozenset[Scope],
) -> None:
    @routes.post(path, name=path.rpartition("/")[2])
    async def single(request: Request) -> Response:
        caller = await access.caller(request, scopes)
        body: Mapping[str, Any] = {}
        try:
            body = read_body(await request.body())
            ask = _asked(caller, kind, read, body, request)
        except Refused as refusal:
            _log_unread(caller, body, refusal)
            raise
        fault = request.headers.get("x-sandbox-fault") if caller.site.is_test else None
        if fault is not None:
            return await _faulty(fault, journal, access, caller, ask)
        return _told(await journal.post(caller.site_id, ask), caller)


def _batch(
    routes: APIRouter,
    path: str,
    kinds: Mapping[str, Type],
    access: Access,
    journal: Journal,
    read: _Read,
    scopes: frozenset[Scope],
) -> None:
    @routes.post(path, name=path.split("/")[2] + " batch")
    async def batch(request: Request) -> Response:
        caller = await access.caller(request, scopes)

        def asked(kind: Type, item: Mapping[str, Any]) -> Ask:
            return _asked(caller, kind, read, item, request)

        try:
            body = read_body(await request.body())
            found, all_or_none = operations_of(body, kinds, asked)
        except Refused as refusal:
            _log_unread(caller, {}, refusal)
            raise _unreadable(caller, next(iter(kinds.values())), refusal) from refusal
        access.charge(caller, len(found))
        _log_those(caller, body["operations"], found)
        return await _posted(journal, caller, found, all_or_none=all_or_none)


def _void(routes: APIRouter, access: Access, journal: Journal) -> None:
    @routes.post("/v1/player/wallet/transfer/{transfer_id:path}/void", name="void")  # noqa: FAST003  a direct route
    async def void(request: Request) -> Response:
        caller = await access.caller(request, _WALLET)
        key = text_of({"transferId": request.path_params["transfer_id"]}, "transferId")
        operation, player, duplicate = await journal.void(caller.site_id, key, _request_id(request))
        code = Code.TRANSFER_COMPLETED if operation.code in SUCCESSES else Code.OK
        data = {**told(operation, player, caller.policy()), "transferId": key, "duplicate": duplicate}
        return rendered(MEANINGS[code].status, envelope(code, data))


def _check(routes: APIRouter, pipes: Pipes, access: Access) -> None:
    async def check(request: Request) -> Response:
        caller = await access.caller(request, _ANY)
        name = request.scope["path"].rpartition("/")[2]
        kind = (_TRANSFERS | _PLAYS).get(name)
        if kind is None:
            raise Refused(Code.VALIDATION, "There is no such operation.", field="name")
        read = _transfer if name in _TRANSFERS else _game
        ask = read(caller, kind, read_body(await request.body()), request)
        if ask.barred is not None:
            raise Refused(ask.barred.code, ask.barred.sentence, field=ask.barred.field)
        return _told(checked_ask(ask, ids.new("wop", at=pipes.clock.now()), pipes.clock.now()), caller)

    # Found by their names, as what they stand beside is; the pattern says it once, and catches other names.
    for name in _TRANSFERS | _PLAYS:
        routes.add_api_route(f"/v1/wallet/check/{name}", check, methods=["POST"], include_in_schema=False)
    routes.add_api_route("/v1/wallet/check/{name}", check, methods=["POST"], name="check")


async def _posted(
    journal: Journal, caller: Caller, found: list[Ask | Refused], *, all_or_none: bool
) -> Response:
    """A batch, with what could not be read answered in its place."""
    asks = [one for one in found if not isinstance(one, Refused)]
    refused = [one for one in found if isinstance(one, Refused)]
    answers: list[Answer] = []
    if not (all_or_none and refused) and asks:
        answers = await journal.run(caller.site_id, asks, all_or_none=all_or_none)
    codes = [*(one.code for one in refused), *(one.code for one in answers)]
    failed = [code for code in codes if code not in SUCCESSES]
    code = failed[0] if all_or_none and failed else Code.OK
    told_in_turn = iter(answers)
    results = []
    for number, one in enumerate(found):
        answer = None if isinstance(one, Refused) else next(told_in_turn, None)
        if isinstance(one, Refused):
            results.append(envelope(one.code, one.data, str(one)))
        elif answer is None or (code is not Code.OK and answer.code in SUCCESSES and not answer.duplicate):
            results.append(_undone(one, code))
        else:
            _log_not_stored(caller, answer)
            # Named as it is where an item cannot even be read.
            answer.field = answer.field and f"operations.{number}.{answer.field}"
            results.append(answered(answer))
    return _as_a_whole(code, results)


def _as_a_whole(code: Code, results: list[dict[str, Any]]) -> Response:
    """A batch's own answer; of which nothing was done, as that of a single operation."""
    meaning, headers = MEANINGS[code], None
    data: dict[str, Any] = {"results": results}
    if code is not Code.OK:
        data |= {"final": meaning.final}
    if not meaning.final:
        retry_after = max(one["data"].get("retryAfter", RETRY_SECONDS) for one in results)
        data |= {"retryAfter": retry_after}
        headers = {"retry-after": str(retry_after)}
    return rendered(meaning.status, envelope(code, data), headers)


def _undone(ask: Ask, code: Code) -> dict[str, object]:
    """An operation that would have been done, had another of its batch not been refused."""
    data = {"externalId": ask.key, "applied": False, "duplicate": False, "final": MEANINGS[code].final}
    return envelope(code, data, "Not done: another operation of this batch was refused.")


async def _faulty(fault: str, journal: Journal, access: Access, caller: Caller, ask: Ask) -> Response:
    """Do what was asked, and then what integrators fear; test sites only."""
    if fault not in _FAULTS:
        sentence = f"X-Sandbox-Fault must be one of {', '.join(_FAULTS)}; nothing was done."
        raise Refused(Code.VALIDATION, sentence, field="X-Sandbox-Fault")
    if fault == "delay":
        with access.holding_back():
            answer = await journal.post(caller.site_id, ask)
            await asyncio.sleep(_DELAY_SECONDS)
        return _told(answer, caller)
    answer = await journal.post(caller.site_id, ask)
    match fault:
        case "duplicate":
            answer = await journal.post(caller.site_id, ask)
        case "drop-after-commit":
            return DroppedAnswer()
        case "error-500":
            raise Refused(Code.INTERNAL)
        case _:
            return Response(b"<html>\x00 bad gateway", media_type="text/html")
    return _told(answer, caller)


def _asked(caller: Caller, kind: Type, read: _Read, body: Mapping[str, Any], request: Request) -> Ask:
    """What is asked for. Whether the site offers it now is for who knows if it was asked before (rule 7)."""
    try:
        ask = read(caller, kind, body, request)
    except Refused as refusal:
        raise _unreadable(caller, kind, refusal) from refusal
    if not _is_offered(caller, kind):
        ask.barred = _SEAMLESS
    return ask


def _is_offered(caller: Caller, kind: Type) -> bool:
    return caller.site.wallet_mode is WalletMode.TRANSFER or kind in _IN_ANY_MODE


def _unreadable(caller: Caller, kind: Type, refusal: Refused) -> Refused:
    """What is said of a request that asks for nothing: also where nothing of the kind is to be had."""
    return refusal if _is_offered(caller, kind) else Refused(Code.WRONG_WALLET_MODE)


def _transfer(caller: Caller, kind: Type, body: Mapping[str, Any], request: Request) -> Ask:
    header = request.headers.get("idempotency-key")
    return transfer_ask(kind, body, caller.policy(), _request_id(request), header)


def _one_of_many(caller: Caller, kind: Type, body: Mapping[str, Any], request: Request) -> Ask:
    """A transfer of a batch: the header's key cannot be that of each of them."""
    return transfer_ask(kind, body, caller.policy(), _request_id(request))


def _game(caller: Caller, kind: Type, body: Mapping[str, Any], request: Request) -> Ask:
    ask = game_ask(kind, body, caller.policy, _request_id(request))
    if kind is Type.ROLLBACK and caller.rollbacks_name_platform and not ask.provider:
        ask.barred = _NAMES_NO_PLATFORM
    if kind in _BETS and ask.policy.listed_games_only and (ask.provider, ask.game) not in caller.games:
        ask.barred = _NOT_LISTED
    return ask


def _request_id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


def _log_unread(caller: Caller, body: Mapping[str, Any], refusal: Refused) -> None:
    """A line for a request that asks for nothing: it stands in no history (rule 90)."""
    keys = (body.get("transactionId"), body.get("transferId"))
    _log.info(
        "wallet.refused",
        site_id=caller.site_id,
        player=_short(body.get("playerExternalId")),
        operation=next((_short(key) for key in keys if key is not None), None),
        code=refusal.code,
        field=refusal.data.get("field"),
    )


def _log_not_stored(caller: Caller, answer: Answer) -> None:
    """The same for one that was decided, and leaves no record."""
    if answer.operation is None:
        ask = answer.ask
        told = {"site_id": caller.site_id, "player": ask.player, "operation": ask.key}
        _log.info("wallet.refused", **told, code=answer.code, field=answer.field or None)


def _log_those(caller: Caller, items: Sequence[object], found: Sequence[Ask | Refused]) -> None:
    """A line for each item of a batch that asks for nothing."""
    for one, item in zip(found, items, strict=True):
        if isinstance(one, Refused):
            _log_unread(caller, item if isinstance(item, dict) else {}, one)


def _short(text: object) -> str | None:
    return text[:ID_LENGTH] if isinstance(text, str) else None


def _told(answer: Answer, caller: Caller) -> Response:
    _log_not_stored(caller, answer)
    told = answered(answer)
    meaning = MEANINGS[answer.code]
    if meaning.final:
        return rendered(meaning.status, told)
    return rendered(meaning.status, told, {"retry-after": str(told["data"]["retryAfter"])})
