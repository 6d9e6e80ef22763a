"""The web's manners, once for all rooms: refusals as problem+json, request ids, limits on what comes in.

Every answer carries a `Request-Id`, and the `X-Correlation-Id` that its caller gave; a refusal is RFC 9457
`application/problem+json` with a stable `code`; a failure of ours says nothing but its reference. The table
below is the only place where a refusal meets an HTTP status.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.kernel import ids
from app.kernel.errors import Refusal
from app.plumbing import metrics, waits
from app.plumbing.database import DatabaseDown, is_busy, sqlstate
from app.plumbing.problems import MEMBERS, NAMES, SENTENCES, TYPES, fault_of, meaning_of, problem
from app.plumbing.reading import NotReadable, body_of, parameters_of, read_json, signed_pairs

__all__ = [
    "BODY_LIMIT_BYTES",
    "BODY_SECONDS",
    "STATUS_BY_CODE",
    "UNPARSED",
    "FrameworkRefusal",
    "NotReadable",
    "RequestContext",
    "bearer_of",
    "body_of",
    "install",
    "parameters_of",
    "problem",
    "read_json",
    "signed_pairs",
    "status_of",
]

BODY_LIMIT_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 10.0  # to read one; the slowest telephone sends 64 KiB faster
# Others are counted together: whoever invents a method must not make a metric with it.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# What an answer carries unless its route says otherwise.
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
_ID_HEADERS: Final = {"request_id": b"request-id", "correlation_id": b"x-correlation-id"}
# A year, as browsers' preload lists ask; without the subdomains, which may not be ours.
_STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")
_GONE: Final = 499  # nginx' word for a caller who left; nobody hears it, log and metrics show it
UNPARSED: Final = "There was an error parsing the body"  # FastAPI's word for one that is not UTF-8
_log = structlog.get_logger("web")

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
# What the framework itself refuses, for a room whose every answer has a form of its own.
FrameworkRefusal = HTTPException

# One row a refusal: HTTP status by its code (payments.md section 3.3). A test keeps it complete.
STATUS_BY_CODE: Final[Mapping[str, int]] = {
    "account_not_found": 404,
    "account_taken": 409,
    "account_unchanged": 409,
    "amount_malformed": 422,
    "amount_too_high": 422,
    "amount_too_low": 422,
    "bad_account": 422,
    "bad_accounts": 422,
    "bad_attempts": 422,
    "bad_destination": 422,
    "bad_name": 422,
    "bad_notice": 401,
    "bad_origin": 422,
    "bad_peer_address": 422,
    "currency_mismatch": 422,
    "currency_not_offered": 422,
    "deed_not_offered": 403,
    "deposits_stopped": 503,
    "illegal_transition": 409,
    "idempotency_in_progress": 409,
    "idempotency_key_missing": 400,
    "site_not_named": 400,
    "idempotency_key_reused": 422,
    "instrument_not_found": 404,
    "insufficient_funds": 402,
    "balance_limit_reached": 422,
    "amount_out_of_range": 422,
    "malformed_id": 404,
    "method_missing": 422,
    "key_reused": 409,
    "unreadable": 400,
    "malformed_field": 400,
    "method_unavailable": 422,
    "page_not_allowed": 409,
    "payouts_stopped": 503,
    "payouts_not_accepted": 503,
    "too_many_instruments": 429,
    "too_many_open_payouts": 429,
    "withdrawals_locked": 403,
    "card_not_taken": 422,
    "card_not_taken_now": 503,
    "may_be_paid": 409,
    "too_late_to_cancel": 409,
    "cancel_not_allowed": 403,
    "withdrawal_unknown": 404,
    "withdrawal_over": 409,
    "initiation_mismatch": 422,
    "purse_unknown": 422,
    "bad_policy": 422,
    "bad_proposal": 422,
    "case_closed": 409,
    "case_not_found": 404,
    "dispute_not_found": 404,
    "dispute_not_movable": 409,
    "operator_needed": 403,
    "orders_under_way": 409,
    "resolution_impossible": 409,
    "amount_not_positive": 422,
    "deposit_not_refundable": 409,
    "refund_exceeds_captured": 409,
    "refund_under_way": 409,
    "refunds_not_offered": 422,
    "not_authentic": 401,
    "not_readable": 400,
    "not_of_this_kind": 422,
    "overloaded": 503,
    "payment_not_found": 404,
    "proposal_waits": 409,
    "player_may_not_deposit": 403,
    "player_not_found": 404,
    "site_not_found": 404,
    "house_right_needed": 403,
    "token_needed": 401,
    "token_not_found": 404,
    "token_of_another_use": 403,
    "too_many_open_deposits": 429,
    "too_many_requests": 429,
    "unknown_currency": 422,
    "hold_amount_exceeded": 409,
    "hold_expired": 409,
    "endpoint_not_active": 409,
    "endpoint_not_found": 404,
    "too_many_endpoints": 409,
    "unknown_event_type": 422,
    "webhook_not_found": 404,
    "webhook_overtaken": 409,
    "approval_closed": 409,
    "approval_expired": 409,
    "approval_not_found": 404,
    "approval_open_already": 409,
    "bad_operator": 422,
    "bad_reason": 422,
    "content_changed": 409,
    "cursor_not_found": 404,
    "login_taken": 409,
    "not_permitted": 403,
    "operator_disabled": 403,
    "operator_not_authentic": 401,
    "operator_not_found": 404,
    "own_request": 403,
    "not_another_person": 403,
    "voted_already": 409,
}
# What a bearer token would have opened: the answer names the scheme (RFC 9110 section 15.5.2).
_BY_TOKEN: Final = frozenset({"token_needed", "operator_not_authentic"})


def bearer_of(authorization: str) -> str:
    """The token of an `Authorization` header; empty where there is none, or one of another scheme.

    The scheme may be written in any case (RFC 9110, 11.1).
    """
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def status_of(refusal: type[Refusal]) -> int:
    """The HTTP status of a refusal.

    Raises:
        KeyError: the refusal is missing in the table above.
    """
    return STATUS_BY_CODE[refusal.code]


def install(
    app: FastAPI, *, over_tls: bool = False, body_limits: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Give an application its manners: the handlers of refusals and failures, and the request context.

    Args:
        app: the application, before it serves.
        over_tls: browsers reach it by https, and are told to never try anything else.
        body_limits: paths whose bodies may be larger than `BODY_LIMIT_BYTES`, and how large, in bytes.
    """
    app.add_middleware(RequestContext, over_tls=over_tls, body_limits=body_limits)
    app.add_exception_handler(DatabaseDown, _database_down)
    app.add_exception_handler(DBAPIError, _database_refused)
    app.add_exception_handler(asyncpg.PostgresError, _database_refused)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> JSONResponse:
        status = STATUS_BY_CODE.get(refusal.code, 400)
        more = {name: value for name, value in refusal.fields.items() if name not in MEMBERS}
        more["param"] = refusal.param
        answer = problem(status, refusal.code, refusal.sentence, more, scope=request.scope)
        if refusal.code in _BY_TOKEN:
            answer.headers["www-authenticate"] = "Bearer"
        if "retry_after_seconds" in refusal.fields:
            answer.headers["retry-after"] = str(refusal.fields["retry_after_seconds"])
        return answer

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        param, detail = fault_of(error.errors()[0])
        return problem(400, "malformed_field", detail, {"param": param}, scope=request.scope)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code, detail = NAMES.get(error.status_code, "refused"), str(error.detail)
        facts = {}
        if code in {"not_found", "method_not_allowed"}:
            detail = SENTENCES[code]
        elif detail == UNPARSED:
            code, detail, facts = "malformed_field", "The body cannot be read.", {"param": "body"}
        answer = problem(error.status_code, code, detail, facts, scope=request.scope)
        answer.headers.update(error.headers or {})  # of 405: the methods there are
        return answer

    @app.get(f"{TYPES}{{code}}", include_in_schema=False)
    async def meaning(code: str) -> PlainTextResponse:
        """Tell what the code of a problem means; its `type` leads here."""
        found = meaning_of(code, STATUS_BY_CODE)
        if found is None:
            raise HTTPException(404)
        return PlainTextResponse(found)


async def _database_down(request: Request, error: Exception) -> JSONResponse:
    _log.error("database.down", reason=repr(error.__cause__))
    return _overloaded(request)


async def _database_refused(request: Request, error: Exception) -> JSONResponse:
    """What took too long, or others were in the way of each time, is its load; anything else our mistake."""
    if not is_busy(error):
        raise error
    _log.warning("database.busy", sqlstate=sqlstate(error))
    return _overloaded(request)


def _overloaded(request: Request) -> JSONResponse:
    # Not "nothing was done": of a deed with several transactions the first ones may be. Its key knows them.
    answer = problem(503, "overloaded", SENTENCES["overloaded"], scope=request.scope)
    answer.headers["retry-after"] = "2"
    return answer


class _Body:
    """How one request's body is read: bounded in bytes and in time."""

    def __init__(self, scope: Mapping[str, Any], receive: _Receive, limit: int) -> None:
        self.is_abandoned = False  # the caller left before it was complete
        self._limit = limit
        self._declared = _declared_length(scope)
        self._receive = receive
        self._received = 0
        self._is_complete = False
        self._ends_at: float | None = None

    async def receive(self) -> MutableMapping[str, Any]:
        """The next ASGI message; behind the body, which is not timed, only that the caller left."""
        if self._is_complete:
            return await self._receive()
        self._ends_at = self._ends_at or asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._ends_at):
                message = await self._receive()
        except TimeoutError:
            sentence = f"The request body did not arrive within {BODY_SECONDS:g} seconds."
            raise HTTPException(408, sentence) from None
        self.is_abandoned = message["type"] == "http.disconnect"
        self._is_complete = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if max(self._received, self._declared) > self._limit:
            raise HTTPException(413, f"The request body is larger than {self._limit} bytes.")
        return message


class RequestContext:
    """Gives each request an id, binds it to the log, measures, and adds the headers every answer has.

    A body over the limit is refused when somebody reads it: at once where its length is declared. So is one
    that takes too long. A caller who leaves before the body is complete is no failure of ours.
    What no handler caught ends here: the log has it with the request's id, the caller hears only that id.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        *,
        over_tls: bool = False,
        body_limits: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Wrap an ASGI application."""
        self._app = app
        self._limits = body_limits
        self._headers = (*_HEADERS, _STRICT_TRANSPORT) if over_tls else _HEADERS

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: _Receive,
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{ids.secret(16)}"
        its = {"request_id": request_id, **_correlation(scope)}
        scope.update(its)
        told_ids = [(_ID_HEADERS[name], value.encode()) for name, value in its.items()]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**its)
        began = time.perf_counter()
        status = 0  # nothing was answered: the caller went away
        body = _Body(scope, receive, self._limits.get(scope["path"], BODY_LIMIT_BYTES))

        async def answered(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                present = {name.lower() for name, _ in headers}
                ours = [header for header in self._headers if header[0] not in present]
                message["headers"] = [*headers, *ours, *told_ids]
            await send(message)

        waited = waits.counted()
        try:
            await self._app(scope, body.receive, answered)
        except Exception as error:
            body.is_abandoned |= isinstance(error, ClientDisconnect)
            if not body.is_abandoned:
                _log.exception("request.failed")
                if status:
                    raise  # half an answer is out: only the connection can still say that it failed
                told = problem(500, "internal", SENTENCES["internal"], scope=scope)
                await told(scope, receive, answered)
        finally:
            if body.is_abandoned:
                status = _GONE
            seconds = time.perf_counter() - began
            method = scope["method"] if scope["method"] in _METHODS else "other"
            # The route's pattern, not the path: paths hold tokens and would make a metric each.
            route = getattr(scope.get("route"), "path", "none")
            metrics.request_answered(method, route, status, seconds, waited_seconds=waited[0])
            # What comes thousands of times a second and went well is counted, not told.
            tell = _log.debug if scope.get("counted_only") else _log.info
            tell("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _correlation(scope: Mapping[str, Any]) -> dict[str, str]:
    for name, value in scope["headers"]:
        if name == b"x-correlation-id":
            text = value.decode("latin-1")[:64]
            fit = "".join(mark for mark in text if (mark.isascii() and mark.isalnum()) or mark in "-_.")
            return {"correlation_id": fit} if fit else {}
    return {}


def _declared_length(scope: Mapping[str, Any]) -> int:
    found = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(found) if found.isdigit() else 0  # the bytes themselves are counted too
