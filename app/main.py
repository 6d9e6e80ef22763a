"""Composes the web process: every room's routes on one application, each opened with the same pipes."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

import app.cashier.routes
import app.ops.routes
import app.payments.examples
import app.payments.routes
import app.players.routes
import app.providers.routes
import app.wallet.routes
from app import providers, wallet, wiring
from app.plumbing import logs, web
from app.plumbing.collector import spare_the_collector
from app.plumbing.direct import Application
from app.plumbing.pipes import Pipes
from app.plumbing.server import BoundedProtocol
from app.settings import Settings
from app.wallet import examples

__all__ = ["create_app", "merchant_api", "run", "wallet_api"]

# A thousand operations with ids of full length.
_BATCH_BYTES = 2 * 1024 * 1024
_BODY_LIMITS = {
    "/v1/player/wallet/batch": _BATCH_BYTES,
    "/v1/game/batch": _BATCH_BYTES,
    "/v1/reconcile": _BATCH_BYTES,
}
_STATIC = Path(__file__).parent / "cashier" / "static"
_DOCS_STATIC = "/docs/static"


def create_app(
    pipes: Pipes, *, production: bool = False, metrics_token: str = "", journal: wallet.Journal | None = None
) -> FastAPI:
    """The application over opened pipes; closing them is the caller's, its lifespan closes what it opened.

    Args:
        pipes: as `wiring` opens them.
        production: no API docs are served, unsafe database settings make the process not ready, and strangers
            hear neither why nor the numbers.
        metrics_token: who may see the numbers in production; empty = nobody.
        journal: where the wallet's operations are posted, closed with the application; None: one is made.
    """
    journal = journal or wallet.Journal(pipes)
    intake = providers.Intake(pipes.database)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await journal.aclose()
        await intake.aclose()

    composed = _bare(docs=not production, over_tls=pipes.public_url.startswith("https://"))
    composed.router.lifespan_context = lifespan
    # Not included but put there, where direct routes are looked for before everything else.
    composed.router.routes.extend(app.providers.routes.router(pipes, intake).routes)
    app.wallet.routes.mount(composed, pipes, journal)
    composed.router.routes.extend(app.cashier.routes.router(pipes).routes)
    composed.router.routes.extend(app.players.routes.router(pipes).routes)
    composed.include_router(app.payments.routes.router(pipes))
    composed.include_router(app.ops.routes.router(pipes, production=production, metrics_token=metrics_token))
    _describe(composed)
    composed.mount("/cashier/static", StaticFiles(directory=_STATIC), name="static")
    if not production:
        # Only the files of that package: its application is not ours.
        files = StaticFiles(packages=[("fastapi_offline", "static")])
        composed.mount(_DOCS_STATIC, files, name="docs_static")
    return composed


def _describe(composed: FastAPI) -> None:
    """Let the API's page show the calls as the documents in openapi/ do; made when first asked for."""
    bare = composed.openapi

    def openapi() -> dict[str, Any]:
        return composed.openapi_schema or app.payments.examples.described(examples.described(bare()))

    composed.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way of extending it


def merchant_api(pipes: Pipes) -> FastAPI:
    """Only what merchants' servers call: the source of openapi/merchant.json."""
    composed = _bare(docs=False)
    composed.include_router(app.players.routes.router(pipes))
    composed.include_router(app.payments.routes.router(pipes))
    return composed


def wallet_api(pipes: Pipes) -> FastAPI:
    """Only what operators and game platforms call: the source of openapi/wallet.json."""
    composed = _bare(docs=False)
    app.wallet.routes.mount(composed, pipes, wallet.Journal(pipes))
    return composed


def run(settings: Settings, *, processes: int = 1) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: this deployment's decisions; the processes read them again from the same environment.
        processes: web processes sharing the port; their numbers are added up at /metrics.
    """
    with ExitStack() as stack:
        if processes > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cashier-metrics-"))
            # Must be in the environment before the processes import prometheus_client.
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
            os.environ["CASHIER_WEB_PROCESSES"] = str(max(processes, settings.web_processes))
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
    spare_the_collector()
    pipes = wiring.pipes(settings, name="cashier web")
    journal = wallet.Journal(
        pipes,
        abreast=wallet.abreast(settings.web_processes),
        connections=settings.limit_concurrency,
    )
    composed = create_app(
        pipes, production=settings.production, metrics_token=settings.metrics_token, journal=journal
    )
    opened = composed.router.lifespan_context

    @asynccontextmanager
    async def lifespan(composed: FastAPI) -> AsyncIterator[None]:
        async with opened(composed):
            yield
        await pipes.http.aclose()
        await pipes.database.close()

    composed.router.lifespan_context = lifespan
    return composed


def _bare(*, docs: bool, over_tls: bool = False) -> FastAPI:
    composed = Application(
        title="Open Cashier: merchant API",
        version="1",
        description="What a merchant's server calls. Requests are signed: see docs/connect.md.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
        # A redirect would carry keys and signatures through one more log, and name the host it was asked by.
        redirect_slashes=False,
    )
    if docs:
        composed.add_api_route("/docs", _docs, include_in_schema=False)
    web.install(composed, over_tls=over_tls, body_limits=_BODY_LIMITS)
    return composed


async def _docs() -> HTMLResponse:
    """The API's page, drawn by files of our own address: a machine without the internet shows it too."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Open Cashier: API",
        swagger_js_url=f"{_DOCS_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_DOCS_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_DOCS_STATIC}/favicon.png",
    )


if __name__ == "__main__":
    run(Settings.read())
