"""A direct route answers without the framework's solving, wherever it was put."""

import fastapi.routing
import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.routing import Route
from typing_extensions import override

from app import main
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.plumbing.direct import Direct, Handle
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


async def test_what_comes_by_the_thousand_is_looked_for_first(
    database: Database, clock: MovableClock
) -> None:
    async with HttpClient(clock=clock) as http:
        composed = main.create_app(Pipes(database, http, clock, "http://test"))
    direct = [number for number, route in enumerate(composed.routes) if isinstance(route, Direct)]
    others = [number for number, route in enumerate(composed.routes) if not isinstance(route, Route)]
    assert getattr(composed.routes[direct[0]], "path", "") == "/notices/{site_id}/{account}"
    assert max(direct) < min(others), "a router that is included is searched through for each call behind it"
