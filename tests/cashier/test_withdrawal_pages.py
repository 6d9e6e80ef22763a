"""The pages of a withdrawal: whole in each language, escaped, and telling what the player may read."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app import methods
from app.cashier import LANGUAGES, render_methods, render_payment, status_body, translator
from app.cashier.pages import PaymentView, read_amount
from app.cashier.withdrawal_pages import FieldView, render_review, render_withdraw
from app.cashier.withdrawal_words import DESTINATION_LABELS, WITHDRAWAL_REASONS, WITHDRAWAL_REFUSALS
from app.kernel.money import Money
from app.payments.states import NEXT, Kind
from tests.cashier.test_pages import EVIL, Elements
from tests.cashier.views import METHODS, PAYMENT, tenge
from tests.cashier.withdrawal_views import PAYOUT, REVIEW, TO_BANK, TO_CARD, WITHDRAW

# What is said of a withdrawal beside its sub-status.
BESIDES = {"awaiting_site", "no_funds", "completed_in_part"}


def plain(html: str) -> str:
    return html.replace("\u00a0", " ").replace("\u202f", " ").replace("&#39;", "'")


def payout(reason: str, language: str = "en") -> PaymentView:
    return replace(PAYOUT, reason=reason, language=language)


def every_page() -> list[str]:
    return [
        *(render_withdraw(replace(WITHDRAW, language=language)) for language in LANGUAGES),
        *(render_review(replace(REVIEW, language=language)) for language in LANGUAGES),
        *(
            render_payment(payout(reason, language))
            for reason in WITHDRAWAL_REASONS
            for language in LANGUAGES
        ),
    ]


def test_every_state_of_a_withdrawal_has_its_words_in_every_language() -> None:
    assert set(WITHDRAWAL_REASONS) == {state.value for state in NEXT[Kind.PAYOUT]} | BESIDES
    for reason in WITHDRAWAL_REASONS:
        for language in LANGUAGES:
            body = status_body(payout(reason, language))
            html = plain(render_payment(payout(reason, language)))
            assert body["final"] == (body["stage"] in {"success", "failure"})
            assert plain(str(body["headline"])) in html
            assert plain(str(body["sentence"])) in html
            assert body["continue_url"] is None
    with pytest.raises(KeyError):
        render_payment(payout("checking"))  # of a deposit


def test_no_state_tells_how_many_people_look_at_it() -> None:
    one = status_body(payout("under_review"))
    assert status_body(payout("awaiting_second_approval")) == one


def test_the_pages_keep_the_policy_and_the_key_out_of_addresses() -> None:
    for html in every_page():
        page = Elements(html)
        assert all("src" in script and "integrity" in script for script in page.all("script"))
        assert page.all("style") == []
        for _, attributes in page.found:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            for name in ("src", "href", "action", "formaction"):
                address = attributes.get(name, "/")
                assert address.startswith("/"), address
                assert WITHDRAW.key not in address


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_has_what_it_sends(language: str) -> None:
    page = Elements(render_withdraw(replace(WITHDRAW, language=language, method="card", amount=tenge(600))))
    form = next(found for found in page.all("form") if found.get("method") == "post")
    assert form["action"] == "/cashier/withdraw/review"
    assert (form["data-available"], form["data-form"]) == ("420000", "payout")
    names = {found["name"] for found in page.all("input")}
    assert names == {
        *("key", "form_token", "lang", "method", "amount", "to_card", "to_card_number"),
        *("to_bank_transfer_iban", "to_bank_transfer_iin", "to_bank_transfer_name"),
    }
    known = {found["value"]: "checked" in found for found in page.all("input") if found["name"] == "to_card"}
    assert known == {"ins_1": True, "ins_2": False, "": False}
    labels = {found["for"] for found in page.all("label")}
    assert {"to_card_number", "to_bank_transfer_iban", "amount"} <= labels


def test_the_review_sends_an_instrument_and_no_number() -> None:
    page = Elements(render_review(replace(REVIEW, language="ru")))
    sent = {found["name"]: found["value"] for found in page.all("input")}
    assert sent == {
        "key": "the-secret-key",
        "form_token": "form-token-1",
        "lang": "ru",
        "method": "card",
        "amount": "1\u00a0500",
        "to_card": "ins_1",
    }
    assert [found["action"] for found in page.all("form")] == [
        "/cashier/withdraw/review",
        "/cashier/withdraw",
    ]


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "Deposited ₸1,800, already returned ₸800."),
        ("ru", "Пополнено 1 800 ₸, уже возвращено 800 ₸."),
        ("kk", "Толтырылғаны 1 800 ₸, қайтарылғаны 800 ₸."),
    ],
)
def test_where_money_goes_is_said_in_words(language: str, sentence: str) -> None:
    html = plain(render_review(replace(REVIEW, language=language)))
    assert sentence in html
    assert html.count('class="part-why"') == 2
    alone = plain(render_review(replace(REVIEW, language=language, parts=[REVIEW.parts[1]])))
    assert 'class="part-why"' not in alone  # nothing is to go back, so nothing is to be explained


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "Deposited ₸1,800."), ("ru", "Пополнено 1 800 ₸."), ("kk", "Толтырылғаны 1 800 ₸.")],
)
def test_that_nothing_was_returned_yet_is_not_worth_a_word(language: str, sentence: str) -> None:
    part = replace(REVIEW.parts[0], returned=Money(0, "KZT"))
    html = plain(render_review(replace(REVIEW, language=language, parts=[part])))
    assert f">{sentence}<" in html


@pytest.mark.parametrize("language", ["en", "ru", "kk"])
def test_the_review_is_shown_again_in_another_language(language: str) -> None:
    page = Elements(render_review(replace(REVIEW, language=language, amount=Money(123_450, "KZT"))))
    switch, main = page.all("form")
    assert (switch["action"], switch["method"]) == ("/cashier/withdraw/review", "post")
    names = [found["name"] for found in page.all("input")]
    sent = {found["name"]: found["value"] for found in page.all("input")[: names.index("to_card") + 1]}
    assert sent == {
        "key": "the-secret-key",
        "form_token": "form-token-1",
        "method": "card",
        "amount": "1234.50",
        "to_card": "ins_1",
    }
    for other in ("en", "ru", "kk"):
        assert read_amount(sent["amount"], "KZT", other) == Money(123_450, "KZT")
    buttons = [found for found in page.all("button") if found.get("name") == "lang"]
    assert [found["value"] for found in buttons] == ["en", "ru", "kk"]
    assert [found["value"] for found in buttons if "aria-current" in found] == [language]
    assert main["action"] == "/cashier/withdraw"


def test_the_page_of_a_payment_is_shown_again_in_another_language() -> None:
    for view, sent in ((PAYOUT, {}), (replace(PAYMENT, returned=True), {"returned": "yes"})):
        page = Elements(render_payment(replace(view, language="ru")))
        [switch] = [found for found in page.all("form") if "data-languages" in found]
        assert (switch["action"], switch["method"]) == ("/cashier/payment/view-token", "get")
        inputs = {found["name"]: found["value"] for found in page.all("input") if found["name"] == "returned"}
        assert inputs == sent
    alone = Elements(render_payment(replace(PAYOUT, languages=("ru",))))
    assert not [found for found in alone.all("form") if "data-languages" in found]


def test_errors_stand_at_their_fields() -> None:
    errors = {"to_bank_transfer_iban": "Check it.", "to_card": "Gone.", "amount": "Too much."}
    page = Elements(render_withdraw(replace(WITHDRAW, errors=errors)))
    alerts = {found["id"]: "hidden" in found for found in page.all("p") if found.get("role") == "alert"}
    assert {name for name, is_hidden in alerts.items() if not is_hidden} == {
        f"{field}-error" for field in errors
    }
    iban = next(found for found in page.all("input") if found["name"] == "to_bank_transfer_iban")
    assert (iban["aria-invalid"], iban["aria-describedby"]) == ("true", "to_bank_transfer_iban-error")


def test_what_others_wrote_is_text_and_not_html() -> None:
    typed = replace(TO_BANK, fields=(FieldView("to_bank_transfer_name", "name", "Phone number", EVIL),))
    for html in (
        render_withdraw(
            replace(
                WITHDRAW, site_name=EVIL, amount=EVIL, destinations=(TO_CARD, typed), errors={"form": EVIL}
            )
        ),
        render_review(replace(REVIEW, key=EVIL, chosen=EVIL, method=EVIL)),
        render_payment(replace(payout("rejected"), merchant_sentence=EVIL, error=EVIL)),
    ):
        assert "<script>" not in html
        assert all(set(found) == {"src", "integrity", "defer"} for found in Elements(html).all("script"))


def test_a_withdrawal_is_taken_back_where_that_is_offered() -> None:
    forms = [found for found in Elements(render_payment(PAYOUT)).all("form") if found["method"] == "post"]
    assert [found["action"] for found in forms] == ["/cashier/payment/view-token/cancel?lang=en"]
    assert "Cancel the withdrawal" not in render_payment(replace(PAYOUT, cancel_url=None))


def test_times_amounts_and_reasons_are_shown_with_the_withdrawal() -> None:
    until = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    cooling = plain(render_payment(replace(payout("cooling"), expires_at=until, time_zone="Asia/Almaty")))
    assert "Waiting until November 28, 2026, 5:00 PM (UTC+5)" in cooling
    waiting = plain(render_payment(replace(payout("awaiting_site", "ru"), expires_at=until)))
    assert "Если этого не произойдёт до 28 ноября 2026 г., 12:00 (UTC)" in waiting
    part = replace(payout("completed_in_part"), amount=tenge(1000), asked_for=tenge(1500))
    assert "₸1,500" in render_payment(part)
    back = replace(payout("completed"), came_back=tenge(500))
    assert "₸500 came back from the bank" in plain(render_payment(back))
    told = replace(payout("rejected"), merchant_sentence="Send us your documents.")
    assert "Send us your documents." in render_payment(told)
    assert "*4242" in render_payment(PAYOUT)


def test_every_field_and_every_broken_rule_has_its_words() -> None:
    asked = {one.label for fields in methods.DESTINATION_FIELDS.values() for one in fields}
    assert {words.headline for words in DESTINATION_LABELS} == asked
    rules = {f"bad_destination_{rule.value}" for rule in methods.DestinationRule}
    # A form of ours sends no unknown field: who made one of his own is told that something is wrong.
    assert rules - set(WITHDRAWAL_REFUSALS) == {"bad_destination_unknown_field"}
    assert translator("en").refusal("bad_destination_unknown_field") == translator("en").refusal(
        "something_wrong"
    )


def test_the_way_to_the_other_page_is_there_where_both_are_offered() -> None:
    both = ("deposit", "withdraw")
    for html, current in (
        (render_methods(replace(METHODS, deeds=both)), "deposit"),
        (render_withdraw(replace(WITHDRAW, deeds=both)), "withdraw"),
    ):
        buttons = {
            found["value"]: found.get("aria-current")
            for found in Elements(html).all("button")
            if found.get("name") == "deed"
        }
        assert buttons.keys() == set(both)
        assert buttons[current] == "page"
    assert 'name="deed"' not in render_methods(METHODS)
