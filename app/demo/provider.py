"""The sandbox provider: stands for a real payment provider, with an API, pages for people, and notices.

All amounts are whole numbers of minor units (`amount_minor`) beside an ISO 4217 `currency`. Every request of
a merchant carries `X-Sandbox-Account` and `X-Sandbox-Signature`: HMAC-SHA256 (hexadecimal) with the secret
of the account over the raw body, or over the path and query if there is no body (GET, cancel). Notices are
signed the same way. What it can be told to do is in `provider_scripts`; docs/sandbox.md describes it.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ValidationError

from app.demo import wire
from app.demo.provider_asked import (
    ACCOUNT_FIELDS,
    Asked,
    CardAsked,
    DepositAsked,
    PayoutAsked,
    RefundAsked,
)
from app.demo.provider_cards import Instrument, is_token, kept_account, kept_card
from app.demo.provider_desk import CONTENT_SECURITY_POLICY, PAGE_ROUTES, PAGES, instrument_of, the_desk
from app.demo.provider_orders import (
    ACCOUNT_HEADER,
    SIGNATURE_HEADER,
    Desk,
    Order,
    ProviderSettings,
    signature_of,
)
from app.demo.provider_scripts import Kind, Script, Status, chosen_by
from app.kernel.errors import Refusal
from app.kernel.masking import CardNumber, mask_text
from app.kernel.money import Money, currency_exponent
from app.plumbing.direct import Application, Direct, Handle
from app.plumbing.http import HttpClient

__all__ = ["ProviderSettings", "create_app"]

HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SILENT_SCRIPTS: Final = frozenset(
    {Script.NEVER_ANSWER, Script.TIME_OUT_THEN_SUCCEED, Script.TIME_OUT_THEN_DECLINE}
)
ENDED: Final = frozenset({Status.APPROVED, Status.DECLINED})
# An unknown account costs the same work as a known one with a wrong signature.
NOBODYS_SECRET: Final = "nobody"  # noqa: S105  no account has it; an unknown one costs the same
Body = TypeVar("Body", bound=BaseModel)


class BadSignature(Exception):
    """The account is unknown or the signature does not fit: the caller is not told which."""


class Malformed(Exception):
    """The request cannot be carried out as it is; its field and why. It never repeats what was sent."""

    def __init__(self, field: str, why: str) -> None:
        """Say which field, and what is wrong with it."""
        super().__init__(why)
        self.field, self.why = mask_text(field)[:64], mask_text(why)[:255]


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose signature fits: who sent it, and its body."""

    account: str
    body: bytes


def create_app(settings: ProviderSettings) -> FastAPI:
    """Build the provider. Nothing is opened before the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with HttpClient(clock=settings.clock, allowed_private_peers=settings.notice_peers) as http:
            desk = Desk(settings, http)
            app.state.desk = desk
            yield
            await desk.close()

    async def refuse(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"error": "bad_signature"}, status_code=401)

    async def explain(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Malformed)
        # The code says that this is final: no order was opened under this reference.
        answer = {"error": "malformed", "code": "30", "field": error.field, "message": error.why}
        return JSONResponse(answer, status_code=400)

    app = Application(title="Sandbox provider", lifespan=lifespan, openapi_url=None)
    for verb, path, handle in ROUTES:
        app.router.routes.append(Direct(path, handle, methods=[verb], response_model=None))
    for verb, path, handler in PAGE_ROUTES:
        app.add_api_route(path, handler, methods=[verb], response_model=None)
    app.add_exception_handler(BadSignature, refuse)
    app.add_exception_handler(Malformed, explain)
    app.mount("/static", StaticFiles(directory=PAGES / "static"))
    wire.harden(app, headers=HEADERS)
    return app


async def signed_call(request: Request, desk: Desk) -> Call:
    """Return who is calling and what was sent; raise BadSignature."""
    body = await wire.read_body(request)
    query = request.scope["query_string"]
    signed = body or request.scope["raw_path"] + (b"?" + query if query else b"")
    account = request.headers.get(ACCOUNT_HEADER, "")
    secret = desk.settings.merchants.get(account, NOBODYS_SECRET)
    offered = request.headers.get(SIGNATURE_HEADER, "").encode()
    fits = hmac.compare_digest(signature_of(secret, signed).encode(), offered)
    if not fits or account not in desk.settings.merchants:
        raise BadSignature
    return Call(account, body)


def signed(answer: Callable[[Request, Desk, Call], Awaitable[Response]]) -> Handle:
    """Answer those only whose signature fits."""

    async def handle(request: Request) -> Response:
        desk = await the_desk(request)
        return await answer(request, desk, await signed_call(request, desk))

    return handle


async def ask_deposit(request: Request, desk: Desk, call: Call) -> Response:
    """Open a deposit; the script that the description or the amount chooses starts here."""
    return await _ask(request, desk, call, _read(DepositAsked, call.body))


async def ask_payout(request: Request, desk: Desk, call: Call) -> Response:
    """Open a payout to a token of ours, or to an account."""
    return await _ask(request, desk, call, _read(PayoutAsked, call.body))


async def ask_refund(request: Request, desk: Desk, call: Call) -> Response:
    """Open a refund of a deposit, named by the merchant's reference of it."""
    return await _ask(request, desk, call, _read(RefundAsked, call.body))


async def _ask(request: Request, desk: Desk, call: Call, asked: Asked) -> Response:
    """Open an order; the same request again answers about the same order, other content gets 409."""
    try:
        at_first = call.account == next(iter(desk.settings.merchants))
        script = chosen_by(
            asked.kind, description=asked.words, amount_minor=asked.amount_minor, at_first=at_first
        )
        Money(asked.amount_minor, asked.currency)
    except (Refusal, ValueError) as error:
        raise Malformed("", str(error)) from None
    content = asked.model_dump()
    order = desk.by_reference.get((call.account, asked.reference))
    if order is not None:
        if order.asked != content or order.kind is not asked.kind:
            return JSONResponse({"error": "reference_used_for_another_order"}, status_code=409)
        return await _answer(request, desk, order, status_code=200, is_request=True)
    order = desk.open(call.account, asked.kind, content)
    if isinstance(asked, PayoutAsked):
        order.instrument = _destination(desk.settings.merchants[call.account], asked)
        order.refusal = None if order.instrument else "14"
    elif isinstance(asked, DepositAsked):
        order.instrument = instrument_of(desk, order)
    delivery = desk.begin(order, script)
    if script is Script.NOTICE_BEFORE_ANSWER and delivery is not None:
        # Bounded: a merchant who acknowledges only after our answer must not wait for us for ever.
        await asyncio.wait({delivery}, timeout=desk.settings.hang_seconds)
    return await _answer(request, desk, order, status_code=201, is_request=True)


def _destination(secret: str, asked: PayoutAsked) -> Instrument | None:
    """Return where a payout goes; None for a token that is not one of ours."""
    token = asked.destination.get("token")
    if token is None:
        return kept_account(secret, asked.method, asked.destination[ACCOUNT_FIELDS[asked.method]])
    return Instrument(asked.method, token) if is_token(secret, token) else None


async def tell_order(request: Request, desk: Desk, call: Call) -> Response:
    """Tell how an order stands, or 404 with `{"status": "not_found"}`."""
    order = desk.by_reference.get((call.account, request.path_params["reference"]))
    if order is None or order.is_hidden:
        return JSONResponse({"status": "not_found"}, status_code=404)
    return await _answer(request, desk, order, status_code=200, is_request=False)


async def cancel_deposit(request: Request, desk: Desk, call: Call) -> Response:
    """Cancel a deposit that awaits its player; again: the same answer. 409 once it has gone further.

    The request has no body, so that its signature covers the path: a signed body would fit every reference.
    """
    order = desk.by_reference.get((call.account, request.path_params["reference"]))
    if call.body:
        raise Malformed("", "Cancel takes no body.")
    if order is None or order.is_hidden or order.kind is not Kind.DEPOSIT:
        return JSONResponse({"status": "not_found"}, status_code=404)
    if order.status is Status.AWAITING_PLAYER:
        order.status = Status.CANCELLED  # no notice: the one who asked is being answered
    if order.status is Status.CANCELLED:
        return JSONResponse(order.facts())
    # The order goes inside: nobody shall take its code for the refusal's.
    return JSONResponse({"error": "too_late", "order": order.facts()}, status_code=409)


async def keep_card(_request: Request, desk: Desk, call: Call) -> Response:
    """Give a token for a card number, which is forgotten at once."""
    asked = _read(CardAsked, call.body)
    card = kept_card(desk.settings.merchants[call.account], CardNumber(asked.number))
    return JSONResponse(card.facts(), status_code=201)


async def tell_balance(request: Request, desk: Desk, call: Call) -> Response:
    """Tell what the merchant has here and may pay out."""
    currency = request.query_params.get("currency", "")
    try:
        currency_exponent(currency)
    except Refusal as error:
        raise Malformed("currency", str(error)) from None
    minor = max(0, desk.balance(call.account, currency))
    return JSONResponse({"currency": currency, "available_minor": minor})


async def demo_state(request: Request) -> Response:
    """Tell every order and every notice with its tries, for tests and for the curious."""
    desk = await the_desk(request)
    orders = [
        order.facts()
        | {"script": order.script, "account": order.account, "weighs": order.weighs}
        | {"disputes": [dispute.facts() for dispute in order.disputes]}
        for order in desk.by_id.values()
    ]
    notices = [
        {
            "notice_id": notice.id,
            "reference": notice.reference,
            "url": notice.url,
            "state": notice.state,
            "tries": notice.tries,
            "body": notice.body.decode(),
        }
        for notice in desk.notices
    ]
    balances = [
        {"account": account, "currency": currency, "minor": minor}
        for (account, currency), minor in desk.balances.items()
    ]
    return JSONResponse({"orders": orders, "notices": notices, "balances": balances})


async def healthy(_request: Request) -> Response:
    """Say that the provider is up."""
    return JSONResponse({"status": "ok"})


async def _answer(
    request: Request, desk: Desk, order: Order, *, status_code: int, is_request: bool
) -> Response:
    """Answer about an order, or as its script has it: with silence or with garbage.

    A time-out that later ends stays silent to the request for good, to status queries until then.
    """
    is_settled = order.script is not Script.NEVER_ANSWER and order.status in ENDED
    is_silent = order.script in SILENT_SCRIPTS and (is_request or not is_settled)
    if is_silent or (is_request and order.script is Script.NOT_FOUND_THEN_SUCCEED):
        await wire.until_gone(request, limit_seconds=desk.settings.hang_seconds)
        return await wire.hang_up(request)
    if order.script is Script.GARBAGE_ANSWER:
        return Response(b'<html>{"id": \xff\x00', media_type="application/json")
    facts: dict[str, Any] = order.facts()
    if order.status is Status.AWAITING_PLAYER:
        facts["redirect_url"] = f"{desk.settings.public_url}/pay/{order.id}"
    return JSONResponse(facts, status_code=status_code)


def _read(kind: type[Body], body: bytes) -> Body:
    """Read a body strictly; what is wrong is told without what was sent."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
        raise Malformed(".".join(str(part) for part in problem["loc"]), problem["msg"]) from None


ROUTES: Final[tuple[tuple[str, str, Handle], ...]] = (
    ("POST", "/v1/deposits", signed(ask_deposit)),
    ("POST", "/v1/payouts", signed(ask_payout)),
    ("POST", "/v1/refunds", signed(ask_refund)),
    ("POST", "/v1/cards", signed(keep_card)),
    ("GET", "/v1/balance", signed(tell_balance)),
    ("GET", "/v1/orders/{reference}", signed(tell_order)),
    ("GET", "/v1/deposits/{reference}", signed(tell_order)),
    ("POST", "/v1/deposits/{reference}/cancel", signed(cancel_deposit)),
    ("GET", "/demo/state", demo_state),
    ("GET", "/healthz", healthy),
)
