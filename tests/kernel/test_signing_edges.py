"""The last value inside every limit of reading and signing, and the exact words of every "no"."""

import re
from typing import cast

import pytest

from app.kernel import signing
from app.kernel.signing import Dialect, MalformedField, Signable, Unreadable


@pytest.mark.parametrize("count", [99, 100])
def test_as_many_members_as_fields_may_be(count: int) -> None:
    raw = ("{" + ",".join(f'"a{number}":""' for number in range(count)) + "}").encode()
    assert len(signing.pairs_from_json(raw)) == count
    assert len(signing.pairs_from_form(b"&".join(b"a=" for _ in range(count)))) == count


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":' * 200_000, "it is nested too deeply"),
        (b"{", "it is not JSON in UTF-8"),
        (b"[]", "it is not a JSON object"),
        (
            ("{" + ",".join(f'"a{number}":""' for number in range(101)) + "}").encode(),
            "it has more than 100 fields",
        ),
    ],
)
def test_why_a_body_cannot_be_read(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        signing.pairs_from_json(raw)
    assert caught.value.fields == {"reason": reason}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"a=%FF", "it is not UTF-8"), (b"&".join([b"a="] * 101), "it has more than 100 fields")],
)
def test_why_a_form_cannot_be_read(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        signing.pairs_from_form(raw)
    assert caught.value.fields == {"reason": reason}


@pytest.mark.parametrize("escape", [r"\ud800", r"\udbff", r"\udc00", r"\udfff"])
def test_half_a_surrogate_pair_is_no_text(escape: str) -> None:
    with pytest.raises(MalformedField, match="must be Unicode text"):
        signing.pairs_from_json(f'{{"a": "{escape}"}}'.encode())


@pytest.mark.parametrize("text", ["\ud7ff", "\ue000"])
def test_the_neighbours_of_the_surrogates_are_text(text: str) -> None:
    assert signing.pairs_from_json(f'{{"a": "\\u{ord(text):04x}"}}'.encode()) == [("a", text)]


@pytest.mark.parametrize(
    ("params", "dialect", "told"),
    [
        ({"a": 1.5}, Dialect.G, "a float cannot be signed; sign the text as it was received"),
        ({"a": ["b"]}, Dialect.P, "a list cannot be signed; sign the text as it was received"),
        ({"a": {"b": {"c": "d"}}}, Dialect.P, "dialect P has no rule for a third level"),
    ],
)
def test_a_fault_of_the_code_is_told_what_it_did(params: object, dialect: Dialect, told: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(told)}$"):
        signing.signed_string(cast("dict[str, Signable]", params), dialect)


def test_nothing_is_signed_without_a_salt() -> None:
    with pytest.raises(ValueError, match=r"^nothing is signed without a salt$"):
        signing.sign({"a": "b"}, "")
