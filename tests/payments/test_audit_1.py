"""What an audit of issue 4 found: each test failed when it was written."""

from collections.abc import AsyncIterator

import pytest

from tests.payments.callers import Callers, calling
from tests.payments.stage import Stage


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Callers]:
    async with calling(stage.pipes, stage.site_id) as calls:
        yield calls


async def test_a_resolution_that_can_never_be_done_is_not_proposed(stage: Stage, api: Callers) -> None:
    """`money_returned` of a withdrawal: a proposal that nobody can carry out, in the way of others."""
    await stage.policy(auto_below=None)
    await stage.fund()
    payment_id = (await stage.withdraw()).payment_id
    anna = await api.person("anna")
    opened = (await api.post(anna, f"/v1/payments/{payment_id}/cases", {"reason": "look"}, "k-1")).json()
    body = {"resolution": "money_returned", "note": "n", "attachment_sha256": "a" * 64}
    told = await api.post(anna, f"/v1/cases/{opened['id']}/resolve", body, "k-2")
    assert told.status_code in {409, 422}, told.json()
