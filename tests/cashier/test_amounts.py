"""What people type is read as one amount or refused, and amounts are written as the language writes them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cashier import LANGUAGES, read_amount, translator
from app.kernel.money import AmountMalformed, Money, UnknownCurrency

EVERYWHERE = {
    "1500": 150_000,
    " 1500 ": 150_000,
    "1 500": 150_000,
    "1\u00a0500": 150_000,
    "1\u202f500": 150_000,
    "1 500,50": 150_050,
    "1 500.50": 150_050,
    "1500,5": 150_050,
    "1500.5": 150_050,
    "1,500.50": 150_050,
    "1.500,50": 150_050,
    "1 500 000": 150_000_000,
    "1,500,000": 150_000_000,
    "1.500.000": 150_000_000,
    "0": 0,
    "0,01": 1,
    "0500": 50_000,
}
NOWHERE = (
    *("", " ", "abc", "1e3", "1E3", "-5", "+5", "0x10", "1_000", "NaN", "inf", "1500 ₸", "٣٠", "１５", "½"),
    *(
        ".",
        ",",
        ".5",
        "5.",
        "1 50",
        "15 00",
        "1  500",
        "1 500 00",
        "1,50,000",
        "1,500.000",
        "1.2.3",
        "1,500,50",
    ),
    *(
        "1 500.000,50,",
        "1 500,500.00",
        "1,500 500",
        "10.001",
        "1500.505",
        "1\n500",
        "1\t500",
        "9" * 14,
        "1" * 33,
    ),
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("typed", EVERYWHERE)
def test_plain_amounts_are_read_in_every_language(typed: str, language: str) -> None:
    assert read_amount(typed, "KZT", language) == Money(EVERYWHERE[typed], "KZT")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("typed", NOWHERE)
def test_what_is_not_plainly_one_amount_is_refused(typed: str, language: str) -> None:
    with pytest.raises(AmountMalformed):
        read_amount(typed, "KZT", language)


@pytest.mark.parametrize(
    ("typed", "currency", "language", "minor"),
    [
        ("1,500", "KZT", "en", 150_000),  # the English comma groups
        ("1,500", "KZT", "ru", None),  # the Russian comma divides, and tenge have two decimals
        ("1,500", "KZT", "kk", None),
        ("1.500", "KZT", "en", None),
        ("1.500", "KZT", "ru", None),
        ("1,50", "KZT", "en", 150),  # cannot group, so it divides
        ("1,500", "BHD", "en", 1_500_000),
        ("1,500", "BHD", "ru", 1500),
        ("1.500", "BHD", "en", 1500),
        ("1,500", "JPY", "en", 1500),
        ("1 500", "JPY", "ru", 1500),
        ("1500,0", "JPY", "ru", None),
    ],
)
def test_language_and_currency_decide_where_the_text_alone_does_not(
    typed: str, currency: str, language: str, minor: int | None
) -> None:
    if minor is None:
        with pytest.raises(AmountMalformed):
            read_amount(typed, currency, language)
    else:
        assert read_amount(typed, currency, language) == Money(minor, currency)


def test_an_unknown_currency_is_said_so() -> None:
    with pytest.raises(UnknownCurrency):
        read_amount("1", "XXZ", "en")


def test_the_largest_amount_is_the_kernels() -> None:
    assert read_amount("10 000 000 000 000", "KZT", "ru").minor == 10**15
    with pytest.raises(AmountMalformed):
        read_amount("10 000 000 000 000,01", "KZT", "ru")


@given(
    minor=st.integers(0, 10**15),
    currency=st.sampled_from(["KZT", "JPY", "BHD", "CLF"]),
    language=st.sampled_from(list(LANGUAGES)),
)
def test_what_we_write_we_read_back(minor: int, currency: str, language: str) -> None:
    amount = Money(minor, currency)
    assert read_amount(translator(language).number(amount), currency, language) == amount


@given(text=st.text(alphabet="0123456789 .,\u00a0-e", max_size=14), language=st.sampled_from(list(LANGUAGES)))
def test_no_reading_changes_the_digits(text: str, language: str) -> None:
    try:
        amount = read_amount(text, "KZT", language)
    except AmountMalformed:
        return
    digits = "".join(character for character in text if character.isdigit())
    assert str(amount.minor).rstrip("0") == digits.lstrip("0").rstrip("0")


@pytest.mark.parametrize(
    ("language", "whole", "broken", "dollars", "span", "coin"),
    [
        ("en", "₸1,500", "₸1,500.50", "$1,500", "₸1,500 – 20,000", "USDT\u00a01,500"),
        ("ru", "1 500 ₸", "1 500,50 ₸", "1 500 $", "1 500 – 20 000 ₸", "1 500 USDT"),
        ("kk", "1 500 ₸", "1 500,50 ₸", "1 500 $", "1 500 – 20 000 ₸", "1 500 USDT"),
    ],
)
def test_amounts_are_written_as_the_language_writes_them(
    language: str, whole: str, broken: str, dollars: str, span: str, coin: str
) -> None:
    texts = translator(language)

    def plain(text: str) -> str:
        return text.replace("\u00a0", " ")

    assert plain(texts.money(Money(150_000, "KZT"))) == whole
    assert plain(texts.money(Money(150_050, "KZT"))) == broken
    assert plain(texts.money(Money(150_000, "USD"))) == dollars
    assert plain(texts.span(Money(150_000, "KZT"), Money(2_000_000, "KZT"))) == span
    assert (
        texts.shape("USDT").pattern.replace("{}", texts.example()).replace("1\u00a0500\u00a0", "1 500 ")
        == coin
    )


def test_instants_are_shown_in_the_players_zone_and_in_utc_where_that_is_unknown() -> None:
    at = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert translator("en").moment(at, "Asia/Almaty") == "November 21, 2026, 5:00\u00a0PM (UTC+5)"
    assert translator("kk").moment(at, "Asia/Kolkata") == "2026\u00a0ж. 21 қараша, 17:30 (UTC+5:30)"
    assert translator("en").moment(at, "America/St_Johns").endswith("(UTC-3:30)")
    assert translator("ru").moment(at, "No/Such_Zone").endswith("12:00 (UTC)")
    assert translator("ru").time_of_day(at, "../etc/passwd") == "12:00"
