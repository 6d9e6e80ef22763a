"""The demo shop's owner decides, and the cashier is told: payout initiation against a stub of its address."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import pytest
from fastapi.responses import HTMLResponse, JSONResponse, Response

from app.kernel import signing
from tests.demo.servers import Peer, sha1_signed, until
from tests.demo.shops import SALT, Shop

ORDER_ID = "217742619264065507927945843197"
YES: Mapping[str, object] = {
    "success": True,
    "errors": "",
    "transaction": None,
    "code": 0,
    "message_for_user": "Success",
    "transaction_id": 117_580_048,
    "order_id": ORDER_ID,
}


def no(reason: str, status: int) -> JSONResponse:
    return JSONResponse({"success": False, "errors": reason, "code": status}, status_code=status)


@pytest.fixture
async def order(shop: Shop, peer: Peer) -> str:
    """A withdrawal of 1000.00 KZT that waits for the owner; the cashier says yes to everything."""
    peer.answers = [JSONResponse(YES)]
    await shop.tell((await shop.ask()).json()["external_id"])
    external_id: str = (await shop.ask_payout()).json()["external_id"]
    return external_id


async def settled(shop: Shop, status: str) -> dict[str, Any]:
    async def is_so() -> bool:
        return bool((await shop.withdrawal())["status"] == status)

    await until(is_so)
    return await shop.withdrawal()


async def said(shop: Shop, count: int) -> list[dict[str, Any]]:
    """The first initiations, once so many are over."""

    async def are_over() -> bool:
        over = [call for call in (await shop.state())["initiations"] if "outcome" in call]
        return len(over) >= count

    await until(are_over)
    found: list[dict[str, Any]] = (await shop.state())["initiations"]
    return found


def fields_of(peer: Peer) -> list[dict[str, str]]:
    """What arrived at the cashier's address for initiations."""
    heard = [message for message in peer.heard if message["path"] == "/api/payout/"]
    return [
        dict(parse_qsl(message["body"].decode()))
        if message["headers"]["content-type"].startswith("application/x-www-form-urlencoded")
        else json.loads(message["body"])
        for message in heard
    ]


def read(fields: Mapping[str, str]) -> dict[str, str]:
    """Read an initiation as the cashier does: by its grammar, and its signature."""
    found = signing.read(signing.PAYOUT_INITIATION, fields.items())
    assert signing.matches(found, found["signature"], [SALT]) == 0
    return found


async def test_an_approval_tells_the_cashier_to_pay(shop: Shop, peer: Peer, order: str) -> None:
    answer = await shop.decide(order, "approve")
    assert (answer.status_code, answer.headers["location"]) == (303, "/owner")
    asked = await settled(shop, "initiated")
    assert asked["order_id"] == ORDER_ID
    [sent] = fields_of(peer)
    assert sent == sha1_signed({name: sent[name] for name in sent if name != "signature"}, SALT)
    found = read(sent)
    expected = {
        "action": "payout",
        "site_id": "7",
        "site_login": "aigerim",
        "amount": "100000",
        "currency": "KZT",
        "external_id": order,
        "customer_purse": "555555...4444",
        "remember_customer_purse": "0",
    }
    assert {name: found[name] for name in expected} == expected
    await shop.tell_payout(order)
    assert (await shop.withdrawal())["status"] == "paid"
    assert await shop.balance() == 50_000


async def test_a_rejection_gives_the_money_back_and_tells_nobody(shop: Shop, peer: Peer, order: str) -> None:
    assert (await shop.decide(order, "reject")).status_code == 303
    assert (await shop.withdrawal())["status"] == "rejected"
    assert await shop.balance() == 150_000
    assert fields_of(peer) == []
    # The cashier lets it end some day.
    await shop.tell_payout(order, status_id=5)
    assert (await shop.withdrawal())["status"] == "rejected"
    assert await shop.balance() == 150_000


async def test_what_is_decided_is_not_decided_again(shop: Shop, peer: Peer, order: str) -> None:
    await shop.decide(order, "approve")
    await settled(shop, "initiated")
    for decision in ("approve", "reject"):
        answer = await shop.decide(order, decision)
        assert (answer.status_code, answer.json()) == (409, {"error": "This withdrawal is decided"})
    assert len(fields_of(peer)) == 1
    assert await shop.balance() == 50_000


async def test_only_the_owners_own_page_decides(shop: Shop, peer: Peer, order: str) -> None:
    answer = await shop.decide(order, "approve", **{"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert (await shop.decide("out_nothing", "approve")).status_code == 404
    assert (await shop.decide(order, "perhaps")).status_code == 422
    assert (await shop.withdrawal())["status"] == "requested"
    assert fields_of(peer) == []


async def test_a_refusal_puts_it_back_before_the_owner_with_the_reason(
    shop: Shop, peer: Peer, order: str
) -> None:
    peer.answers = [no("The amount <b>differs</b>.", 409), JSONResponse(YES)]
    await shop.decide(order, "approve")
    await said(shop, 1)
    asked = await settled(shop, "requested")
    assert asked["problem"] == "The amount <b>differs</b>."
    page = (await shop.http.get(f"{shop.url}/owner")).text
    assert "The amount &lt;b&gt;differs" in page
    assert await shop.balance() == 50_000, "still set aside"
    await shop.decide(order, "approve")
    assert (await settled(shop, "initiated"))["problem"] == ""


@pytest.mark.parametrize(
    "useless",
    [
        HTMLResponse("<h1>Bad gateway</h1>", status_code=502),
        JSONResponse({**YES, "success": 1}),
        JSONResponse({**YES, "order_id": ORDER_ID[:-1]}),
        JSONResponse({**YES, "code": 1}),
        JSONResponse({"success": True}),
        JSONResponse([True]),
        no("Too many requests.", 429),
        no("Out of order.", 503),
        Response(b"\xff", status_code=200),
    ],
)
async def test_what_is_not_understood_is_asked_again_with_the_same_words(
    shop: Shop, peer: Peer, order: str, useless: Response
) -> None:
    peer.answers = [useless, useless, JSONResponse(YES)]
    await shop.decide(order, "approve")
    await settled(shop, "initiated")
    first, second, third = fields_of(peer)
    assert first == second == third


async def test_an_answer_that_never_comes_leaves_the_owner_a_button(
    shop: Shop, peer: Peer, order: str
) -> None:
    peer.answers = [HTMLResponse("?", status_code=500)]
    await shop.decide(order, "approve")
    calls = await said(shop, 3)
    assert [call["outcome"] for call in calls] == ["unknown"] * 3

    async def may_be_told_again() -> bool:
        return "Tell the cashier again" in (await shop.http.get(f"{shop.url}/owner/withdrawals")).text

    await until(may_be_told_again)
    assert (await shop.withdrawal())["status"] == "approved"
    assert (await shop.decide(order, "reject")).status_code == 409, "the cashier may be paying"
    peer.answers = [JSONResponse(YES)]
    await shop.decide(order, "approve")
    await settled(shop, "initiated")


async def test_an_end_that_is_told_before_the_answer_stands(shop: Shop, peer: Peer, order: str) -> None:
    peer.answers = [HTMLResponse("?", status_code=500), HTMLResponse("?", status_code=500), JSONResponse(YES)]
    await shop.decide(order, "approve")
    await said(shop, 1)
    await shop.tell_payout(order)
    calls = await said(shop, 3)
    assert calls[-1]["outcome"] == "accepted"
    asked = await settled(shop, "paid")
    assert asked["order_id"] == ORDER_ID


async def test_two_numbers_for_one_withdrawal_are_shown(shop: Shop, peer: Peer, order: str) -> None:
    await shop.behave(initiation="again")
    peer.answers = [JSONResponse(YES), JSONResponse({**YES, "order_id": "9" * 30})]
    await shop.decide(order, "approve")
    asked = await settled(shop, "initiated")
    assert asked["problem"] == f"The cashier gave two numbers: {ORDER_ID} and {'9' * 30}."


@pytest.mark.parametrize(
    ("manner", "calls"), [("again", 2), ("lost_answer", 2), ("storm", 20), ("as_form", 1)]
)
async def test_manners_that_are_honest(shop: Shop, peer: Peer, order: str, manner: str, calls: int) -> None:
    await shop.behave(initiation=manner)
    await shop.decide(order, "approve")
    asked = await settled(shop, "initiated")
    sent = fields_of(peer)
    assert len(sent) == calls
    assert all(read(fields) == read(sent[0]) for fields in sent)
    assert asked["problem"] == ""


async def test_every_field_of_the_protocol(shop: Shop, peer: Peer, order: str) -> None:
    await shop.behave(initiation="every_field")
    await shop.decide(order, "approve")
    await settled(shop, "initiated")
    [sent] = fields_of(peer)
    assert read(sent).keys() == signing.PAYOUT_INITIATION.fields().keys()


@pytest.mark.parametrize(
    ("manner", "field", "value"),
    [
        ("wrong_amount", "amount", "100001"),
        ("wrong_currency", "currency", "USD"),
        ("wrong_login", "site_login", "daniyar"),
    ],
)
async def test_manners_that_name_something_else(
    shop: Shop, peer: Peer, order: str, manner: str, field: str, value: str
) -> None:
    peer.answers = [no(f"The {field} differs.", 409)]
    await shop.behave(initiation=manner)
    await shop.decide(order, "approve")
    await said(shop, 1)
    [sent] = fields_of(peer)
    assert read(sent)[field] == value
    assert (await settled(shop, "requested"))["problem"] == f"The {field} differs."


async def test_an_order_that_was_never_given_is_asked_for_until_patience_ends(
    shop: Shop, peer: Peer, order: str
) -> None:
    peer.answers = [no("There is no such withdrawal.", 404)]
    await shop.behave(initiation="unknown_order")
    await shop.decide(order, "approve")
    await said(shop, 3)
    assert (await settled(shop, "requested"))["problem"] == "There is no such withdrawal."
    assert {read(sent)["external_id"] for sent in fields_of(peer)} == {f"{order}x"}


@pytest.mark.parametrize(
    ("manner", "field"),
    [("no_order", "external_id"), ("card_number", "customer_purse"), ("extra_field", "payment_group_id")],
)
async def test_manners_that_break_the_grammar(
    shop: Shop, peer: Peer, order: str, manner: str, field: str
) -> None:
    peer.answers = [no("malformed", 400)]
    await shop.behave(initiation=manner)
    await shop.decide(order, "approve")
    await said(shop, 1)
    [sent] = fields_of(peer)
    with pytest.raises(signing.MalformedField) as caught:
        read(sent)
    assert caught.value.param == field


async def test_a_bad_signature(shop: Shop, peer: Peer, order: str) -> None:
    peer.answers = [no("Not authentic.", 401)]
    await shop.behave(initiation="bad_signature")
    await shop.decide(order, "approve")
    await said(shop, 1)
    [sent] = fields_of(peer)
    found = signing.read(signing.PAYOUT_INITIATION, sent.items())
    assert signing.matches(found, found["signature"], [SALT]) is None


async def test_approved_at_once(shop: Shop, peer: Peer, order: str) -> None:
    await shop.behave(approval="at_once")
    peer.answers = [no("There is no such withdrawal.", 404), JSONResponse(YES)]
    external_id = (await shop.ask_payout(transaction_id="2002", amount=1)).json()["external_id"]
    await settled(shop, "initiated")
    assert [sent["external_id"] for sent in fields_of(peer)] == [external_id] * 2
    await shop.ask_payout(transaction_id="2002", amount=1)
    assert len(fields_of(peer)) == 2, "a repeated question approves nothing anew"


async def test_approved_before_the_question_is_answered_and_again_afterwards(
    shop: Shop, peer: Peer, order: str
) -> None:
    await shop.behave(approval="before_answer")
    peer.answers = [no("There is no such withdrawal.", 404), JSONResponse(YES)]
    answer = await shop.ask_payout(transaction_id="2002", amount=1)
    assert answer.json()["code"] == 50
    assert (await shop.state())["initiations"][0]["outcome"] == "refused"
    await settled(shop, "initiated")
    assert len(fields_of(peer)) == 2


async def test_approved_after_the_end(shop: Shop, peer: Peer, order: str) -> None:
    await shop.behave(approval="after_end")
    peer.answers = [no("This withdrawal was cancelled.", 409)]
    await shop.tell_payout(order, status_id=14)
    [call] = await said(shop, 1)
    assert call["reason"] == "This withdrawal was cancelled."
    assert (await shop.withdrawal())["status"] == "failed"
    assert await shop.balance() == 150_000


async def test_the_owners_page_shows_both_lists_and_nothing_to_strangers(
    shop: Shop, peer: Peer, order: str
) -> None:
    page = await shop.http.get(f"{shop.url}/owner")
    assert "1,000.00" in page.text
    assert "555555...4444" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    await shop.decide(order, "reject")
    lists = (await shop.http.get(f"{shop.url}/owner/withdrawals")).text
    assert "Nothing waits for you." in lists
    assert "Rejected by you" in lists
    view = (await shop.http.get(f"{shop.url}/players/aigerim")).json()
    assert view["orders"][0] | {"external_id": "", "created_at": "", "created_text": "", "short_id": ""} == {
        "external_id": "",
        "short_id": "",
        "kind_text": "Withdrawal",
        "amount": "−1,000.00 KZT",
        "status": "rejected",
        "status_text": "Refused",
        "created_at": "",
        "created_text": "",
    }
