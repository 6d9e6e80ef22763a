"""The demo shop keeps the merchant's side of the protocol."""

import asyncio
import base64
import json
from datetime import datetime, timedelta
from urllib.parse import urlencode

import httpx
import pytest
from fastapi.responses import JSONResponse
from standardwebhooks import Webhook as StandardWebhook

from app.kernel.clock import SystemClock
from tests.demo.servers import Peer, as_json, sha1_signed
from tests.demo.shops import SALT, SECRET, Shop


async def test_a_deposit_opens_the_cashier_with_a_key_asked_for_with_a_signature(
    shop: Shop, peer: Peer
) -> None:
    peer.answers = [JSONResponse({"success": True, "errors": None, "key": "k&y=1"})]
    page = await shop.http.get(f"{shop.url}/deposit", params={"player": "daniyar"})
    asked = peer.heard[0]
    assert asked["path"] == "/api/authlink/obtain/"
    fields = dict(asked["query"])
    signature = fields.pop("signature")
    assert signature == sha1_signed(fields, SALT)["signature"]
    assert (fields["site_id"], fields["site_login"], fields["currency"]) == ("7", "daniyar", "KZT")
    assert fields["language"] == "ru"
    assert "/open?key=k%26y%3D1" in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"success": False, "errors": "no <such> site", "code": 1}, status_code=401),
        JSONResponse(["no", "object"]),
        JSONResponse({"success": True, "key": 5}),
    ],
)
async def test_without_a_key_the_player_is_told_and_nothing_breaks(
    shop: Shop, peer: Peer, answer: JSONResponse
) -> None:
    peer.answers = [answer]
    page = await shop.http.get(f"{shop.url}/deposit")
    assert page.status_code == 502
    assert "The cashier did not open" in page.text
    assert "<such>" not in page.text
    assert "iframe" not in page.text


async def test_a_posted_deposit_form_leads_to_the_deposit_page(shop: Shop) -> None:
    answer = await shop.http.post(f"{shop.url}/deposit", data={"player": "gulnara", "lang": "ru", "x": "y"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/deposit?player=gulnara&lang=ru")


async def test_an_unknown_player_gets_a_page_not_an_error(shop: Shop) -> None:
    answers = [await shop.http.get(f"{shop.url}{path}?player=nobody") for path in ("/", "/deposit")]
    assert [answer.status_code for answer in answers] == [404, 404]


async def test_check_deposit_is_allowed_and_the_same_transaction_keeps_its_order(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.ask() for _ in range(20)))
    ids = {answer.json()["external_id"] for answer in answers}
    assert [answer.json()["code"] for answer in answers] == [0] * 20
    assert len(ids) == 1
    assert next(iter(ids)).startswith("order_")
    assert (await shop.ask(transaction_id="1002")).json()["external_id"] not in ids
    assert len((await shop.state())["orders"]) == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"site_login": "nobody"}, "User not found"),
        ({"currency": "USD"}, "This shop takes KZT only"),
        ({"amount": 0}, "The amount must be more than nothing"),
        ({"amount": -5}, "amount is not a whole number"),
        ({"site_id": 8}, "This shop answers for its own site only"),
        ({"action": "refund"}, "This shop answers check_deposit and request_payout only"),
    ],
)
async def test_check_deposit_is_refused_with_a_reason(
    shop: Shop, changed: dict[str, object], reason: str
) -> None:
    answer = await shop.ask(**changed)
    assert answer.status_code == 200
    assert answer.json() == {"code": 500, "error_description": reason}
    assert (await shop.state())["orders"] == []


async def test_the_same_transaction_with_another_amount_is_refused(shop: Shop) -> None:
    await shop.ask()
    answer = await shop.ask(amount=150_001)
    assert answer.json() == {"code": 500, "error_description": "This transaction already has another order"}


@pytest.mark.parametrize("where", ["callout", "notify"])
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"not json",
        b"[1]",
        b'{"a":"1","signature":"' + b"0" * 40 + b'"}',
        b'{"a":1,"a":2}',
    ],
)
async def test_what_is_not_signed_by_the_cashier_has_no_effect(shop: Shop, where: str, body: bytes) -> None:
    answer = await shop.http.post(f"{shop.url}/cashier/{where}", content=body)
    assert answer.status_code == 401
    assert answer.json()["code"] != 0
    state = await shop.state()
    assert state["orders"] == []
    assert state["movements"] == []


async def test_a_tampered_webhook_is_refused(shop: Shop) -> None:
    message = shop.result("order_1") | {"amount": 9_999_999}
    answer = await shop.http.post(f"{shop.url}/cashier/notify", json=message)
    assert (answer.status_code, answer.json()["code"]) == (401, 1)
    assert await shop.balance() == 0


async def test_a_success_credits_the_player_exactly_once_however_often_it_is_told(shop: Shop) -> None:
    order = (await shop.ask()).json()["external_id"]
    answers = await asyncio.gather(*(shop.tell(order) for _ in range(20)))
    assert [answer.json() for answer in answers] == [{"code": 0}] * 20
    state = await shop.state()
    assert state["balances_minor"]["aigerim"] == 150_000
    assert len(state["movements"]) == 1
    assert state["effects"]["credited"] == 1
    assert state["effects"]["repeated"] == 19
    assert state["orders"][0]["status"] == "paid"


async def test_one_transaction_credits_once_even_under_two_types(shop: Shop) -> None:
    order = (await shop.ask()).json()["external_id"]
    for type_id in (1, 3, 6):
        await shop.tell(order, type_id=type_id)
    assert await shop.balance() == 150_000


@pytest.mark.parametrize("status_id", [5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 19])
async def test_a_failure_marks_the_order_and_moves_nothing(shop: Shop, status_id: int) -> None:
    order = (await shop.ask()).json()["external_id"]
    assert (await shop.tell(order, status_id=status_id)).json() == {"code": 0}
    state = await shop.state()
    assert (state["orders"][0]["status"], state["orders"][0]["status_id"]) == ("failed", status_id)
    assert state["movements"] == []


async def test_the_same_failure_again_is_a_repetition(shop: Shop) -> None:
    order = (await shop.ask()).json()["external_id"]
    answers = [await shop.tell(order, status_id=6) for _ in range(3)]
    assert [answer.json() for answer in answers] == [{"code": 0}] * 3
    effects = (await shop.state())["effects"]
    assert (effects["failed"], effects["repeated"]) == (1, 2)


async def test_a_late_success_after_a_failure_pays_and_a_failure_after_success_takes_nothing(
    shop: Shop,
) -> None:
    order = (await shop.ask()).json()["external_id"]
    for status_id in (13, 4, 6):
        await shop.tell(order, status_id=status_id)
    state = await shop.state()
    assert state["balances_minor"]["aigerim"] == 150_000
    assert state["orders"][0]["status"] == "paid"


@pytest.mark.parametrize("status_id", [1, 2, 3, 20])
async def test_other_statuses_are_noted_only(shop: Shop, status_id: int) -> None:
    order = (await shop.ask()).json()["external_id"]
    assert (await shop.tell(order, status_id=status_id)).json() == {"code": 0}
    state = await shop.state()
    assert state["orders"][0]["status"] == "waiting"
    assert state["movements"] == []


async def test_a_refund_takes_the_money_back_once(shop: Shop) -> None:
    order = (await shop.ask()).json()["external_id"]
    await shop.tell(order)
    for _ in range(2):
        await shop.tell(order, type_id=5, transaction_id=1002)
    state = await shop.state()
    assert state["balances_minor"]["aigerim"] == 0
    assert state["orders"][0]["status"] == "returned"


async def test_a_webhook_for_an_order_from_before_a_restart_still_credits(shop: Shop) -> None:
    await shop.tell("order_forgotten")
    assert await shop.balance() == 150_000


async def test_a_webhook_about_nobody_or_in_a_foreign_currency_is_not_acknowledged(shop: Shop) -> None:
    assert (await shop.tell("order_1", site_login="nobody")).json()["code"] == 500
    assert (await shop.tell("order_1", currency="USD")).json()["code"] == 500
    assert (await shop.state())["movements"] == []


async def test_a_form_is_understood_as_well_as_json(shop: Shop) -> None:
    form = urlencode({name: str(value) for name, value in shop.result("order_1").items()}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = await shop.http.post(f"{shop.url}/cashier/notify", content=form, headers=headers)
    assert answer.json() == {"code": 0}
    assert await shop.balance() == 150_000


def _standard_headers(body: bytes, at: datetime) -> dict[str, str]:
    signature = StandardWebhook(SECRET).sign("msg_1", at, body.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": f"v1,{base64.b64encode(b'an older secret').decode()} {signature}",
        "content-type": "application/json",
    }


async def test_standard_webhooks_signatures_of_the_reference_library_are_accepted(shop: Shop) -> None:
    body = as_json(shop.result("order_1"))
    headers = _standard_headers(body, SystemClock().now())
    answer = await shop.http.post(f"{shop.url}/cashier/notify", content=body, headers=headers)
    assert answer.json() == {"code": 0}


@pytest.mark.parametrize("broken", ["webhook-id", "webhook-timestamp", "webhook-signature", "late", "body"])
async def test_standard_webhooks_headers_that_do_not_fit_are_refused(shop: Shop, broken: str) -> None:
    body = as_json(shop.result("order_1"))
    late = timedelta(minutes=6) if broken == "late" else timedelta()
    headers = _standard_headers(body, SystemClock().now() - late)
    if broken in headers:
        headers[broken] = {"webhook-id": "msg_2"}.get(broken, "")
    sent = body + b" " if broken == "body" else body
    answer = await shop.http.post(f"{shop.url}/cashier/notify", content=sent, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, 1)
    assert await shop.balance() == 0


async def test_every_manner_of_answering_a_callout(shop: Shop) -> None:
    await shop.behave(callout="refuse")
    assert (await shop.ask()).json()["code"] == 500
    await shop.behave(callout="garbage")
    with pytest.raises(ValueError, match=r"."):
        (await shop.ask()).json()
    await shop.behave(callout="html")
    assert (await shop.ask()).headers["content-type"].startswith("text/html")
    await shop.behave(callout="error500")
    assert (await shop.ask()).status_code == 500
    await shop.behave(callout="no_answer")
    with pytest.raises(httpx.RemoteProtocolError):
        await shop.ask()
    await shop.behave(callout="hang")
    shop.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        await shop.ask()
    shop.http.timeout = httpx.Timeout(5)
    assert (await shop.state())["orders"] == []
    await shop.behave(callout="slow")
    answer = await shop.ask()
    assert answer.json()["code"] == 0
    assert answer.elapsed > timedelta(seconds=0.2)


async def test_every_manner_of_answering_a_webhook(shop: Shop) -> None:
    await shop.behave(webhook="refuse")
    assert (await shop.tell("order_1")).json()["code"] == 1
    await shop.behave(webhook="error500")
    assert (await shop.tell("order_1")).status_code == 500
    assert await shop.balance() == 0
    await shop.behave(webhook="lost_answer")
    with pytest.raises(httpx.RemoteProtocolError):
        await shop.tell("order_1")
    assert await shop.balance() == 150_000
    await shop.behave(webhook="slow")
    assert (await shop.tell("order_1")).json() == {"code": 0}
    assert await shop.balance() == 150_000


async def test_an_unknown_manner_is_refused_and_changes_nothing(shop: Shop) -> None:
    answer = await shop.http.post(f"{shop.url}/demo/behaviour", json={"callout": "explode"})
    assert answer.status_code == 422
    for part in ("payout", "approval", "initiation", "webhook"):
        answer = await shop.http.post(f"{shop.url}/demo/behaviour", json={part: "explode"})
        assert answer.status_code == 422
    assert (await shop.state())["behaviour"] == {
        "callout": "accept",
        "payout": "accept",
        "approval": "owner",
        "initiation": "honest",
        "webhook": "accept",
    }


async def test_the_state_tells_what_was_heard_word_for_word(shop: Shop) -> None:
    await shop.ask()
    await shop.http.post(f"{shop.url}/cashier/notify", content=b"x", headers={"webhook-id": "msg_9"})
    state = await shop.state()
    assert json.loads(state["callouts"][0]["body"])["transaction_id"] == "1001"
    assert state["callouts"][0]["verified"] is True
    assert state["webhooks"][0]["headers"]["webhook-id"] == "msg_9"
    assert state["webhooks"][0]["verified"] is False


async def test_a_body_that_is_too_large_is_refused(shop: Shop) -> None:
    answer = await shop.http.post(f"{shop.url}/cashier/notify", content=b"x" * 65_537)
    assert answer.status_code == 413


async def test_the_page_is_fed_with_what_it_shows(shop: Shop) -> None:
    order = (await shop.ask()).json()["external_id"]
    await shop.tell(order)
    view = (await shop.http.get(f"{shop.url}/players/aigerim")).json()
    assert view["balance"] == {"text": "1,500.00", "currency": "KZT"}
    assert view["orders"][0]["status_text"] == "Paid"
    assert (await shop.http.get(f"{shop.url}/players/nobody")).status_code == 404
