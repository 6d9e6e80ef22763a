"""`POST /api/payout/` on the wire: signed, JSON or form, the protocol's answer, and each refusal."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import merchants
from app.kernel import signing
from app.main import merchant_api
from tests.payments.stage import Bank, Stage

Answer = dict[str, Any]


@pytest.fixture
async def wire(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    await stage.policy(needs_initiation=True)
    await stage.fund()
    transport = httpx.ASGITransport(app=merchant_api(stage.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        yield client


async def signed(stage: Stage, found: Any, **change: Any) -> dict[str, Any]:  # noqa: ANN401  a row
    """The fields of an initiation, signed as the site does."""
    async with stage.database.reading() as reader:
        site = await merchants.site(reader, stage.site_id)
    fields = {
        "site_id": stage.site_id,
        "site_login": "aigerim",
        "amount": found.amount_minor,
        "currency": "KZT",
        "external_id": found.external_id,
        "action": "payout",
        "comment": "#704224078",
        "first_name": "Aigerim",
        **change,
    }
    return {**fields, "signature": signing.sign(fields, site.signing_salt)}


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
async def test_the_protocols_answer_and_its_repeat(
    stage: Stage, bank: Bank, wire: httpx.AsyncClient, *, form: bool
) -> None:
    found = await stage.withdraw()
    fields = await signed(stage, found)
    asked = {"data": fields} if form else {"json": fields}
    first = await wire.post("/api/payout/", **asked)  # type: ignore[arg-type]
    assert first.status_code == 200
    told: Answer = first.json()
    assert told == {
        "success": True,
        "errors": "",
        "transaction": {
            "transaction_id": found.number,
            "external_id": found.external_id,
            "order_id": told["order_id"],
            "type_id": 11,
            "status_id": 3,
            "amount": 150_000,
            "currency": "KZT",
        },
        "code": 0,
        "message_for_user": "Success",
        "transaction_id": found.number,
        "order_id": told["order_id"],
    }
    assert len(told["order_id"]) == 30
    await stage.work()
    again = (await wire.post("/api/payout", **asked)).json()  # type: ignore[arg-type]
    assert (again["transaction_id"], again["order_id"]) == (told["transaction_id"], told["order_id"])
    assert again["transaction"]["status_id"] == 4
    assert len(bank.payouts) == 1


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        ({"amount": 1}, 422, "amount is not that of the withdrawal that was requested."),
        ({"currency": "USD"}, 422, "currency is not that of the withdrawal that was requested."),
        ({"external_id": "nobodys"}, 404, "There is no withdrawal under external_id nobodys."),
        ({"amount": "1.5"}, 400, "amount"),
        ({"amount": "-1"}, 400, "amount"),
        ({"action": "refund"}, 400, "action"),
        ({"birthdate": "2000-01-01"}, 400, "birthdate"),
        ({"customer_purse": "4111111111111111"}, 400, "customer_purse"),
        ({"new_field": "x"}, 400, "new_field"),
        ({"external_id": ""}, 400, "external_id"),
    ],
)
async def test_what_is_refused_says_why(
    stage: Stage, bank: Bank, wire: httpx.AsyncClient, change: Answer, code: int, sentence: str
) -> None:
    found = await stage.withdraw()
    answer = await wire.post("/api/payout/", json=await signed(stage, found, **change))
    told = answer.json()
    assert (answer.status_code, told["success"], told["code"]) == (code, False, code)
    assert sentence in told["errors"]
    assert (told["transaction_id"], told["order_id"], told["transaction"]) == (None, None, None)
    await stage.work()
    assert bank.payouts == []


async def test_a_wrong_signature_is_nobodys(stage: Stage, bank: Bank, wire: httpx.AsyncClient) -> None:
    found = await stage.withdraw()
    fields = await signed(stage, found)
    for wrong in ({"signature": "0" * 40}, {"site_id": 999}, {"amount": 149_999}):
        answer = await wire.post("/api/payout/", json={**fields, **wrong})
        assert answer.status_code == 401
    # Our own question about this withdrawal, sent back to us, is no initiation.
    reflected = await wire.post("/api/payout/", json=stage.merchant.asked[0])
    assert reflected.status_code in {400, 401}
    await stage.work()
    assert bank.payouts == []


async def test_a_payment_is_found_by_the_order_id_that_it_was_answered(
    stage: Stage, bank: Bank, wire: httpx.AsyncClient
) -> None:
    """protocol.md section 9: one of order_id and external_id; the answer has both."""
    found, other = await stage.withdraw(1_000), await stage.withdraw(2_000)

    async def status(**one: Any) -> httpx.Response:  # noqa: ANN401  a field of the wire
        async with stage.database.reading() as reader:
            site = await merchants.site(reader, stage.site_id)
        fields = {"site_id": stage.site_id, "site_login": "aigerim", **one}
        asked = {**fields, "signature": signing.sign(fields, site.signing_salt)}
        return await wire.post("/v1/payments/status/", json=asked)

    before = (await status(transaction_id=found.number)).json()
    initiated = (await wire.post("/api/payout/", json=await signed(stage, found))).json()
    assert before["order_id"] == initiated["order_id"]
    for one in (found, other):
        by_number = (await status(transaction_id=one.number)).json()
        by_order = await status(order_id=by_number["order_id"])
        assert (by_order.status_code, by_order.json()) == (200, by_number)
    for nobodys in (
        initiated["order_id"][:-1],
        initiated["order_id"][::-1],
        "9" * 30,
        "x" * 30,
        "\u0661" * 30,
    ):
        assert (await status(order_id=nobodys)).status_code in {400, 404}
