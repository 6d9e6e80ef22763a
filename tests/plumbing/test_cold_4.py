"""What the framework refuses, in full: which methods there are, and how long a body may be here."""

import httpx

from tests.plumbing.test_web import client  # noqa: F401  a fixture


async def test_a_wrong_method_is_told_the_right_ones(client: httpx.AsyncClient) -> None:  # noqa: F811
    """RFC 9110 section 15.5.6: a 405 MUST have an `Allow`; Starlette gives it, and it is lost here."""
    answer = await client.get("/parsed")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
