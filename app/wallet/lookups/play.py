"""Launching games: a session and a URL that opens it once, the page it leads to, and the session's end."""

from collections.abc import Mapping
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from app import players
from app.kernel.grammar import URL
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes
from app.wallet.access import Access, Caller
from app.wallet.bodies import read_body
from app.wallet.catalogue import Game
from app.wallet.contract import instant, units
from app.wallet.lookups.asking import PLATFORMS, check_mode, described, done, ok, optional, wrong
from app.wallet.lookups.people import tag_of
from app.wallet.operations import Launch, Launched, end_session, launch, open_launch
from app.wallet.queries import Session
from app.wallet.schemas import currency_of, text_of

__all__ = ["mount"]

_EXAMPLE: Final = {
    "playerExternalId": "player-1",
    "gameCode": "aviator",
    "providerId": "acme",
    "currency": "KZT",
    "language": "kk",
    "returnUrl": "https://shop.example.com/lobby",
}
_SEES_NOTHING: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
}
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;"
    "padding:0 1rem}}dt{{font-weight:600}}</style><h1>{title}</h1>{body}</html>"
)


def mount(routes: APIRouter, pipes: Pipes, access: Access) -> None:
    """Add these calls, and the page."""

    @routes.post("/v1/game/launch", **described("wallet_launch", body=_EXAMPLE))
    async def start(request: Request) -> Response:
        """Open a game session for a player; `gameUrl` works once, for a minute."""
        caller = await access.caller(request, PLATFORMS)
        check_mode(caller)
        body = read_body(await request.body())
        if body.get("demo") is True:
            return ok(_demo(pipes, body))
        return ok(await _launched(pipes, caller, body))

    @routes.post("/v1/session/end", **described("wallet_session_end", body={"sessionId": "gse_..."}))
    async def end(request: Request) -> Response:
        """End a game session; its final balance, also when asked again."""
        caller = await access.caller(request, PLATFORMS)
        return ok(await _ended(pipes, caller, read_body(await request.body())))

    @routes.get("/play/demo", include_in_schema=False)
    async def demo(request: Request) -> Response:
        """A table where nothing is at stake."""
        return _page("Demo", {"Game": request.query_params.get("game", "")[:128], "Money": "none"})

    @routes.get("/play/{secret}", include_in_schema=False)
    async def table(secret: str) -> Response:
        """Where a launch URL leads: the game's own page, or a table of ours that shows the session."""
        at = pipes.clock.now()

        async def work(tx: Transaction) -> tuple[Session, Game | None] | None:
            return await open_launch(tx, secret, at=at)

        found = await done(pipes, work)
        return _gone() if found is None else _table(*found)


async def _launched(pipes: Pipes, caller: Caller, body: Mapping[str, Any]) -> dict[str, object]:
    wish = Launch(
        player=text_of(body, "playerExternalId"),
        currency=currency_of(body),
        game=text_of(body, "gameCode"),
        provider=optional(body, "providerId"),
        language=tag_of(body),
        return_url=_return_url(body),
    )
    at = pipes.clock.now()

    async def work(tx: Transaction) -> Launched:
        return await launch(tx, caller.site, wish, caller.policy, at=at)

    made = await done(pipes, work)
    return {
        "gameUrl": f"{pipes.public_url}/play/{made.secret}",
        "sessionId": made.session_id,
        "expiresAt": instant(made.expires_at),
        "gameUrlExpiresAt": instant(made.url_expires_at),
        "providerId": made.provider,
        "gameCode": wish.game,
    }


def _demo(pipes: Pipes, body: Mapping[str, Any]) -> dict[str, object]:
    """A launch for fun: no player, no session, no wallet (rule 67)."""
    game = text_of(body, "gameCode")
    url = f"{pipes.public_url}/play/demo?{urlencode({'game': game})}"
    return {"gameUrl": url, "sessionId": None, "expiresAt": None, "gameCode": game}


def _return_url(body: Mapping[str, Any]) -> str:
    found = body.get("returnUrl")
    if found is None or found == "":
        return ""
    if type(found) is not str or not URL.accepts(found):
        raise wrong("returnUrl", URL.rule)
    return found


async def _ended(pipes: Pipes, caller: Caller, body: Mapping[str, Any]) -> dict[str, object]:
    session_id, at = text_of(body, "sessionId"), pipes.clock.now()

    async def work(tx: Transaction) -> tuple[Session, bool, str]:
        session, was_over = await end_session(tx, caller.site_id, session_id, at=at)
        player = await players.player(tx, caller.site_id, session.player_id)
        return session, was_over, player.site_login

    session, was_over, login = await done(pipes, work)
    assert session.ended_at is not None, "it was ended just now, or before"
    balance = units(caller.policy(session.provider), session.currency)(session.final_balance or 0)
    return {
        "sessionId": session.session_id,
        "playerExternalId": login,
        "currency": session.currency,
        "finalBalance": balance,
        "endedAt": instant(session.ended_at),
        "duplicate": was_over,
    }


def _table(session: Session, game: Game | None) -> Response:
    if game is not None and game.launch_url:
        told = {
            "sessionId": session.session_id,
            "gameCode": session.game,
            "currency": session.currency,
            "language": session.language,
            "returnUrl": session.return_url,
        }
        query = urlencode({name: value for name, value in told.items() if value})
        joint = "&" if "?" in game.launch_url else "?"
        return RedirectResponse(f"{game.launch_url}{joint}{query}", 303)
    facts = {
        "Game": session.game,
        "Platform": session.provider,
        "Currency": session.currency,
        "Session": session.session_id,
    }
    return _page(game.name if game else session.game, facts, session.return_url)


def _gone() -> Response:
    return HTMLResponse(
        _PAGE.format(title="This link is used up", body="<p>Start the game again from the lobby.</p>"),
        410,
        headers=_SEES_NOTHING,
    )


def _page(title: str, facts: Mapping[str, str], return_url: str = "") -> Response:
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    back = f'<p><a href="{escape(return_url)}">Back to the lobby</a></p>' if return_url else ""
    body = f"<dl>{lines}</dl>{back}"
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), headers=_SEES_NOTHING)
