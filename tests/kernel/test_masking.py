"""Planted cards and secrets never come out; what is none of them does."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.masking import MASK, is_secret_name, looks_like_card, mask_text, mask_value

CARD = "4111111111111111"
SHOWN = "411111...1111"
MARKER = "pLanTed0marker"
SECRET_NAMES = [
    *(
        "salt",
        "SITE_SALT",
        "signature",
        "X-Signature-V2",
        "webhook-signature",
        "key",
        "api_key",
        "apikey",
        "apiKey",
    ),
    *(
        "API_KEY",
        "MERCHANT_KEY",
        "unicKey",
        "token",
        "tokens",
        "accessToken",
        "secret",
        "webhook_secret",
        "secretKey",
    ),
    *(
        "password",
        "Password",
        "passwd",
        "authorization",
        "Authorization",
        "cookie",
        "Set-Cookie",
        "csrf_token",
    ),
    *(
        "cvv",
        "CVV2",
        "cvc",
        "pan",
        "PAN",
        "card_number",
        "cardNumber",
        "securityCode",
        "pin",
        "otp",
        "key_hash",
    ),
]
OPEN_NAMES = [
    *(
        "site_id",
        "key_id",
        "token_id",
        "KeyError",
        "signature_ok",
        "dialect",
        "salt_version",
        "monkey",
        "panel",
    ),
    *("span", "keyboard", "spin", "assault", "author", "event", "customer_purse", "sort", "", "-", "ключ"),
]


def luhn_complete(body: str) -> str:
    """Append the digit that makes the sum come out, written differently from the code under test."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


CARDS = st.integers(12, 18).flatmap(
    lambda length: st.text("0123456789", min_size=length, max_size=length).map(luhn_complete)
)


@pytest.mark.parametrize(
    "card",
    [CARD, "4000000000000002", "378282246310005", "6304000000000000000", "4222222222222", "9860123456789019"],
)
def test_cards_keep_six_and_four(card: str) -> None:
    completed = luhn_complete(card[:-1])
    assert looks_like_card(completed)
    assert mask_text(f"paid with {completed}.") == f"paid with {completed[:6]}...{completed[-4:]}."


@pytest.mark.parametrize(
    "written",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111 - 1111 - 1111 - 1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111–1111–1111–1111",
        "41111111 11111111",
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "x{}y", "12 {}", "{} 26", "12/26 {} 123", "7, {}", '{{"p":"{}"}}', "<{}>"]
)
def test_a_card_is_found_however_it_is_written(written: str, around: str) -> None:
    shown = mask_text(around.format(written))
    digits = "".join(filter(str.isdigit, shown))
    assert CARD not in digits
    # Six and four digits are left of it, and what stood around it (which may have been taken for its end).
    assert len(digits) <= 10 + sum(map(str.isdigit, around))


@given(CARDS, st.sampled_from(["", " ", "-", " - "]), st.integers(1, 6))
def test_any_card_is_masked(card: str, separator: str, size: int) -> None:
    written = separator.join(card[at : at + size] for at in range(0, len(card), size))
    shown = mask_text(f"pay {written} now")
    assert shown == f"pay {card[:6]}...{card[-4:]} now"
    assert mask_text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the sum is wrong
        "411111111111",  # 12 digits
        "41111111111111111111",  # 20 digits
        "217742619264065507927945843197",  # an order number (protocol.md 3.3)
        "555555...4444",  # masked before
        "2026-11-21T12:00:00+00:00",
        "dep_01fwhe4ydgfk1shh6w1g60eecf",
        "amount 10000 currency USD site 332",
        "Оплата 1500 ₸",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask_text(text) == text
    assert not looks_like_card(text)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert mask_value({name: MARKER}) == {name: MASK}
    assert mask_value(MARKER, name) == MASK


@pytest.mark.parametrize("name", OPEN_NAMES)
def test_open_names(name: str) -> None:
    assert not is_secret_name(name)
    assert mask_value({name: MARKER}) == {name: MARKER}


@dataclass
class Site:
    site_id: int
    salt: str


@pytest.mark.parametrize(
    "text",
    [
        "{name}={marker}",
        "GET /open?a=1&{name}={marker}&b=2 HTTP/1.1",
        "{name}: {marker}",
        "{name} = '{marker}'",
        '{{"a":"b","{name}":"{marker}","c":1}}',
        '{{"a": {{"{name}" : "one \\" {marker}"}}}}',
        "{{'{name}': '{marker}'}}",
        "{{'{name}': {{'wallet': {{'x': '{marker}'}}, 'play': '{marker}'}}}}",
        "{{'{name}': ['a', '{marker}']}}",
        '"{{\\"{name}\\": \\"{marker}\\", \\"b\\": 1}}"',
        "a=b={name}={marker}",
        "{name}: Bearer {marker}",
        "{name}:Basic {marker}",
        '{name}="{marker} {marker}',
        "Site({name}='{marker}')",
    ],
)
def test_no_secret_comes_out_of_text(text: str) -> None:
    for name in SECRET_NAMES:
        shown = mask_text(text.format(name=name, marker=MARKER))
        assert MARKER not in shown, name
        assert MASK in shown, name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("?a=1&key=abc&b=2", "?a=1&key=***&b=2"),
        ('{"salt":"s; t","site_id":1}', '{"salt":"***","site_id":1}'),
        ("KeyError: 'amount'", "KeyError: 'amount'"),
        ("Authorization: Digest user=x, response=y\r\nHost: z", "Authorization: Digest ***\\r\\nHost: z"),
        ("Cookie: a=b; c=d", "Cookie: ***"),
        ("sent Bearer abcdefgh12345 twice", "sent Bearer *** twice"),
        ("postgresql://app:p@ss@db:5432/x", "postgresql://***@db:5432/x"),
        ("?token=&a=1", "?token=&a=1"),
        ("key: [unclosed", "key: ***"),
        ('key="', 'key="'),
        ("Site(site_id=1, salt='x')", "Site(site_id=1, salt='***')"),
    ],
)
def test_what_is_left_of_a_text(text: str, shown: str) -> None:
    assert mask_text(text) == shown


def test_no_value_forges_a_line() -> None:
    text = "name\r\nERROR forged\x1b[2J\u2028next\u0085end\ttab\x00 paid \u202e0001\u2069"
    shown = "name\\r\\nERROR forged\\x1b[2J\\u2028next\\x85end\\ttab\\x00 paid \\u202e0001\\u2069"
    assert mask_text(text) == shown


def test_nested_data_is_copied_and_masked() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    given_value = {
        "site": Site(1, MARKER),
        "list": [f"card {CARD}", (int(CARD), -int(CARD), 15), {f"k {CARD}"}],
        "raw": f"pan={CARD}&amount=100".encode(),
        CARD: {"tokens": {"wallet": MARKER}, "token": None, "password": ""},
        "plain": [True, None, 1.5, 10**30, at],
    }
    assert mask_value(given_value) == {
        "site": "Site(site_id=1, salt='***')",
        "list": [f"card {SHOWN}", [SHOWN, f"-{SHOWN}", 15], [f"k {SHOWN}"]],
        "raw": "pan=***&amount=100",
        SHOWN: {"tokens": MASK, "token": None, "password": ""},
        "plain": [True, None, 1.5, 10**30, str(at)],
    }
    assert given_value["plain"] == [True, None, 1.5, 10**30, at]


def test_a_loop_ends() -> None:
    loop: dict[str, object] = {"a": 1}
    loop["self"] = loop
    assert "..." in json.dumps(mask_value(loop))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES, st.sampled_from(SECRET_NAMES), CARDS, st.text(max_size=20))
def test_planted_markers_never_come_out(value: object, name: str, card: str, text: str) -> None:
    planted = {"a": [value, {name: MARKER}], "b": {name: {"deep": [MARKER, value]}}, "c": f"{text} {card} "}
    as_json = json.dumps(planted, ensure_ascii=False)
    as_form = urlencode({"t": text, name: MARKER, "z": "1"})
    for shown in (str(mask_value(planted)), mask_text(as_json), mask_text(as_form), mask_text(str(planted))):
        assert MARKER not in shown
        assert not set(shown) & set("\r\n\x85\u2028\u2029")
    assert f" {card} " not in str(mask_value(planted))


@given(st.text("aB07._-4", max_size=60) | st.builds("{}_{}".format, st.text("b0-"), CARDS))
def test_plain_text_is_masked_as_any_other(text: str) -> None:
    assert f"{mask_text(text)} " == mask_text(f"{text} ")


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "a=" * 10_000,
        "key " * 10_000,
        "1" * 20_000,
        "1 " * 10_000,
        "key=[" * 20_000,
        '"' * 20_000,
        "://" * 10_000,
        "k" * 20_000,
        " " * 20_000,
        "\\" * 20_000,
        "key=\\" * 20_000,
        "://a" + "b" * 20_000,
        "Bearer " * 20_000,
    ],
)
def test_long_texts_stay_cheap(text: str) -> None:
    started = time.monotonic()
    mask_text(text)
    assert time.monotonic() - started < 2
