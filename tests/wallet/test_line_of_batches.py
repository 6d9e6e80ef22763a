"""A line of large batches that somebody else disturbs, or holds up for long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.journal import Journal
from app.wallet.terms import Code
from tests.wallet.counter import Counter
from tests.wallet.large import bet, codes, remembering, rounds
from tests.wallet.locking import blocked, locked


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with remembering(database, clock) as made:
        yield made


async def test_memory_that_is_old_behind_another_batch_is_doubted(counter: Counter, clone_url: str) -> None:
    """The one before is written as it was to be; another process has moved the rest of the players."""
    other, memory = Journal(counter.pipes), counter.journal._batches.memory
    async with locked(clone_url, "aigerim"):
        first = asyncio.create_task(counter.journal.run(counter.site_id, rounds("a")))
        await blocked(clone_url)
        asks = [*rounds("b"), *rounds("c", "bolat")]
        second = asyncio.create_task(counter.journal.run(counter.site_id, asks))
        await blocked(clone_url, 2)
        assert codes(await other.run(counter.site_id, [bet("o", "bolat")])) == [Code.OK]
    assert codes(await first) == [Code.OK] * 6
    assert codes(await second) == [Code.OK] * 12
    assert memory._doubts[counter.site_id].longer > 1
    await other.aclose()


@pytest.mark.parametrize("is_given_up", [False, True])
async def test_many_in_line_end_though_somebody_holds_their_player(
    counter: Counter, clone_url: str, *, is_given_up: bool
) -> None:
    """More than there are connections, beside single calls, and longer than a lock is waited for."""
    batches = counter.journal._batches
    async with locked(clone_url, "aigerim"):
        tasks: list[asyncio.Task[object]] = []
        for number in range(16):
            asks = [*rounds(f"m{number}"), *rounds(f"n{number}", "bolat")]
            carried = batches.carry_out(counter.site_id, asks, [], all_or_none=False)
            tasks.append(asyncio.create_task(carried))
            single = counter.journal.post(counter.site_id, bet(f"p{number}", amount=1))
            tasks.append(asyncio.create_task(single))
            await asyncio.sleep(0.02)
        for task in tasks[::4] if is_given_up else ():
            task.cancel()
        await asyncio.sleep(0.6)
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert not batches.memory._ahead
    assert not any(batches._succession._under_way.values())
    assert codes(await counter.journal.run(counter.site_id, rounds("after"))) == [Code.OK] * 6
