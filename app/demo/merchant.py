"""The demo merchant: "Altyn Games", a small shop that takes deposits and pays out through the cashier.

It is a stranger to the cashier: a process of its own that knows only the public protocol. It obtains keys,
shows the cashier in an iframe, answers `check_deposit` and `request_payout`, lets its owner decide which
withdrawals the cashier is told to pay, and moves its players' balances when signed webhooks arrive.
Nothing is kept when it ends. `POST /demo/behaviour` makes it misbehave on purpose, `GET /demo/state` tells
all it has heard.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from app.demo import wire
from app.demo.merchant_books import Books, Effect, Order, Withdrawal
from app.demo.merchant_desk import decide, desk_list, desk_page
from app.demo.merchant_faces import (
    PAGES,
    ask_deposit,
    ask_withdrawal,
    deposit_page,
    player_state,
    shop_page,
    view_of,
    withdrawal_page,
)
from app.demo.merchant_messages import hear_callout, hear_webhook
from app.demo.merchant_shop import (
    ApprovalManner,
    CalloutManner,
    InitiationManner,
    MerchantSettings,
    PayoutManner,
    Shop,
    ShopHere,
    WebhookManner,
    demo_players,
)
from app.plumbing.http import HttpClient

__all__ = [
    "ApprovalManner",
    "CalloutManner",
    "InitiationManner",
    "MerchantSettings",
    "PayoutManner",
    "WebhookManner",
    "create_app",
]

# The player's bank page opens inside the cashier's frame, and a shop cannot know every bank: any web page.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Cache-Control": "no-store",
}


class Behaviour(BaseModel):
    """What `POST /demo/behaviour` takes; a part left out stays as it is."""

    callout: CalloutManner | None = None
    payout: PayoutManner | None = None
    approval: ApprovalManner | None = None
    initiation: InitiationManner | None = None
    webhook: WebhookManner | None = None


def create_app(settings: MerchantSettings) -> FastAPI:
    """Build the shop. Nothing is opened before the server starts it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        peers = frozenset({wire.peer_of(settings.base_url)})
        async with HttpClient(clock=settings.clock, allowed_private_peers=peers) as http:
            shop = app.state.shop = Shop(settings, http, Books(demo_players(settings.currency)))
            yield
            await shop.close()

    app = FastAPI(title="Altyn Games", lifespan=lifespan, openapi_url=None)
    for verb, path, handler in ROUTES:
        app.add_api_route(path, handler, methods=[verb], response_model=None)
    app.mount("/static", StaticFiles(directory=PAGES / "static"))
    wire.harden(app, headers=HEADERS)
    return app


async def behave(shop: ShopHere, behaviour: Behaviour) -> Response:
    """Choose how the shop behaves from now on, and tell all its manners."""
    shop.callout = behaviour.callout or shop.callout
    shop.payout = behaviour.payout or shop.payout
    shop.approval = behaviour.approval or shop.approval
    shop.initiation = behaviour.initiation or shop.initiation
    shop.webhook = behaviour.webhook or shop.webhook
    return JSONResponse(_manners(shop))


async def demo_state(shop: ShopHere) -> Response:
    """Tell everything the shop knows and has heard, for tests and for the curious."""
    books = shop.books
    return JSONResponse(
        {
            "behaviour": _manners(shop),
            "players": {login: view_of(shop, player) for login, player in books.players.items()},
            "balances_minor": {login: player.balance.minor for login, player in books.players.items()},
            "orders": [_order_facts(order) for order in books.orders.values()],
            "withdrawals": [_withdrawal_facts(asked) for asked in books.withdrawals.values()],
            "movements": books.movements,
            "effects": {effect: shop.effects[effect] for effect in Effect},
            "callouts": list(shop.callouts),
            "initiations": list(shop.initiations),
            "webhooks": list(shop.webhooks),
        }
    )


async def healthy() -> Response:
    """Say that the shop is up."""
    return JSONResponse({"status": "ok"})


def _manners(shop: Shop) -> dict[str, str]:
    return {
        "callout": shop.callout,
        "payout": shop.payout,
        "approval": shop.approval,
        "initiation": shop.initiation,
        "webhook": shop.webhook,
    }


def _withdrawal_facts(asked: Withdrawal) -> dict[str, Any]:
    return {
        "external_id": asked.external_id,
        "transaction_id": asked.transaction_id,
        "login": asked.login,
        "amount_minor": asked.amount.minor,
        "currency": asked.amount.currency,
        "purse": asked.purse,
        "status": asked.status,
        "status_id": asked.status_id,
        "order_id": asked.order_id,
        "problem": asked.problem,
        "created_at": asked.created_at.isoformat(),
    }


def _order_facts(order: Order) -> dict[str, Any]:
    return {
        "external_id": order.external_id,
        "transaction_id": order.transaction_id,
        "login": order.login,
        "amount_minor": order.amount.minor,
        "currency": order.amount.currency,
        "status": order.status,
        "status_id": order.status_id,
        "returned_minor": order.returned_minor,
        "created_at": order.created_at.isoformat(),
    }


ROUTES: Final[tuple[tuple[str, str, Callable[..., Awaitable[Response]]], ...]] = (
    ("GET", "/", shop_page),
    ("GET", "/deposit", deposit_page),
    ("POST", "/deposit", ask_deposit),
    ("GET", "/withdraw", withdrawal_page),
    ("POST", "/withdraw", ask_withdrawal),
    ("GET", "/players/{login}", player_state),
    ("GET", "/owner", desk_page),
    ("GET", "/owner/withdrawals", desk_list),
    ("POST", "/owner/withdrawals/{external_id}", decide),
    ("POST", "/cashier/callout", hear_callout),
    ("POST", "/cashier/notify", hear_webhook),
    ("POST", "/demo/behaviour", behave),
    ("GET", "/demo/state", demo_state),
    ("GET", "/healthz", healthy),
)
