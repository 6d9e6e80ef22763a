"""The pages in a real browser: by keyboard, in a frame, without script, always with the policy in force."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.cashier import LANGUAGES, read_amount, translator
from app.kernel.money import AmountMalformed
from tests.browser.chromium import find_or_install
from tests.cashier.local_server import Stage, serving
from tests.cashier.test_amounts import EVERYWHERE, NOWHERE
from tests.cashier.views import CARD, METHODS, PAYMENT, tenge

pytestmark = pytest.mark.browser

Opener = Callable[..., Page]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find_or_install(), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with serving(Stage()) as served:
        served.payment = replace(PAYMENT, continue_url=f"{served.address}/provider")
        yield served


@pytest.fixture
def complaints() -> list[str]:
    """What the console said, violations of the policy among it; every test ends by finding it empty."""
    return []


@pytest.fixture
def open_page(browser: Browser, stage: Stage, complaints: list[str]) -> Iterator[Opener]:
    contexts: list[BrowserContext] = []

    def opener(
        path: str, *, address: str = "", script: bool = True, width: int = 390, dark: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((address or stage.address) + path)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert complaints == []


def opened(key: str = "the-secret-key") -> str:
    return f"/open?key={key}"


PAID = "/cashier/payment/view-token"


def test_a_deposit_is_made_by_keyboard_alone(open_page: Opener, stage: Stage) -> None:
    page = open_page(opened())
    for _ in range(4):  # three languages, then the methods
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Bank card")).to_be_checked()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("QR payment")).to_be_checked()
    focused = "document.querySelector('input:focus + label')"
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    expect(page.get_by_label("Amount", exact=True)).to_be_focused()
    page.keyboard.type("1 500,50")
    expect(page.get_by_role("button", name="Pay ₸1,500.50")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{PAID}")
    assert stage.posted == [
        {
            "key": "the-secret-key",
            "form_token": "form-token-1",
            "lang": "en",
            "method": "qr",
            "amount": "1,500.50",
        }
    ]


def test_choosing_a_method_shows_its_limits_and_its_quick_amounts(open_page: Opener) -> None:
    page = open_page(opened())
    expect(page.get_by_role("group", name="Quick amounts")).to_have_count(0)
    page.get_by_text("QR payment").click()
    expect(page.get_by_role("group", name="Quick amounts")).to_have_count(1)
    expect(page.get_by_text("From ₸300 to ₸2,000")).to_be_visible()
    quick = page.get_by_role("button", name="₸600", exact=True)
    quick.click()
    expect(quick).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Amount", exact=True)).to_have_value("600")
    expect(page.get_by_role("button", name="Pay ₸600")).to_be_visible()
    page.get_by_text("Bank card").click()
    expect(page.get_by_text("From ₸500 to ₸500,000")).to_be_visible()
    expect(page.get_by_text("From ₸300 to ₸2,000")).to_be_hidden()


def test_a_mistake_is_told_at_its_field_before_anything_is_sent(open_page: Opener, stage: Stage) -> None:
    page = open_page(opened() + "&lang=ru")
    page.get_by_role("button", name="Оплатить").click()
    expect(page.locator("#method-error")).to_have_text("Выберите способ оплаты.")
    expect(page.get_by_label("Банковская карта")).to_be_focused()
    page.get_by_text("Банковская карта").click()
    expect(page.locator("#method-error")).to_be_hidden()
    amount = page.get_by_label("Сумма", exact=True)
    amount.fill("499,99")
    page.get_by_role("button", name="Оплатить").click()
    expect(page.locator("#amount-error")).to_contain_text("Сумма слишком мала.")
    expect(amount).to_be_focused()
    expect(amount).to_have_attribute("aria-invalid", "true")
    amount.fill("500 000,01")
    amount.blur()
    expect(page.locator("#amount-error")).to_contain_text("Сумма слишком велика.")
    amount.fill("1.500")
    amount.blur()
    expect(page.locator("#amount-error")).to_contain_text("Введите сумму цифрами")
    amount.fill("500")
    expect(page.locator("#amount-error")).to_be_hidden()
    assert stage.posted == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_browser_reads_amounts_as_the_server_does(open_page: Opener, language: str) -> None:
    page = open_page(f"{opened()}&lang={language}")
    texts = translator(language)
    for typed in (*EVERYWHERE, *NOWHERE, "1,500", "1,50", "1.500"):
        if "\n" in typed or len(typed) > 32:
            continue  # a text field holds neither
        try:
            amount = read_amount(typed, "KZT", language)
        except AmountMalformed:
            amount = tenge(0)
        label = texts.say("Pay %(amount)s", amount=texts.money(amount)) if amount.minor else texts.say("Pay")
        page.locator("#amount").fill(typed)
        assert page.locator("[data-submit-text]").text_content() == label, repr(typed)


def test_an_impatient_player_sends_the_form_once(open_page: Opener, stage: Stage) -> None:
    stage.methods = replace(METHODS, method="card", amount=tenge(1500))
    page = open_page(opened())
    page.evaluate(
        "() => { const form = document.querySelector('[data-form]');"
        "form.addEventListener('submit', (event) => {"
        "if (!event.defaultPrevented) window.sent = (window.sent || 0) + 1; event.preventDefault(); }); }"
    )
    button = page.locator("[data-submit]")
    button.click()
    button.click(force=True)
    page.keyboard.press("Enter")
    assert page.evaluate("window.sent") == 1
    expect(button).to_have_text("Sending…")
    expect(button).to_have_attribute("aria-disabled", "true")


def test_a_change_of_language_keeps_what_was_entered(open_page: Opener, stage: Stage) -> None:
    page = open_page(opened())
    page.get_by_text("QR payment").click()
    page.get_by_label("Amount", exact=True).fill("1500")
    page.get_by_role("button", name="Қазақша").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Шотты толтыру")
    expect(page.get_by_label("QR арқылы төлеу")).to_be_checked()
    expect(page.locator("#amount")).to_have_value("1\u00a0500")  # "1,500" would be no amount in Kazakh
    assert stage.opened[-1] == {"key": "the-secret-key", "lang": "kk"}


def test_the_way_back_from_a_payment_leads_to_a_fresh_form(open_page: Opener, stage: Stage) -> None:
    stage.methods = replace(METHODS, method="card", amount=tenge(1500))
    page = open_page(opened())
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url(f"**{PAID}")
    page.go_back()
    expect(page.locator("input[name=form_token]")).not_to_have_value("form-token-1")
    expect(page.locator("#amount")).to_have_value("1,500")


def test_progress_becomes_a_result_without_loading_the_page_again(open_page: Opener, stage: Stage) -> None:
    stage.methods = replace(METHODS, method="card", amount=tenge(1500))
    page = open_page(opened())
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Checking your payment")
    page.evaluate("window.same = true; window.told = document.querySelector('[data-told]')")
    stage.payment = replace(stage.payment, reason="submitted")
    expect(page.get_by_role("heading", level=1)).to_have_text("Processing your payment")
    stage.payment = replace(stage.payment, reason="completed", again_possible=True)
    expect(page.get_by_role("heading", level=1)).to_have_text("Deposit completed")
    assert page.evaluate("window.same && window.told === document.querySelector('[data-told]')")
    assert page.locator("[data-told]").get_attribute("aria-live") == "polite"
    assert page.title().startswith("Deposit completed")
    asked = stage.asked
    page.wait_for_timeout(1500)
    assert stage.asked == asked  # a final stage is not asked about again
    page.get_by_role("button", name="Make another deposit").click()
    page.wait_for_url("**/open?*")
    assert stage.opened[-1] == {"key": "the-secret-key", "lang": "en", "deed": "deposit"}


def test_another_deposit_is_not_offered_where_the_key_is_not_known(open_page: Opener, stage: Stage) -> None:
    stage.payment = replace(stage.payment, reason="declined", again_possible=True)
    page = open_page(PAID)
    expect(page.get_by_role("heading", level=1)).to_have_text("The payment was declined")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_a_lost_connection_is_said_and_mended(open_page: Opener, stage: Stage, complaints: list[str]) -> None:
    page = open_page(PAID)
    stage.status_code = 503
    expect(page.get_by_role("status")).to_have_text("The connection was lost. We are trying again.")
    stage.status_code = 200
    expect(page.locator("[data-lost]")).to_be_hidden()
    assert complaints
    assert all("503" in complaint for complaint in complaints)
    complaints.clear()


def test_the_player_is_taken_to_the_provider_once_and_not_after_the_return(
    open_page: Opener, stage: Stage
) -> None:
    page = open_page(PAID)
    stage.payment = replace(stage.payment, reason="awaiting_player")
    page.wait_for_url("**/provider")
    page.goto(stage.address + PAID)
    expect(page.get_by_role("link", name="Go to the payment page")).to_be_visible()
    page.wait_for_timeout(300)
    assert page.url.endswith(PAID)
    page.get_by_role("link", name="Go to the payment page").click()
    page.wait_for_url("**/provider")
    stage.payment = replace(stage.payment, returned=True)
    other = open_page(PAID)  # another tab: only the server knows of the return
    other.wait_for_timeout(300)
    assert other.url.endswith(PAID)


def test_the_site_is_told_what_happens_and_no_secret(open_page: Opener, stage: Stage) -> None:
    with serving(Stage()) as site:
        stage.frame_origins = [site.address]
        stage.methods = replace(METHODS, parent_origins=("https://elsewhere.example", site.address))
        stage.payment = replace(stage.payment, reason="awaiting_player", parent_origins=(site.address,))
        page = open_page(f"/parent?src={quote(stage.address + opened())}", address=site.address, width=900)
        cashier = page.frame_locator("iframe")
        cashier.get_by_text("QR payment").click()
        cashier.get_by_role("button", name="₸600", exact=True).click()
        cashier.locator("#amount").fill("700")
        cashier.locator("#amount").blur()
        cashier.get_by_role("button", name="Pay").click()
        page.wait_for_function("window.seen.some((message) => message.data.action === 'open_iframe')")
        seen = page.evaluate("window.seen")
    assert {message["origin"] for message in seen} == {stage.address}
    messages = [message["data"] for message in seen]
    assert all(set(message) == {"action", "action_info"} for message in messages)
    assert all(message["action_info"]["height"] > 100 for message in messages)
    told = [message for message in messages if message["action"] != "resize"]
    assert [message["action"] for message in told] == [
        *("select_menu", "select_payment_system", "amount_change", "amount_change", "submit", "open_iframe")
    ]
    assert told[2]["action_info"] | {"width": 0, "height": 0} == {
        "width": 0,
        "height": 0,
        "select_menu": "deposit",
        "payment_system": "602",
        "currency": "KZT",
        "amount": "600",
        "custom_amount": None,
        "amount_button_index": 1,
    }
    assert told[3]["action_info"]["amount"] == "custom"
    assert told[3]["action_info"]["custom_amount"] == 700
    assert any(message["action"] == "resize" for message in messages)
    assert "secret" not in str(seen)
    assert "token" not in str(seen)


def test_a_window_that_is_not_the_sites_is_told_nothing(open_page: Opener, stage: Stage) -> None:
    with serving(Stage()) as site:
        stage.frame_origins = [site.address]  # framing allowed, yet not among the parents to be told
        stage.methods = replace(METHODS, parent_origins=("https://elsewhere.example",))
        page = open_page(f"/parent?src={quote(stage.address + opened())}", address=site.address, width=900)
        page.frame_locator("iframe").get_by_text("QR payment").click()
        expect(page.frame_locator("iframe").get_by_label("QR payment")).to_be_checked()
        page.wait_for_timeout(200)
        assert page.evaluate("window.seen") == []


def test_a_stranger_cannot_frame_the_page(open_page: Opener, stage: Stage, complaints: list[str]) -> None:
    with serving(Stage()) as stranger:
        stage.frame_origins = ["https://shop.example"]
        page = open_page(f"/parent?src={quote(stage.address + opened())}", address=stranger.address)
        page.wait_for_timeout(300)
        assert page.frames[1].locator("form").count() == 0
    assert any("frame-ancestors" in complaint for complaint in complaints)
    complaints.clear()


def test_everything_works_without_script(open_page: Opener, stage: Stage) -> None:
    page = open_page(opened(), script=False)
    expect(page.get_by_text("₸300 – 2,000")).to_be_visible()
    page.get_by_text("QR payment").click()
    page.get_by_label("Amount", exact=True).fill("600")
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url(f"**{PAID}")
    assert stage.posted[0]["method"] == "qr"
    assert stage.posted[0]["amount"] == "600"
    stage.payment = replace(stage.payment, reason="awaiting_player")
    link = page.get_by_role("link", name="Go to the payment page")
    expect(link).to_be_visible()  # by the page's own refresh
    link.click()
    page.wait_for_url("**/provider")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [320, 390, 700, 1280])
def test_no_width_makes_the_page_scroll_sideways(
    open_page: Opener, stage: Stage, language: str, width: int
) -> None:
    large = replace(
        CARD, code="bank_transfer", maximum=tenge(10**12), quick_amounts=(tenge(10**12), tenge(500))
    )
    stage.methods = replace(METHODS, tiles=(CARD, large), method="bank_transfer", amount=tenge(10**12))
    stage.payment = replace(stage.payment, reason="unknown", language=language, amount=tenge(10**12))
    page = open_page(f"{opened()}&lang={language}", width=width, dark=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(stage.address + PAID)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_the_pay_button_is_always_in_sight(open_page: Opener, stage: Stage) -> None:
    stage.methods = replace(METHODS, tiles=tuple(replace(CARD, code=f"own_{number}") for number in range(30)))
    page = open_page(opened(), width=390)
    expect(page.locator("[data-submit]")).to_be_in_viewport(ratio=1)
