"""A withdrawal over HTTP, without script: chosen, looked at once more, asked for."""

import re
from urllib.parse import urlencode

import httpx
from sqlalchemy import text

from app import ledger, methods, payments, players, providers
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.main import create_app
from app.plumbing.database import Database
from tests.cashier import withdrawing
from tests.cashier.test_pages import Elements
from tests.cashier.withdrawing import CARD, FORM, Browser, errors_of, key_of
from tests.payments import conftest, world
from tests.payments.stage import Bank, Stage, opened

bank = conftest.bank
stage = conftest.stage
browser = withdrawing.browser


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


async def test_another_language_keeps_what_is_being_asked_for(browser: Browser, stage: Stage) -> None:
    """On the page that shows it once more, and on the page of the withdrawal; nothing is asked for twice."""
    await stage.fund()
    reviewed = await browser.review(amount="1,234.50", lang="en", **CARD)
    for language, total in (
        ("ru", "Вывести 1 234,50 ₸"),
        ("kk", "1 234,50 ₸ шығару"),
        ("en", "Withdraw ₸1,234.50"),
    ):
        page = Elements(reviewed.text)
        [switch] = [found for found in page.all("form") if "data-languages" in found]
        names = [found["name"] for found in page.all("input")]
        sent = {found["name"]: found["value"] for found in page.all("input")[: names.index("to_card") + 1]}
        assert switch["method"] == "post"
        content = urlencode({**sent, "lang": language})
        reviewed = await browser.client.post(switch["action"], content=content, headers=FORM)
        assert total in reviewed.text.replace("\u00a0", " ").replace("\u202f", " ")
    await browser.nothing_happened()
    address = (await browser.confirm(reviewed)).headers["location"]
    [payout] = await stage.rows("SELECT amount_minor FROM payment WHERE kind = 'payout'")
    assert payout.amount_minor == 123_450
    page = Elements(await browser.shown(address))
    [switch] = [found for found in page.all("form") if "data-languages" in found]
    assert switch["method"] == "get"
    assert 'lang="kk"' in await browser.shown(f"{switch['action']}?lang=kk")
    assert len(await stage.rows("SELECT 1 FROM payment WHERE kind = 'payout'")) == 1


async def test_money_goes_back_to_where_it_came_from_and_says_so(browser: Browser, stage: Stage) -> None:
    """The sentences of the closed loop, and the legs that follow."""
    await stage.fund()
    session = await stage.session()
    source = await paid_in(stage, session, 100_000)
    reviewed = await browser.review(lang="en")
    shown = reviewed.text.replace("\u00a0", " ")
    assert "Deposited ₸1,000." in shown
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


async def test_where_the_money_cannot_be_delivered_the_player_reads_what_to_do(
    browser: Browser, stage: Stage, bank: Bank
) -> None:
    await stage.fund()
    bank.manners = ["declines"]
    bank.no = providers.ProviderError("78", "the account is closed", undeliverable=True)
    address = (await browser.confirm(await browser.review())).headers["location"]
    await stage.work()
    page = await browser.shown(address)
    assert "The money could not be delivered" in page
    assert "check the details or choose another way to receive it" in page
    assert "the account is closed" not in page, "the provider's own words are for staff"
    assert await stage.held() == 0
