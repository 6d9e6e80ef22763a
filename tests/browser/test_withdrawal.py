"""A person withdraws: shop, cashier, people, the shop's owner, the bank, and back, in a real Chromium."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.browser import test_deposit
from tests.browser.test_deposit import Opener, balance_of, cashier_of, fits, pay
from tests.processes.running import Home, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180), pytest.mark.xdist_group("browser")]

home = test_deposit.home
browser = test_deposit.browser
complaints = test_deposit.complaints
open_shop = test_deposit.open_shop


def paid_in(page: Page, amount: str, **how: str) -> None:
    """Pay into the account, then back to the shop."""
    page.get_by_role("button", name="Deposit").click()
    before = balance_of(page)
    pay(page, amount, **how).get_by_role("button", name="Approve").click()
    paid = float(amount.replace(" ", ""))
    expect(page.locator("#balance")).to_have_text(f"{before + paid:,.2f}")
    page.get_by_role("link", name="Back to the shop").click()


def withdrawing(page: Page) -> FrameLocator:
    page.get_by_role("button", name="Withdraw").click()
    cashier = cashier_of(page)
    expect(cashier.locator("#amount")).to_be_visible()
    return cashier


def choose(cashier: FrameLocator, method: str) -> None:
    cashier.locator(".tile-title", has_text=method).click()


def command(home: Home, *arguments: str, **environ: str) -> str:
    done = home.command(*arguments, **environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shop_of(page: Page, home: Home) -> dict[str, Any]:
    """What the demo shop knows."""
    found: dict[str, Any] = page.request.get(f"{home.demo['merchant_url']}/demo/state").json()
    return found


def test_a_withdrawal_from_the_wish_to_the_bank_and_the_webhook(open_shop: Opener, home: Home) -> None:
    page = open_shop("aigerim")
    paid_in(page, "80000")
    paid_in(page, "20000", method="E-wallet")
    before = balance_of(page)
    # The wish: money goes back first to where it came from, the rest to the new card; all is shown once more.
    cashier = withdrawing(page)
    expect(cashier.locator(".available strong")).to_have_text(f"₸{before:,.0f}")
    choose(cashier, "Bank card")
    cashier.get_by_text("Other details").first.click()
    cashier.get_by_label("Card number").fill("4111 1111 1111 1111")
    cashier.locator("#amount").fill("90000")
    cashier.get_by_role("button", name="Continue").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Check your withdrawal")
    expect(cashier.locator(".parts li")).to_have_text(
        [
            re.compile(r"\*4242\s+₸80,000\s+Deposited ₸80,000\."),
            re.compile(r"\*1111\s+₸10,000\s+₸10,000 is more than has to go back"),
        ]
    )
    assert fits(page)
    cashier.get_by_role("button", name="Русский").click()
    expect(cashier.get_by_role("button", name="Вывести 90 000 ₸")).to_be_visible()
    cashier.get_by_role("button", name="English").click()
    cashier.get_by_role("button", name="Withdraw ₸90,000").click()
    headline = cashier.get_by_role("heading", level=1)
    expect(headline).to_have_text("Your withdrawal is being reviewed")
    cashier.get_by_role("button", name="Қазақша").click()
    expect(headline).to_have_text("Шығару тексеріліп жатыр")
    cashier.get_by_role("button", name="English").click()
    expect(headline).to_have_text("Your withdrawal is being reviewed")
    expect(page.locator("#balance")).to_have_text(f"{before - 90_000:,.2f}")
    expect(page.locator("#orders li").first).to_contain_text("Requested")
    owner = page.context.new_page()
    owner.goto(f"{home.demo['merchant_url']}/owner")
    expect(owner.locator("#elsewhere")).to_contain_text("Somebody at the cashier must approve it first.")
    expect(owner.get_by_role("button", name="Approve 90,000.00 KZT")).to_have_count(0)
    # The approval: above the limit of the policy, so a person.
    site = str(home.demo["site_id"])
    made = json.loads(command(home, "operator", "create", "anna", "--role", "finance", "--json"))
    payment_id = command(home, "payout", "list", site).split()[0]
    command(home, "payout", "approve", site, payment_id, CASHIER_OPERATOR_TOKEN=made["token"])
    expect(headline).to_have_text("Your withdrawal is approved")
    assert fits(page)
    # The initiation: the shop's owner says "pay"; then the bank pays, and the shop is told.
    owner.get_by_role("button", name="Approve 90,000.00 KZT").click()
    expect(headline).to_have_text("Withdrawal completed")
    expect(page.locator("#orders li").first).to_contain_text("Paid out")
    assert balance_of(page) == before - 90_000
    told = [json.loads(heard["body"]) for heard in shop_of(page, home)["webhooks"]]
    told = [fields for fields in told if (fields["type_id"], fields["site_login"]) == (11, "aigerim")]
    assert [fields["status_id"] for fields in told] == [4]
    bank = page.request.get(f"{home.demo['sandbox_url']}/desk").text()
    assert bank.count("payout") >= 2
    cashier.get_by_role("button", name="Make another withdrawal").click()
    expect(cashier.get_by_label("Bank card *1111")).to_be_visible()


def test_a_small_one_by_keyboard_alone(open_shop: Opener, home: Home) -> None:
    page = open_shop("gulnara")  # whose own day it is: what others withdraw does not count for it
    paid_in(page, "4000", method="Банк картасы", button="төлеу")
    cashier = withdrawing(page)

    def tab_to(what: str) -> None:
        """Press Tab until the element with this text or label has the focus."""
        focus = (
            "() => { const it = document.activeElement;"
            " return document.hasFocus() && it && it !== document.body && it.tagName !== 'IFRAME'"
            " ? (it.labels?.[0]?.textContent ?? it.textContent ?? '') : '' }"
        )
        for _ in range(40):
            page.keyboard.press("Tab")
            if any(what in frame.evaluate(focus) for frame in page.frames):
                return
        pytest.fail(f"Tab never comes to {what}")

    tab_to("Банк картасы")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(cashier.get_by_label("Электрондық әмиян", exact=False).first).to_be_checked()
    tab_to("Әмиян нөмірі")
    page.keyboard.type("gulnara77")
    tab_to("Сома")
    page.keyboard.type("1500")
    page.keyboard.press("Enter")
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Шығаруды тексеріңіз")
    tab_to("шығару")
    page.keyboard.press("Enter")
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Шығару мақұлданды")
    owner = page.context.new_page()
    owner.goto(f"{home.demo['merchant_url']}/owner")
    owner.get_by_role("button", name="Approve 1,500.00 KZT").press("Enter")
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Ақша шығарылды")


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_taken_back_on_a_phone(open_shop: Opener, home: Home, *, dark: bool) -> None:
    page = open_shop("daniyar", width=390, height=844, dark=dark)
    paid_in(page, "3000", method="Банковская карта", button="Оплатить")
    before = balance_of(page)
    cashier = withdrawing(page)
    assert fits(page)
    choose(cashier, "Мобильный оператор")
    anew = cashier.locator("#to_mobile_operator-0 + label")
    if anew.count():
        anew.click()
    phone = cashier.get_by_label("Номер телефона")
    phone.fill("")
    cashier.locator("#amount").fill(f"{before + 1:.0f}")
    cashier.get_by_role("button", name="Продолжить").click()
    expect(cashier.locator("#to_mobile_operator_phone-error")).to_have_text("Заполните это поле.")
    expect(cashier.locator("#amount-error")).to_contain_text("Недостаточно денег: доступно")
    expect(phone).to_be_focused()
    assert fits(page)
    phone.fill("+7 701 123 45 67")
    cashier.locator("#amount").fill("2 000")
    cashier.get_by_role("button", name="Продолжить").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Проверьте вывод")
    assert fits(page)
    cashier.get_by_role("button", name="Изменить").click()
    expect(cashier.locator("#amount")).to_have_value(re.compile("2.000"))
    cashier.get_by_role("button", name="Продолжить").click()
    cashier.get_by_role("button", name="Вывести").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Ваш вывод одобрен")
    expect(page.locator("#balance")).to_have_text(f"{before - 2000:,.2f}")
    cashier.get_by_text("Отменить вывод").click()
    assert fits(page)
    cashier.get_by_role("button", name="Да, отменить").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Вы отменили вывод")
    expect(page.locator("#balance")).to_have_text(f"{before:,.2f}")
    until(lambda: shop_of(page, home)["withdrawals"][-1]["status"] == "failed", "the shop hears of it")
