"""What cannot be withdrawn: said at its field, in its words, with nothing done."""

import asyncio
from contextvars import copy_context

import pytest

from app import methods, payments, players, providers
from app.kernel.money import Money
from app.payments.legs import lock_player
from app.plumbing import switches
from tests.cashier import withdrawing
from tests.cashier.withdrawing import CARD, Browser, errors_of
from tests.payments import conftest, world
from tests.payments.stage import Bank, Stage

bank = conftest.bank
stage = conftest.stage
browser = withdrawing.browser


BANK = {
    "method": "bank_transfer",
    "to_bank_transfer_iban": "KZ86125KZT5004100100",
    "to_bank_transfer_iin": "900101300007",
    "to_bank_transfer_name": "Aigerim Sadykova",
}
REFUSED: list[tuple[dict[str, str], int, str, str]] = [
    ({"amount": "5000.01"}, 402, "amount", "There is not enough money: ₸5,000 is available."),
    ({"amount": "9.99"}, 422, "amount", "This amount is too small. Enter from ₸10 to ₸1,000,000."),
    ({"amount": "1000000.01"}, 422, "amount", "This amount is too large. Enter from ₸10 to ₸1,000,000."),
    ({"amount": "1e3"}, 422, "amount", "Enter the amount in digits, for example 1,500."),
    ({"method": ""}, 422, "method", "Choose how to receive the money."),
    ({"method": "qr"}, 422, "method", "Money cannot be received this way now. Choose another one."),
    (
        {"method": "mobile_operator"},
        422,
        "method",
        "Money cannot be received this way now. Choose another one.",
    ),
    ({"to_e_wallet_wallet": ""}, 422, "to_e_wallet_wallet", "Fill in this field."),
    ({"to_e_wallet_wallet": "!"}, 422, "to_e_wallet_wallet", "This does not look right. Check it."),
    ({"to_e_wallet_wallet": "a\x00b"}, 422, "to_e_wallet_wallet", "This does not look right. Check it."),
    (
        {"to_e_wallet_wallet": "4111111111111111"},
        *(422, "to_e_wallet_wallet", "A card number does not belong here."),
    ),
    (
        {"method": "card", "to_card_number": "4111111111111112"},
        *(422, "to_card_number", "There is a mistake in this number. Check every digit."),
    ),
    (
        {"method": "card", "to_card_number": "4111"},
        422,
        "to_card_number",
        "This is too short or too long. Check it.",
    ),
    (
        {**BANK, "to_bank_transfer_iban": "KZ86125KZT5004100101"},
        *(422, "to_bank_transfer_iban", "There is a mistake in this number. Check every digit."),
    ),
    (
        {**BANK, "to_bank_transfer_iban": "ZZ86125KZT5004100100"},
        *(422, "to_bank_transfer_iban", "The country of this number is not known. Check it."),
    ),
    (
        {**BANK, "to_bank_transfer_iin": "900101300008"},
        *(422, "to_bank_transfer_iin", "There is a mistake in this number. Check every digit."),
    ),
    (
        {**BANK, "to_bank_transfer_name": "7"},
        422,
        "to_bank_transfer_name",
        "This does not look right. Check it.",
    ),
    (
        {"to_e_wallet": "ins_nobodys"},
        422,
        "to_e_wallet",
        "These details are no longer known. Enter them again.",
    ),
    ({"to_e_wallet": "a\x00"}, 422, "to_e_wallet", "These details are no longer known. Enter them again."),
    ({"form_token": "../x"}, 422, "form", "This form was already sent. Open the cashier again."),
]


@pytest.mark.parametrize(("fields", "status", "where", "sentence"), REFUSED)
@pytest.mark.parametrize("path", ["/cashier/withdraw/review", "/cashier/withdraw"])
async def test_what_cannot_be_is_said_at_its_field(
    browser: Browser, stage: Stage, path: str, fields: dict[str, str], status: int, where: str, sentence: str
) -> None:
    await stage.fund()
    await offer(stage, "bank_transfer")
    answer = await browser.post(path, **fields)
    assert answer.status_code == status, answer.text
    assert errors_of(answer) == {where: sentence}
    assert "content-security-policy" in answer.headers
    await browser.nothing_happened()
    assert await stage.rows("SELECT 1 FROM instrument") == []


async def offer(stage: Stage, method: str) -> None:
    async with stage.database.transaction() as tx:
        await methods.offer_method(
            tx,
            stage.site_id,
            method,
            minimum=Money(1_000, "KZT"),
            maximum=Money(100_000_000, "KZT"),
            account=world.ACCOUNT,
            direction=methods.Direction.PAYOUT,
        )


@pytest.mark.parametrize("path", ["/cashier/withdraw/review", "/cashier/withdraw"])
async def test_who_may_not_withdraw_is_told_no_reason(browser: Browser, stage: Stage, path: str) -> None:
    await stage.fund()
    session = await stage.session()
    async with stage.database.transaction() as tx:
        await players.set_status(tx, stage.site_id, session.player.site_login, players.PlayerStatus.BLOCKED)
    answer = await browser.post(path)
    assert answer.status_code == 422
    assert errors_of(answer) == {
        "form": "Withdrawals are not possible at the moment. Contact the site's support."
    }
    await browser.nothing_happened()


@pytest.mark.parametrize("path", ["/cashier/withdraw/review", "/cashier/withdraw"])
async def test_a_stop_takes_the_whole_page(browser: Browser, stage: Stage, path: str) -> None:
    await stage.fund()
    async with stage.database.transaction() as tx:
        await switches.set_switch(
            tx,
            stage.site_id,
            payments.PAYOUTS,
            stopped=True,
            reason="drill",
            by="machine:test",
            at=stage.clock.now(),
        )
    answer = await browser.post(path, lang="kk")
    assert answer.status_code == 503
    assert "Ақша шығару уақытша жабық" in answer.text
    await browser.nothing_happened()


async def test_a_busy_database_has_done_nothing_and_takes_the_same_form_again(
    browser: Browser, stage: Stage
) -> None:
    """Others of the player's withdrawals are being judged, for longer than anybody waits."""
    await stage.fund()
    player = (await stage.session()).player
    outside = copy_context()  # where no transaction is open
    async with stage.database.transaction() as tx:
        await lock_player(tx, player.player_id)
        answer = await asyncio.create_task(browser.post("/cashier/withdraw"), context=outside)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["code"] == "overloaded"
    await browser.nothing_happened()
    assert (await browser.post("/cashier/withdraw")).status_code == 303
    assert len(await stage.rows("SELECT 1 FROM payment")) == 1


async def test_a_card_that_nobody_takes(browser: Browser, stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.tokenised = providers.ProviderError("14", "no such card")
    answer = await browser.review(**CARD)
    assert errors_of(answer) == {"to_card_number": "Nothing can be sent to this card. Choose another one."}
    await browser.nothing_happened()


async def test_too_many_unfinished_ones(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(auto_below=None)
    for number in range(10):
        await stage.withdraw(1_000, key=f"out-{number}")
    answer = await browser.review(amount="10")
    assert errors_of(answer) == {
        "form": "You have too many unfinished withdrawals. Wait until one of them is done."
    }


async def test_a_stale_key_opens_nothing(browser: Browser) -> None:
    for path in ("/cashier/withdraw/review", "/cashier/withdraw"):
        assert (await browser.post(path, key="nobodys")).status_code == 401


@pytest.mark.parametrize("path", ["/cashier/deposit", "/cashier/withdraw", "/cashier/withdraw/review"])
async def test_the_address_of_a_form_alone_is_a_page_for_people(browser: Browser, path: str) -> None:
    page = await browser.client.get(path, headers={"accept-language": "ru"})
    assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "Ссылка больше не действует" in page.text


async def test_the_address_of_a_cancellation_alone_leads_to_the_payment_and_cancels_nothing(
    browser: Browser, stage: Stage
) -> None:
    await stage.fund()
    address = await browser.withdraw()
    path = address.partition("?")[0]
    back = await browser.client.get(f"{path}/cancel?lang=kk")
    assert (back.status_code, back.headers["location"]) == (303, f"{path}?lang=kk")
    assert "You cancelled" not in await browser.shown(address)
