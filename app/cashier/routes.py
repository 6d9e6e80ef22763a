"""The player's way through the cashier: choose, pay, see what became of it. No decision is made here."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from app import merchants, methods, payments, players
from app.cashier import pages
from app.cashier.texts import LANGUAGES, choose_language, translator
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money, currency_exponent
from app.plumbing import idempotency
from app.plumbing.pipes import Pipes

__all__ = ["router"]

# What the page says, by the code of the refusal.
_PAGE_REFUSALS = {
    "not_authentic": ("key_invalid", 401),
    "payment_not_found": ("payment_not_found", 404),
    "deposits_stopped": ("closed_for_now", 503),
}
# Which field of the form a refusal belongs to; others stand above the button.
_LONGEST_TOKEN = 128  # characters of a form token


def router(pipes: Pipes) -> APIRouter:
    """The pages under `/open` and `/cashier`; addresses and key handling as protocol.md section 15."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/open")
    @routes.get("/api/open/")
    async def opened(request: Request, key: str = "", lang: str = "") -> Response:
        try:
            async with pipes.database.transaction() as tx:
                session = await players.use_key(tx, key, now=pipes.clock.now())
                site = await merchants.site(tx, session.player.site_id)
                offers = await methods.offers(tx, site.site_id, session.currency)
        except merchants.NotAuthentic as refusal:
            return _refused(request, refusal, lang)
        view = _methods_view(site, session, offers, key, choose_language(lang, session.language))
        return _page(pages.render_methods(view), site)

    @routes.post("/cashier/deposit")
    async def deposit(
        request: Request,
        key: Annotated[str, Form()] = "",
        form_token: Annotated[str, Form()] = "",
        method: Annotated[str, Form()] = "",
        amount: Annotated[str, Form()] = "",
        lang: Annotated[str, Form()] = "",
    ) -> Response:
        try:
            async with pipes.database.transaction() as tx:
                session = await players.use_key(tx, key, now=pipes.clock.now())
                site = await merchants.site(tx, session.player.site_id)
                offers = await methods.offers(tx, site.site_id, session.currency)
        except merchants.NotAuthentic as refusal:
            return _refused(request, refusal, lang)
        language = choose_language(lang, session.language)
        try:
            wish = _wish(session, method, amount, form_token, language)
            token = await payments.request_deposit(pipes, session, wish)
        except payments.DepositsStopped as refusal:
            return _refused(request, refusal, language)
        except Refusal as refusal:
            view = _methods_view(site, session, offers, key, language, typed=(method, amount), refusal=refusal)
            return _page(pages.render_methods(view), site, status=422)
        return RedirectResponse(f"/cashier/payment/{token}?lang={language}", 303, headers={"referrer-policy": "no-referrer"})

    @routes.get("/cashier/payment/{view_token}")
    async def payment(
        request: Request, view_token: str, lang: str = "", returned: Annotated[str, Query(max_length=8)] = ""
    ) -> Response:
        try:
            async with pipes.database.reading() as reader:
                found = await payments.payment_of_view(reader, view_token)
                site = await merchants.site(reader, found.site_id)
        except payments.PaymentNotFound as refusal:
            return _refused(request, refusal, lang)
        if found.status in {payments.Status.PENDING, payments.Status.PROCESSING} and returned:
            await payments.ask_soon(pipes, found.site_id, found.payment_id)  # the browser's return proves nothing: ask
        view = _payment_view(site, found, view_token, choose_language(lang, found.language), returned=bool(returned))
        return _page(pages.render_payment(view), site)

    @routes.get("/cashier/payment/{view_token}/status")
    async def status(view_token: str, lang: str = "") -> JSONResponse:
        async with pipes.database.reading() as reader:
            found = await payments.payment_of_view(reader, view_token)
            site = await merchants.site(reader, found.site_id)
        view = _payment_view(site, found, view_token, choose_language(lang, found.language))
        return JSONResponse(pages.status_body(view))

    return routes


def _wish(session: players.Session, method: str, amount: str, form_token: str, language: str) -> payments.DepositWish:
    if not 0 < len(form_token) <= _LONGEST_TOKEN:
        raise idempotency.IdempotencyKeyReused
    if not method:
        raise MethodMissing
    read = pages.read_amount(amount, session.currency, language)
    source = {"mobile": "mobile", "native": "native"}.get(session.wishes.get("mode", ""), "iframe")
    return payments.DepositWish(method, read, form_token, payments.SOURCE_TYPES[source])


class MethodMissing(Refusal):
    """No payment method was chosen."""

    param = "method"


def _methods_view(  # noqa: PLR0913  what a page is made of
    site: merchants.Site,
    session: players.Session,
    offers: list[methods.Offer],
    key: str,
    language: str,
    *,
    typed: tuple[str, str] = ("", ""),
    refusal: Refusal | None = None,
) -> pages.MethodsView:
    wishes = session.wishes
    shown = [
        methods.narrowed(offer, wishes.get("deposit_range", ""))
        for offer in methods.arranged(offers, wishes.get("ps_range", ""))
    ]
    tiles = [
        pages.Tile(
            code=offer.method.code,
            title=offer.method.title,
            group=str(offer.method.group_id),
            icon=offer.method.icon,
            minimum=offer.minimum,
            maximum=offer.maximum,
            quick_amounts=methods.quick_amounts(offer, wishes.get("amount_series", "")),
        )
        for offer in shown
    ]
    codes = [tile.code for tile in tiles]
    chosen = typed[0] or (session.player.last_method if session.player.last_method in codes else "")
    return pages.MethodsView(
        site_id=site.site_id,
        site_name=site.name,
        language=language,
        languages=[code for code in site.languages if code in LANGUAGES],
        currency=session.currency,
        exponent=currency_exponent(session.currency),
        key=key,
        form_token=ids.secret(24),
        tiles=tiles,
        method=chosen,
        amount=typed[1] or _suggestion(tiles, wishes.get("amount_series", "")),
        errors={} if refusal is None else _error(refusal, language),
        parent_origins=site.frame_origins,
    )


def _suggestion(tiles: list[pages.Tile], series: str) -> Money | str:
    """The last amount of the merchant's series is preselected (protocol.md section 2.1)."""
    return tiles[0].quick_amounts[-1] if series and tiles and tiles[0].quick_amounts else ""


def _error(refusal: Refusal, language: str) -> dict[str, str]:
    field = refusal.param if refusal.param in {"method", "amount"} else "form"
    return {field: translator(language).refusal(refusal.code, refusal.fields).headline}


def _payment_view(
    site: merchants.Site, found: payments.Payment, view_token: str, language: str, *, returned: bool = False
) -> pages.PaymentView:
    refused = found.sub_status is payments.SubStatus.REJECTED_BY_MERCHANT
    return pages.PaymentView(
        site_id=site.site_id,
        site_name=site.name,
        language=language,
        reference=str(found.number),
        method=found.method,
        method_title=methods.CATALOGUE[found.method].title,
        amount=found.amount,
        reason=found.sub_status.value,
        status_url=f"/cashier/payment/{view_token}/status?lang={language}",
        continue_url=found.continue_url,
        again_possible=found.completed_at is not None,
        returned=returned,
        merchant_sentence=found.reason if refused else "",
        completed_at=found.completed_at,
        expires_at=found.expires_at,
        parent_origins=site.frame_origins,
    )


def _refused(request: Request, refusal: Refusal, lang: str) -> Response:
    code, status = _PAGE_REFUSALS[refusal.code]
    language = choose_language(lang, request.headers.get("accept-language"))
    view = pages.RefusalView(language=language, code=code, request_id=str(request.scope.get("request_id", "")))
    # Who may frame a page of nobody's site cannot be known; it says nothing secret.
    headers = {"content-security-policy": pages.content_security_policy(()).replace("frame-ancestors 'none'", "frame-ancestors *")}
    return HTMLResponse(pages.render_refusal(view), status, headers=headers)


def _page(html: str, site: merchants.Site, *, status: int = 200) -> HTMLResponse:
    headers = {
        "content-security-policy": pages.content_security_policy(site.frame_origins),
        "cache-control": "no-store",
    }
    return HTMLResponse(html, status, headers=headers)
