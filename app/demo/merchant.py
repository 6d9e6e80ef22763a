"""The demo merchant: "Altyn Games", a small shop that takes deposits through the cashier.

It is a stranger to the cashier: a process of its own that knows only the public protocol. It obtains keys,
shows the cashier in an iframe, answers `check_deposit`, and credits its players when signed webhooks arrive.
Nothing is kept when it ends. `POST /demo/behaviour` makes it misbehave on purpose, `GET /demo/state` tells
all it has heard.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, assert_never

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from app.demo import wire
from app.demo.merchant_books import Books, Effect, Order, Refused, UnknownPlayer, Webhook
from app.demo.merchant_faces import PAGES, ask_deposit, deposit_page, player_state, shop_page, view_of
from app.demo.merchant_shop import (
    CalloutManner,
    MerchantSettings,
    Shop,
    ShopHere,
    WebhookManner,
    demo_players,
)
from app.demo.merchant_signatures import BadSignature, Unreadable, read_signed, verify_standard
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.plumbing.http import HttpClient

__all__ = ["CalloutManner", "MerchantSettings", "WebhookManner", "create_app"]

AMOUNT_DIGITS: Final = 15
# The player's bank page opens inside the cashier's frame, and a shop cannot know every bank: any web page.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
USELESS_ANSWERS: Final[Mapping[CalloutManner, tuple[int, str, bytes]]] = {
    CalloutManner.REFUSE: (
        200,
        "application/json",
        b'{"code": 500, "error_description": "Deposits are closed for this player"}',
    ),
    CalloutManner.GARBAGE: (200, "application/json", b'{"code": 0, "external_id": \xff'),
    CalloutManner.HTML: (200, "text/html", b"<!doctype html><title>Log in</title><h1>Please log in</h1>"),
    CalloutManner.ERROR500: (500, "text/plain", b"Internal Server Error"),
}
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cache-Control": "no-store",
}


class Behaviour(BaseModel):
    """What `POST /demo/behaviour` takes; a part left out stays as it is."""

    callout: CalloutManner | None = None
    webhook: WebhookManner | None = None


def create_app(settings: MerchantSettings) -> FastAPI:
    """Build the shop. Nothing is opened before the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        peers = frozenset({wire.peer_of(settings.base_url)})
        async with HttpClient(clock=settings.clock, allowed_private_peers=peers) as http:
            app.state.shop = Shop(settings, http, Books(demo_players(settings.currency)))
            yield

    app = FastAPI(title="Altyn Games", lifespan=lifespan, openapi_url=None)
    for verb, path, handler in ROUTES:
        app.add_api_route(path, handler, methods=[verb], response_model=None)
    app.mount("/static", StaticFiles(directory=PAGES / "static"))
    wire.harden(app, headers=HEADERS)
    return app


async def hear_callout(request: Request, shop: ShopHere) -> Response:
    """Answer the cashier's `check_deposit` (protocol.md 3.1), as the chosen manner has it."""
    body = await wire.read_body(request)
    heard = _note(shop.callouts, request, body, shop)
    try:
        fields = _verified(request, body, shop)
    except (Unreadable, BadSignature) as error:
        heard["problem"] = str(error)
        return JSONResponse({"code": 500, "error_description": "Bad signature"}, status_code=401)
    heard["verified"] = True
    match shop.callout:
        case CalloutManner.HANG:
            await wire.until_gone(request, limit_seconds=shop.settings.hang_seconds)
            return await wire.hang_up(request)
        case CalloutManner.NO_ANSWER:
            return await wire.hang_up(request)
        case CalloutManner.ACCEPT:
            return _answer_callout(shop, fields)
        case CalloutManner.SLOW:
            await asyncio.sleep(shop.settings.slow_seconds)
            return _answer_callout(shop, fields)
        case useless:
            status_code, media_type, content = USELESS_ANSWERS[useless]
            return Response(content, status_code=status_code, media_type=media_type)


async def hear_webhook(request: Request, shop: ShopHere) -> Response:
    """Act on a webhook of the cashier (protocol.md 4) exactly once and answer `{"code": 0}`."""
    body = await wire.read_body(request)
    heard = _note(shop.webhooks, request, body, shop)
    try:
        fields = _verified(request, body, shop)
    except (Unreadable, BadSignature) as error:
        heard["problem"] = str(error)
        return JSONResponse({"code": 1, "error_description": "Bad signature"}, status_code=401)
    heard["verified"] = True
    match shop.webhook:
        case WebhookManner.ACCEPT:
            return _answer_webhook(shop, fields, heard)
        case WebhookManner.SLOW:
            await asyncio.sleep(shop.settings.slow_seconds)
            return _answer_webhook(shop, fields, heard)
        case WebhookManner.LOST_ANSWER:
            _answer_webhook(shop, fields, heard)
            return await wire.hang_up(request)
        case WebhookManner.REFUSE:
            return JSONResponse({"code": 1, "error_description": "Not now"})
        case WebhookManner.ERROR500:
            return Response("Internal Server Error", status_code=500)
        case _:
            assert_never(shop.webhook)


async def behave(shop: ShopHere, behaviour: Behaviour) -> Response:
    """Choose how the shop answers from now on, and tell both manners."""
    shop.callout = behaviour.callout or shop.callout
    shop.webhook = behaviour.webhook or shop.webhook
    return JSONResponse({"callout": shop.callout, "webhook": shop.webhook})


async def demo_state(shop: ShopHere) -> Response:
    """Tell everything the shop knows and has heard, for tests and for the curious."""
    books = shop.books
    return JSONResponse(
        {
            "behaviour": {"callout": shop.callout, "webhook": shop.webhook},
            "players": {login: view_of(shop, player) for login, player in books.players.items()},
            "balances_minor": {login: player.balance.minor for login, player in books.players.items()},
            "orders": [_order_facts(order) for order in books.orders.values()],
            "movements": books.movements,
            "effects": {effect: shop.effects[effect] for effect in Effect},
            "callouts": list(shop.callouts),
            "webhooks": list(shop.webhooks),
        }
    )


async def healthy() -> Response:
    """Say that the shop is up."""
    return JSONResponse({"status": "ok"})


def _answer_callout(shop: Shop, fields: Mapping[str, str]) -> Response:
    now = shop.settings.clock.now()
    try:
        _must_be_ours(shop, fields)
        _must_be_check_deposit(fields)
        order = shop.books.accept(
            transaction_id=fields.get("transaction_id", ""),
            login=fields.get("site_login", ""),
            amount=_money(fields),
            external_id=ids.new("order", at=now),
            now=now,
        )
    except UnknownPlayer:
        return JSONResponse({"code": 500, "error_description": "User not found"})
    except Refused as refusal:
        return JSONResponse({"code": 500, "error_description": str(refusal)})
    return JSONResponse({"code": 0, "external_id": order.external_id})


def _answer_webhook(shop: Shop, fields: Mapping[str, str], heard: dict[str, Any]) -> Response:
    try:
        _must_be_ours(shop, fields)
        webhook = Webhook(
            transaction_id=fields.get("transaction_id", ""),
            external_id=fields.get("external_id", ""),
            login=fields.get("site_login", ""),
            amount=_money(fields),
            type_id=_whole(fields, "type_id"),
            status_id=_whole(fields, "status_id"),
        )
        effect = shop.books.apply(webhook, now=shop.settings.clock.now())
    except UnknownPlayer:
        return JSONResponse({"code": 500, "error_description": "User not found"})
    except Refused as refusal:
        return JSONResponse({"code": 500, "error_description": str(refusal)})
    heard["effect"] = effect
    shop.effects[effect] += 1
    return JSONResponse({"code": 0})


def _must_be_ours(shop: Shop, fields: Mapping[str, str]) -> None:
    if fields.get("site_id") != str(shop.settings.site_id):
        reason = "This shop answers for its own site only"
        raise Refused(reason)


def _must_be_check_deposit(fields: Mapping[str, str]) -> None:
    if fields.get("action") != "check_deposit":
        reason = "This shop answers check_deposit only"
        raise Refused(reason)


def _verified(request: Request, body: bytes, shop: Shop) -> dict[str, str]:
    settings = shop.settings
    content_type = request.headers.get("content-type", "")
    fields = read_signed(body, content_type=content_type, salt=settings.salt)
    verify_standard(request.headers, body, secret=settings.webhook_secret, now=settings.clock.now())
    return fields


def _note(log: deque[dict[str, Any]], request: Request, body: bytes, shop: Shop) -> dict[str, Any]:
    heard: dict[str, Any] = {
        "at": shop.settings.clock.now().isoformat(),
        "headers": dict(request.headers),
        "body": body.decode(errors="replace"),
        "verified": False,
    }
    log.append(heard)
    return heard


def _whole(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= AMOUNT_DIGITS):
        reason = f"{name} is not a whole number"
        raise Refused(reason)
    return int(text)


def _money(fields: Mapping[str, str]) -> Money:
    try:
        return Money(_whole(fields, "amount"), fields.get("currency", "").upper())
    except Refusal as refusal:
        raise Refused(str(refusal)) from refusal


def _order_facts(order: Order) -> dict[str, Any]:
    return {
        "external_id": order.external_id,
        "transaction_id": order.transaction_id,
        "login": order.login,
        "amount_minor": order.amount.minor,
        "currency": order.amount.currency,
        "status": order.status,
        "status_id": order.status_id,
        "created_at": order.created_at.isoformat(),
    }


ROUTES: Final[tuple[tuple[str, str, Callable[..., Awaitable[Response]]], ...]] = (
    ("GET", "/", shop_page),
    ("GET", "/deposit", deposit_page),
    ("POST", "/deposit", ask_deposit),
    ("GET", "/players/{login}", player_state),
    ("POST", "/cashier/callout", hear_callout),
    ("POST", "/cashier/notify", hear_webhook),
    ("POST", "/demo/behaviour", behave),
    ("GET", "/demo/state", demo_state),
    ("GET", "/healthz", healthy),
)
