"""The sandbox provider: stands for a real payment provider, with an API, a page for the player, and notices.

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
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.demo import wire
from app.demo.provider_orders import (
    ACCOUNT_HEADER,
    SIGNATURE_HEADER,
    Desk,
    Order,
    ProviderSettings,
    signature_of,
)
from app.demo.provider_scripts import ENDINGS, MARK, ON_PAGE, SENTENCES, Script, Status, chosen_by
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.plumbing.http import HttpClient

__all__ = ["ProviderSettings", "create_app"]

PAGES: Final = Path(__file__).parent / "provider_pages"
TEMPLATES: Final = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
# No frame-ancestors: the page opens inside the cashier's frame on any shop. Nothing real can be clicked here.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SILENT_SCRIPTS: Final = frozenset({Script.NEVER_ANSWER, Script.TIME_OUT_THEN_SUCCEED})
# An unknown account costs the same work as a known one with a wrong signature.
NOBODYS_SECRET: Final = "nobody"  # noqa: S105  no account has it; an unknown one costs the same


def _web_address(text: str) -> str:
    wire.origin_of(text)
    return text


WebAddress = Annotated[str, Field(max_length=2048, pattern=r"^[!-~]+$"), AfterValidator(_web_address)]


class DepositAsked(BaseModel):
    """The body of `POST /v1/deposits`. `amount_minor` in minor units; the addresses are http or https."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reference: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
    amount_minor: Annotated[int, Field(ge=1, le=10**15)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    description: Annotated[str, Field(max_length=256)] = ""
    return_url: WebAddress
    notice_url: WebAddress
    player: Annotated[str, Field(max_length=256)] | None = None
    method: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")] | None = None


class BadSignature(Exception):
    """The account is unknown or the signature does not fit: the caller is not told which."""


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

    app = FastAPI(title="Sandbox provider", lifespan=lifespan, openapi_url=None)
    for verb, path, handler in ROUTES:
        app.add_api_route(path, handler, methods=[verb], response_model=None)
    app.add_exception_handler(BadSignature, refuse)
    app.mount("/static", StaticFiles(directory=PAGES / "static"))
    wire.harden(app, headers=HEADERS)
    return app


def the_desk(request: Request) -> Desk:
    """Return the back room of this process."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk


DeskHere = Annotated[Desk, Depends(the_desk)]


async def signed_call(request: Request, desk: DeskHere) -> Call:
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


CallHere = Annotated[Call, Depends(signed_call)]


async def ask_deposit(request: Request, desk: DeskHere, call: CallHere) -> Response:
    """Open a deposit; the same request again answers about the same order, other content gets 409.

    The script that the description or the amount chooses starts here.
    """
    try:
        asked = DepositAsked.model_validate_json(call.body)
        script = chosen_by(description=asked.description, amount_minor=asked.amount_minor)
        Money(asked.amount_minor, asked.currency)
    except ValidationError as error:
        problem = error.errors()[0]
        return _malformed(problem["msg"], ".".join(str(part) for part in problem["loc"]))
    except (Refusal, ValueError) as error:
        return _malformed(str(error), "")
    content = asked.model_dump()
    order = desk.by_reference.get((call.account, asked.reference))
    if order is not None:
        if order.asked != content:
            return JSONResponse({"error": "reference_used_for_another_order"}, status_code=409)
        return await _answer(request, desk, order, status_code=200, is_request=True)
    order = desk.open(call.account, content)
    delivery = desk.begin(order, script)
    if script is Script.NOTICE_BEFORE_ANSWER and delivery is not None:
        # Bounded: a merchant who acknowledges only after our answer must not wait for us for ever.
        await asyncio.wait({delivery}, timeout=desk.settings.hang_seconds)
    return await _answer(request, desk, order, status_code=201, is_request=True)


async def tell_deposit(request: Request, desk: DeskHere, call: CallHere, reference: str) -> Response:
    """Tell how a deposit stands, or 404 with `{"status": "not_found"}`."""
    order = desk.by_reference.get((call.account, reference))
    if order is None:
        return JSONResponse({"status": "not_found"}, status_code=404)
    return await _answer(request, desk, order, status_code=200, is_request=False)


async def cancel_deposit(desk: DeskHere, call: CallHere, reference: str) -> Response:
    """Cancel a deposit that awaits its player; again: the same answer. 409 once it has gone further.

    The request has no body, so that its signature covers the path: a signed body would fit every reference.
    """
    order = desk.by_reference.get((call.account, reference))
    if call.body:
        return JSONResponse({"error": "malformed", "message": "Cancel takes no body."}, status_code=400)
    if order is None:
        return JSONResponse({"status": "not_found"}, status_code=404)
    if order.status is Status.AWAITING_PLAYER:
        order.status = Status.CANCELLED  # no notice: the one who asked is being answered
    if order.status is Status.CANCELLED:
        return JSONResponse(order.facts())
    # The order goes inside: nobody shall take its code for the refusal's.
    return JSONResponse({"error": "too_late", "order": order.facts()}, status_code=409)


async def pay_page(desk: DeskHere, order_id: str) -> Response:
    """Show the player what is to be paid, and the buttons that decide it."""
    return _page(desk.by_id.get(order_id))


async def pay(request: Request, desk: DeskHere, order_id: str) -> Response:
    """Carry out what was pressed on the page, once, and send the browser back to the merchant."""
    order = desk.by_id.get(order_id)
    form = dict(parse_qsl((await wire.read_body(request)).decode(errors="replace")))
    if order is None or form.get("script") not in ON_PAGE:
        return _page(order, status_code=404 if order is None else 400)
    if order.status is Status.AWAITING_PLAYER:
        script = Script(form["script"])
        delivery = desk.begin(order, script)
        if script is Script.NOTICE_BEFORE_ANSWER and delivery is not None:
            await asyncio.wait({delivery}, timeout=desk.settings.hang_seconds)
    return RedirectResponse(order.asked["return_url"], status_code=303)


async def demo_state(desk: DeskHere) -> Response:
    """Tell every order and every notice with its tries, for tests and for the curious."""
    orders = [
        order.facts() | {"script": order.script, "account": order.account} for order in desk.by_id.values()
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
    return JSONResponse({"orders": orders, "notices": notices})


async def healthy() -> Response:
    """Say that the provider is up."""
    return JSONResponse({"status": "ok"})


async def _answer(
    request: Request, desk: Desk, order: Order, *, status_code: int, is_request: bool
) -> Response:
    """Answer about an order, or as its script has it: with silence or with garbage.

    A time-out that later succeeds stays silent to the request for good, to status queries until then.
    """
    is_settled = order.script is Script.TIME_OUT_THEN_SUCCEED and order.status is Status.APPROVED
    if order.script in SILENT_SCRIPTS and (is_request or not is_settled):
        await wire.until_gone(request, limit_seconds=desk.settings.hang_seconds)
        return await wire.hang_up(request)
    if order.script is Script.GARBAGE_ANSWER:
        return Response(b'<html>{"id": \xff\x00', media_type="application/json")
    facts: dict[str, Any] = order.facts()
    if order.status is Status.AWAITING_PLAYER:
        facts["redirect_url"] = f"{desk.settings.public_url}/pay/{order.id}"
    return JSONResponse(facts, status_code=status_code)


def _malformed(message: str, field: str) -> Response:
    # The code says that this is final: no order was opened under this reference.
    answer = {"error": "malformed", "code": "30", "field": field, "message": message}
    return JSONResponse(answer, status_code=400)


def _page(order: Order | None, *, status_code: int = 200) -> Response:
    if order is None:
        return HTMLResponse(TEMPLATES.get_template("no_order.html").render(), status_code=404)
    return_origin = wire.origin_of(order.asked["return_url"])
    text = TEMPLATES.get_template("pay.html").render(
        order=order,
        amount=f"{order.amount.decimal():,}",
        description=MARK.sub("", order.asked["description"], count=1),
        waiting=order.status is Status.AWAITING_PLAYER,
        return_url=order.asked["return_url"],
        scripts=[(script, SENTENCES[script]) for script in ON_PAGE],
        endings=[(ending, script, SENTENCES[script]) for ending, script in ENDINGS.items()],
    )
    # Chromium holds form-action against redirects too, and the form's answer leads to the merchant.
    policy = f"{CONTENT_SECURITY_POLICY} {return_origin}"
    return HTMLResponse(text, status_code=status_code, headers={"Content-Security-Policy": policy})


ROUTES: Final[tuple[tuple[str, str, Callable[..., Awaitable[Response]]], ...]] = (
    ("POST", "/v1/deposits", ask_deposit),
    ("GET", "/v1/deposits/{reference}", tell_deposit),
    ("GET", "/v1/orders/{reference}", tell_deposit),
    ("POST", "/v1/deposits/{reference}/cancel", cancel_deposit),
    ("GET", "/pay/{order_id}", pay_page),
    ("POST", "/pay/{order_id}", pay),
    ("GET", "/demo/state", demo_state),
    ("GET", "/healthz", healthy),
)
