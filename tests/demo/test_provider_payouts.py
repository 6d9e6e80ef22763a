"""The sandbox provider pays out, refunds, keeps cards and a balance, and lets payments be disputed."""

import asyncio
import json

import httpx
import pytest

from app.demo.provider_cards import instruments_of, is_token, kept_card
from app.demo.provider_scripts import (
    ENDINGS,
    PLANS,
    Kind,
    Script,
    chosen_by,
)
from app.kernel.masking import CardNumber
from app.methods import read_destination
from tests.demo.bank import SECRET, START, Sandbox, paid
from tests.demo.servers import until

CARD = "4111111111111111"
NOWHERE: list[object] = [None, {}, [], "x", {"iban": "x"}, {"phone": 7}, {"phone": CARD}]
AMOUNT = 150_000


async def stood(sandbox: Sandbox, reference: str, status: str) -> None:
    """Wait until an order stands so."""

    async def so() -> bool:
        orders = (await sandbox.state())["orders"]
        return any((order["reference"], order["status"]) == (reference, status) for order in orders)

    await until(so)


async def test_a_payout_is_paid_told_and_taken_from_the_balance(sandbox: Sandbox) -> None:
    answer = await sandbox.pay_out()
    assert answer.status_code == 201
    told = answer.json()
    assert (told["kind"], told["status"], told["amount_minor"]) == ("payout", "approved", AMOUNT)
    assert "redirect_url" not in told
    assert told["instrument"]["account"] == "+77011234567"
    (notice,) = await sandbox.heard(1)
    assert told.items() <= notice.items()
    assert (await sandbox.query("att_out")).json() == told
    assert (await sandbox.get("/v1/deposits/att_out")).json() == told
    assert await sandbox.balance() == -AMOUNT


@pytest.mark.parametrize(
    ("method", "destination"),
    [
        ("bank_transfer", {"iban": "KZ86125KZT5004100100", "iin": "900101300007", "name": "Айгерім"}),
        ("e_wallet", {"wallet": "W123456789"}),
        ("mobile_operator", {"phone": "+77011234567"}),
    ],
)
async def test_a_payout_goes_to_an_account_and_to_the_token_of_it(
    sandbox: Sandbox, method: str, destination: dict[str, str]
) -> None:
    told = (await sandbox.pay_out(method=method, destination=destination)).json()
    assert told["instrument"]["account"] == next(iter(destination.values()))
    token = told["instrument"]["token"]
    again = (await sandbox.pay_out(reference="att_2", method=method, destination={"token": token})).json()
    assert (again["status"], again["instrument"]["token"]) == ("approved", token)


async def test_a_card_is_paid_to_by_its_token_alone(sandbox: Sandbox) -> None:
    kept = (await sandbox.post("/v1/cards", {"number": "4111 1111-1111 1111"})).json()
    assert (kept["masked"], kept["method"]) == ("411111******1111", "card")
    told = (await sandbox.pay_out(method="card", destination={"token": kept["token"]})).json()
    assert told["status"] == "approved"
    for place, token in enumerate(
        ("tok_nobody", "", kept["token"][:-1], f"x{kept['token']}", kept["token"].upper())
    ):
        reference = f"att_no_{place}"
        told = (
            await sandbox.pay_out(reference=reference, method="card", destination={"token": token})
        ).json()
        assert (told["status"], told["code"]) == ("declined", "14")
    assert await sandbox.balance() == -AMOUNT


def test_a_token_is_the_merchants_own_and_survives_a_restart() -> None:
    card = kept_card(SECRET, CardNumber(CARD))
    assert card == kept_card(SECRET, CardNumber(CARD))
    assert is_token(SECRET, card.token)
    other = kept_card("other-secret", CardNumber(CARD))
    assert other.token != card.token
    assert other.fingerprint != card.fingerprint
    assert not is_token("other-secret", card.token)
    assert kept_card(SECRET, CardNumber("4242424242424242")).fingerprint != card.fingerprint
    assert not any(mark.isdigit() for mark in card.token + card.fingerprint)


@pytest.mark.parametrize("player", ["", "ply_1", "ply_2", "Айгерім"])
def test_what_players_pay_with_is_real_enough_for_a_payout(player: str) -> None:
    names = {"bank_transfer": "iban", "mobile_operator": "phone", "e_wallet": "wallet"}
    for method, name in names.items():
        (found,) = instruments_of(SECRET, method, player)
        typed = {name: found.account} | ({"iin": "900101300007", "name": "A"} if name == "iban" else {})
        assert read_destination(method, typed).fields[name] == found.account
    test_card, own = instruments_of(SECRET, "card", player)
    assert test_card.masked == "424242******4242"
    assert own.masked.startswith("400000")
    assert own.fingerprint != instruments_of(SECRET, "card", f"{player}'s sister")[1].fingerprint
    assert instruments_of(SECRET, "qr", player) == ()


async def test_the_player_chooses_the_card_on_the_page(sandbox: Sandbox) -> None:
    for place, (choice, first) in enumerate((("0", "4242"), ("1", "4000"), ("7", "4242"), ("x", "4242"))):
        answer = await sandbox.ask(reference=f"att_{place}", player="ply_1")
        assert "instrument" not in answer.json()
        page = answer.json()["redirect_url"].replace("http://provider.example", sandbox.url)
        assert "424242******4242" in (await sandbox.http.get(page)).text
        await sandbox.http.post(page, data={"script": "approve", "with": choice})
        told = (await sandbox.query(f"att_{place}")).json()
        assert told["instrument"]["masked"].startswith(first)


async def test_the_same_reference_is_the_same_order_whatever_its_kind(sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(sandbox.pay_out() for _ in range(10)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    for other in (
        await sandbox.pay_out(amount_minor=AMOUNT + 1),
        await sandbox.pay_out(destination={"phone": "+77011234568"}),
        await sandbox.ask(reference="att_out"),
        await sandbox.refund(reference="att_out"),
    ):
        assert other.status_code == 409
    assert len((await sandbox.state())["orders"]) == 1
    assert await sandbox.balance() == -AMOUNT


async def test_a_payout_is_known_to_its_own_account_only(sandbox: Sandbox) -> None:
    await sandbox.pay_out()
    assert (await sandbox.get("/v1/orders/att_out", account="other")).status_code == 404
    balance = await sandbox.get("/v1/balance?currency=KZT", account="other")
    assert balance.json() == {"currency": "KZT", "available_minor": START}


@pytest.mark.parametrize("script", ENDINGS[Kind.PAYOUT].values())
@pytest.mark.parametrize("kind", [Kind.PAYOUT, Kind.REFUND])
async def test_every_script_plays_by_its_ending_and_by_its_name(
    sandbox: Sandbox, kind: Kind, script: Script
) -> None:
    if script not in ENDINGS[kind].values():
        return
    await paid(sandbox, amount_minor=400_000)
    ending = next(ending for ending, chosen in ENDINGS[kind].items() if chosen is script)
    place, words = (sandbox.pay_out, "description") if kind is Kind.PAYOUT else (sandbox.refund, "reason")
    asked: list[dict[str, object]] = [
        {"amount_minor": AMOUNT + int(ending)},
        {words: f"[script:{script}] x"},
    ]
    for number, more in enumerate(asked):
        try:
            await place(0.3, reference=f"att_{number}_x", **more)
        except httpx.TransportError:
            assert script in SILENT
    orders = [order for order in (await sandbox.state())["orders"] if order["kind"] == kind]
    assert [order["script"] for order in orders] == [script] * 2
    assert {order["status"] for order in orders} <= {step.status for step in PLANS[script]}


SILENT = {
    Script.NEVER_ANSWER,
    Script.TIME_OUT_THEN_SUCCEED,
    Script.TIME_OUT_THEN_DECLINE,
    Script.NOT_FOUND_THEN_SUCCEED,
}


async def test_a_script_of_another_kind_is_refused(sandbox: Sandbox) -> None:
    for script in ("chargeback", "needs_player", "cancel", "aprove"):
        answer = await sandbox.pay_out(description=f"[script:{script}]")
        assert (answer.status_code, answer.json()["code"]) == (400, "30")
    assert (await sandbox.state())["orders"] == []


async def test_paid_and_sent_back_by_the_players_bank(sandbox: Sandbox) -> None:
    assert (await sandbox.pay_out(amount_minor=150_023)).json()["status"] == "approved"
    assert await sandbox.balance() == -150_023
    first, second = await sandbox.heard(2)
    assert (first["status"], second["status"], second["amount_minor"]) == ("approved", "returned", 150_023)
    assert (await sandbox.query("att_out")).json()["code"] == "85"
    assert await sandbox.balance() == 0


async def test_pending_then_declined_gives_the_money_back(sandbox: Sandbox) -> None:
    assert (await sandbox.pay_out(amount_minor=150_024)).json()["status"] == "pending"
    assert await sandbox.balance() == -150_024
    (notice,) = await sandbox.heard(1)
    assert notice["status"] == "declined"
    assert await sandbox.balance() == 0


async def test_not_known_is_not_pending(sandbox: Sandbox) -> None:
    told = (await sandbox.pay_out(amount_minor=150_025)).json()
    assert (told["status"], told["code"]) == ("unknown", "96")
    assert (await sandbox.query("att_out")).json() == told
    assert sandbox.peer.heard == []
    assert await sandbox.balance() == -150_025


@pytest.mark.parametrize(("ending", "status", "weighs"), [(4, "approved", -150_004), (26, "declined", 0)])
async def test_silence_until_it_ends(sandbox: Sandbox, ending: int, status: str, weighs: int) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.pay_out(0.1, amount_minor=150_000 + ending)
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.query("att_out", deadline_seconds=0.1)
    (notice,) = await sandbox.heard(1)
    assert notice["status"] == status
    assert (await sandbox.query("att_out")).json()["status"] == status
    assert await sandbox.balance() == weighs


async def test_no_such_order_and_then_it_is_paid(sandbox: Sandbox) -> None:
    """Whoever pays again under a new reference after `not_found` pays twice."""
    with pytest.raises(httpx.ReadTimeout):
        await sandbox.pay_out(0.1, amount_minor=150_027)
    answer = await sandbox.query("att_out")
    assert (answer.status_code, answer.json()) == (404, {"status": "not_found"})
    assert await sandbox.balance() == -150_027
    await sandbox.heard(1)
    assert (await sandbox.query("att_out")).json()["status"] == "approved"


@pytest.mark.parametrize("amount_minor", [150_028, START + 1, START + 3, START + 5])
async def test_there_is_not_enough_money(sandbox: Sandbox, amount_minor: int) -> None:
    told = (await sandbox.pay_out(amount_minor=amount_minor)).json()
    assert (told["status"], told["code"]) == ("declined", "51")
    assert await sandbox.balance() == 0


async def test_the_last_of_the_money_is_paid_once(sandbox: Sandbox) -> None:
    told = await asyncio.gather(
        *(sandbox.pay_out(reference=f"att_{n}", amount_minor=START) for n in range(5))
    )
    assert sorted(answer.json()["code"] for answer in told) == ["00", "51", "51", "51", "51"]
    assert await sandbox.balance() == -START


@pytest.mark.parametrize(
    "changed",
    [
        *({"amount_minor": wrong} for wrong in (0, -1, "150000", 1.5, True, 10**15 + 1)),
        *({"currency": wrong} for wrong in ("kzt", "XXA", "")),
        *({"reference": wrong} for wrong in ("a/b", "", CARD, "x" * 129)),
        *({"method": wrong} for wrong in ("", "Card", 7)),
        *({"destination": wrong} for wrong in NOWHERE),
        {"method": "card", "destination": {"number": CARD}},
        {"method": "card", "destination": {"token": CARD}},
        {"method": "card", "destination": {"phone": "+77011234567"}},
        {"description": f"for {CARD}"},
        {"player": CARD},
        {CARD: "1"},
        {"notice_url": "javascript:alert(1)"},
        {"surprise": 1},
    ],
    ids=str,
)
async def test_a_malformed_payout_is_refused_opens_nothing_and_is_not_repeated(
    sandbox: Sandbox, changed: dict[str, object]
) -> None:
    answer = await sandbox.pay_out(**changed)
    assert (answer.status_code, answer.json()["error"], answer.json()["code"]) == (400, "malformed", "30")
    assert CARD not in answer.text
    assert (await sandbox.state())["orders"] == []


@pytest.mark.parametrize(
    "number", ["", "4111111111111112", "411111111111", 4111111111111111, None, [CARD], "x" * 65]
)
async def test_what_is_no_card_gets_no_token(sandbox: Sandbox, number: object) -> None:
    for content in ({"number": number}, {"number": CARD, "cvv": "123"}, {"pan": CARD}, {}, [CARD], CARD):
        answer = await sandbox.post("/v1/cards", content)
        assert (answer.status_code, answer.json()["code"]) == (400, "30")
        assert "411111111111" not in answer.text


async def test_a_refund_goes_back_to_where_the_deposit_came_from(sandbox: Sandbox) -> None:
    deposit = await paid(sandbox)
    assert await sandbox.balance() == AMOUNT
    told = (await sandbox.refund()).json()
    assert (told["kind"], told["status"], told["instrument"]) == ("refund", "approved", deposit["instrument"])
    assert await sandbox.balance() == 0
    assert (await sandbox.query("att_1")).json()["status"] == "approved"


async def test_no_more_is_refunded_than_was_taken(sandbox: Sandbox) -> None:
    await paid(sandbox)
    told = await asyncio.gather(
        *(sandbox.refund(reference=f"att_{n}_b", amount_minor=60_000) for n in range(4))
    )
    assert sorted(answer.json()["code"] for answer in told) == ["00", "00", "61", "61"]
    assert (await sandbox.refund(amount_minor=30_001)).json()["code"] == "61"
    assert (await sandbox.refund(reference="att_rest", amount_minor=30_000)).json()["code"] == "00"
    assert await sandbox.balance() == 0


@pytest.mark.parametrize(
    "changed",
    [{"original_reference": "att_nobody"}, {"original_reference": "att_out"}, {"currency": "USD"}],
    ids=str,
)
async def test_there_is_no_such_deposit_to_refund(sandbox: Sandbox, changed: dict[str, object]) -> None:
    await paid(sandbox)
    await sandbox.pay_out()
    told = (await sandbox.refund(**changed)).json()
    assert (told["status"], told["code"]) == ("declined", "14")


async def test_a_deposit_that_was_not_paid_is_not_refunded(sandbox: Sandbox) -> None:
    await sandbox.ask()
    assert (await sandbox.refund()).json()["code"] == "14"


async def test_a_refund_that_fails_afterwards_leaves_its_part_of_the_deposit(sandbox: Sandbox) -> None:
    await paid(sandbox)
    assert (await sandbox.refund(reason="[script:reverse_after_success]")).json()["status"] == "approved"
    await stood(sandbox, "att_back", "reversed")
    assert await sandbox.balance() == AMOUNT
    assert (await sandbox.refund(reference="att_again")).json()["status"] == "approved"


async def test_no_card_number_is_kept_anywhere(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    token = await sandbox.token(CARD)
    assert token == await sandbox.token("4111-1111-1111-1111")
    told = (await sandbox.pay_out(method="card", destination={"token": token})).json()
    await paid(sandbox, player="ply_1")
    await sandbox.heard(2)
    pages = [
        (await sandbox.http.get(f"{sandbox.url}{path}")).text for path in ("/desk", f"/desk/{told['id']}")
    ]
    kept = json.dumps(await sandbox.state()) + "".join(pages) + "".join(capsys.readouterr())
    kept += "".join(heard["body"].decode() for heard in sandbox.peer.heard)
    for number in (CARD, "4242424242424242"):
        assert number not in kept


@pytest.mark.parametrize("currency", ["", "kzt", "XXA", "KZT%00", CARD])
async def test_a_balance_in_no_currency(sandbox: Sandbox, currency: str) -> None:
    answer = await sandbox.get(f"/v1/balance?currency={currency}")
    assert (answer.status_code, answer.json()["field"]) == (400, "currency")
    assert CARD not in answer.text


async def test_a_balance_is_signed_with_its_question(sandbox: Sandbox) -> None:
    headers = {"X-Sandbox-Account": "altyn", "X-Sandbox-Signature": "0" * 64}
    for path in ("/v1/balance?currency=KZT", "/v1/orders/att_1"):
        assert (await sandbox.http.get(sandbox.url + path, headers=headers)).status_code == 401


async def test_only_the_first_account_is_out_of_service(sandbox: Sandbox) -> None:
    """Ending in 31: code 91 at the merchant's first account, and as usual at any other."""
    first = (await sandbox.pay_out(amount_minor=150_031)).json()
    assert (first["status"], first["code"]) == ("declined", "91")
    (notice,) = await sandbox.heard(1)
    assert first.items() <= notice.items()
    assert chosen_by(Kind.PAYOUT, description="", amount_minor=150_031) is Script.REFUSED_HERE
    for kind, usual in ((Kind.PAYOUT, Script.APPROVE), (Kind.DEPOSIT, Script.NEEDS_PLAYER)):
        assert chosen_by(kind, description="", amount_minor=150_031, at_first=False) is usual
    marked = "[script:refused_here] x"
    assert chosen_by(Kind.DEPOSIT, description=marked, amount_minor=1, at_first=False) is Script.NEEDS_PLAYER
    assert await sandbox.balance() == 0


async def test_a_payout_to_a_closed_account_says_so(sandbox: Sandbox) -> None:
    told = (await sandbox.pay_out(amount_minor=150_032)).json()
    assert (told["status"], told["code"], told["message"]) == ("declined", "78", "The account is closed")
    (notice,) = await sandbox.heard(1)
    assert told.items() <= notice.items()
    assert await sandbox.balance() == 0
