"""Where operations look: alive, ready, numbers."""

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.ops.health import checks
from app.ops.numbers import MEDIA_TYPE, is_bearer
from app.plumbing import metrics, web
from app.plumbing.pipes import Pipes

__all__ = ["router"]

_log = structlog.get_logger("ops")


def router(pipes: Pipes, *, production: bool, metrics_token: str = "") -> APIRouter:
    """`/healthz` answers while the process lives, `/readyz` while it can serve, `/metrics` for Prometheus.

    Args:
        pipes: as `wiring` opens them.
        production: `/readyz` says no reasons, the log does; `/metrics` asks for the token.
        metrics_token: the bearer of `/metrics` in production; empty = there are no numbers for anybody.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz")
    async def alive() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @routes.get("/readyz")
    async def ready() -> JSONResponse:
        found = await checks(pipes.database, production=production)
        is_ready = all(check.is_well for check in found if check.fatal)
        content: dict[str, object] = {"status": "ready" if is_ready else "not ready"}
        if production:
            for check in found:
                if not check.is_well:
                    _log.warning("not.well", check=check.name, detail=check.detail, fatal=check.fatal)
        else:
            content["checks"] = {
                check.name: {"well": check.is_well, "detail": check.detail} for check in found
            }
        return JSONResponse(content, 200 if is_ready else 503)

    @routes.get("/metrics")
    async def numbers(request: Request) -> Response:
        if production and not metrics_token:
            return web.problem(404, "not_found", "Not Found")
        if production and not is_bearer(request.headers.get("authorization", ""), metrics_token):
            answer = web.problem(401, "not_authentic", "Say who asks: Authorization: Bearer and the token.")
            answer.headers["www-authenticate"] = "Bearer"
            return answer
        return Response(metrics.rendered(), media_type=MEDIA_TYPE)

    return routes
