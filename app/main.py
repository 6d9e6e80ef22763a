"""Composes the web process: every room's routes on one application, each opened with the same pipes."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

import app.cashier.routes
import app.ops.routes
import app.payments.routes
import app.players.routes
import app.providers.routes
from app import wiring
from app.plumbing import logs, web
from app.plumbing.pipes import Pipes
from app.plumbing.server import BoundedProtocol
from app.settings import Settings

__all__ = ["create_app", "merchant_api", "run"]

_STATIC = Path(__file__).parent / "cashier" / "static"


def create_app(pipes: Pipes, *, production: bool = False, metrics_token: str = "") -> FastAPI:
    """The application over opened pipes; closing them is the caller's.

    Args:
        pipes: as `wiring` opens them.
        production: no API docs are served, unsafe database settings make the process not ready, and strangers
            hear neither why nor the numbers.
        metrics_token: who may see the numbers in production; empty = nobody.
    """
    composed = _bare(docs=not production, over_tls=pipes.public_url.startswith("https://"))
    composed.include_router(app.cashier.routes.router(pipes))
    composed.include_router(app.players.routes.router(pipes))
    composed.include_router(app.payments.routes.router(pipes))
    composed.include_router(app.providers.routes.router(pipes))
    composed.include_router(app.ops.routes.router(pipes, production=production, metrics_token=metrics_token))
    composed.mount("/cashier/static", StaticFiles(directory=_STATIC), name="static")
    return composed


def merchant_api(pipes: Pipes) -> FastAPI:
    """Only what merchants' servers call: the source of openapi/merchant.json."""
    composed = _bare(docs=False)
    composed.include_router(app.players.routes.router(pipes))
    composed.include_router(app.payments.routes.router(pipes))
    return composed


def run(settings: Settings, *, processes: int = 1) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: this deployment's decisions; the processes read them again from the same environment.
        processes: web processes sharing the port; their numbers are added up at /metrics.
    """
    with tempfile.TemporaryDirectory(prefix="cashier-metrics-") as folder:
        if processes > 1:
            # Must be in the environment before the processes import prometheus_client.
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        uvicorn.run(
            "app.main:serve",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=processes,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=8,
            http=BoundedProtocol,
            limit_concurrency=settings.limit_concurrency,
            backlog=2048,
            timeout_keep_alive=15,
        )


def serve() -> FastAPI:
    """The application of a web process of its own, configured by the environment (uvicorn's factory)."""
    settings = Settings.read()
    logs.configure(settings.log_level, as_json=settings.log_json)
    pipes = wiring.pipes(settings, name="cashier web")
    composed = create_app(pipes, production=settings.production, metrics_token=settings.metrics_token)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await pipes.http.aclose()
        await pipes.database.close()

    composed.router.lifespan_context = lifespan
    return composed


def _bare(*, docs: bool, over_tls: bool = False) -> FastAPI:
    composed = FastAPI(
        title="Open Cashier: merchant API",
        version="1",
        description="What a merchant's server calls. Requests are signed: see docs/connect.md.",
        docs_url="/docs" if docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
        # A redirect would carry keys and signatures through one more log, and name the host it was asked by.
        redirect_slashes=False,
    )
    web.install(composed, over_tls=over_tls)
    return composed


if __name__ == "__main__":
    run(Settings.read())
