"""How merchants let a player in: key obtaining and user reset (protocol.md sections 2.1, 5b, 15)."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from app import merchants
from app.kernel import signing
from app.kernel.errors import Refusal
from app.players.operations import forget_habits, obtain_key
from app.plumbing import limits, web
from app.plumbing.direct import Direct
from app.plumbing.pipes import Pipes

__all__ = ["KeyAnswer", "KeyRefused", "ResetAnswer", "router"]


class KeyAnswer(BaseModel):
    """A key that opens the cashier for this player: `GET /open?key=...`."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"success": True, "errors": None, "key": "101-4hTz...Q"}}
    )
    success: bool = True
    errors: None = None
    key: str = Field(description="Opaque; usable until 60 minutes idle or 12 hours in all.")


class KeyRefused(BaseModel):
    """Why there is no key; `code` repeats the HTTP status."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"success": False, "errors": "currency: three letters", "code": 400}}
    )
    success: bool = False
    errors: str
    code: int


class ResetAnswer(BaseModel):
    """Whether the player's habits were forgotten."""

    model_config = ConfigDict(json_schema_extra={"example": {"error": None, "success": True}})
    error: str | None = None
    success: bool


# Of one site, in one web process: more players do not arrive, and a captured request is worth less.
KEYS_PER_SECOND, KEYS_AT_ONCE = 50.0, 500
_ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"model": KeyRefused},
    401: {"model": KeyRefused},
    422: {"model": KeyRefused},
}
_KEY_FIELDS = web.parameters_of(signing.KEY_OBTAINING)
_KEY_BODY = web.body_of(signing.KEY_OBTAINING)
_RESET_BODY = web.body_of(signing.USER_RESET)


def router(pipes: Pipes) -> APIRouter:
    """Key obtaining, by GET or POST, and user reset."""
    routes = APIRouter(route_class=Direct, tags=["cashier session"])
    _obtaining(routes, pipes)
    _resetting(routes, pipes)
    return routes


def _obtaining(routes: APIRouter, pipes: Pipes) -> None:
    buckets = limits.Buckets(pipes.clock, per_second=KEYS_PER_SECOND, burst=KEYS_AT_ONCE)

    async def obtained(request: Request) -> JSONResponse:
        try:
            fields = signing.read(signing.KEY_OBTAINING, await web.signed_pairs(request))
            now = pipes.clock.now()
            async with pipes.database.singly() as tx:
                site = await merchants.authentic_site(tx, fields, now)
                buckets.take(str(site.site_id))  # after the signature: nobody can use up another's
                key = await obtain_key(tx, site, fields, at=now)
        except Refusal as refusal:
            status = web.status_of(type(refusal))
            return JSONResponse(KeyRefused(errors=refusal.sentence, code=status).model_dump(), status)
        return JSONResponse(KeyAnswer(key=key).model_dump())

    @routes.get(
        "/api/authlink/obtain/",
        operation_id="keys_obtain",
        response_model=KeyAnswer,
        responses=_ANSWERS,
        openapi_extra=_KEY_FIELDS,
    )
    @routes.get("/api/authlink/obtain", include_in_schema=False)
    async def obtain(request: Request) -> JSONResponse:
        """Obtain a key for a player. All parameters sent take part in the signature."""
        return await obtained(request)

    @routes.post(
        "/api/authlink/obtain/",
        operation_id="keys_obtain_post",
        response_model=KeyAnswer,
        responses=_ANSWERS,
        openapi_extra=_KEY_BODY,
    )
    @routes.post("/api/authlink/obtain", include_in_schema=False)
    @routes.post("/v1/get_session_key/", include_in_schema=False)
    @routes.post("/v1/get_session_key", include_in_schema=False)
    async def obtain_by_post(request: Request) -> JSONResponse:
        """The same with a JSON or form body."""
        return await obtained(request)


def _resetting(routes: APIRouter, pipes: Pipes) -> None:
    @routes.post(
        "/api/clear/rotation/",
        operation_id="players_reset",
        response_model=ResetAnswer,
        responses={status: {"model": ResetAnswer} for status in (400, 401)},
        openapi_extra=_RESET_BODY,
    )
    @routes.post("/api/clear/rotation", include_in_schema=False)
    async def reset(request: Request) -> JSONResponse:
        """Forget the player's last-used methods at this site."""
        try:
            fields = signing.read(signing.USER_RESET, await web.signed_pairs(request))
            async with pipes.database.transaction() as tx:
                site = await merchants.authentic_site(tx, fields, pipes.clock.now())
                known = await forget_habits(tx, site.site_id, fields["site_login"])
        except Refusal as refusal:
            answer = ResetAnswer(error=refusal.sentence, success=False)
            return JSONResponse(answer.model_dump(), web.status_of(type(refusal)))
        return JSONResponse(
            ResetAnswer(error=None if known else "User not found", success=known).model_dump()
        )
