"""A person makes a deposit: shop, cashier in its frame, the bank's page, and back, in a real Chromium."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect, sync_playwright

from tests.browser.chromium import find_or_install
from tests.processes.running import Home, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.xdist_group("browser")]

Opener = Callable[..., Page]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
BANK = "Sandbox Bank"


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find_or_install(), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the console said, violations of the policy among it; every test ends by finding it empty."""
    return []


@pytest.fixture
def open_shop(browser: Browser, home: Home, complaints: list[str]) -> Iterator[Opener]:
    contexts: list[BrowserContext] = []

    def opener(player: str = "aigerim", *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(15_000)
        expect.set_options(timeout=15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{home.demo['merchant_url']}/?player={player}")
        return page

    yield opener
    for context in contexts:
        context.close()
    assert complaints == []


def balance_of(page: Page) -> float:
    return float(page.locator("#balance").inner_text().replace(",", ""))


def cashier_of(page: Page) -> FrameLocator:
    return page.frame_locator("#cashier")


def fits(page: Page) -> bool:
    """Nothing is wider than the window, in the page or in its frames."""
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    return all(frame.evaluate(wide) for frame in page.frames)


def pay(page: Page, amount: str, *, method: str = "Bank card", button: str = "Pay") -> FrameLocator:
    """Choose a method and an amount and press the button; ends at the bank's page, in the frame."""
    cashier = cashier_of(page)
    cashier.get_by_text(method, exact=True).click()
    cashier.locator("#amount").fill(amount)
    cashier.get_by_role("button", name=button).last.click()
    expect(cashier.get_by_text(BANK)).to_be_visible()
    return cashier


def test_a_deposit_is_approved_and_the_shop_shows_the_balance(open_shop: Opener) -> None:
    page = open_shop("aigerim")
    before = balance_of(page)
    page.get_by_role("button", name="Deposit").click()
    expect(page).to_have_title("Deposit · Altyn Games")
    cashier = cashier_of(page)
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Deposit")
    cashier.get_by_text("Bank card", exact=True).click()
    quick = cashier.get_by_role("group", name="Quick amounts").get_by_role("button").nth(1)
    amount = quick.get_attribute("data-minor")
    assert amount is not None
    quick.click()
    cashier.get_by_role("button", name="Pay ₸").click()
    expect(cashier.get_by_role("heading", level=1)).to_contain_text("KZT")
    assert fits(page)
    cashier.get_by_role("button", name="Approve").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Deposit completed")
    expect(page.locator("#balance")).to_have_text(f"{before + int(amount) / 100:,.2f}")
    expect(page.locator("#gain")).to_have_text("Your deposit has arrived.")
    expect(page.locator("#orders li").first).to_contain_text("Paid")
    assert fits(page)
    cashier.get_by_role("button", name="Make another deposit").click()
    expect(cashier.locator("#amount")).to_be_visible()


def test_a_declined_deposit_says_so_and_can_be_tried_again(open_shop: Opener) -> None:
    page = open_shop("aigerim")
    before = balance_of(page)
    page.get_by_role("button", name="Deposit").click()
    cashier = pay(page, "1700")
    cashier.get_by_role("button", name="Decline").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("The payment was declined")
    expect(page.locator("#orders li").first).to_contain_text("Not paid")
    assert balance_of(page) == before
    cashier.get_by_role("button", name="Try again").click()
    pay(page, "1800").get_by_role("button", name="Approve").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Deposit completed")
    expect(page.locator("#balance")).to_have_text(f"{before + 1800:,.2f}")


def test_a_merchant_that_refuses_is_quoted(open_shop: Opener, home: Home) -> None:
    page = open_shop("aigerim")
    behaviour = f"{home.demo['merchant_url']}/demo/behaviour"
    page.request.post(behaviour, data={"callout": "refuse"})
    try:
        page.get_by_role("button", name="Deposit").click()
        cashier = cashier_of(page)
        cashier.get_by_text("Bank card", exact=True).click()
        cashier.locator("#amount").fill("1900")
        cashier.get_by_role("button", name="Pay").click()
        expect(cashier.get_by_text("Deposits are closed for this player")).to_be_visible()
        expect(page.locator("#orders li").first).to_contain_text("Not paid")
    finally:
        page.request.post(behaviour, data={"callout": "accept"})
    cashier.get_by_role("button", name="Try again").click()
    pay(page, "1900").get_by_role("button", name="Approve").click()
    expect(page.locator("#orders li").first).to_contain_text("Paid")


def test_the_language_is_changed_before_and_kept_after_the_bank(open_shop: Opener) -> None:
    page = open_shop("gulnara")  # her shop opens the cashier in Kazakh
    page.get_by_role("button", name="Deposit").click()
    cashier = cashier_of(page)
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Шотты толтыру")
    cashier.get_by_role("button", name="Русский").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Пополнение счёта")
    pay(page, "2 500,50", method="Банковская карта", button="Оплатить")
    cashier.get_by_role("button", name="Approve").click()
    expect(cashier.locator(".sum")).to_have_text("2 500,50 ₸")
    expect(cashier.locator("html")).to_have_attribute("lang", "ru")
    expect(page.locator("#balance")).to_have_text("2,500.50")


@pytest.mark.parametrize("dark", [False, True])
def test_it_works_on_a_phone(open_shop: Opener, *, dark: bool) -> None:
    page = open_shop("daniyar", width=390, height=844, dark=dark)
    before = balance_of(page)
    assert fits(page)
    page.get_by_role("button", name="Deposit").click()
    cashier = cashier_of(page)
    expect(cashier.locator("#amount")).to_be_visible()
    assert fits(page)
    pay(page, "3000", method="Банковская карта", button="Оплатить")
    assert fits(page)
    cashier.get_by_role("button", name="Approve").click()
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Счёт пополнен")
    assert fits(page)
    expect(page.locator("#balance")).to_have_text(f"{before + 3000:,.2f}")


def test_a_long_label_leaves_the_number_its_room_on_a_phone(browser: Browser, home: Home) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto(f"{home.demo['base_url']}/open?key=101-gone&lang=kk")
    expect(page.get_by_role("heading", level=1)).to_have_text("Сілтеме енді жарамсыз")
    label, number = page.locator(".facts dt").bounding_box(), page.locator(".facts dd").bounding_box()
    assert label is not None
    assert number is not None
    assert number["width"] >= label["width"]
    assert number["height"] < 75  # three lines
    assert fits(page)
    context.close()


def test_a_keyboard_is_enough(open_shop: Opener) -> None:
    page = open_shop("aigerim")
    before = balance_of(page)

    def tab_to(what: str) -> None:
        """Press Tab until the element with this text or label has the focus, wherever it is."""
        for _ in range(40):
            page.keyboard.press("Tab")
            for frame in page.frames:
                focus = (
                    "() => { const it = document.activeElement;"
                    " return document.hasFocus() && it && it !== document.body && it.tagName !== 'IFRAME'"
                    " ? (it.labels?.[0]?.textContent ?? it.textContent ?? '') : '' }"
                )
                if what in frame.evaluate(focus):
                    return
        pytest.fail(f"Tab never comes to {what}")

    tab_to("Deposit")
    page.keyboard.press("Enter")
    cashier = cashier_of(page)
    expect(cashier.locator("#amount")).to_be_visible()
    tab_to("Bank card")
    page.keyboard.press("Space")
    tab_to("Amount")
    page.keyboard.press("Control+a")
    page.keyboard.type("4000")
    page.keyboard.press("Enter")
    expect(cashier.get_by_text(BANK)).to_be_visible()
    tab_to("Approve")
    page.keyboard.press("Enter")
    expect(cashier.get_by_role("heading", level=1)).to_have_text("Deposit completed")
    expect(page.locator("#balance")).to_have_text(f"{before + 4000:,.2f}")
