"""Alive, ready, numbers: in each way in which the machine can be unwell."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from sqlalchemy import make_url, text
from structlog.testing import LogCapture

from app import main
from app.kernel.clock import SystemClock
from app.ops import health, routes
from app.plumbing import queue, schema
from app.plumbing.database import Database, SessionSettings, asyncpg_dsn
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.settings import Settings
from app.wiring import pipes as opened_pipes
from tests.demo.servers import Server, started

TOKEN = "0123456789abcdef"
WRONG = (
    b"",
    b"Bearer",
    b"Bearer \xff",
    *(text.encode() for text in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}")),
)
Over = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def member_url(clone_url: str) -> AsyncIterator[str]:
    """The database's address for a login as a deployment has it; dropped afterwards."""
    name = f"cashier_test_{os.getpid()}"
    await schema.ensure_login(clone_url, name)
    yield make_url(clone_url).set(username=name).render_as_string(hide_password=False)
    connection = await asyncpg.connect(asyncpg_dsn(clone_url))
    await connection.execute(f"DROP ROLE {name}")
    await connection.close()


@pytest.fixture
async def over() -> AsyncIterator[Over]:
    """A client of a web process over a database."""
    servers: list[Server] = []
    clients: list[httpx.AsyncClient] = []
    pipes: list[Pipes] = []

    async def open_over(
        database: Database, *, production: bool = False, metrics_token: str = ""
    ) -> httpx.AsyncClient:
        made = Pipes(
            database=database,
            http=HttpClient(SystemClock()),
            clock=SystemClock(),
            public_url="http://127.0.0.1:1",
        )
        pipes.append(made)
        servers.append(
            await started(main.create_app(made, production=production, metrics_token=metrics_token))
        )
        clients.append(httpx.AsyncClient(base_url=servers[-1].url, trust_env=False, timeout=10))
        return clients[-1]

    yield open_over
    for client in clients:
        await client.aclose()
    for server in servers:
        await server.stop()
    for made in pipes:
        await made.http.aclose()


async def ready(client: httpx.AsyncClient, status: int) -> dict[str, Any]:
    """What `/readyz` says of each check."""
    answer = await client.get("/readyz")
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["status"] == ("ready" if status == 200 else "not ready")
    checks: dict[str, Any] = body["checks"]
    return checks


async def test_a_well_machine_is_alive_and_ready(database: Database, over: Over) -> None:
    client = await over(database)
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    checks = await ready(client, 200)
    assert checks.keys() == {"database", "migrations", "queue", "durability", "role"}
    assert all(check["well"] for name, check in checks.items() if name != "role")


async def test_without_a_database_it_is_alive_and_not_ready(over: Over) -> None:
    async with Database("postgresql://me:hidden@/nowhere?host=/nonexistent") as nowhere:
        client = await over(nowhere)
        assert (await client.get("/healthz")).status_code == 200
        assert await ready(client, 503) == {"database": {"well": False, "detail": "does not answer"}}


async def test_a_database_that_hangs_does_not_hang_the_question(
    over: Over, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_ANSWER_SECONDS", 0.2)
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path may have 107 characters only

    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            """Say nothing."""
        writer.close()
        gone.set()

    server = await asyncio.start_unix_server(silent, folder / ".s.PGSQL.5432")
    try:
        async with Database(f"postgresql://nobody@/nowhere?host={folder}") as hanging:
            async with asyncio.timeout(2):
                checks = await ready(await over(hanging), 503)
        assert not checks["database"]["well"]
        await asyncio.wait_for(gone.wait(), 2)  # the connection that was being made is not left behind
    finally:
        server.close()
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE alembic_version SET version_num = 'roles'", "roles"),
        ("DROP TABLE alembic_version", "nothing"),
    ],
)
async def test_a_schema_behind_the_code_is_not_ready(
    database: Database, owner_database: Database, over: Over, statement: str, named: str
) -> None:
    async with owner_database.transaction() as tx:
        await tx.execute(text(statement))
    checks = await ready(await over(database), 503)
    assert checks["database"]["well"]
    assert f"the database is at {named}, the code at" in checks["migrations"]["detail"]
    assert "cashier migrate" in checks["migrations"]["detail"]


async def test_work_that_nobody_does_makes_it_not_ready(
    database: Database, owner_database: Database, over: Over
) -> None:
    client = await over(database)
    async with database.transaction() as tx:
        await queue.add(tx, "test.job", {})
    assert (await ready(client, 200))["queue"]["well"]
    for age, status in (("59 minutes", 200), ("61 minutes", 503)):
        async with owner_database.transaction() as tx:
            await tx.execute(text(f"UPDATE queue.pgqueuer SET execute_after = now() - interval '{age}'"))  # noqa: S608
        found = (await ready(client, status))["queue"]
        assert found["well"] is (status == 200)
        assert "the oldest due job waits 3" in found["detail"]


@pytest.mark.parametrize(("production", "status"), [(False, 200), (True, 503)])
async def test_commits_that_may_be_lost_are_a_warning_and_in_production_a_refusal(
    member_url: str, over: Over, production: bool, status: int
) -> None:
    careless = SessionSettings(extra={"synchronous_commit": "off"})
    async with Database(member_url, careless) as database:
        answer = await (await over(database, production=production)).get("/readyz")
    assert answer.status_code == status
    if not production:
        assert answer.json()["checks"]["durability"] == {"well": False, "detail": "synchronous_commit = off"}


@pytest.mark.parametrize(("production", "status"), [(False, 200), (True, 503)])
async def test_a_superuser_is_a_warning_and_in_production_a_refusal(
    database: Database, over: Over, production: bool, status: int
) -> None:
    # The fixture's session is cashier_app, but its login is the server's superuser.
    answer = await (await over(database, production=production)).get("/readyz")
    assert answer.status_code == status
    if not production:
        assert answer.json()["checks"]["role"] == {
            "well": False,
            "detail": "the login is a superuser: connect as a login that is a member of cashier_app only",
        }


async def test_a_member_of_the_applications_role_is_well(member_url: str, over: Over) -> None:
    async with Database(member_url) as database:
        checks = await ready(await over(database), 200)
        assert checks["role"] == {"well": True, "detail": "the login is not a superuser"}
        assert (await (await over(database, production=True)).get("/readyz")).status_code == 200


async def test_in_production_strangers_hear_the_status_and_the_log_the_reason(
    database: Database, member_url: str, over: Over, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = LogCapture()
    monkeypatch.setattr(routes, "_log", structlog.wrap_logger(None, processors=[capture]))
    answer = await (await over(database, production=True)).get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert [(entry["event"], entry["check"]) for entry in capture.entries] == [("not.well", "role")]
    assert "superuser" in capture.entries[0]["detail"]
    async with Database(member_url) as well:
        answer = await (await over(well, production=True)).get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    async with Database("postgresql://me:hidden@/nowhere?host=/nonexistent") as nowhere:
        answer = await (await over(nowhere, production=True)).get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})


def test_every_durable_setting_is_looked_at() -> None:
    assert health._unsafe({"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}) == ""
    found = health._unsafe({"fsync": "off", "synchronous_commit": "local"})
    assert found == "fsync = off, synchronous_commit = local, full_page_writes = None"


async def test_metrics_are_in_prometheus_form(database: Database, over: Over) -> None:
    client = await over(database)
    await client.get("/healthz")
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'cashier_http_requests_total{method="GET",route="/healthz",status="200"}' in answer.text


async def test_in_production_the_numbers_are_for_who_has_the_token(database: Database, over: Over) -> None:
    client = await over(database, production=True, metrics_token=TOKEN)
    for refused in WRONG:
        answer = await client.get("/metrics", headers={b"Authorization": refused})
        assert answer.status_code == 401, refused
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "cashier_" not in answer.text
    for scheme in ("Bearer", "bearer"):
        answer = await client.get("/metrics", headers={"Authorization": f"{scheme} {TOKEN}"})
        assert answer.status_code == 200
        assert "cashier_http_requests_total" in answer.text


async def test_in_production_without_a_token_there_are_no_numbers(database: Database, over: Over) -> None:
    client = await over(database, production=True)
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {TOKEN}"}):
        assert (await client.get("/metrics", headers=headers)).status_code == 404


@pytest.mark.parametrize(("production", "status"), [(False, 200), (True, 404)])
async def test_the_documents_are_for_developers(
    database: Database, over: Over, production: bool, status: int
) -> None:
    client = await over(database, production=production)
    for path in ("/docs", "/openapi.json"):
        assert (await client.get(path)).status_code == status
    assert (await client.get("/redoc")).status_code == 404


async def test_the_page_of_the_api_needs_no_internet(database: Database, over: Over) -> None:
    client = await over(database)
    page = (await client.get("/docs")).text
    asked = re.findall(r"""(?:src|href)=["']([^"']+)|url: ["']([^"']+)""", page)
    addresses = [first or second for first, second in asked]
    assert sorted(address.rpartition("/")[2] for address in addresses) == [
        "favicon.png",
        "openapi.json",
        "swagger-ui-bundle.js",
        "swagger-ui.css",
    ]
    assert "//" not in re.sub(r"(?m)^\s*//.*$", "", page)  # nothing of another host, however it is named
    for address in addresses:
        assert (await client.get(address)).status_code == 200, address


async def test_in_production_the_files_of_that_page_are_not_served(database: Database, over: Over) -> None:
    client = await over(database, production=True)
    assert (await client.get("/docs/static/swagger-ui-bundle.js")).status_code == 404


async def test_nothing_connects_before_the_first_use() -> None:
    pipes = opened_pipes(Settings(database_url="postgresql://nobody@/nowhere?host=/nonexistent"))
    assert pipes.database.settings.role == "cashier_app"
    await pipes.http.aclose()
    await pipes.database.close()
