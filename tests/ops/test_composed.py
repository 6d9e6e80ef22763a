"""The whole application as strangers meet it: its addresses, and what every answer tells browsers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from app import main
from app.kernel.clock import SystemClock
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from tests.demo.servers import started


@pytest.mark.parametrize(
    ("public_url", "sent"), [("https://a.example", "max-age=31536000"), ("http://a.example", None)]
)
async def test_browsers_are_told_to_stay_with_https(
    database: Database, public_url: str, sent: str | None
) -> None:
    async with composed(database, public_url) as client:
        for path in ("/healthz", "/nothing", "/cashier/static/nothing.css"):
            assert (await client.get(path)).headers.get("strict-transport-security") == sent


ENDPOINTS = (
    ("GET", "/open"),
    ("GET", "/api/open"),
    ("GET", "/api/authlink/obtain"),
    ("POST", "/api/authlink/obtain"),
    ("POST", "/v1/get_session_key"),
    ("POST", "/api/clear/rotation"),
    ("POST", "/v1/payments/status"),
)


async def test_both_spellings_of_an_address_are_answered_and_nobody_is_sent_elsewhere(
    database: Database,
) -> None:
    async with composed(database, "http://a.example") as client:
        for method, path in ENDPOINTS:
            answers = [await client.request(method, path + end) for end in ("", "/")]
            assert [answer.status_code for answer in answers] == [answers[0].status_code] * 2, path
            assert answers[0].status_code in {400, 401}, path
        for path in ("/healthz/", "/metrics/", "/cashier/deposit/"):
            assert (await client.get(path)).status_code == 404


async def test_a_signed_query_is_read_as_it_was_sent(database: Database) -> None:
    async with composed(database, "http://a.example") as client:
        answer = await client.get("/api/authlink/obtain/?site_id=%FF")
        assert answer.status_code == 400
        assert "UTF-8" in answer.json()["errors"]


@asynccontextmanager
async def composed(database: Database, public_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application."""
    clock = SystemClock()
    pipes = Pipes(database=database, http=HttpClient(clock), clock=clock, public_url=public_url)
    server = await started(main.create_app(pipes))
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as client:
        yield client
    await server.stop()
    await pipes.http.aclose()
