"""Who is asked to come later is told when, where programs look for it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app import main
from app.plumbing.batching import Overloaded
from app.plumbing.idempotency import IdempotencyInProgress
from app.plumbing.limits import TooManyRequests
from tests.demo.servers import started


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = main._bare(docs=False)

    @app.get("/{what}")
    async def refuses(what: str) -> None:
        raise {"full": Overloaded, "often": TooManyRequests, "running": IdempotencyInProgress}[what](
            retry_after_seconds=7
        )

    server = await started(app)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as opened:
        yield opened
    await server.stop()


@pytest.mark.parametrize("what", ["full", "often", "running"])
async def test_a_refusal_that_says_when_to_come_back_says_it_in_its_header(
    client: httpx.AsyncClient, what: str
) -> None:
    """docs/api.md: "503 `overloaded` ... after `Retry-After` seconds send the same again"."""
    answer = await client.get(f"/{what}")
    assert answer.json()["retry_after_seconds"] == 7
    assert answer.headers["retry-after"] == "7"
