"""The shop owner's desk tells apart what can be decided, what was refused, and what waits for others."""

import re
from typing import Any

import httpx
import pytest
from fastapi.responses import HTMLResponse, JSONResponse, Response

from app.demo.merchant import MerchantSettings, create_app
from tests.demo.servers import Peer, Serve, until
from tests.demo.shops import SALT, SECRET, Shop

NOBODY_WAITS = JSONResponse({"object": "list", "data": []})


def stands(sub_status: str, transaction_id: int = 2001) -> Response:
    """What the cashier's API says of a withdrawal."""
    payment = {"id": "wdr_1", "transaction_id": transaction_id, "sub_status": sub_status}
    return JSONResponse({"object": "list", "data": [payment]})


@pytest.fixture
async def asking(serve: Serve, peer: Peer, http: httpx.AsyncClient) -> Shop:
    """A shop that may read its payments, and a withdrawal of 1000.00 KZT at it."""
    settings = MerchantSettings(
        await serve(peer.app), "http://127.0.0.1:1", 7, SALT, "KZT", SECRET, api_token="ck_read_1"
    )
    shop = Shop(await serve(create_app(settings)), http)
    await shop.tell((await shop.ask()).json()["external_id"])
    await shop.ask_payout()
    return shop


async def lists(shop: Shop) -> dict[str, str]:
    """Each list of the desk under its heading."""
    page = (await shop.http.get(f"{shop.url}/owner/withdrawals")).text
    return dict(re.findall(r"<h2[^>]*>([^<]*)</h2>(.*?)</section>", page, re.DOTALL))


async def listed(shop: Shop, heading: str) -> str:
    """A list once it has a withdrawal, and that no other list has it."""
    found: dict[str, str] = {}

    async def is_there() -> bool:
        found.clear()
        found.update(await lists(shop))
        return "1,000.00" in found.get(heading, "")

    await until(is_there)
    assert [name for name, text in found.items() if "1,000.00" in text] == [heading]
    return found[heading]


@pytest.mark.parametrize(
    ("sub_status", "sentence"),
    [
        ("under_review", "Somebody at the cashier must approve it first."),
        ("awaiting_second_approval", "A second person at the cashier must approve it first."),
        ("cooling", "The player may still take it back."),
    ],
)
async def test_what_waits_for_others_is_no_decision_of_the_owner(
    asking: Shop, peer: Peer, sub_status: str, sentence: str
) -> None:
    peer.answers = [stands(sub_status)]
    waiting = await listed(asking, "Waiting for others")
    assert sentence in waiting
    assert "wdr_1" in waiting
    assert 'value="approve"' not in waiting
    assert 'value="reject"' in waiting, "not to pay is the owner's word at any time"
    [question, *_] = [heard for heard in peer.heard if heard["path"] == "/v1/payments"]
    assert question["headers"]["authorization"] == "Bearer ck_read_1"
    assert 'aria-label="1 waiting"' not in (await asking.http.get(f"{asking.url}/owner")).text
    # The cashier's people have approved it.
    peer.answers = [stands("approved")]
    assert 'value="approve"' in await listed(asking, "To decide")
    assert 'aria-label="1 waiting"' in (await asking.http.get(f"{asking.url}/owner")).text


async def test_what_the_owner_has_approved_may_wait_for_the_cashier(asking: Shop, peer: Peer) -> None:
    yes = {"success": True, "code": 0, "transaction_id": 1, "order_id": "1" * 30}
    peer.answers = [JSONResponse(yes), stands("under_review")]
    external_id = (await asking.withdrawal())["external_id"]
    await asking.decide(external_id, "approve")
    waiting = await listed(asking, "Waiting for others")
    assert "Approved by you. Somebody at the cashier must approve it first." in waiting
    assert "<button" not in waiting
    peer.answers = [stands("submitted")]
    assert "Approved, the cashier pays" in await listed(asking, "Decided")


async def test_what_the_cashier_refused_has_a_heading_and_its_reason(asking: Shop, peer: Peer) -> None:
    no = JSONResponse({"success": False, "errors": "The player is blocked.", "code": 403}, status_code=403)
    peer.answers = [no, NOBODY_WAITS]
    external_id = (await asking.withdrawal())["external_id"]
    await asking.decide(external_id, "approve")
    refused = await listed(asking, "Refused by the cashier")
    assert "The player is blocked." in refused
    assert "Try again" in refused
    await asking.decide(external_id, "reject")
    assert "Rejected by you" in await listed(asking, "Decided")


@pytest.mark.parametrize(
    "useless",
    [
        HTMLResponse("?", status_code=502),
        Response(b"\xff", status_code=200),
        JSONResponse([True]),
        JSONResponse({"data": [{"transaction_id": 2001}]}),
        JSONResponse({"data": None}),
    ],
)
async def test_what_is_not_understood_leaves_the_owner_the_decision(
    asking: Shop, peer: Peer, useless: Response
) -> None:
    peer.answers = [useless]
    assert 'value="approve"' in await listed(asking, "To decide")


def test_a_token_is_not_printed() -> None:
    settings: Any = MerchantSettings("http://a", "http://b", 7, "s", "KZT", "w", api_token="ck_read_1")
    assert "ck_read_1" not in repr(settings)
