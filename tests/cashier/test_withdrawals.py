"""A withdrawal over HTTP, without script: chosen, looked at once more, asked for, taken back, refused."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import text

from app import ledger, merchants, methods, payments, players, providers
from app.kernel import ids
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.main import create_app
from app.plumbing import switches
from app.plumbing.database import Database
from tests.cashier.test_pages import Elements
from tests.payments import conftest, world
from tests.payments.peers import answering
from tests.payments.stage import Bank, Stage, opened

bank = conftest.bank
stage = conftest.stage

FORM = {"content-type": "application/x-www-form-urlencoded"}
CARD = {"method": "card", "to_card_number": "4111 1111 1111 1111"}
WALLET = {"method": "e_wallet", "to_e_wallet_wallet": "aigerim77"}


@dataclass
class Browser:
    """A player who came with a key, and whose browser runs no script."""

    stage: Stage
    client: httpx.AsyncClient
    key: str

    async def post(self, path: str, **fields: str) -> httpx.Response:
        good = {"key": self.key, "form_token": "form-1", "amount": "1500", "lang": "en", **WALLET}
        return await self.client.post(path, content=urlencode({**good, **fields}), headers=FORM)

    async def review(self, **fields: str) -> httpx.Response:
        return await self.post("/cashier/withdraw/review", **fields)

    async def confirm(self, reviewed: httpx.Response, **fields: str) -> httpx.Response:
        """Press the button of the page that shows it once more."""
        assert reviewed.status_code == 200, reviewed.text
        sent = {found["name"]: found["value"] for found in Elements(reviewed.text).all("input")}
        return await self.client.post(
            "/cashier/withdraw", content=urlencode({**sent, **fields}), headers=FORM
        )

    async def withdraw(self, **fields: str) -> str:
        """Go all the way; returns the address of the payment's page."""
        done = await self.confirm(await self.review(**fields))
        assert done.status_code == 303, done.text
        return done.headers["location"]

    async def shown(self, address: str) -> str:
        page = await self.client.get(address)
        assert page.status_code == 200, page.text
        return page.text.replace("\u00a0", " ").replace("\u202f", " ").replace("&#39;", "'")

    async def nothing_happened(self) -> None:
        assert await self.stage.rows("SELECT 1 FROM payment") == []
        assert await self.stage.rows("SELECT 1 FROM claim") == []
        assert await self.stage.held() == 0
        assert self.stage.merchant.asked == []


def errors_of(page: httpx.Response) -> dict[str, str]:
    """The sentences that stand at their fields."""
    found = re.findall(
        r'<p class="error" id="([a-z_]+)-error" role="alert"\s+>.*?<span data-error-text>([^<]*)',
        page.text,
        re.DOTALL,
    )
    return {name: text.replace("\u00a0", " ").replace("&#39;", "'") for name, text in found}


async def key_of(stage: Stage, **wishes: str) -> str:
    fields = {
        "site_login": "aigerim",
        "currency": "KZT",
        "customer_ip": "127.0.0.1",
        "language": "en",
        "signature": ids.secret(),
        **wishes,
    }
    async with stage.database.transaction() as tx:
        site = await merchants.site(tx, stage.site_id)
        return await players.obtain_key(tx, site, fields, at=stage.clock.now())


@pytest.fixture
async def browser(stage: Stage) -> AsyncIterator[Browser]:
    key = await key_of(stage)
    transport = httpx.ASGITransport(create_app(stage.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        yield Browser(stage, client, key)


async def test_what_the_merchant_wants_opens(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    for force, deed, title, switch in (
        ("", "", "Deposit", 2),
        ("", "withdraw", "Withdrawal", 2),
        ("1", "withdraw", "Deposit", 0),
        ("2", "", "Withdrawal", 0),
        ("2", "deposit", "Withdrawal", 0),
        ("4", "", "Deposit", 2),
        ("5", "", "Withdrawal", 2),
        ("5", "deposit", "Deposit", 2),
    ):
        key = await key_of(stage, **({"force_action": force} if force else {}))
        page = await browser.client.get("/open", params={"key": key, "deed": deed})
        assert ("Available" in page.text) == (title == "Withdrawal")
        assert f'<h1 class="title">{title}</h1>' in page.text, (force, deed)
        assert len(re.findall(r'<button type="submit" name="deed"', page.text)) == switch
    page = await browser.client.get("/open", params={"key": browser.key, "deed": "withdraw", "lang": "ru"})
    assert "5 000" in page.text.replace("\u00a0", " ")


async def test_a_withdrawal_goes_all_the_way_and_is_shown(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(needs_initiation=True)
    reviewed = await browser.review()
    assert "₸1,500" in reviewed.text
    assert "E-wallet" in reviewed.text
    await browser.nothing_happened()
    done = await browser.confirm(reviewed)
    address = done.headers["location"]
    assert done.status_code == 303
    assert await stage.held() == 150_000
    assert "It is sent as soon as the site releases it." in await browser.shown(address)
    await stage.initiate(await stage.payment())
    await stage.work()
    page = await browser.shown(address)
    assert "Withdrawal completed" in page
    assert "*77" in page
    assert "Cancel the withdrawal" not in page
    # Sent again, it is the same one.
    assert (await browser.confirm(reviewed)).headers["location"] == address
    assert len(await stage.rows("SELECT 1 FROM payment")) == 1
    # The wallet is remembered and chosen the next time.
    form = await browser.client.get("/open", params={"key": browser.key, "deed": "withdraw"})
    [known] = [
        found
        for found in Elements(form.text).all("input")
        if found["name"] == "to_e_wallet" and found["value"]
    ]
    assert "checked" in known


async def test_the_number_of_a_card_is_told_once_and_stands_in_no_page(
    browser: Browser, stage: Stage, bank: Bank
) -> None:
    await stage.fund()
    wrong = await browser.review(**CARD, amount="1.2.3")
    assert errors_of(wrong).keys() == {"amount"}
    reviewed = await browser.review(**CARD)
    assert "*1111" in reviewed.text
    address = (await browser.confirm(reviewed)).headers["location"]
    await stage.work()
    pages = [wrong.text, reviewed.text, await browser.shown(address)]
    changed = await browser.review(**CARD, change="yes")
    for page in (*pages, changed.text):
        assert "4111 1111" not in page
        assert "41111111" not in page
    assert bank.payouts[0].destination == {"token": "tok_1111"}


async def test_the_same_form_is_found_again_while_the_bank_is_down(
    browser: Browser, stage: Stage, bank: Bank
) -> None:
    await stage.fund()
    sent = {**CARD, "form_token": "form-7"}
    first = await browser.post("/cashier/withdraw", **sent)
    assert first.status_code == 303
    bank.tokenised = providers.ProviderError("timed_out", "down", retryable=True)
    again = await browser.post("/cashier/withdraw", **sent)
    assert again.headers["location"] == first.headers["location"]
    other = await browser.post("/cashier/withdraw", **{**sent, "amount": "1501"})
    assert errors_of(other) == {"form": "This form was already sent. Open the cashier again."}
    fresh = await browser.post("/cashier/withdraw", **{**sent, "form_token": "form-8"})
    assert errors_of(fresh) == {"form": "The card cannot be checked at the moment. Try again in a minute."}
    assert len(await stage.rows("SELECT 1 FROM payment")) == 1


async def test_change_leads_back_to_the_form_as_it_was(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    reviewed = await browser.review(lang="ru", amount="1 500,50")
    sent = {found["name"]: found["value"] for found in Elements(reviewed.text).all("input")}
    form = await browser.review(**sent, change="yes")
    inputs = Elements(form.text).all("input")
    assert (
        next(found for found in inputs if found["name"] == "amount")["value"].replace("\u00a0", " ")
        == "1 500,50"
    )
    [known] = [found for found in inputs if found["name"] == "to_e_wallet" and found["value"]]
    assert "checked" in known
    await browser.nothing_happened()


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


async def test_money_goes_back_to_where_it_came_from_and_says_so(browser: Browser, stage: Stage) -> None:
    """The sentences of the closed loop, and the legs that follow."""
    await stage.fund()
    session = await stage.session()
    source = await paid_in(stage, session, 100_000)
    reviewed = await browser.review(lang="en")
    shown = reviewed.text.replace("\u00a0", " ")
    assert "Deposited ₸1,000, already returned ₸0." in shown
    assert "₸500 is more than has to go back, so it goes where you chose." in shown
    address = (await browser.confirm(reviewed)).headers["location"]
    rows = await stage.rows("SELECT instrument_id, amount_minor FROM payout_leg ORDER BY leg")
    assert [(row.instrument_id == source, row.amount_minor) for row in rows] == [
        (True, 100_000),
        (False, 50_000),
    ]
    page = await browser.shown(address)
    assert "*4242" in page
    assert "*77" in page


async def paid_in(stage: Stage, session: players.Session, minor: int) -> str:
    """A deposit that was made with a card to which money can be sent."""
    await stage.ask(session, amount=Money(minor, "KZT"))
    deposit = await stage.payment()
    to = methods.Destination("card", {"token": "tok_4242"}, "424242******4242", "fpr_4242")
    async with stage.database.transaction() as tx:
        kept = await methods.remember_instrument(
            tx, stage.site_id, session.player.player_id, to, account=world.ACCOUNT, at=stage.clock.now()
        )
    await stage.notice(world.fact(await stage.reference(), minor=minor))
    assert (await stage.row(deposit.payment_id)).sub_status == "completed"
    async with stage.database.transaction() as tx:
        await tx.execute(
            text("UPDATE payment SET instrument_id = :its WHERE payment_id = :id"),
            {"its": kept.instrument_id, "id": deposit.payment_id},
        )
    return kept.instrument_id


async def test_it_is_taken_back_while_it_waits(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(auto_below=None)
    address = await browser.withdraw()
    page = await browser.shown(address)
    [form] = [found for found in Elements(page).all("form") if found["method"] == "post"]
    answer = await browser.client.post(form["action"])
    assert answer.status_code == 303
    page = await browser.shown(answer.headers["location"])
    assert "You cancelled the withdrawal" in page
    assert "Cancel the withdrawal" not in page
    assert (await stage.held(), await stage.credited()) == (0, 500_000)
    late = await browser.client.post(form["action"])
    assert late.status_code == 409
    assert "This withdrawal can no longer be cancelled." in late.text


async def test_it_is_not_taken_back_where_the_site_does_not_let(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(auto_below=None, player_may_cancel=False)
    reviewed = await browser.review()
    assert "It cannot be cancelled afterwards." in reviewed.text
    address = (await browser.confirm(reviewed)).headers["location"]
    assert "Cancel the withdrawal" not in await browser.shown(address)
    answer = await browser.client.post(address.partition("?")[0] + "/cancel")
    assert answer.status_code == 409
    assert "This site does not let players cancel withdrawals." in answer.text
    assert (await stage.payment()).sub_status == "under_review"


async def test_only_a_withdrawal_is_taken_back(browser: Browser, stage: Stage) -> None:
    token = await stage.ask()
    assert (await browser.client.post(f"/cashier/payment/{token}/cancel")).status_code == 404
    assert (await browser.client.post("/cashier/payment/101-nobodys/cancel")).status_code == 404
    assert (await browser.client.post("/cashier/payment/%00/cancel")).status_code == 404


@pytest.mark.parametrize("is_secret", [False, True])
async def test_why_it_was_rejected_is_told_only_as_the_player_may_read_it(
    browser: Browser, stage: Stage, *, is_secret: bool
) -> None:
    await stage.fund()
    await stage.policy(auto_below=None)
    address = await browser.withdraw()
    checker = await stage.operator("checker")
    why = payments.Refusing(
        "reported to the authorities", "Please send your documents", do_not_tip_off=is_secret
    )
    found = await stage.payment()
    await payments.reject(stage.pipes, stage.site_id, found.payment_id, checker, why)
    page = await browser.shown(address)
    assert "The withdrawal was not approved" in page
    assert "authorities" not in page
    assert ("Please send your documents" in page) is not is_secret


async def test_two_people_are_one_review_to_the_player(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(auto_below=None, second_above=Money(1, "KZT"))
    address = await browser.withdraw()
    before = await browser.shown(address)
    found = await stage.payment()
    await payments.approve(stage.pipes, stage.site_id, found.payment_id, await stage.operator("first"))
    assert (await stage.payment()).sub_status == "awaiting_second_approval"
    assert await browser.shown(address) == before


@pytest.mark.parametrize(
    ("answer", "headline", "quoted"),
    [
        ({"code": 402}, "The site says that there is not enough money", ""),
        (
            {"code": 500, "error_description": "Your bonus is not played"},
            *("The site did not accept the withdrawal", "Your bonus is not played"),
        ),
    ],
)
async def test_what_the_merchant_says_is_quoted(
    browser: Browser, stage: Stage, answer: dict[str, object], headline: str, quoted: str
) -> None:
    await stage.fund()
    stage.merchant.says = [answering(answer)]
    page = await browser.shown(await browser.withdraw())
    assert headline in page
    assert quoted in page
    assert await stage.held() == 0


async def test_a_silent_merchant_is_waited_for(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    stage.merchant.says = [answering(b"<html>", 502)]
    page = await browser.shown(await browser.withdraw())
    assert "Waiting for the site's answer" in page
    assert "Cancel the withdrawal" in page


async def test_what_the_merchant_never_releases_ends_by_itself(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(needs_initiation=True, approval_hours=1, cooling_seconds=600)
    address = await browser.withdraw()
    assert "Waiting until" in await browser.shown(address)
    await stage.later(601)
    assert "If that does not happen before" in await browser.shown(address)
    await stage.later(3601)
    assert "It was not released in time." in await browser.shown(address)


@pytest.mark.parametrize(
    ("manner", "headline"),
    [
        ("pays", "Withdrawal completed"),
        ("accepts", "Your withdrawal is on its way"),
        ("declines", "The withdrawal was declined"),
        ("accepts silently", "We are finding out where the money is"),
        ("pays another amount", "We are checking what was sent"),
    ],
)
async def test_what_the_bank_makes_of_it_is_shown(
    browser: Browser, stage: Stage, bank: Bank, manner: str, headline: str
) -> None:
    await stage.fund()
    bank.manners = [manner]
    if manner == "accepts silently":
        bank.words = ["nothing"]
    address = await browser.withdraw()
    await stage.work()
    page = await browser.shown(address)
    assert headline in page
    assert "Cancel the withdrawal" not in page


async def test_money_that_came_back_is_told(browser: Browser, stage: Stage, bank: Bank) -> None:
    await stage.fund()
    address = await browser.withdraw()
    await stage.work()
    [order] = bank.payouts
    bank.send_back(order.reference)
    await stage.notice(bank.fact(order.reference, "returned"))
    await stage.work()
    assert "The money came back" in await browser.shown(address)


async def test_who_opens_the_page_makes_us_ask(browser: Browser, stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners = ["accepts silently"]
    bank.words = ["nothing"]
    address = await browser.withdraw()
    await stage.work()
    assert "We are finding out where the money is" in await browser.shown(address)
    bank.words = ["pays now", "truth"]
    await stage.work()
    assert "Withdrawal completed" in await browser.shown(address)


async def test_where_the_merchant_keeps_the_balance_it_is_not_shown(
    database: Database, clock: MovableClock, bank: Bank
) -> None:
    async with opened(database, clock, bank, seamless=True) as made:
        player = (await made.session()).player
        async with made.database.reading() as reader:
            assert await payments.available(reader, made.site_id, player.player_id, "KZT") is None
        transport = httpx.ASGITransport(create_app(made.pipes))
        async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
            browser = Browser(made, client, await key_of(made, force_action="2"))
            form = await client.get("/open", params={"key": browser.key})
            assert "Available" not in form.text
            address = await browser.withdraw(amount="100000")
            await made.work()
            assert "Withdrawal completed" in await browser.shown(address)


async def test_what_is_owed_is_not_available(browser: Browser, stage: Stage) -> None:
    await stage.fund(100_000)
    player = (await stage.session()).player
    owed = ledger.Demand(
        *("tests", "taken", ledger.PAYOUT, Money(150_000, "KZT")), player.player_id, world.ACCOUNT, "tests"
    )
    async with stage.database.transaction() as tx:
        await ledger.take(tx, stage.site_id, owed, at=stage.clock.now())
    form = await browser.client.get("/open", params={"key": browser.key, "deed": "withdraw"})
    assert "<strong>₸0</strong>" in form.text
    await stage.fund(80_000)
    answer = await browser.review(amount="300.01")
    assert answer.status_code == 402
    assert errors_of(answer) == {"amount": "There is not enough money: ₸300 is available."}
    assert (await browser.review(amount="300")).status_code == 200
