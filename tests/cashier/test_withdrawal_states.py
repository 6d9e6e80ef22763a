"""How a withdrawal stands, as its player is told: taken back, rejected, waited for, paid, returned."""

import pytest

from app import payments
from app.kernel.money import Money
from tests.cashier import withdrawing
from tests.cashier.test_pages import Elements
from tests.cashier.withdrawing import Browser
from tests.payments import conftest
from tests.payments.peers import answering
from tests.payments.stage import Bank, Stage

bank = conftest.bank
stage = conftest.stage
browser = withdrawing.browser


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
