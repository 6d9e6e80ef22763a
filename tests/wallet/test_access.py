"""A token is looked up once for all who wait, and a revocation is heard of within two seconds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy import text

from app import merchants
from app.kernel.clock import MovableClock
from app.plumbing.database import Database, Reader
from tests.wallet.counter import Counter, opened

READ = "/v1/wallet/effect-matrix"


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def revoke(counter: Counter, *, at: datetime) -> None:
    async with counter.pipes.database.transaction() as tx:
        asked = text("UPDATE api_token SET revoked_at = :at WHERE site_id = :site AND scope = 'read'")
        await tx.execute(asked, {"at": at, "site": counter.site_id})


async def test_a_hundred_calls_at_once_look_their_token_up_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer, asked = merchants.bearer, []

    async def counted(reader: Reader, token: str) -> tuple[merchants.Site, merchants.Scope]:
        asked.append(token)
        return await bearer(reader, token)

    monkeypatch.setattr(merchants, "bearer", counted)
    for seconds in (0, 3):  # never looked up; and too old
        counter.clock.advance(seconds)
        answers = await asyncio.gather(*(counter.get(READ) for _ in range(100)))
        assert {status for status, _ in answers} == {200}
        assert len(asked) == 1, "once for all"
        asked.clear()


async def test_a_revoked_token_opens_nothing_two_seconds_later(counter: Counter, now: datetime) -> None:
    assert (await counter.get(READ))[0] == 200
    await revoke(counter, at=now)
    counter.clock.advance(1.9)
    assert (await counter.get(READ))[0] == 200, "what was looked up is told a little longer"
    counter.clock.advance(0.1)
    assert (await counter.get(READ))[0] == 401
