"""The web's manners: what every answer carries, and what none of them says."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import LogCapture

from app import main
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.plumbing import web
from app.plumbing.database import Database, SessionSettings
from app.plumbing.web import BODY_LIMIT_BYTES, NotReadable, read_json
from tests.demo.servers import started

SECRET = "postgresql://me:hidden@db/prod"  # what must not be heard outside


class AmountTooLow(Refusal):
    """The amount must be at least {minimum}."""

    param = "amount"


def app_with_accidents() -> FastAPI:
    """The composed application's manners over routes that do what may happen."""
    app = main._bare(docs=False)
    add_accidents_of_the_database(app)
    add_slow_answers(app)

    @app.get("/refuses")
    async def refuses() -> None:
        raise AmountTooLow(minimum=Money(500, "KZT"), status="forged", shown=None)

    @app.get("/fails/{token}")
    async def fails(token: str) -> None:
        raise RuntimeError(f"{SECRET} {token}")

    @app.post("/parsed")
    async def parsed(content: dict[str, str]) -> dict[str, str]:
        return content

    @app.get("/number")
    async def number(n: int) -> dict[str, int]:
        return {"n": n}

    @app.post("/body")
    async def body(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.post("/json")
    async def json_body(request: Request) -> JSONResponse:
        return JSONResponse(read_json(await request.body()))

    @app.get("/own")
    async def own() -> JSONResponse:
        return JSONResponse({}, headers={"Cache-Control": "max-age=60", "Referrer-Policy": "origin"})

    return app


def add_accidents_of_the_database(app: FastAPI) -> None:
    nowhere = Database("postgresql://nobody@/nowhere?host=/nonexistent")

    @app.get("/down")
    async def down() -> None:
        async with nowhere.transaction():
            """Never reached."""

    @app.get("/raises/{state}")
    async def raises(state: str) -> None:
        error = asyncpg.PostgresError.new({"C": state, "M": "it says why"})
        raise DBAPIError("SELECT 1", None, error) if state != "55P03" else error


def add_slow_answers(app: FastAPI) -> None:
    @app.get("/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    @app.get("/slowly")
    async def slowly() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                await asyncio.sleep(0.1)
                yield b"slowly"

        return StreamingResponse(parts())


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    server = await started(app_with_accidents())
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as opened:
        yield opened
    await server.stop()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    capture = LogCapture()
    monkeypatch.setattr(
        web,
        "_log",
        structlog.wrap_logger(
            None,
            processors=[structlog.contextvars.merge_contextvars, capture],
            wrapper_class=structlog.BoundLogger,  # whatever another test has set up
        ),
    )
    yield capture.entries
    structlog.contextvars.clear_contextvars()


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """RFC 9457, our members, and the headers that every answer has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["type"], body["status"], body["code"]) == (f"/problems/{code}", status, code)
    assert body["title"] == code.replace("_", " ")
    assert body["detail"]
    assert body["request_id"] == answer.headers["request-id"]
    check_headers(answer)
    return body


def check_headers(answer: httpx.Response) -> None:
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers or answer.headers["server"] == "uvicorn"  # the test's own server


async def test_a_refusal_is_a_problem_with_its_facts(client: httpx.AsyncClient) -> None:
    body = check_problem(await client.get("/refuses"), 422, "amount_too_low")
    assert body["detail"] == "The amount must be at least 5.00 KZT."
    assert body["minimum"] == {"amount": 500, "currency": "KZT"}
    assert body["param"] == "amount"
    assert "shown" not in body


async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient) -> None:
    body = check_problem(await client.get("/number", params={"n": "x"}), 400, "malformed_field")
    assert body["param"] == "n"
    assert check_problem(await client.get("/number"), 400, "malformed_field")["param"] == "n"


async def test_what_is_not_there_and_what_is_not_allowed(client: httpx.AsyncClient) -> None:
    check_problem(await client.get("/nothing/here"), 404, "not_found")
    answer = await client.delete("/refuses")
    check_problem(answer, 405, "method_not_allowed")


async def test_a_body_over_the_limit_is_refused_declared_or_not(client: httpx.AsyncClient) -> None:
    fits = await client.post("/body", content=b"x" * BODY_LIMIT_BYTES)
    assert fits.json() == {"bytes": BODY_LIMIT_BYTES}

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT_BYTES // 1024 + 1):
            yield b"x" * 1024

    for content in (b"x" * (BODY_LIMIT_BYTES + 1), endless()):
        body = check_problem(await client.post("/body", content=content), 413, "too_large")
        assert str(BODY_LIMIT_BYTES) in body["detail"]


async def test_a_failure_of_ours_says_nothing_but_its_reference(
    client: httpx.AsyncClient, logged: list[Any]
) -> None:
    answer = await client.get("/fails/secret-token")
    body = check_problem(answer, 500, "internal")
    ours = {"retryable", "player_message", "instance", "request_id"}
    assert body.keys() == {"type", "title", "status", "code", "detail", *ours}
    for word in ("hidden", "secret-token", "RuntimeError", "Traceback"):
        assert word not in answer.text
    failed, request = logged
    assert failed["event"] == "request.failed"
    assert request["route"] == "/fails/{token}"
    assert failed["request_id"] == request["request_id"] == body["request_id"]


async def test_half_an_answer_is_not_made_whole(client: httpx.AsyncClient, logged: list[Any]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/half")
    assert [entry["event"] for entry in logged] == ["request.failed", "request"]


async def test_a_database_that_is_down_is_503_and_when_to_come_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/down")
    check_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/body", "/parsed"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(web, "BODY_SECONDS", 0.3)

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):  # httpx hears the answer when all is sent
            yield b" "
            await asyncio.sleep(0.05)

    body = check_problem(
        await client.post(path, content=slow(), headers={"Content-Type": "application/json"}), 408, "too_slow"
    )
    assert body["detail"] == "The request body did not arrive within 0.3 seconds."


async def test_the_time_is_for_the_body_and_not_for_the_answer(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "BODY_SECONDS", 0.2)
    answer = await client.get("/slowly")
    assert (answer.status_code, answer.text) == (200, "slowly" * 4)


@pytest.mark.parametrize("path", ["/body", "/parsed", "/json"])
async def test_a_caller_who_leaves_is_no_failure(
    client: httpx.AsyncClient, logged: list[Any], path: str
) -> None:
    labels = {"method": "POST", "route": path, "status": "499"}
    before = REGISTRY.get_sample_value("cashier_http_requests_total", labels) or 0
    _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    kind = b"Content-Type: application/json\r\n"
    writer.write(b"POST " + path.encode() + b" HTTP/1.1\r\n" + kind + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    async with asyncio.timeout(5):
        while not logged:  # noqa: ASYNC110  the server notices by itself
            await asyncio.sleep(0.02)
    assert [(entry["event"], entry["log_level"], entry["status"]) for entry in logged] == [
        ("request", "info", 499)
    ]
    assert REGISTRY.get_sample_value("cashier_http_requests_total", labels) == before + 1


@pytest.mark.parametrize("state", ["55P03", "57014", "40001", "40P01"])
async def test_what_the_database_had_no_time_for_may_be_asked_again(
    client: httpx.AsyncClient, logged: list[Any], state: str
) -> None:
    answer = await client.get(f"/raises/{state}")
    body = check_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "2"
    assert "says why" not in body["detail"]
    assert body["detail"].endswith("Send the same again soon; with the same key it is carried out once.")
    assert [(entry["event"], entry.get("sqlstate")) for entry in logged] == [
        ("database.busy", state),
        ("request", None),
    ]


async def test_other_errors_of_the_database_are_failures_of_ours(
    client: httpx.AsyncClient, logged: list[Any]
) -> None:
    check_problem(await client.get("/raises/23505"), 500, "internal")
    assert [entry["event"] for entry in logged] == ["request.failed", "request"]


async def test_a_lock_that_is_not_given_is_503(database: Database, owner_database: Database) -> None:
    app = main._bare(docs=False)
    impatient = Database(
        database.url.set(drivername="postgresql").render_as_string(hide_password=False),
        SessionSettings(lock_timeout=50),
    )

    @app.get("/locks")
    async def locks() -> None:
        async with impatient.transaction() as tx:
            await tx.execute(text("SELECT pg_advisory_xact_lock(7)"))

    server = await started(app)
    async with impatient, httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as client:
        async with owner_database.transaction() as tx:
            await tx.execute(text("SELECT pg_advisory_xact_lock(7)"))
            check_problem(await client.get("/locks"), 503, "overloaded")
        assert (await client.get("/locks")).status_code == 200
    await server.stop()


async def test_a_route_may_say_otherwise(client: httpx.AsyncClient) -> None:
    answer = await client.get("/own")
    assert answer.headers.get_list("cache-control") == ["max-age=60"]
    assert answer.headers.get_list("referrer-policy") == ["origin"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_ids_are_new_each_time_and_never_the_callers(
    client: httpx.AsyncClient, logged: list[Any]
) -> None:
    forged = {"Request-Id": "req_forged"}
    seen = {(await client.get("/own", headers=forged)).headers["request-id"] for _ in range(3)}
    assert len(seen) == 3
    assert "req_forged" not in seen
    assert {entry["request_id"] for entry in logged} == seen


async def test_the_callers_correlation_id_is_logged_if_it_is_harmless(
    client: httpx.AsyncClient, logged: list[Any]
) -> None:
    for sent in ("order-7.a_b", 'x" level="error', "y" * 500):
        await client.get("/own", headers={"X-Correlation-Id": sent})
    await client.get("/own")
    found = [entry.get("correlation_id") for entry in logged]
    assert found == ["order-7.a_b", "xlevelerror", "y" * 64, None]


async def test_one_requests_context_does_not_stick_to_the_next(
    client: httpx.AsyncClient, logged: list[Any]
) -> None:
    await asyncio.gather(
        *(client.get("/own", headers={"X-Correlation-Id": f"n{number}"}) for number in range(20))
    )
    assert sorted(entry["correlation_id"] for entry in logged) == sorted(f"n{n}" for n in range(20))
    assert len({entry["request_id"] for entry in logged}) == 20


async def test_metrics_know_routes_and_not_what_callers_invent(client: httpx.AsyncClient) -> None:
    def count(method: str, route: str, status: int) -> float:
        labels = {"method": method, "route": route, "status": str(status)}
        return REGISTRY.get_sample_value("cashier_http_requests_total", labels) or 0

    rows = [("GET", "/fails/{token}", 500), ("GET", "none", 404), ("other", "none", 404)]
    before = [count(*row) for row in rows]
    await client.get("/fails/one")
    await client.get("/fails/two")
    await client.get("/invented/by/me")
    await client.request("PROPFIND", "/coffee")
    assert [count(*row) - was for row, was in zip(rows, before, strict=True)] == [2, 1, 1]
    names = {
        str(value) for family in REGISTRY.collect() for s in family.samples for value in s.labels.values()
    }
    assert not {"PROPFIND", "/coffee", "/invented/by/me", "/fails/one"} & names


def test_json_from_a_stranger_is_read_or_refused() -> None:
    assert read_json(b'{"a": [1, {"b": "[[[[[[[[[[[[[[[[[[[["}], "c": "\\"[[["}') == {
        "a": [1, {"b": "[" * 20}],
        "c": '"[[[',
    }
    deep = b"[" * 16 + b"]" * 16
    assert read_json(deep) is not None
    hides_its_depth = b'["' + b"]" * 30_000 + b'", ' + b"[" * 30_000 + b"]" * 30_000 + b"]"
    for body in (
        b"[" + deep + b"]",
        hides_its_depth,
        b"[" * 60_000,
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1' + b"0" * 5_000 + b"}",
        b'{"a": "\xff"}',
        b"",
        b"{",
        b'{"a": "unfinished',
        b"{'a': 1}",
    ):
        with pytest.raises(NotReadable):
            read_json(body)


async def test_unreadable_json_is_a_problem(client: httpx.AsyncClient) -> None:
    body = check_problem(await client.post("/json", content=b"[" * 60_000), 400, "not_readable")
    assert "16 levels" in body["detail"]


def test_in_production_the_documents_are_not_served() -> None:
    shown = {getattr(route, "path", "") for route in main._bare(docs=True).routes}
    hidden = {getattr(route, "path", "") for route in main._bare(docs=False).routes}
    assert {"/docs", "/openapi.json"} <= shown
    assert not hidden & {"/docs", "/openapi.json", "/redoc"}


async def test_a_wrong_method_is_told_the_right_ones(client: httpx.AsyncClient) -> None:
    """RFC 9110 section 15.5.6: a 405 MUST have an `Allow`."""
    answer = await client.get("/parsed")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
