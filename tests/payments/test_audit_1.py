"""What an audit of issue 4 found: each test failed when it was written."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from app.main import create_app
from tests.conftest import ROOT
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


DOCUMENT = json.loads((ROOT / "openapi" / "merchant.json").read_text())


def test_the_merchants_document_has_an_example_of_every_answer() -> None:
    """payments.md 3.8: examples for every status."""
    lacking = [
        f"{method} {path} {status}"
        for path, calls in DOCUMENT["paths"].items()
        for method, call in calls.items()
        for status, answer in call["responses"].items()
        if not any(one.keys() & {"example", "examples"} for one in answer.get("content", {}).values())
    ]
    assert lacking == []


def test_the_merchants_document_says_that_a_key_is_needed() -> None:
    """The server answers 400 `idempotency_key_missing`; the document calls it optional."""
    optional = [
        path
        for path, calls in DOCUMENT["paths"].items()
        for one in calls.get("post", {}).get("parameters", [])
        if one["name"] == "Idempotency-Key" and not one["required"]
    ]
    assert optional == []


@pytest.mark.parametrize("filtered", ["created[gte]", "created[lt]"])
@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_instant_that_no_clock_shows_is_malformed_and_no_failure_of_ours(
    stage: Stage, api: Callers, filtered: str, instant: str
) -> None:
    transport = httpx.ASGITransport(app=create_app(stage.pipes), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as wire:
        headers = {"authorization": f"Bearer {api.reads}"}
        told = await wire.get("/v1/payments", params={filtered: instant}, headers=headers)
    assert told.status_code in {200, 400}, told.text


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
