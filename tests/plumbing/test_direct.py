"""A direct route answers without the framework's solving, wherever it was put."""

import re

import fastapi.routing
import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from typing_extensions import override

from app import main
from app.kernel.clock import MovableClock
from app.plumbing import metrics, web
from app.plumbing.batching import Overloaded
from app.plumbing.database import Database
from app.plumbing.direct import Application, Direct, Handle
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes


class Guarded(Direct):
    """One of a room that answers by itself when an endpoint fails."""

    @override
    def guarded(self, endpoint: Handle) -> Handle:
        async def handle(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ZeroDivisionError:
                return Response("a room's own answer", 418)

        return handle


@pytest.mark.parametrize("how", ["put", "included"])
async def test_nothing_is_solved_and_the_room_answers_for_what_is_raised(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def solved(**_: object) -> None:
        raise AssertionError("there is nothing to solve")

    async def told(request: Request) -> Response:
        return Response(f"{1 // int(request.path_params['number'])}")

    monkeypatch.setattr(fastapi.routing, "solve_dependencies", solved)
    app, router = FastAPI(), APIRouter(route_class=Guarded)
    router.add_api_route("/told/{number}", told, methods=["POST"])
    if how == "put":
        app.router.routes.extend(router.routes)
    else:
        app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answers = [await client.post(f"/told/{number}") for number in (1, 0)]
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (200, "1"),
        (418, "a room's own answer"),
    ]


async def told(request: Request) -> Response:
    return Response(request.path_params.get("number", "none"))


async def refuses(_: Request) -> Response:
    raise Overloaded(retry_after_seconds=1)


async def fails(_: Request) -> Response:
    raise ZeroDivisionError


def direct_ways(how: type[FastAPI]) -> FastAPI:
    """An application with our manners and four direct routes."""
    app, router = how(openapi_url=None), APIRouter(route_class=Direct)
    for path, endpoint in (
        ("/told", told),
        ("/told/{number}", told),
        ("/refuses", refuses),
        ("/fails", fails),
    ):
        router.add_api_route(path, endpoint, methods=["POST"])
    app.router.routes.extend(router.routes)
    web.install(app)
    return app


async def asked(app: FastAPI, method: str, path: str) -> tuple[int, str, dict[str, str]]:
    """Status, content and headers, all without the request's id."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.request(method, path)
    plain = re.compile("req_[0-9A-Za-z]+")
    headers = {name: plain.sub("req", value) for name, value in answer.headers.items()}
    return answer.status_code, plain.sub("req", answer.text), headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/told", 200),
        ("POST", "/told/7", 200),
        ("POST", "/refuses", 503),
        ("POST", "/fails", 500),
        ("GET", "/told", 405),
        ("POST", "/told/7/8", 404),
        ("POST", "/TOLD", 404),
    ],
)
async def test_an_answer_is_the_framework_s_answer(method: str, path: str, status: int) -> None:
    ours = await asked(direct_ways(Application), method, path)
    assert ours == await asked(direct_ways(FastAPI), method, path)
    assert ours[0] == status
    assert ours[2].items() >= {"request-id": "req", "x-content-type-options": "nosniff"}.items()


@pytest.mark.parametrize("path", ["/told", "/told/7"])
async def test_the_framework_is_not_gone_through(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone_through(*_: object) -> None:
        raise AssertionError("a direct route is found before")

    app = direct_ways(Application)
    monkeypatch.setattr(FastAPI, "__call__", gone_through)
    assert (await asked(app, "POST", path))[0] == 200
    with pytest.raises(AssertionError, match="found before"):
        await asked(app, "GET", path)


async def test_a_direct_call_is_counted_under_its_pattern() -> None:
    await asked(direct_ways(Application), "POST", "/told/7")
    assert 'cashier_http_requests_total{method="POST",route="/told/{number}",status="200"}' in (
        metrics.rendered().decode()
    )


async def test_what_comes_by_the_thousand_is_direct(database: Database, clock: MovableClock) -> None:
    async with HttpClient(clock=clock) as http:
        composed = main.create_app(Pipes(database, http, clock, "http://test"))
    direct = {getattr(route, "path", "") for route in composed.routes if isinstance(route, Direct)}
    assert {
        "/notices/{site_id}/{account}",
        "/api/authlink/obtain/",
        "/cashier/deposit",
        "/v1/game/bet",
        "/v1/game/win",
        "/v1/player/wallet/deposit",
    } <= direct
    assert isinstance(composed, Application)
