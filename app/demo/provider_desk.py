"""The sandbox provider's pages: where the player pays, and the bank's desk where anybody decides anything."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.demo import wire
from app.demo.provider_cards import Instrument, instruments_of
from app.demo.provider_orders import Desk, Order
from app.demo.provider_scripts import (
    DECISIONS,
    ENDINGS,
    MARK,
    NEXT_STAGES,
    ON_PAGE,
    SENTENCES,
    Kind,
    Script,
    Stage,
    Status,
)

__all__ = ["CONTENT_SECURITY_POLICY", "PAGES", "PAGE_ROUTES", "instrument_of", "the_desk"]

PAGES: Final = Path(__file__).parent / "provider_pages"
TEMPLATES: Final = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
# No frame-ancestors: the page opens inside the cashier's frame on any shop. Nothing real can be clicked here.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'"
)
SHOWN: Final = 200  # orders on the desk, the newest first


async def the_desk(request: Request) -> Desk:
    """Return the back room of this process."""
    # Not a plain function: the framework would look it up on a thread, for each request anew.
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk


DeskHere = Annotated[Desk, Depends(the_desk)]


def instrument_of(desk: Desk, order: Order, choice: int = 0) -> Instrument | None:
    """Return with what the player of a deposit pays."""
    found = _instruments(desk, order)
    return found[choice if 0 <= choice < len(found) else 0] if found else None


def _instruments(desk: Desk, order: Order) -> tuple[Instrument, ...]:
    secret = desk.settings.merchants[order.account]
    return instruments_of(secret, order.asked["method"] or "card", order.asked["player"] or "")


async def pay_page(desk: DeskHere, order_id: str) -> Response:
    """Show the player what is to be paid, and the buttons that decide it."""
    return _page(desk, desk.by_id.get(order_id))


async def pay(request: Request, desk: DeskHere, order_id: str) -> Response:
    """Carry out what was pressed on the page, once, and send the browser back to the merchant."""
    order = desk.by_id.get(order_id)
    form = await _form(request)
    if order is None or order.kind is not Kind.DEPOSIT or form.get("script") not in ON_PAGE:
        return _page(desk, order, status_code=400)
    if order.status is Status.AWAITING_PLAYER:
        script = Script(form["script"])
        order.instrument = instrument_of(desk, order, int(form.get("with") == "1"))
        delivery = desk.begin(order, script)
        if script is Script.NOTICE_BEFORE_ANSWER and delivery is not None:
            await asyncio.wait({delivery}, timeout=desk.settings.hang_seconds)
    return RedirectResponse(order.asked["return_url"], status_code=303)


async def desk_page(desk: DeskHere) -> Response:
    """Show every order, the newest first, and what each merchant has here."""
    orders = list(reversed(desk.by_id.values()))[:SHOWN]
    balances = [(*purse, _written(minor)) for purse, minor in sorted(desk.balances.items())]
    return _html("desk.html", orders=orders, written=_written, balances=balances)


async def order_page(desk: DeskHere, order_id: str) -> Response:
    """Show one order, what was told about it, and what can be made of it."""
    return _order(desk, desk.by_id.get(order_id))


async def decide(request: Request, desk: DeskHere, order_id: str) -> Response:
    """Make of an order what was pressed: a status, or the next stage of a dispute."""
    order = desk.by_id.get(order_id)
    form = await _form(request)
    status, stage = form.get("status"), form.get("stage")
    if order is None:
        return _order(desk, None)
    if status in _decisions(order):
        desk.decide(order, Status(status))
    elif stage in _stages(order):
        desk.dispute(order, Stage(stage))
    else:
        return _order(desk, order, status_code=409)
    return RedirectResponse(f"/desk/{order.id}", status_code=303)


def _decisions(order: Order) -> tuple[Status, ...]:
    return DECISIONS[order.kind].get(order.status, ())


def _stages(order: Order) -> tuple[Stage, ...]:
    if order.kind is not Kind.DEPOSIT or order.status is not Status.APPROVED:
        return ()
    last = order.disputes[-1].stage if order.disputes else None
    return NEXT_STAGES[last] or NEXT_STAGES[None]


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await wire.read_body(request)).decode(errors="replace")))


def _written(minor: int) -> str:
    return f"{minor:,}"


def _html(name: str, status_code: int = 200, **facts: Any) -> HTMLResponse:  # noqa: ANN401  a template's
    return HTMLResponse(TEMPLATES.get_template(name).render(**facts), status_code=status_code)


def _order(desk: Desk, order: Order | None, *, status_code: int = 200) -> Response:
    if order is None:
        return _html("no_order.html", 404)
    notices = [notice for notice in desk.notices if notice.reference == order.reference]
    return _html(
        "order.html",
        status_code,
        order=order,
        amount=f"{order.amount.decimal():,}",
        taken=f"{order.taken.decimal():,}",
        facts=order.facts(),
        about=SENTENCES[order.script],
        decisions=_decisions(order),
        stages=_stages(order),
        notices=notices,
    )


def _page(desk: Desk, order: Order | None, *, status_code: int = 200) -> Response:
    if order is None or order.kind is not Kind.DEPOSIT:
        return _html("no_order.html", 404)
    answer = _html(
        "pay.html",
        status_code,
        order=order,
        amount=f"{order.amount.decimal():,}",
        description=MARK.sub("", order.asked["description"], count=1),
        waiting=order.status is Status.AWAITING_PLAYER,
        instruments=_instruments(desk, order),
        return_url=order.asked["return_url"],
        scripts=[(script, SENTENCES[script]) for script in ON_PAGE],
        endings=[
            (ending, script, SENTENCES[script]) for ending, script in sorted(ENDINGS[Kind.DEPOSIT].items())
        ],
    )
    # Chromium holds form-action against redirects too, and the form's answer leads to the merchant.
    policy = f"{CONTENT_SECURITY_POLICY} {wire.origin_of(order.asked['return_url'])}"
    answer.headers["Content-Security-Policy"] = policy
    return answer


async def front_door() -> Response:
    """Lead whoever has only the address to the desk."""
    return RedirectResponse("/desk")


PAGE_ROUTES: Final = (
    ("GET", "/", front_door),
    ("GET", "/pay/{order_id}", pay_page),
    ("POST", "/pay/{order_id}", pay),
    ("GET", "/desk", desk_page),
    ("GET", "/desk/{order_id}", order_page),
    ("POST", "/desk/{order_id}", decide),
)
