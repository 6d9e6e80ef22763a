"""Where operations look: alive, ready, numbers."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from app.ops.health import checks
from app.plumbing import metrics
from app.plumbing.pipes import Pipes

__all__ = ["router"]


def router(pipes: Pipes, *, production: bool) -> APIRouter:
    """`/healthz` answers while the process lives, `/readyz` while it can serve, `/metrics` for Prometheus."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz")
    async def alive() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @routes.get("/readyz")
    async def ready() -> JSONResponse:
        found = await checks(pipes.database, production=production)
        is_ready = all(check.is_well for check in found if check.fatal)
        answers = {check.name: {"well": check.is_well, "detail": check.detail} for check in found}
        return JSONResponse(
            {"status": "ready" if is_ready else "not ready", "checks": answers}, 200 if is_ready else 503
        )

    @routes.get("/metrics")
    async def numbers() -> Response:
        return Response(metrics.rendered(), media_type="text/plain; version=0.0.4")

    return routes
