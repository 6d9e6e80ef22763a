"""The player's way through the cashier: choose, pay, see what became of it. No decision is made here."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from app import merchants, payments
from app.cashier import pages, views
from app.cashier.texts import choose_language
from app.kernel.errors import Refusal
from app.plumbing.pipes import Pipes

__all__ = ["router"]

# Refusals that take the whole page: what it says, and its status.
_WHOLE_PAGE = {
    merchants.NotAuthentic: ("key_invalid", 401),
    payments.PaymentNotFound: ("payment_not_found", 404),
    payments.DepositsStopped: ("closed_for_now", 503),
}


def router(pipes: Pipes) -> APIRouter:
    """The pages under `/open` and `/cashier`; addresses and key handling as protocol.md section 15."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/open")
    @routes.get("/open/")
    @routes.get("/api/open")
    @routes.get("/api/open/")
    async def opened(request: Request, key: str = "", lang: str = "") -> Response:
        try:
            here = await views.visit(pipes, key, lang)
        except merchants.NotAuthentic as refusal:
            return _refused(request, refusal, lang)
        return _page(pages.render_methods(views.methods_view(here)), here.site)

    @routes.post("/cashier/deposit")
    async def deposit(request: Request, form: Annotated[views.DepositForm, Form()]) -> Response:
        try:
            here = await views.visit(pipes, form.key, form.lang)
        except merchants.NotAuthentic as refusal:
            return _refused(request, refusal, form.lang)
        try:
            token = await payments.request_deposit(pipes, here.session, views.wish(here, form))
        except payments.DepositsStopped as refusal:
            return _refused(request, refusal, here.language)
        except Refusal as refusal:
            return _page(pages.render_methods(views.methods_view(here, form, refusal)), here.site, status=422)
        return RedirectResponse(f"/cashier/payment/{token}?lang={here.language}", 303)

    @routes.get("/cashier/payment/{view_token}")
    async def payment(
        request: Request, view_token: str, lang: str = "", returned: Annotated[str, Query(max_length=8)] = ""
    ) -> Response:
        try:
            async with pipes.database.reading() as reader:
                found = await payments.payment_of_view(reader, view_token)
                view, site = await views.payment_view(
                    reader, found, view_token, lang, returned=bool(returned)
                )
        except payments.PaymentNotFound as refusal:
            return _refused(request, refusal, lang)
        if returned and found.completed_at is None:
            # The browser's return proves nothing: ask the provider.
            await payments.ask_soon(pipes, found.site_id, found.payment_id)
        return _page(pages.render_payment(view), site)

    @routes.get("/cashier/payment/{view_token}/status")
    async def status(view_token: str, lang: str = "") -> JSONResponse:
        async with pipes.database.reading() as reader:
            found = await payments.payment_of_view(reader, view_token)
            view, _ = await views.payment_view(reader, found, view_token, lang)
        return JSONResponse(pages.status_body(view))

    return routes


def _refused(request: Request, refusal: Refusal, lang: str) -> Response:
    code, status = _WHOLE_PAGE[type(refusal)]
    language = choose_language(lang, request.headers.get("accept-language"))
    view = pages.RefusalView(
        language=language, code=code, request_id=str(request.scope.get("request_id", ""))
    )
    # Whose site it would be is not known, so anybody may frame the page; it says nothing of anyone.
    policy = pages.content_security_policy(()).replace("frame-ancestors 'none'", "frame-ancestors *")
    return HTMLResponse(pages.render_refusal(view), status, headers={"content-security-policy": policy})


def _page(html: str, site: merchants.Site, *, status: int = 200) -> HTMLResponse:
    policy = pages.content_security_policy(site.frame_origins)
    return HTMLResponse(html, status, headers={"content-security-policy": policy})
