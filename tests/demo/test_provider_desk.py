"""The sandbox provider's deposits are taken back and disputed, and its desk decides everything."""

import html

import httpx
import pytest

from app.demo.provider_scripts import DECISIONS, NEXT_STAGES, SENTENCES, Kind, Script, Stage, Status
from tests.demo.bank import Sandbox, paid


async def test_a_deposit_is_taken_back(sandbox: Sandbox) -> None:
    assert (await sandbox.ask(amount_minor=150_017)).json()["status"] == "approved"
    _, notice = await sandbox.heard(2)
    assert (notice["status"], notice["code"]) == ("reversed", "86")
    assert await sandbox.balance() == 0


@pytest.mark.parametrize(
    ("ending", "stages", "weighs"),
    [
        (18, ["opened"], 0),
        (19, ["opened", "won"], 150_019),
        (21, ["opened", "lost"], 0),
        (22, ["early_warning"], 150_022),
    ],
)
async def test_a_deposit_is_disputed(sandbox: Sandbox, ending: int, stages: list[str], weighs: int) -> None:
    await sandbox.ask(amount_minor=150_000 + ending)
    first, *later = await sandbox.heard(1 + len(stages))
    assert "dispute" not in first
    assert [notice["dispute"]["stage"] for notice in later] == stages
    assert {notice["reference"] for notice in later} == {"att_1"}
    assert {notice["status"] for notice in later} == {"approved"}
    assert len({notice["dispute"]["id"] for notice in later}) == 1
    assert {notice["dispute"]["amount_minor"] for notice in later} == {150_000 + ending}
    has_date = [notice["dispute"]["due_at"] is not None for notice in later]
    assert has_date == [stage in {"opened", "early_warning"} for stage in stages]
    assert (await sandbox.query()).json()["status"] == "approved"
    assert await sandbox.balance() == weighs


async def test_the_desk_shows_every_order_and_decides_it(sandbox: Sandbox) -> None:
    assert "Nothing was asked for yet" in (await sandbox.http.get(f"{sandbox.url}/desk")).text
    order = (await sandbox.pay_out(amount_minor=150_029)).json()
    assert order["status"] == "pending"
    listed = (await sandbox.http.get(f"{sandbox.url}/desk")).text
    assert f'href="/desk/{order["id"]}"' in listed
    assert "att_out" in listed
    page = await sandbox.http.get(f"{sandbox.url}/desk/{order['id']}")
    assert "1,500.29" in page.text
    assert SENTENCES[Script.HOLD] in html.unescape(page.text)
    for status in ("approved", "returned"):
        pressed = await sandbox.decide(order["id"], status=status)
        assert (pressed.status_code, pressed.headers["location"]) == (303, f"/desk/{order['id']}")
        assert (await sandbox.query("att_out")).json()["status"] == status
    assert [notice["status"] for notice in await sandbox.heard(2)] == ["approved", "returned"]
    assert await sandbox.balance() == 0


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", Status)
async def test_the_desk_offers_what_can_be_made_of_an_order_and_nothing_else(
    sandbox: Sandbox, kind: Kind, status: Status
) -> None:
    await paid(sandbox)
    place = {Kind.DEPOSIT: sandbox.ask, Kind.PAYOUT: sandbox.pay_out, Kind.REFUND: sandbox.refund}[kind]
    words = "reason" if kind is Kind.REFUND else "description"
    script = {
        Status.PENDING: "garbage_answer",  # it stays so
        Status.APPROVED: "approve",
        Status.DECLINED: "decline",
        Status.UNKNOWN: "says_unknown",
    }.get(status)
    if script is None:
        return
    await place(reference="att_x", **{words: f"[script:{script}]"})
    [order] = [one for one in (await sandbox.state())["orders"] if one["reference"] == "att_x"]
    assert order["status"] == status
    possible = DECISIONS[kind].get(status, ())
    page = (await sandbox.http.get(f"{sandbox.url}/desk/{order['id']}")).text
    assert ("Moved" in page) is (status is Status.APPROVED)
    for other in Status:
        assert (f'value="{other}"' in page) is (other in possible)
        if other not in possible:
            assert (await sandbox.decide(order["id"], status=other)).status_code == 409
    for stage in Stage:
        may = kind is Kind.DEPOSIT and status is Status.APPROVED and stage in NEXT_STAGES[None]
        assert (f'value="{stage}"' in page) is may


async def test_what_was_silent_tells_the_truth_once_the_desk_has_decided(sandbox: Sandbox) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.pay_out(0.1, amount_minor=150_005)
    (order,) = (await sandbox.state())["orders"]
    await sandbox.decide(order["id"], status="declined")
    assert (await sandbox.query("att_out")).json()["status"] == "declined"
    assert (await sandbox.pay_out(amount_minor=150_005)).json()["status"] == "declined"


async def test_a_dispute_goes_its_way_at_the_desk_and_another_may_follow(sandbox: Sandbox) -> None:
    deposit = await paid(sandbox)
    stages = [
        "early_warning",
        "opened",
        "needs_response",
        "submitted",
        "won",
        "pre_arbitration",
        "lost",
        "opened",
    ]
    for stage in stages:
        assert (await sandbox.decide(deposit["id"], stage=stage)).status_code == 303
    assert (await sandbox.decide(deposit["id"], stage="submitted")).status_code == 409
    told = [notice["dispute"] for notice in (await sandbox.heard(1 + len(stages))) if "dispute" in notice]
    assert sorted(dispute["stage"] for dispute in told) == sorted(stages)
    assert len({dispute["id"] for dispute in told}) == 2
    (order,) = (await sandbox.state())["orders"]
    assert [dispute["stage"] for dispute in order["disputes"]] == ["lost", "opened"]


async def test_the_desk_knows_no_strangers(sandbox: Sandbox) -> None:
    assert (await sandbox.http.get(f"{sandbox.url}/desk/sbx_nobody")).status_code == 404
    assert (await sandbox.decide("sbx_nobody", status="approved")).status_code == 404
    order = (await sandbox.pay_out()).json()
    assert (await sandbox.decide(order["id"])).status_code == 409
    assert (await sandbox.http.get(f"{sandbox.url}/pay/{order['id']}")).status_code == 404
    assert (await sandbox.press(f"{sandbox.url}/pay/{order['id']}", "decline")).status_code == 404
