"""The HTML: complete in each language, escaped, without inline script, and without the key in any link."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from app.cashier import (
    LANGUAGES,
    PaymentView,
    RefusalView,
    choose_language,
    content_security_policy,
    render_methods,
    render_payment,
    render_refusal,
    status_body,
    translator,
)
from app.cashier.texts import METHODS as METHOD_NAMES
from app.cashier.texts import REASONS, REFUSALS
from tests.cashier.views import CARD, METHODS, PAYMENT, tenge

PROVIDER = "https://provider.example/pay/1"
WHOLE_PAGES = [code for code, words in REFUSALS.items() if words.sentence]
EVIL = "\"><script>alert(1)</script>'"


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


def every_page() -> list[str]:
    return [
        *(render_methods(replace(METHODS, language=language, method="card")) for language in LANGUAGES),
        *(render_payment(payment(reason, language)) for reason in REASONS for language in LANGUAGES),
        *(render_refusal(RefusalView(language, code)) for code in WHOLE_PAGES for language in LANGUAGES),
    ]


def payment(reason: str, language: str = "en", continue_url: str = PROVIDER) -> PaymentView:
    return replace(PAYMENT, reason=reason, language=language, continue_url=continue_url)


def test_every_page_keeps_its_own_content_security_policy() -> None:
    for html in every_page():
        page = Elements(html)
        assert all("src" in script and "integrity" in script for script in page.all("script"))
        assert page.all("style") == []
        for _, attributes in page.found:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            for name in ("src", "href", "action"):
                address = attributes.get(name, "/")
                assert address.startswith(("/", "https://provider.example/")), address


def test_the_key_stands_in_hidden_fields_and_never_in_an_address() -> None:
    page = Elements(render_methods(METHODS))
    addresses = [
        value for _, found in page.found for name, value in found.items() if name in {"href", "src", "action"}
    ]
    assert not [address for address in addresses if METHODS.key in address]
    keys = [found for found in page.all("input") if found.get("name") == "key"]
    assert [(found["type"], found["value"]) for found in keys] == [("hidden", METHODS.key)] * 2
    assert METHODS.key not in repr(METHODS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_methods_page_has_what_its_form_needs(language: str) -> None:
    html = render_methods(replace(METHODS, language=language, method="qr", amount=tenge(600)))
    page = Elements(html)
    assert page.all("html") == [{"lang": language}]
    form = next(found for found in page.all("form") if found.get("method") == "post")
    assert form["action"] == "/cashier/deposit"
    sent = {found["name"]: found["value"] for found in page.all("input") if found["type"] != "radio"}
    assert sent == {"key": METHODS.key, "form_token": "form-token-1", "lang": language, "amount": "600"}
    radios = {found["value"]: "checked" in found for found in page.all("input") if found["type"] == "radio"}
    assert radios == {"card": False, "qr": True}
    assert translator(language).method("qr", "") in html


def test_errors_are_announced_and_tied_to_their_fields() -> None:
    errors = {"amount": "Too small.", "method": "Choose one.", "form": "Not now."}
    page = Elements(render_methods(replace(METHODS, amount="12 x", errors=errors)))
    alerts = {found["id"]: "hidden" in found for found in page.all("p") if found.get("role") == "alert"}
    assert alerts == {"method-error": False, "amount-error": False, "form-error": False}
    amount = next(found for found in page.all("input") if found["name"] == "amount")
    assert amount["aria-invalid"] == "true"
    assert "amount-error" in amount["aria-describedby"].split()
    assert amount["value"] == "12 x"
    assert page.all("fieldset")[0]["aria-describedby"] == "method-error"
    assert len([found for _, found in page.found if "autofocus" in found]) == 1


def test_without_errors_the_places_for_them_are_hidden() -> None:
    page = Elements(render_methods(METHODS))
    assert all("hidden" in found for found in page.all("p") if found.get("role") == "alert")
    assert "aria-invalid" not in render_methods(METHODS)


def test_what_others_wrote_is_text_and_not_html() -> None:
    methods = replace(
        METHODS,
        site_name=EVIL,
        key=EVIL,
        form_token=EVIL,
        amount=EVIL,
        tiles=(replace(CARD, code=EVIL, title=EVIL, group=EVIL, icon=EVIL),),
        errors={"form": EVIL},
        parent_origins=(EVIL,),
    )
    refused = replace(
        PAYMENT, reason="rejected_by_merchant", merchant_sentence=EVIL, reference=EVIL, status_url=EVIL
    )
    for html in (
        render_methods(methods),
        render_payment(refused),
        render_refusal(RefusalView("en", "key_invalid", EVIL)),
    ):
        assert "<script>" not in html
        assert all(set(found) == {"src", "integrity", "defer"} for found in Elements(html).all("script"))


def test_every_sub_status_of_a_deposit_has_its_words_and_its_stage() -> None:
    expected = {
        *(
            "created",
            "checking",
            "risk_review",
            "awaiting_player",
            "submitted",
            "provider_pending",
            "unknown",
        ),
        *(
            "conflicted",
            "crediting",
            "completed",
            "declined",
            "provider_error",
            "limit_blocked",
            "risk_declined",
        ),
        *("expired", "by_player", "by_operator", "rejected_by_merchant", "merchant_unreachable"),
        *("refunded", "charged_back", "reversed"),
        "page_not_allowed",  # beside them: awaited at a page to which nobody is sent any more
    }
    assert set(REASONS) == expected
    for reason in REASONS:
        body = status_body(payment(reason))
        assert body["final"] == (body["stage"] in {"success", "failure"})
        assert str(body["headline"]) in render_payment(payment(reason))
    with pytest.raises(KeyError):
        render_payment(payment("no_such_status"))


def test_only_a_player_whose_turn_it_is_is_sent_to_the_provider() -> None:
    sent = [reason for reason in REASONS if status_body(payment(reason))["continue_url"]]
    assert sent == ["awaiting_player"]
    for html in (render_payment(payment(reason)) for reason in REASONS if reason != "awaiting_player"):
        assert "provider.example" not in html


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/local", "https://"]
)
def test_the_way_on_must_be_a_web_address(address: str) -> None:
    with pytest.raises(ValueError, match="http"):
        render_payment(payment("awaiting_player", continue_url=address))
    with pytest.raises(ValueError, match="http"):
        status_body(payment("awaiting_player", continue_url=address))


def test_without_script_a_payment_in_progress_refreshes_and_a_final_one_rests() -> None:
    assert '<noscript><meta http-equiv="refresh"' in render_payment(payment("checking"))
    assert '<noscript><meta http-equiv="refresh"' in render_payment(
        replace(payment("awaiting_player"), returned=True)
    )
    for reason in ("awaiting_player", "completed", "declined"):
        assert "http-equiv" not in render_payment(payment(reason))


def test_the_result_shows_date_number_and_the_sites_own_words() -> None:
    at = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    done = replace(payment("completed", "ru"), completed_at=at, time_zone="Asia/Almaty", again_possible=True)
    html = render_payment(done).replace("\u00a0", " ").replace("\u202f", " ")
    assert "21 ноября 2026 г., 17:00 (UTC+5)" in html
    assert "10402771" in html
    assert "1 500 ₸" in html
    [again] = [found for found in Elements(html).all("form") if "data-again" in found]
    assert "hidden" in again  # until the script finds the key of this tab
    refused = replace(payment("rejected_by_merchant"), merchant_sentence="Verify your account.")
    assert "Verify your account." in render_payment(refused)


def test_a_refusal_is_told_in_the_players_language() -> None:
    assert "Сілтеме енді жарамсыз" in render_refusal(RefusalView("kk", "key_invalid"))
    assert "req_1" in render_refusal(RefusalView("ru", "something_wrong", request_id="req_1"))
    words = translator("ru").refusal("amount_too_low", {"minimum": tenge(500), "maximum": tenge(1000)})
    assert words.headline.replace("\u00a0", " ") == "Сумма слишком мала. Введите от 500 ₸ до 1 000 ₸."
    assert translator("en").refusal("never_heard_of") == translator("en").refusal("something_wrong")


def test_shipped_methods_have_names_and_an_operators_own_keeps_its_title() -> None:
    assert {translator("kk").method(code, "?") for code in METHOD_NAMES}.isdisjoint({"?"})
    assert translator("kk").method("golden_wallet", "Golden Wallet") == "Golden Wallet"


def test_the_policy_lets_the_sites_origins_frame_and_nobody_else() -> None:
    policy = content_security_policy(["https://shop.example", "http://127.0.0.1:8081"])
    assert policy.endswith("frame-ancestors https://shop.example http://127.0.0.1:8081")
    assert content_security_policy(()).endswith("frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*",
        "https:",
        "https://a.example/path",
        "https://a.example; script-src *",
        "https://a b",
        "a.example",
    ],
)
def test_what_is_not_an_origin_never_enters_the_policy(origin: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        content_security_policy([origin])


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        (("kk",), "kk"),
        (("KK-kz",), "kk"),
        ((None, "", "fi", "ru,en;q=0.8"), "ru"),
        (("xx", "de-DE,kk;q=0.5"), "kk"),
        ((), "en"),
        (("fi",), "en"),
    ],
)
def test_the_first_wish_we_can_fulfil_decides_the_language(
    wishes: tuple[str | None, ...], language: str
) -> None:
    assert choose_language(*wishes) == language


def test_a_site_that_does_not_offer_a_language_is_not_shown_in_it() -> None:
    assert choose_language("kk", offered=("ru", "en")) == "en"
    assert choose_language("kk", offered=("ru",)) == "ru"


def test_static_addresses_change_with_the_content() -> None:
    assert all(
        re.search(r"\?v=[0-9a-f]{12}$", found["src"])
        for found in Elements(render_methods(METHODS)).all("script")
    )
