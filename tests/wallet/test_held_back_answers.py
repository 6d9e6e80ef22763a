"""Few answers at once are held back for an integrator's test: they keep no other site out."""

import asyncio
from collections import Counter as Counted

import pytest

from app.wallet import routes
from tests.wallet import test_faults
from tests.wallet.counter import Counter

counter = test_faults.counter
AT_ONCE = 30


async def test_so_many_are_held_back_and_the_others_are_refused_undone(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_DELAY_SECONDS", 0.5)
    await counter.player("tester")
    headers = {"authorization": f"Bearer {counter.tokens['wallet']}", "x-sandbox-fault": "delay"}

    async def late(number: int) -> int:
        body = {"playerExternalId": "tester", "currency": "KZT", "amount": 1, "transferId": f"late-{number}"}
        answer = await counter.http.post("/v1/player/wallet/deposit", json=body, headers=headers)
        return int(answer.status_code)

    for turn in (1, 2):  # room is given back
        statuses = await asyncio.gather(*(late(1000 * turn + number) for number in range(AT_ONCE)))
        assert Counted(statuses) == {200: 20, 503: AT_ONCE - 20}
    done = "SELECT count(*) AS done FROM wallet_operation WHERE key LIKE 'late-%'"
    assert (await counter.rows(done))[0].done == 2 * 20
