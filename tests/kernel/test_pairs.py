"""Bodies and query strings become pairs of text, nothing lost and nothing guessed."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import signing
from app.kernel.signing import MalformedField, Unreadable

PAIRS = st.lists(st.tuples(st.text(), st.text()), max_size=8)


def test_json_keeps_order_repetitions_and_the_text_of_numbers() -> None:
    raw = b'{"b": "x", "a": 007, "a": 1}'.replace(b"007", b"123456789012345678901234567890")
    assert signing.pairs_from_json(raw) == [("b", "x"), ("a", "123456789012345678901234567890"), ("a", "1")]
    assert signing.pairs_from_json(b'{"a": -5, "b": "", "c": "\\u0438\\ud83d\\ude00"}') == [
        ("a", "-5"),
        ("b", ""),
        ("c", "и😀"),
    ]
    assert signing.pairs_from_json(b"{}") == []
    long_number = b'{"a": ' + b"9" * 10_000 + b"}"
    assert signing.pairs_from_json(long_number) == [("a", "9" * 10_000)]


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (b"{}", "must not be an object"),
        (b'{"b": {"c": 1}}', "must not be an object"),
        (b"[]", "must not be a list"),
        (b"true", "must be 1 or 0 instead of true or false"),
        (b"false", "must be 1 or 0 instead of true or false"),
        (b"null", "must not be null; leave it out"),
        (b"20.0", "must be text or a whole number"),
        (b"1e3", "must be text or a whole number"),
        (b"-0.5", "must be text or a whole number"),
        (b'"\\ud800"', "must be Unicode text"),
    ],
)
def test_values_that_no_signed_request_holds(value: bytes, rule: str) -> None:
    with pytest.raises(MalformedField) as caught:
        signing.pairs_from_json(b'{"ok": "1", "a": ' + value + b"}")
    assert caught.value.fields == {"field": "a", "rule": rule}
    assert str(caught.value) == f"The field a {rule}."


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"a=1", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": -Infinity}', "not JSON"),
        (b'{"a": "1"} {}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON in UTF-8"),
        (b'\xef\xbb\xbf{"a": "1"}', "not JSON"),
        ('{"a": "1"}'.encode("utf-16"), "not JSON in UTF-8"),
        (b'{"a": "\n"}', "not JSON"),
        (b"5", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b'[["a", "1"]]', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (json.dumps({f"a{number}": "" for number in range(101)}).encode(), "more than 100 fields"),
    ],
)
def test_bodies_that_cannot_be_read(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        signing.pairs_from_json(raw)


@given(PAIRS)
def test_json_pairs_come_back(pairs: list[tuple[str, str]]) -> None:
    raw = "{" + ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs) + "}"
    assert signing.pairs_from_json(raw.encode()) == pairs


@given(PAIRS)
def test_form_pairs_come_back(pairs: list[tuple[str, str]]) -> None:
    assert signing.pairs_from_form(urlencode(pairs).encode()) == pairs


def test_forms_and_query_strings() -> None:
    raw = "a=1&a=&&b&c=x=y&d=%D0%B8+%2B&e=и;f=1&".encode()
    expected = [("a", "1"), ("a", ""), ("b", ""), ("c", "x=y"), ("d", "и +"), ("e", "и;f=1")]
    assert signing.pairs_from_form(raw) == signing.pairs_from_query(raw) == expected
    assert signing.pairs_from_form(b"") == []


@pytest.mark.parametrize("raw", [b"a=%FF", b"%C3=1", b"a=\xff", b"a=%ED%A0%80"])
def test_forms_are_utf_8(raw: bytes) -> None:
    with pytest.raises(Unreadable, match="UTF-8"):
        signing.pairs_from_form(raw)


def test_forms_have_a_most() -> None:
    assert len(signing.pairs_from_form(b"&".join(b"a=1" for _ in range(100)))) == 100
    with pytest.raises(Unreadable, match="100 fields"):
        signing.pairs_from_form(b"&".join(b"a=1" for _ in range(101)))
    assert signing.pairs_from_form(b"&" * 150 + b"a=1&b=2") == [("a", "1"), ("b", "2")]
