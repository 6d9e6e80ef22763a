"""The player's way through the cashier: choose, pay, see what became of it. No decision is made here."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from app import merchants, payments
from app.cashier import pages, payment_views, views, withdrawal_pages, withdrawals
from app.cashier.texts import choose_language
from app.kernel.errors import Refusal
from app.plumbing import forms, limits
from app.plumbing.direct import Direct
from app.plumbing.pipes import Pipes

__all__ = ["PLAYER_AT_ONCE", "router"]

# Refusals that take the whole page: what it says, and its status.
_WHOLE_PAGE = {
    merchants.NotAuthentic: ("key_invalid", 401),
    payments.PaymentNotFound: ("payment_not_found", 404),
    payments.DepositsStopped: ("closed_for_now", 503),
    payments.PayoutsStopped: ("withdrawals_closed", 503),
    limits.TooManyRequests: ("too_many_requests", 429),
    views.DeedNotOffered: ("deed_not_offered", 403),
}
_KEPT_OUT = (merchants.NotAuthentic, views.DeedNotOffered, limits.TooManyRequests)
# Forms in one web process: of one player more is no person, but somebody who tries out the numbers of cards,
# or has the merchant asked about deposits until the other players' have no place. About withdrawals, of one
# site it is more than its players send.
_PLAYER_PER_SECOND, PLAYER_AT_ONCE = 0.2, 20
_SITE_PER_SECOND, _SITE_AT_ONCE = 50.0, 500


@dataclass(frozen=True, slots=True)
class _Pace:
    """How often players may send forms about withdrawals."""

    players: limits.Buckets
    sites: limits.Buckets

    def take(self, site_id: int, player_id: str) -> None:
        """Count one form.

        Raises:
            TooManyRequests: too many of this player, who then uses up nothing of his site's, or of the site.
        """
        self.players.take(_name_of(site_id, player_id))
        self.sites.take(str(site_id))


def _name_of(site_id: int, player_id: str) -> str:
    return f"{site_id}:{player_id}"


def router(pipes: Pipes) -> APIRouter:
    """The pages under `/open` and `/cashier`; addresses and key handling as protocol.md section 15."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/open")
    @routes.get("/open/")
    @routes.get("/api/open")
    @routes.get("/api/open/")
    async def opened(request: Request, key: str = "", lang: str = "", deed: str = "") -> Response:
        try:
            here = await views.visit(pipes, key, lang)
        except merchants.NotAuthentic as refusal:
            return _refused(request, refusal, lang)
        if here.deed(deed) == "withdraw":
            view = await withdrawals.withdraw_view(pipes, here)
            return _page(withdrawal_pages.render_withdraw(view), here.site)
        return _page(pages.render_methods(views.methods_view(here)), here.site)

    _deposits(pipes, routes, _of_players(pipes))
    pace = _Pace(
        _of_players(pipes), limits.Buckets(pipes.clock, per_second=_SITE_PER_SECOND, burst=_SITE_AT_ONCE)
    )
    _withdrawals(pipes, routes, pace)
    _one_payment(pipes, routes, pace)
    _without_forms(routes)
    return routes


def _of_players(pipes: Pipes) -> limits.Buckets:
    return limits.Buckets(pipes.clock, per_second=_PLAYER_PER_SECOND, burst=PLAYER_AT_ONCE)


def _deposits(pipes: Pipes, routes: APIRouter, pace: limits.Buckets) -> None:
    async def deposit(request: Request) -> Response:
        form = await forms.form_of(request, views.DepositForm)
        try:
            here = await views.visit_for(pipes, form, "deposit")
            pace.take(_name_of(here.site.site_id, here.session.player.player_id))
        except _KEPT_OUT as refusal:
            return _refused(request, refusal, form.lang)
        try:
            wish = views.wish(here, form)
            token = await payments.request_deposit(pipes, here.session, wish, site=here.site)
        except payments.DepositsStopped as refusal:
            return _refused(request, refusal, here.language)
        except Refusal as refusal:
            here = await views.visit(pipes, form.key, form.lang)  # with what the site offers
            return _page(pages.render_methods(views.methods_view(here, form, refusal)), here.site, status=422)
        return RedirectResponse(f"/cashier/payment/{token}?lang={here.language}", 303)

    routes.add_api_route("/cashier/deposit", deposit, methods=["POST"], route_class_override=Direct)


def _without_forms(routes: APIRouter) -> None:
    """Where a form is sent to, opened by its bare address: one that was copied, or restored by a browser."""

    @routes.get("/cashier/deposit")
    @routes.get("/cashier/withdraw")
    @routes.get("/cashier/withdraw/review")
    async def no_form(request: Request, lang: str = "") -> Response:
        return _refused(request, merchants.NotAuthentic(), lang)

    @routes.get("/cashier/payment/{view_token}/cancel")
    async def not_cancelled(view_token: str, lang: str = "") -> Response:
        return RedirectResponse(f"/cashier/payment/{view_token}?lang={choose_language(lang)}", 303)


def _withdrawals(pipes: Pipes, routes: APIRouter, pace: _Pace) -> None:
    @routes.post("/cashier/withdraw/review")
    async def review(request: Request, form: Annotated[withdrawals.WithdrawalForm, Form()]) -> Response:
        try:
            here = await views.visit_for(pipes, form, "withdraw")
            pace.take(here.site.site_id, here.session.player.player_id)
        except _KEPT_OUT as refusal:
            return _refused(request, refusal, form.lang)
        if form.change:
            view = await withdrawals.withdraw_view(pipes, here, form)
            return _page(withdrawal_pages.render_withdraw(view), here.site)
        try:
            seen = await withdrawals.reviewed(pipes, here, form)
        except Refusal as refusal:
            return await _not_withdrawn(request, pipes, here, form, refusal)
        return _page(withdrawal_pages.render_review(seen), here.site)

    @routes.post("/cashier/withdraw")
    async def withdraw(request: Request, form: Annotated[withdrawals.WithdrawalForm, Form()]) -> Response:
        try:
            here = await views.visit_for(pipes, form, "withdraw")
            pace.take(here.site.site_id, here.session.player.player_id)
        except _KEPT_OUT as refusal:
            return _refused(request, refusal, form.lang)
        try:
            token = await payments.request_payout(pipes, here.session, withdrawals.wish(here, form))
        except Refusal as refusal:
            return await _not_withdrawn(request, pipes, here, form, refusal)
        return RedirectResponse(f"/cashier/payment/{token}?lang={here.language}", 303)


def _one_payment(pipes: Pipes, routes: APIRouter, pace: _Pace) -> None:
    @routes.get("/cashier/payment/{view_token}")
    async def payment(
        request: Request, view_token: str, lang: str = "", returned: Annotated[str, Query(max_length=8)] = ""
    ) -> Response:
        try:
            seen = await payment_views.look(pipes, view_token, lang, returned=bool(returned))
        except payments.PaymentNotFound as refusal:
            return _refused(request, refusal, lang)
        if seen.is_worth_asking:
            await payments.ask_soon(pipes, seen.payment.site_id, seen.payment.payment_id)
        return _page(pages.render_payment(seen.view), seen.site)

    @routes.get("/cashier/payment/{view_token}/status")
    async def status(view_token: str, lang: str = "") -> JSONResponse:
        seen = await payment_views.look(pipes, view_token, lang)
        return JSONResponse(pages.status_body(seen.view))

    @routes.post("/cashier/payment/{view_token}/cancel")
    async def cancel(request: Request, view_token: str, lang: str = "") -> Response:
        try:
            found = (await payment_views.look(pipes, view_token, lang)).payment
            pace.take(found.site_id, found.player_id)
            await payments.cancel(pipes, found.site_id, found.payment_id, found.player_id)
        except (payments.PaymentNotFound, limits.TooManyRequests) as refusal:
            return _refused(request, refusal, lang)
        except (payments.TooLateToCancel, payments.CancelNotAllowed) as refusal:
            seen = await payment_views.look(pipes, view_token, lang)
            view = payment_views.with_error(seen.view, refusal)
            return _page(pages.render_payment(view), seen.site, status=409)
        return RedirectResponse(f"/cashier/payment/{view_token}?lang={choose_language(lang)}", 303)


async def _not_withdrawn(
    request: Request, pipes: Pipes, here: views.Visit, form: withdrawals.WithdrawalForm, refusal: Refusal
) -> Response:
    """The form again with what was wrong; or a page that says that nobody can withdraw now."""
    if isinstance(refusal, payments.PayoutsStopped):
        return _refused(request, refusal, here.language)
    view = await withdrawals.withdraw_view(pipes, here, form, refusal)
    return _page(withdrawal_pages.render_withdraw(view), here.site, status=withdrawals.status_of(refusal))


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
