"""A batch in parts: what is written with which of them."""

from collections.abc import AsyncIterator, Coroutine
from typing import Any

import asyncpg
import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database, asyncpg_dsn
from app.wallet import statements
from app.wallet.journal import Journal
from app.wallet.schemas import game_ask
from app.wallet.terms import Ask, Code, Policy, Type
from tests.wallet.counter import Counter, Json, opened

Call = Coroutine[Any, Any, None]


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """Two players with 1000 each."""
    async with opened(database, clock) as made:
        for login in ("aigerim", "bolat"):
            await made.player(login, cash=1000)
        yield made


def bet(key: str, login: str = "aigerim") -> Ask:
    body: Json = {"transactionId": key, "playerExternalId": login, "currency": "KZT", "amount": 100}
    body |= {"roundId": f"r-{key}", "gameCode": "aviator", "providerId": "acme"}
    return game_ask(Type.BET, body, lambda _: Policy(), "req_test")


async def balance(counter: Counter, login: str = "aigerim") -> int:
    _, told = await counter.get("/v1/player/wallet/balance", playerExternalId=login, currency="KZT")
    return int(told["data"]["balance"])


async def test_the_house_is_locked_by_the_last_part_of_a_batch_only(
    counter: Counter, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody moves money across the house's account: a batch of a thousand must not hold it throughout."""
    written: list[bool] = []

    plain = statements.Writing.sent

    def watched(writing: statements.Writing, raw: asyncpg.Connection) -> Call:
        async def write() -> None:
            await house_is_free(clone_url)
            await plain(writing, raw)
            written.append("ledger_write" in writing.statement)

        return write()

    monkeypatch.setattr(statements.Writing, "sent", watched)
    journal = Journal(counter.pipes, part=1)
    answers = await journal.run(counter.site_id, [bet("part-1"), bet("part-2"), bet("part-3", "bolat")])
    await journal.aclose()
    assert [answer.code for answer in answers] == [Code.OK] * 3
    assert written == [False, False, True]
    assert (await balance(counter), await balance(counter, "bolat")) == (800, 900)


async def test_a_last_part_that_writes_nothing_moves_the_money_of_those_before(counter: Counter) -> None:
    journal = Journal(counter.pipes, part=1)
    again = bet("once")
    answers = await journal.run(counter.site_id, [bet("first"), again, again])
    await journal.aclose()
    assert [(answer.code, answer.duplicate) for answer in answers] == [
        (Code.OK, False),
        (Code.OK, False),
        (Code.OK, True),
    ]
    assert await balance(counter) == 800


async def house_is_free(url: str) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(url))
    try:
        await connection.fetch("SELECT FROM account WHERE owner = 'site' FOR UPDATE NOWAIT")
    finally:
        await connection.close()
