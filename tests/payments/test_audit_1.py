"""What an audit of issue 4 found: each test failed when it was written."""

from collections.abc import AsyncIterator

import pytest

from tests.payments.callers import Callers, calling
from tests.payments.stage import Bank, Stage


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Callers]:
    async with calling(stage.pipes, stage.site_id) as calls:
        yield calls


async def test_the_field_that_is_wrong_is_named_as_it_was_sent(stage: Stage, api: Callers) -> None:
    anna = await api.person("anna")
    query = {"site_id": stage.site_id, "ending_before": "dep_nowhere"}
    _, told = await api.get(anna, "/v1/payments", **query)
    assert (told["code"], told["param"]) == ("cursor_not_found", "ending_before")


async def test_a_body_that_is_no_json_is_said_in_words(stage: Stage, api: Callers) -> None:
    """It was `1: JSON decode error`, with `param: "1"`, the place of the byte."""
    anna = await api.person("anna")
    headers = {"authorization": f"Bearer {anna}", "idempotency-key": "k", "content-type": "application/json"}
    path = "/v1/payments/wdr_1/cancel"
    told = (
        await api.http.post(path, content=b"{", params={"site_id": stage.site_id}, headers=headers)
    ).json()
    assert (told["param"], "JSON" in told["detail"]) == ("body", True)


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


async def test_wrong_fields_of_a_proposal_and_a_refund_are_named_as_they_are_sent(
    stage: Stage, api: Callers
) -> None:
    await stage.policy(auto_below=None)
    await stage.fund()
    payment_id = (await stage.withdraw()).payment_id
    anna = await api.person("anna")
    opened = (await api.post(anna, f"/v1/payments/{payment_id}/cases", {"reason": "look"}, "k-1")).json()
    body = {"resolution": "noted", "note": "n", "attachment_sha256": "zz"}
    told = (await api.post(anna, f"/v1/cases/{opened['id']}/resolve", body, "k-2")).json()
    assert told["param"] == "attachment_sha256"


async def test_approved_is_told_once(stage: Stage, bank: Bank) -> None:
    """The merchant's initiation is told as a second `withdrawal.approved`, under the next `sequence`."""
    await stage.policy(needs_initiation=True)
    await stage.fund()
    found = await stage.withdraw()
    await stage.initiate(found)
    told = await stage.rows(
        "SELECT type FROM payment_event WHERE payment_id = :id AND type = 'withdrawal.approved'",
        id=found.payment_id,
    )
    assert len(told) == 1
