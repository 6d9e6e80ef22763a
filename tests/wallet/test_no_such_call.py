"""Under the wallet's paths every answer is an envelope, also where there is no call."""

from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/game/bonus", None),
        ("GET", "/v1/player", None),
        ("POST", "/v1/player/wallet/deposit/", None),
        ("GET", "/v1/wallet/nothing/at/all", None),
        ("GET", "/v1/session/gse_1", None),
        ("GET", "/v1/game/bet", "POST"),
        ("GET", "/v1/player/wallet/deposit", "POST"),
        ("DELETE", "/v1/player/wallet/transfer/t-1", "GET"),
        ("POST", "/v1/transaction/list", "GET"),
        ("PUT", "/v1/transaction/wop_1", "GET"),
        ("GET", "/v1/reconcile", "POST"),
        ("OPTIONS", "/v1/game/launch", "POST"),
    ],
)
async def test_what_is_no_call_has_the_wallets_envelope(
    counter: Counter, method: str, path: str, allowed: str | None
) -> None:
    answer = await counter.http.request(method, path)
    told = answer.json()
    assert answer.status_code == (404 if allowed is None else 405)
    assert answer.headers.get("allow") == allowed
    assert told.keys() == {"success", "code", "message", "data"}
    assert (told["success"], told["code"], told["data"]["final"]) == (False, "VALIDATION", True)
    assert told["data"]["field"] == ("path" if allowed is None else "method")


async def test_elsewhere_nothing_has_changed(counter: Counter) -> None:
    for path in ("/v1/players", "/v1/gamers/x", "/v1/nothing"):
        answer = await counter.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
