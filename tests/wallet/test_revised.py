"""Whoever makes batches look again holds the wallets it does so for, also those opened meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app import merchants
from app.kernel.clock import MovableClock
from app.plumbing.database import Database, Turns
from app.wallet.batches import Batches
from app.wallet.operations import create_player
from app.wallet.queries import lock_wallets
from app.wallet.rules import Page
from app.wallet.schemas import game_ask
from app.wallet.sheets import Moved, Sheet
from app.wallet.terms import Code, Policy, Type
from tests import invariants
from tests.wallet.counter import Counter, opened
from tests.wallet.locking import blocked

SEQUENCES = "SELECT currency, sequence FROM wallet"
# One in tenge like the one that there is.
SESSION = """
INSERT INTO game_session (site_id, session_id, wallet_id, provider_id, game_code, language, return_url,
  launch_hash, launched_at, expires_at, currency)
SELECT s.site_id, 'gse_tenge', w.wallet_id, s.provider_id, s.game_code, s.language, s.return_url, '\\x01',
  s.launched_at, s.expires_at, w.currency
  FROM game_session s JOIN wallet w ON w.site_id = s.site_id AND w.currency = 'KZT'
"""
Waiting = Callable[[Counter, asyncio.Event, asyncio.Event], Coroutine[Any, Any, None]]


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """Dana has dollars, and a session in them."""
    async with opened(database, clock) as made:
        await made.player("dana", currency="USD", cash=1)
        body = {"playerExternalId": "dana", "currency": "USD", "gameCode": "aviator", "providerId": "acme"}
        _, told = await made.post("/v1/game/launch", {**body, "returnUrl": "https://shop.example.com/"})
        assert told["code"] == "OK"
        yield made
    await invariants.hold(database)


async def end_sessions(counter: Counter, is_revised: asyncio.Event, go_on: asyncio.Event) -> None:
    """As a launch does where one session at a time is allowed; of a wallet that is just being opened, too."""
    who = (await counter.rows("SELECT player_id FROM player"))[0].player_id
    async with counter.pipes.database.transaction() as tx:
        await lock_wallets(tx, counter.site_id, who)
        await tx.execute(text("UPDATE game_session SET ended_at = launched_at"))
        is_revised.set()
        await go_on.wait()


async def roll_back(counter: Counter, is_revised: asyncio.Event, go_on: asyncio.Event) -> None:
    """A bet that has not come, with its transaction still open."""
    body = {"transactionId": "rb", "playerExternalId": "dana", "providerId": "acme", "referenceId": "never"}
    behind = Batches._write

    async def write(
        self: Batches, raw: asyncpg.Connection, turns: Turns, site_id: int, page: Page, sheet: Sheet
    ) -> Sequence[Moved]:
        rare = await behind(self, raw, turns, site_id, page, sheet)
        await turns.all()
        is_revised.set()
        await go_on.wait()
        return rare

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Batches, "_write", write)
        ask = game_ask(Type.ROLLBACK, body, lambda _: Policy(), "req_other")
        [answer] = await counter.journal.run(counter.site_id, [ask])
    assert answer.code is Code.NOTHING_TO_REVERSE


@pytest.mark.parametrize("waiting", [end_sessions, roll_back])
async def test_a_wallet_that_is_opened_meanwhile_misses_nothing(
    counter: Counter, clone_url: str, waiting: Waiting
) -> None:
    """Its first deposit comes while the other, which waited for it to be opened, has not committed."""
    is_opened, is_revised, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def open_tenge() -> None:
        async with counter.pipes.database.transaction() as tx:
            site = await merchants.site(tx, counter.site_id)
            await create_player(tx, site, "dana", "KZT", {}, at=counter.clock.now())
            await tx.execute(text(SESSION))
            is_opened.set()
            await blocked(clone_url)  # the other waits for our locks

    opening = asyncio.create_task(open_tenge())
    await is_opened.wait()
    other = asyncio.create_task(waiting(counter, is_revised, go_on))
    await opening
    await is_revised.wait()
    deposit = asyncio.create_task(counter.deposit(100, "d-1", login="dana"))
    await blocked(clone_url)
    go_on.set()
    await other
    assert (await deposit)["code"] == "OK"
    assert (await counter.deposit(100, "d-2", login="dana"))["data"]["balance"] == 200
    assert {row.currency: row.sequence for row in await counter.rows(SEQUENCES)} == {"USD": 1, "KZT": 2}


async def test_no_money_moves_past_a_wallet_that_somebody_changed_without_its_lock(
    counter: Counter, clone_url: str, owner_database: Database
) -> None:
    """It never happens; if it ever does, the deposit is done once more, not past the row."""
    async with owner_database.transaction() as tx:
        await tx.execute(text("UPDATE wallet SET moved_at = moved_at"))
        call = counter.deposit(100, "d-1", login="dana", currency="USD")
        deposit = asyncio.create_task(call, context=Context())
        await blocked(clone_url)
    assert (await deposit)["data"]["balance"] == 101
    assert [row.sequence for row in await counter.rows(SEQUENCES)] == [2]
