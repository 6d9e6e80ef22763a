"""The demo shop's pages for players: the shop itself, and the cashier in a frame, to pay in or withdraw."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.demo import wire
from app.demo.merchant_books import Order, Player, UnknownPlayer, Withdrawal
from app.demo.merchant_shop import Shop, ShopHere
from app.demo.merchant_standing import waits_for
from app.kernel import signing
from app.kernel.money import Money
from app.plumbing.http import CallFailed

__all__ = [
    "PAGES",
    "TEMPLATES",
    "WITHDRAWAL_SENTENCES",
    "ask_deposit",
    "ask_withdrawal",
    "deposit_page",
    "obtain_key",
    "player_state",
    "shop_page",
    "spoken",
    "view_of",
    "waiting",
    "when",
    "withdrawal_page",
]

PAGES: Final = Path(__file__).parent / "merchant_pages"
TEMPLATES: Final = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
LANGUAGES: Final = {"en": "English", "ru": "Русский", "kk": "Қазақша"}
KEY_DEADLINE_SECONDS: Final = 5.0
ORDERS_SHOWN: Final = 20
WITHDRAW: Final = "2"  # force_action: withdraw without tabs
MINUS: Final = "\u2212"
SENTENCES: Final = {
    "waiting": "Waiting",
    "paid": "Paid",
    "failed": "Not paid",
    "partly_returned": "Partly returned",
    "returned": "Returned",
}
WITHDRAWAL_SENTENCES: Final = {
    "requested": "Requested",
    "approved": "On its way",
    "initiated": "On its way",
    "rejected": "Refused",
    "paid": "Paid out",
    "failed": "Not paid out",
    "returned": "Came back",
}


class NoKey(Exception):
    """The cashier gave no key; the text says why."""


async def shop_page(shop: ShopHere, player: str = "aigerim") -> Response:
    """Show the shop to one of its players."""
    return _page("shop.html", shop, player)


async def deposit_page(request: Request, shop: ShopHere, player: str = "aigerim", lang: str = "") -> Response:
    """Show the cashier, to pay in."""
    return await _cashier_page(request, shop, player, lang, "deposit")


async def withdrawal_page(
    request: Request, shop: ShopHere, player: str = "aigerim", lang: str = ""
) -> Response:
    """Show the cashier, to withdraw."""
    return await _cashier_page(request, shop, player, lang, "withdraw")


async def _cashier_page(request: Request, shop: Shop, player: str, lang: str, deed: str) -> Response:
    """Obtain a key for the player and show the cashier in a frame, or say why there is none."""
    person = shop.books.players.get(player)
    if person is None:
        return _page("shop.html", shop, player)
    language = lang if lang in LANGUAGES else person.language
    customer_ip = request.client.host if request.client else "127.0.0.1"
    wish = {"language": language} | ({"force_action": WITHDRAW} if deed == "withdraw" else {})
    try:
        key = await obtain_key(shop, person, customer_ip=customer_ip, wish=wish)
    except NoKey as refusal:
        return _page(
            *("no_cashier.html", shop, player),
            status_code=502,
            reason=str(refusal),
            language=language,
            deed=deed,
        )
    frame_url = f"{shop.settings.base_url}/open?{urlencode({'key': key})}"
    cashier_origin = wire.origin_of(shop.settings.base_url)
    return _page(
        *("cashier.html", shop, player),
        frame_url=frame_url,
        cashier_origin=cashier_origin,
        language=language,
        deed=deed,
    )


async def ask_deposit(request: Request) -> Response:
    """Send a posted form on to the deposit page, which can be reloaded."""
    return await _ask(request, "deposit")


async def ask_withdrawal(request: Request) -> Response:
    """Send a posted form on to the withdrawal page, which can be reloaded."""
    return await _ask(request, "withdraw")


async def _ask(request: Request, deed: str) -> Response:
    form = dict(parse_qsl((await wire.read_body(request)).decode(errors="replace")))
    asked = {name: value for name, value in form.items() if name in {"player", "lang"}}
    return RedirectResponse(f"/{deed}?{urlencode(asked)}", status_code=303)


async def obtain_key(shop: Shop, player: Player, *, customer_ip: str, wish: Mapping[str, str]) -> str:
    """Ask the cashier for a key (protocol.md 2.1) and return it; raise NoKey with a reason for the person.

    `wish` is how the cashier is to open: `language`, and `force_action` for one thing only.
    """
    settings = shop.settings
    asked = {
        "site_id": str(settings.site_id),
        "site_login": player.login,
        "customer_ip": customer_ip,
        "currency": settings.currency,
        "user_email": player.email,
        "user_name": player.name,
        "first_name": player.first_name,
        "last_name": player.last_name,
        "user_country": "KZ",
        "timezone": "Asia/Almaty",
        **wish,
    }
    asked["signature"] = signing.sign(asked, settings.salt)
    url = f"{settings.base_url}/api/authlink/obtain/?{urlencode(asked)}"
    try:
        reply = await shop.http.call("GET", url, deadline_seconds=KEY_DEADLINE_SECONDS)
    except CallFailed as failure:
        raise NoKey("The cashier could not be reached.") from failure
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = None
    match answer:
        case {"success": True, "key": str(key)}:
            return key
        case {"errors": str(errors)}:
            reason = f"The cashier refused: {errors}"
        case _:
            reason = f"The cashier's answer was not understood (HTTP {reply.status})."
    raise NoKey(reason)


async def player_state(shop: ShopHere, login: str) -> Response:
    """Tell the player's balance and orders, written as the page shows them (asked every second)."""
    try:
        return JSONResponse(view_of(shop, shop.books.player(login)))
    except UnknownPlayer:
        return JSONResponse({"error": UnknownPlayer.__doc__}, status_code=404)


def spoken(money: Money) -> str:
    """Write an amount as a person reads it, without the currency."""
    return f"{money.decimal():,}"


def when(moment: datetime) -> str:
    """Write a moment as a person reads it."""
    return moment.strftime("%d %b, %H:%M UTC")


def waiting(shop: Shop) -> int:
    """Count the withdrawals that wait for the owner, and for nobody else first."""
    asked = shop.books.withdrawals.values()
    return sum(one.status == "requested" and not waits_for(one) for one in asked)


def view_of(shop: Shop, player: Player) -> dict[str, Any]:
    """Return the player's balance, newest orders and withdrawals, written as a person reads them."""
    books = shop.books
    both: list[Order | Withdrawal] = [*books.orders_of(player.login), *books.withdrawals_of(player.login)]
    newest = sorted(both, key=lambda order: order.created_at, reverse=True)[:ORDERS_SHOWN]
    return {
        "login": player.login,
        "balance": {"text": spoken(player.balance), "currency": player.balance.currency},
        "orders": [_row_of(order) for order in newest],
    }


def _row_of(order: Order | Withdrawal) -> dict[str, str]:
    is_withdrawal = isinstance(order, Withdrawal)
    sentences = WITHDRAWAL_SENTENCES if is_withdrawal else SENTENCES
    return {
        "external_id": order.external_id,
        "short_id": f"#{order.external_id[-6:]}",
        "kind_text": "Withdrawal" if is_withdrawal else "Deposit",
        "amount": f"{MINUS if is_withdrawal else ''}{spoken(order.amount)} {order.amount.currency}",
        "status": order.status,
        "status_text": sentences[order.status],
        "created_at": order.created_at.isoformat(),
        "created_text": when(order.created_at),
    }


def _page(name: str, shop: Shop, login: str, *, status_code: int = 200, **more: str) -> Response:
    person = shop.books.players.get(login)
    if person is None:
        name, status_code = "no_player.html", 404
    text = TEMPLATES.get_template(name).render(
        player=person,
        players=shop.books.players.values(),
        view=view_of(shop, person) if person else None,
        languages=LANGUAGES,
        waiting=waiting(shop),
        **({"language": person.language if person else "en"} | more),
    )
    return HTMLResponse(text, status_code=status_code)
