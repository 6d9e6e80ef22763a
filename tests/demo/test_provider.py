"""The sandbox provider keeps its own contract and plays every script."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest
from fastapi.responses import JSONResponse, Response

from app.demo.provider_scripts import (
    CODES,
    ENDINGS,
    NEXT_STAGES,
    ON_PAGE,
    PLANS,
    REFUSALS,
    SENTENCES,
    Kind,
    Script,
    Stage,
    Status,
)
from tests.demo.bank import SECRET, Sandbox, signed

DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"


def page_of(sandbox: Sandbox, answer: httpx.Response) -> str:
    """Return where the player's page really is."""
    url: str = answer.json()["redirect_url"]
    assert url.startswith("http://provider.example/pay/sbx_")
    return url.replace("http://provider.example", sandbox.url)


async def test_a_deposit_awaits_its_player_who_approves_and_comes_back(sandbox: Sandbox) -> None:
    answer = await sandbox.ask()
    assert answer.status_code == 201
    assert answer.json()["status"] == "awaiting_player"
    page = await sandbox.http.get(page_of(sandbox, answer))
    assert "1,500.00" in page.text
    assert "Altyn Games" in page.text
    assert "frame-ancestors" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].endswith(f"form-action 'self' {sandbox.peer_url}")
    back = await sandbox.press(page_of(sandbox, answer), "approve")
    assert (back.status_code, back.headers["location"]) == (303, f"{sandbox.peer_url}/back")
    (notice,) = await sandbox.heard(1)
    assert notice.pop("instrument")["masked"] == "424242******4242"
    assert notice | {"notice_id": "", "id": "", "occurred_at": ""} == {
        "notice_id": "",
        "reference": "att_1",
        "kind": "deposit",
        "id": "",
        "status": "approved",
        "amount_minor": 150_000,
        "currency": "KZT",
        "occurred_at": "",
        "code": "00",
        "message": "Approved",
    }
    heard = sandbox.peer.heard[0]
    assert heard["path"] == "/notice"
    assert heard["headers"]["x-sandbox-account"] == "altyn"
    assert heard["headers"]["x-sandbox-signature"] == signed(heard["body"])
    assert (await sandbox.query()).json()["status"] == "approved"


@pytest.mark.parametrize(
    ("script", "status", "code"), [("decline", "declined", "05"), ("cancel", "cancelled", "17")]
)
async def test_the_player_may_say_no(sandbox: Sandbox, script: str, status: str, code: str) -> None:
    answer = await sandbox.ask()
    await sandbox.press(page_of(sandbox, answer), script)
    (notice,) = await sandbox.heard(1)
    assert (notice["status"], notice["code"]) == (status, code)


async def test_buttons_pressed_at_the_same_time_decide_once(sandbox: Sandbox) -> None:
    page = page_of(sandbox, await sandbox.ask())
    scripts = ["approve", "decline"] * 10
    answers = await asyncio.gather(*(sandbox.press(page, script) for script in scripts))
    assert {answer.status_code for answer in answers} == {303}
    await sandbox.heard(1)
    await asyncio.sleep(0.2)
    assert len(sandbox.peer.heard) == 1
    assert "This payment is" in (await sandbox.http.get(page)).text


async def test_the_page_refuses_what_it_did_not_offer(sandbox: Sandbox) -> None:
    page = page_of(sandbox, await sandbox.ask())
    assert (await sandbox.press(page, "needs_player")).status_code == 400
    assert (await sandbox.press(page, "nonsense")).status_code == 400
    assert (await sandbox.press(f"{sandbox.url}/pay/sbx_nobody", "approve")).status_code == 404
    assert (await sandbox.http.get(f"{sandbox.url}/pay/sbx_nobody")).status_code == 404
    assert (await sandbox.query()).json()["status"] == "awaiting_player"


async def test_the_description_is_shown_as_text(sandbox: Sandbox) -> None:
    answer = await sandbox.ask(description="[script:needs_player] <b>5 & 6</b>")
    page = await sandbox.http.get(page_of(sandbox, answer))
    assert "&lt;b&gt;5 &amp; 6&lt;/b&gt;" in page.text
    assert "[script:needs_player]" not in page.text


async def test_the_same_reference_is_the_same_order_and_other_content_a_conflict(sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(sandbox.ask() for _ in range(10)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert (await sandbox.ask(amount_minor=150_100)).status_code == 409
    assert len((await sandbox.state())["orders"]) == 1


async def test_an_order_is_known_to_its_own_account_only(sandbox: Sandbox) -> None:
    await sandbox.ask()
    path = "/v1/deposits/att_1"
    headers = {"X-Sandbox-Account": "other", "X-Sandbox-Signature": signed(path.encode(), "other-secret")}
    answer = await sandbox.http.get(sandbox.url + path, headers=headers)
    assert (answer.status_code, answer.json()) == (404, {"status": "not_found"})


@pytest.mark.parametrize(
    ("account", "secret"), [("altyn", "wrong"), ("nobody", SECRET), ("nobody", "nobody"), ("other", SECRET)]
)
async def test_a_request_that_is_not_signed_by_its_account_is_refused(
    sandbox: Sandbox, account: str, secret: str
) -> None:
    headers = {"X-Sandbox-Account": account, "X-Sandbox-Signature": signed(b"{}", secret)}
    answer = await sandbox.http.post(f"{sandbox.url}/v1/deposits", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "bad_signature"})


async def test_a_signature_for_one_path_does_not_fit_another(sandbox: Sandbox) -> None:
    await sandbox.ask()
    headers = {"X-Sandbox-Account": "altyn", "X-Sandbox-Signature": signed(b"/v1/deposits/att_1")}
    assert (await sandbox.http.get(f"{sandbox.url}/v1/deposits/att_2", headers=headers)).status_code == 401
    cancel = f"{sandbox.url}/v1/deposits/att_1/cancel"
    assert (await sandbox.http.post(cancel, headers=headers)).status_code == 401
    with_body = {"X-Sandbox-Account": "altyn", "X-Sandbox-Signature": signed(b"{}")}
    assert (await sandbox.http.post(cancel, headers=with_body, content=b"{}")).status_code == 400
    assert (await sandbox.query()).json()["status"] == "awaiting_player"


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_minor": 0},
        {"amount_minor": "150000"},
        {"amount_minor": 1.5},
        {"amount_minor": True},
        {"currency": "kzt"},
        {"currency": "XXA"},
        {"reference": "a/b"},
        {"return_url": "javascript:alert(1)"},
        {"notice_url": "ftp://peer.example/"},
        {"notice_url": "http://user@peer.example/"},
        {"return_url": "http://peer.example/\r\nx"},
        {"description": "[script:aprove]"},
        {"surprise": 1},
    ],
)
async def test_a_malformed_request_is_refused_and_opens_nothing(
    sandbox: Sandbox, changed: dict[str, object]
) -> None:
    answer = await sandbox.ask(**changed)
    assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (400, "malformed", "30")
    assert (await sandbox.state())["orders"] == []


async def test_a_deposit_is_cancelled_while_it_awaits_its_player_and_not_later(sandbox: Sandbox) -> None:
    page = page_of(sandbox, await sandbox.ask())
    for _ in range(2):
        answer = await sandbox.cancel()
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    await sandbox.press(page, "approve")
    assert (await sandbox.query()).json()["status"] == "cancelled"
    await sandbox.ask(reference="att_2", amount_minor=150_001)
    too_late = await sandbox.cancel("att_2")
    assert (too_late.status_code, too_late.json()["order"]["status"]) == (409, "approved")
    assert too_late.json().keys() == {"error", "order"}
    assert (await sandbox.cancel("att_3")).status_code == 404


@pytest.mark.parametrize(("ending", "status"), [(1, "approved"), (2, "declined"), (16, "cancelled")])
async def test_an_amount_decides_at_once(sandbox: Sandbox, ending: int, status: str) -> None:
    answer = await sandbox.ask(amount_minor=150_000 + ending)
    assert answer.json()["status"] == status
    (notice,) = await sandbox.heard(1)
    assert notice["status"] == status


async def test_the_description_goes_before_the_amount(sandbox: Sandbox) -> None:
    answer = await sandbox.ask(amount_minor=150_001, description="[script:decline] Altyn")
    assert answer.json()["status"] == "declined"


async def test_pending_then_approve(sandbox: Sandbox) -> None:
    assert (await sandbox.ask(amount_minor=150_003)).json()["status"] == "pending"
    (notice,) = await sandbox.heard(1)
    assert notice["status"] == "approved"


async def test_time_out_then_succeed(sandbox: Sandbox) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.ask(0.1, amount_minor=150_004)
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.query(deadline_seconds=0.1)
    (notice,) = await sandbox.heard(1)
    assert notice["status"] == "approved"
    assert (await sandbox.query()).json()["status"] == "approved"


async def test_never_answer(sandbox: Sandbox) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.ask(0.1, amount_minor=150_005)
    with pytest.raises(httpx.RemoteProtocolError):
        await sandbox.query()  # who waits for ever is cut off after hang_seconds, still without a word
    assert sandbox.peer.heard == []


async def test_garbage_answer(sandbox: Sandbox) -> None:
    for answer in (await sandbox.ask(amount_minor=150_006), await sandbox.query()):
        with pytest.raises(ValueError, match=r"."):
            answer.json()
    assert sandbox.peer.heard == []


async def test_the_notice_is_acknowledged_before_the_answer(sandbox: Sandbox) -> None:
    sandbox.peer.answers = [Response(status_code=500), JSONResponse({})]
    answer = await sandbox.ask(amount_minor=150_007)
    assert answer.json()["status"] == "approved"
    assert len(sandbox.peer.heard) == 2
    assert (await sandbox.state())["notices"][0]["state"] == "acknowledged"


async def test_succeed_twice_in_two_notices(sandbox: Sandbox) -> None:
    await sandbox.ask(amount_minor=150_008)
    notices = await sandbox.heard(2)
    assert [notice["status"] for notice in notices] == ["approved", "approved"]
    assert len({notice["notice_id"] for notice in notices}) == 2


async def test_succeed_twice_in_the_same_notice(sandbox: Sandbox) -> None:
    await sandbox.ask(amount_minor=150_009)
    await sandbox.heard(2)
    assert sandbox.peer.heard[0]["body"] == sandbox.peer.heard[1]["body"]


async def test_fail_after_success(sandbox: Sandbox) -> None:
    assert (await sandbox.ask(amount_minor=150_011)).json()["status"] == "approved"
    notices = await sandbox.heard(2)
    assert [notice["status"] for notice in notices] == ["approved", "declined"]
    assert (await sandbox.query()).json()["status"] == "declined"


async def test_wrong_amount_and_wrong_currency_are_told_everywhere_alike(sandbox: Sandbox) -> None:
    answer = await sandbox.ask(amount_minor=150_012)
    (notice,) = await sandbox.heard(1)
    assert answer.json()["amount_minor"] == notice["amount_minor"] == 75_006
    await sandbox.ask(amount_minor=150_013, reference="att_2")
    notices = await sandbox.heard(2)
    assert (await sandbox.query("att_2")).json()["currency"] == notices[1]["currency"] == "USD"


async def test_bad_signature_is_tried_a_few_times_and_given_up(sandbox: Sandbox) -> None:
    sandbox.peer.answers = [Response(status_code=401)]
    await sandbox.ask(amount_minor=150_014)
    await sandbox.heard(4)
    assert all(h["headers"]["x-sandbox-signature"] != signed(h["body"]) for h in sandbox.peer.heard)
    await asyncio.sleep(0.2)
    (notice,) = (await sandbox.state())["notices"]
    assert notice["state"] == "given_up"
    assert Counter(tried["outcome"] for tried in notice["tries"]) == {"401": 4}


async def test_unknown_reference(sandbox: Sandbox) -> None:
    await sandbox.ask(amount_minor=150_015)
    (notice,) = await sandbox.heard(1)
    assert notice["reference"].startswith("nobody_")
    assert (await sandbox.query(notice["reference"])).status_code == 404
    assert (await sandbox.query()).json()["status"] == "approved"


async def test_a_notice_is_repeated_word_for_word_until_it_is_acknowledged(sandbox: Sandbox) -> None:
    sandbox.peer.answers = [Response(status_code=code) for code in (503, 302, 204)]
    await sandbox.ask(amount_minor=150_001)
    await sandbox.heard(3)
    await asyncio.sleep(0.2)
    assert len({heard["body"] for heard in sandbox.peer.heard}) == 1
    (notice,) = (await sandbox.state())["notices"]
    assert [tried["outcome"] for tried in notice["tries"]] == ["503", "302", "204"]
    assert notice["state"] == "acknowledged"


@pytest.mark.parametrize("script", ON_PAGE)
async def test_every_script_of_a_deposit_can_be_played_on_the_page(sandbox: Sandbox, script: Script) -> None:
    page = page_of(sandbox, await sandbox.ask())
    assert f'value="{script}"' in (await sandbox.http.get(page)).text
    assert (await sandbox.press(page, script)).status_code == 303
    (order,) = (await sandbox.state())["orders"]
    assert (order["script"], order["status"]) == (script, PLANS[script][0].status)


def test_every_script_has_a_plan_a_sentence_an_ending_and_every_status_its_code() -> None:
    assert PLANS.keys() == SENTENCES.keys() == set(Script)
    endings = [script for table in ENDINGS.values() for script in table.values()]
    assert set(endings) == set(Script) - {Script.NEEDS_PLAYER}
    for table in ENDINGS.values():
        assert len(set(table.values())) == len(table)
        assert not {"00", "10", "20", "50"} & table.keys(), "round prices play nothing"
    assert CODES.keys() == set(Status)
    assert NEXT_STAGES.keys() == {None, *Stage}


def test_the_document_has_every_script_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for kind, table in ENDINGS.items():
        for ending, script in table.items():
            whose = [other for other in Kind if ENDINGS[other].get(ending) is script]
            named = "all" if whose == list(Kind) else ", ".join(f"{one}s" for one in whose)
            assert kind in whose
            assert f"| {ending} | `{script}` | {named} | {SENTENCES[script]} |" in rows
    for status, (code, message) in CODES.items():
        assert f"| `{status}` | `{code}` | {message} |" in rows
    for code, message in REFUSALS.items():
        assert f"| `{code}` | {message} |" in rows
    assert all(f"`{stage}`" in text for stage in Stage)
