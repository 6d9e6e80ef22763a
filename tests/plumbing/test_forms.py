"""A form read for a direct route is what the framework reads for its own."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from app.plumbing import forms, metrics, web
from app.plumbing.direct import Application, Direct

PLAIN = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=b"


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Sent(BaseModel):
    """As the forms of the cashier are."""

    key: str = ""
    amount: str = "0"
    needed: str


def part(name: str, content: str, file: str | None = None) -> bytes:
    more = "" if file is None else f'; filename="{file}"'
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{content}\r\n'.encode()


def framework() -> FastAPI:
    app = FastAPI(openapi_url=None)
    web.install(app)

    @app.post("/form")
    async def told(form: Annotated[Sent, Form()]) -> JSONResponse:
        return JSONResponse(form.model_dump())

    return app


def direct() -> FastAPI:
    app, routes = Application(openapi_url=None), APIRouter(route_class=Direct)
    web.install(app)

    async def told(request: Request) -> JSONResponse:
        return JSONResponse((await forms.form_of(request, Sent)).model_dump())

    routes.add_api_route("/form", told, methods=["POST"])
    app.router.routes.extend(routes.routes)
    return app


async def asked(app: FastAPI, body: bytes, kind: str | None) -> tuple[int, str, dict[str, str]]:
    """Status, content and headers, all without the request's id."""
    headers = {} if kind is None else {"content-type": kind}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/form", content=body, headers=headers)
    plain = re.compile("req_[0-9A-Za-z]+")
    told = {name: plain.sub("req", value) for name, value in answer.headers.items()}
    return answer.status_code, plain.sub("req", answer.text), told


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (PLAIN, b"key=a&needed=b", 200),
        (f"{PLAIN}; charset=utf-8", b"key=a&needed=b", 200),
        (PLAIN, b"needed=b&key=&amount=", 200),
        (PLAIN, b"needed=b&needed=c", 200),
        (PLAIN, b"needed=b&needed=", 400),
        (PLAIN, b"needed=", 400),
        (PLAIN, b"needed=b&more=c", 200),
        (PLAIN, "needed=%D1%82%00&key=\u0442".encode(), 200),
        (PLAIN, b"needed=%ff%fe", 200),
        (PLAIN, b"needed=\xff", 200),
        (PLAIN, b"needed=%zz&key=%", 200),
        (PLAIN, b"&&&=&needed", 400),
        (PLAIN, b"", 400),
        (PLAIN, b"&".join(b"a%d=b" % number for number in range(1001)), 400),
        (PLAIN, b"needed=" + b"a" * web.BODY_LIMIT_BYTES, 413),
        (None, b"needed=b", 400),
        ("application/json", b'{"needed": "b"}', 400),
        ("nonsense", b"needed=b", 400),
        (PARTS, part("needed", "b") + b"--b--", 200),
        (PARTS, part("needed", "b") + part("key", "", "") + b"--b--", 200),
        (PARTS, part("needed", "b") + part("key", "some", "") + b"--b--", 400),
        (PARTS, part("needed", "b", "photo.png") + b"--b--", 400),
        (PARTS, b"nothing of the kind", 400),
        ("multipart/form-data", part("needed", "b") + b"--b--", 400),
        ("multipart/form-data; boundary=b; charset=no-such", part("needed", "b") + b"--b--", 200),
    ],
)
async def test_a_form_is_the_framework_s_form(kind: str | None, body: bytes, status: int) -> None:
    ours = await asked(direct(), body, kind)
    assert ours == await asked(framework(), body, kind)
    assert ours[0] == status


@pytest.mark.parametrize("make", [framework, direct])
async def test_a_body_that_comes_slowly_is_not_waited_for(
    make: Callable[[], FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "BODY_SECONDS", 0.05)

    async def never() -> MutableMapping[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    assert await _met(make(), never) == [408]


@pytest.mark.parametrize("make", [framework, direct])
async def test_who_leaves_in_the_middle_is_counted_as_gone(make: Callable[[], FastAPI]) -> None:
    async def gone() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    before = _gone()
    await _met(make(), gone)
    assert _gone() == before + 1


def _gone() -> float:
    found = re.search(
        r'cashier_http_requests_total\{method="POST",route="/form",status="499"\} ([0-9.]+)',
        metrics.rendered().decode(),
    )
    return float(found[1]) if found else 0.0


async def _met(app: FastAPI, receive: Receive) -> list[int]:
    statuses: list[int] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/form",
        "raw_path": b"/form",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(b"content-type", PLAIN.encode()), (b"content-length", b"9")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    try:
        await app(scope, receive, send)
    except ClientDisconnect:
        statuses.append(0)
    return statuses
