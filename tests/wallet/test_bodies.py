"""Bodies that nobody can read in one way only: each is refused with a sentence, and nothing is stored."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing import web
from app.plumbing.database import Database
from tests.wallet.counter import Counter, opened

WHO = '"playerExternalId":"aigerim","currency":"KZT"'


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player()
        yield made


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        (f'{{{WHO},"amount":1,"amount":1000,"transferId":"t-1"}}', "amount", "stands in one object twice"),
        (f'{{{WHO},"amount":1,"x":[{{"y":1,"y":2}}],"transferId":"t-1"}}', "y", "stands in one object twice"),
        ('{"\\ud800":1,"\\ud800":2}', "\\ud800", "stands in one object twice"),
        (f'{{{WHO},"amount":1{"0" * 5000},"transferId":"t-1"}}', "body", "far too many digits"),
        (f'{{{WHO},"amount":NaN,"transferId":"t-1"}}', "body", "a number that is none"),
        (f'{{{WHO},"amount":1{"0" * 400},"transferId":"t-1"}}', "amount", "must be from 1 to"),
        (f'{{{WHO},"amount":1,"transferId":"   "}}', "transferId", "nothing but blanks"),
        (
            '{"playerExternalId":" ","currency":"KZT","amount":1,"transferId":"t-1"}',
            "playerExternalId",
            "blanks",
        ),
        ("{", "body", "is not JSON"),
        ("[" * 20_000, "body", "is not JSON"),
        ('"\xff"', "body", "is not a JSON object"),
    ],
)
async def test_it_is_refused_in_words(counter: Counter, body: str, field: str, sentence: str) -> None:
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}"}
    answer = await counter.http.post("/v1/player/wallet/deposit", content=body, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["code"], told["data"]["field"]) == (400, "VALIDATION", field)
    assert sentence in told["message"]
    assert await counter.rows("SELECT 1 FROM wallet_operation") == []


async def test_the_header_has_an_id_as_well(counter: Counter) -> None:
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}", "idempotency-key": " "}
    body = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 1}
    answer = await counter.http.post("/v1/player/wallet/deposit", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "VALIDATION")


async def test_a_body_too_large_is_refused_in_one_sentence(counter: Counter) -> None:
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}"}
    answer = await counter.http.post("/v1/player/wallet/deposit", content=b"x" * 70_000, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["code"], told["data"]["final"]) == (400, "VALIDATION", True)
    assert told["message"] == f"body: The request body is larger than {web.BODY_LIMIT_BYTES} bytes."


async def test_a_repeat_that_comes_too_slowly_decides_nothing(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was carried out before must not be heard as refused for good: its id is asked again."""
    monkeypatch.setattr(web, "BODY_SECONDS", 0.1)
    body = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 5_000, "transferId": "t-1"}
    assert (await counter.post("/v1/player/wallet/deposit", body))[0] == 200

    async def slow() -> AsyncIterator[bytes]:
        yield json.dumps(body).encode()
        await asyncio.sleep(0.3)
        yield b" "

    headers = {"authorization": f"Bearer {counter.tokens['wallet']}"}
    answer = await counter.http.post("/v1/player/wallet/deposit", content=slow(), headers=headers)
    told = answer.json()
    assert (answer.status_code, told["code"], told["data"]["final"]) == (503, "OVERLOADED", False)
    assert told["message"] == "The request body did not arrive within 0.1 seconds."
    assert (int(answer.headers["retry-after"]), told["data"]["retryAfter"]) == (1, 1)
