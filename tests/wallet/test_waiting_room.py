"""One site's calls wait in half of a process at most, and then hear 503; the other sites are served."""

import asyncio

import pytest

from app.plumbing.batching import Overloaded
from app.wallet.journal import Journal
from app.wallet.terms import Code
from tests.wallet import test_journal
from tests.wallet.counter import Counter
from tests.wallet.locking import blocked, locked
from tests.wallet.test_journal import bet

counter = test_journal.counter

CONNECTIONS = 8


async def test_one_site_waits_in_half_of_the_process_and_keeps_no_other_out(
    counter: Counter, clone_url: str
) -> None:
    journal = Journal(counter.pipes, connections=CONNECTIONS)
    async with locked(clone_url, "aigerim"):
        first = asyncio.create_task(journal.post(counter.site_id, bet("g-0")))
        await blocked(clone_url)
        calls = [
            asyncio.create_task(journal.post(counter.site_id, bet(f"g-{number}")))
            for number in range(1, CONNECTIONS // 2 + 1)
        ]
        await asyncio.sleep(0.1)
        with pytest.raises(Overloaded):
            await journal.post(counter.site_id, bet("g-late"))
        other = await journal.post(counter.site_id + 1, bet("g-other"))
        assert other.code is Code.PLAYER_NOT_FOUND  # decided, though it has no such player
    assert {answer.code for answer in await asyncio.gather(first, *calls)} == {Code.OK}
    await journal.aclose()
