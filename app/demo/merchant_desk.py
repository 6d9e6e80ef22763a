"""The demo shop's page for its owner: which withdrawals wait, and the buttons that decide them."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.demo import merchant_withdrawals, wire
from app.demo.merchant_books import Refused, Withdrawal, WithdrawalStatus
from app.demo.merchant_faces import TEMPLATES, spoken, waiting, when
from app.demo.merchant_initiation import initiate
from app.demo.merchant_shop import Shop, ShopHere
from app.demo.merchant_standing import look, waits_for

__all__ = ["decide", "desk_list", "desk_page"]

SHOWN: Final = 50
S = WithdrawalStatus
SENTENCES: Final[Mapping[str, str]] = {
    S.REQUESTED: "Waiting for you",
    S.APPROVED: "Approved, the cashier is being told",
    S.INITIATED: "Approved, the cashier pays",
    S.REJECTED: "Rejected by you",
    S.PAID: "Paid",
    S.FAILED: "Not paid, the player has the money back",
    S.RETURNED: "Paid, and sent back by the bank",
}


async def desk_page(shop: ShopHere) -> Response:
    """Show the owner every withdrawal, what can be decided first."""
    await look(shop)
    return HTMLResponse(_written("desk.html", shop))


async def desk_list(shop: ShopHere) -> Response:
    """Write only the lists of the page, which asks for them every second."""
    await look(shop)
    return HTMLResponse(_written("desk_lists.html", shop))


async def decide(request: Request, shop: ShopHere, external_id: str) -> Response:
    """Carry out the owner's decision and lead back to the page.

    An approval is told to the cashier meanwhile; the page shows what became of it. Somebody else's page may
    not press the buttons.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return JSONResponse({"error": "Only the owner's own page decides."}, status_code=403)
    form = dict(parse_qsl((await wire.read_body(request)).decode(errors="replace")))
    try:
        match form.get("decision"):
            case "approve":
                shop.send(initiate(shop, merchant_withdrawals.approve(shop.books, external_id)))
            case "reject":
                merchant_withdrawals.reject(shop.books, external_id)
            case _:
                return JSONResponse({"error": "The decision is approve or reject."}, status_code=422)
    except merchant_withdrawals.NoSuchWithdrawal as unknown:
        return JSONResponse({"error": str(unknown.__doc__)}, status_code=404)
    except Refused as refusal:
        return JSONResponse({"error": str(refusal)}, status_code=409)
    return RedirectResponse("/owner", status_code=303)


def _written(name: str, shop: Shop) -> str:
    lists: dict[str, list[dict[str, Any]]] = {"refused": [], "elsewhere": [], "undecided": [], "decided": []}
    for asked in reversed(shop.books.withdrawals.values()):
        lists[_list_of(asked)].append(_row_of(shop, asked))
    lists["decided"] = lists["decided"][:SHOWN]
    return TEMPLATES.get_template(name).render(
        player=None, players=shop.books.players.values(), waiting=waiting(shop), **lists
    )


def _list_of(asked: Withdrawal) -> str:
    """What the owner can do with it: decide, mend what the cashier refused, wait for others, or no more."""
    if asked.status is S.REQUESTED and asked.problem:
        return "refused"
    if waits_for(asked):
        return "elsewhere"
    can_decide = asked.status is S.REQUESTED or (asked.status is S.APPROVED and not asked.is_being_sent)
    return "undecided" if can_decide else "decided"


def _row_of(shop: Shop, asked: Withdrawal) -> dict[str, Any]:
    return {
        "external_id": asked.external_id,
        "player": shop.books.player(asked.login).name,
        "amount": spoken(asked.amount),
        "currency": asked.amount.currency,
        "purse": asked.purse,
        "status": asked.status,
        "status_text": SENTENCES[asked.status],
        "transaction_id": asked.transaction_id,
        "order_id": asked.order_id,
        "problem": asked.problem,
        "waits_for": waits_for(asked),
        "payment_id": asked.payment_id,
        "can_reject": asked.status is S.REQUESTED,
        "created_at": asked.created_at.isoformat(),
        "created_text": when(asked.created_at),
    }
