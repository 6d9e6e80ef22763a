"""Large batches beside a journal that remembers nothing: whatever is asked, both answer the same."""

from collections import Counter as Tally
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.batches import Batches
from app.wallet.journal import Journal
from app.wallet.terms import Ask, Type
from tests import invariants
from tests.wallet.counter import Counter, opened
from tests.wallet.twins import Twins, same


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made
    await invariants.hold(database)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2))
async def test_large_batches_at_once_answer_as_one_after_the_other(
    counter: Counter, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, ways = Batches._large, Tally[str]()

    async def counted(self: Batches, site_id: int, asks: Sequence[Ask], *how: Any) -> str:  # noqa: ANN401
        way = await large(self, site_id, asks, *how)
        ways[way] += 1
        return way

    monkeypatch.setattr(Batches, "_large", counted)
    cold = Journal(counter.pipes, part=200)
    twins = Twins(counter, cold, Random(seed))
    await twins.create()
    chance = twins.chance
    for _ in range(90):
        for deed, often in ((twins.launch, 0.1), (twins.end, 0.04), (twins.stand, 0.06), (twins.bonus, 0.1)):
            if chance.random() < often:
                await deed()
        die = chance.random()
        if die < 0.12:
            twins.rollbacks = 15
            wishes = [twins.wish() for _ in range(chance.randint(1, 7))]
            twins.rollbacks = 0
            await twins.together([wishes], disturbed=False)
        else:
            twins.number += 1
            warm = [
                (
                    Type.BET,
                    f"h{twins.number}-{login}",
                    login,
                    "acme",
                    {"currency": "KZT", "roundId": f"h{twins.number}", "amount": 1},
                )
                for login in twins.logins
            ]
            await twins.together([warm], disturbed=False)
            lists = []
            shared = chance.choice(twins.logins)
            for _ in range(chance.randint(2, 4)):
                wishes = [twins.wish() for _ in range(chance.randint(4, 12))]
                # Each has somebody in common with each other: so they have one order.
                twins.number += 1
                wishes.insert(
                    0,
                    (
                        Type.BET,
                        f"s{twins.number}",
                        shared,
                        "acme",
                        {"currency": "KZT", "roundId": f"s{twins.number}", "amount": 1},
                    ),
                )
                lists.append(wishes)
            await twins.together(lists, disturbed=die < 0.25)
    await same(counter)
    await cold.aclose()
    assert ways["remembered"] > 50
    assert ways["disturbed"]
