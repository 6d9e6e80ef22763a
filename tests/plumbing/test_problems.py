"""What a "no" says beside its sentence: where its code is explained, what to do, what a player may read."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.plumbing import web
from app.webhooks import endpoints
from tests.demo.servers import started
from tests.plumbing.test_web import app_with_accidents, check_problem, client

__all__ = ["client"]

OBJECT = 'The body must be a JSON object, sent with the header "Content-Type: application/json".'


def not_b(said: str) -> str:
    if said == "b":
        raise ValueError("no b")
    return said


class Listed(BaseModel):
    """The parameters of a list."""

    model_config = ConfigDict(extra="forbid")

    only: list[Annotated[str, AfterValidator(not_b)]] = []
    words: Annotated[str, AfterValidator(not_b), Field(max_length=3)] = ""


@pytest.fixture
async def listing() -> AsyncIterator[httpx.AsyncClient]:
    app = app_with_accidents()

    @app.get("/listed")
    async def listed(asked: Annotated[Listed, Query()]) -> list[str]:
        return asked.only

    server = await started(app)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as opened:
        yield opened
    await server.stop()


@pytest.mark.parametrize(
    ("path", "status", "code", "retryable"),
    [
        ("/refuses", 422, "amount_too_low", False),
        ("/down", 503, "overloaded", True),
        ("/fails/x", 500, "internal", False),
        ("/nothing/here", 404, "not_found", False),
    ],
)
async def test_whether_the_same_may_succeed_later(
    client: httpx.AsyncClient, path: str, status: int, code: str, *, retryable: bool
) -> None:
    body = check_problem(await client.get(path), status, code)
    assert (body["retryable"], body["instance"]) == (retryable, f"urn:cashier:{body['request_id']}")
    assert "correlation_id" not in body


async def test_the_type_is_a_page_that_says_what_the_code_means(client: httpx.AsyncClient) -> None:
    body = check_problem(await client.get("/refuses"), 422, "amount_too_low")
    told = await client.get(body["type"])
    assert (told.status_code, told.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "The amount must be at least {minimum}." in told.text
    check_problem(await client.get("/problems/nobodys_code"), 404, "not_found")


async def test_every_code_has_such_a_page(client: httpx.AsyncClient) -> None:
    of_the_command_line = endpoints.EndpointNotActive.code, endpoints.TooManyEndpoints.code
    assert set(of_the_command_line) <= web.STATUS_BY_CODE.keys()
    for code, status in web.STATUS_BY_CODE.items():
        told = await client.get(f"/problems/{code}")
        assert (told.status_code, f"HTTP {status}." in told.text) == (200, True), code


@pytest.mark.parametrize(
    ("accepted", "begins"),
    [
        ("ru-RU,ru;q=0.9", "Сейчас"),
        ("kk", "Қазір"),
        ("fr,en", "This is not"),
        ("", "This is not"),
        ("\xff", "This"),
    ],
)
async def test_a_player_reads_it_in_his_language_and_nothing_of_why(
    client: httpx.AsyncClient, accepted: str, begins: str
) -> None:
    answer = await client.get("/refuses", headers=[(b"Accept-Language", accepted.encode("latin-1"))])
    said = check_problem(answer, 422, "amount_too_low")["player_message"]
    assert said.startswith(begins)
    assert "5.00" not in said


async def test_the_callers_correlation_id_is_in_every_answer(client: httpx.AsyncClient) -> None:
    sent = "order-7.a_b\xe9".encode("latin-1")
    refused = await client.get("/refuses", headers=[(b"X-Correlation-Id", sent)])
    assert check_problem(refused, 422, "amount_too_low")["correlation_id"] == "order-7.a_b"
    for answer in (refused, await client.get("/own", headers={"X-Correlation-Id": "order-7.a_b"})):
        assert answer.headers.get_list("x-correlation-id") == ["order-7.a_b"]
    assert "x-correlation-id" not in (await client.get("/own", headers={"X-Correlation-Id": "\"'"})).headers


@pytest.mark.parametrize(
    ("request_", "status", "param", "detail"),
    [
        (("GET", "/nothing/here"), 404, None, "There is nothing at this address."),
        (("DELETE", "/refuses"), 405, None, "This address takes other methods."),
        (("POST", "/parsed", "name=x", "application/x-www-form-urlencoded"), 400, "body", OBJECT),
        (("POST", "/parsed", "[1]", "application/json"), 400, "body", OBJECT),
        (("POST", "/parsed", "", "application/json"), 400, "body", OBJECT),
        (("POST", "/parsed", b'{"a": "\xff"}', "application/json"), 400, "body", "The body cannot be read."),
        (("GET", "/number"), 400, "n", "n: required"),
        (("GET", "/listed?only=a&only=b"), 400, "only", "only: no b"),
        (("GET", "/listed?only=a&other=b"), 400, "other", "other: not known here"),
        (("GET", "/listed?only=a&words=aaaa"), 400, "words", "words: at most 3 characters"),
    ],
)
async def test_what_is_wrong_is_said_in_words_and_named_as_it_was_sent(
    listing: httpx.AsyncClient, request_: Sequence[Any], status: int, param: str | None, detail: str
) -> None:
    method, path, content, kind = request_ if len(request_) == 4 else (*request_, b"", "text/plain")
    answer = await listing.request(method, path, content=content, headers={"content-type": kind})
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "malformed_field")
    told = check_problem(answer, status, code)
    assert (told.get("param"), told["detail"]) == (param, detail)
