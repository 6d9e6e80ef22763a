"""The SHA-1 rule: every vector, both dialects, rotation, and what is never taken for a signature."""

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import signing
from app.kernel.signing import Dialect, Signable

VECTORS = json.loads((Path(__file__).parent / "vectors" / "signature.json").read_text())["vectors"]
KEY = {"site_id": "1", "site_login": "test_login", "customer_ip": "1.2.3.4", "currency": "USD"}
SALT, OLD_SALT = "new salt", "old salt"
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
PARAMS = st.dictionaries(NAMES, st.text(max_size=20), max_size=6)


def test_the_vectors_are_all_there() -> None:
    assert {vector["id"] for vector in VECTORS} == {
        *("L1", "L2", "L3", "L4", "L5", "O1", "O2", "O3", "O6", "O8", "D1", "D2")
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vectors(vector: dict[str, Any]) -> None:
    params, salt = vector["params"], vector["salt"]
    assert signing.sign(params, salt) == vector["sha1"]
    assert signing.matches(params, vector["sha1"], [salt]) == 0
    if "sha1_dialect_p" in vector:
        assert signing.sign(params, salt, Dialect.P) == vector["sha1_dialect_p"]
        assert signing.matches(params, vector["sha1_dialect_p"], [salt], Dialect.P) == 0
    elif vector["id"] in {"L3", "L4"}:  # protocol.md 1.3: these two match P as well
        assert signing.sign(params, salt, Dialect.P) == vector["sha1"]


@pytest.mark.parametrize(
    ("params", "in_g", "in_p"),
    [
        ({"b": "2", "a": 1}, "a:1;b:2;", "a:1;b:2;"),
        ({"a": "", "b": 0}, "b:0;", "b:0;"),
        ({"a": True, "b": False}, "a:1;b:0;", "a:True;b:False;"),
        ({"a": None, "b": "x"}, "b:x;", "a:None;b:x;"),
        ({"a": "  ", "b": " x "}, "a:  ;b: x ;", "b: x ;"),
        ({"a_b": "1", "B": "2", "a2": "3"}, "B:2;a2:3;a_b:1;", "b:2;a2:3;a_b:1;"),
        ({"c": {"y": "", "x": 1, "b": None}, "d": {}}, "c:x:1;", "c:b:None;x:1;"),
        ({"c": {"signature": "x"}, "signature": "y"}, "c:signature:x;", "c:signature:x;"),
        ({}, "", ""),
    ],
)
def test_the_string_that_is_signed(params: dict[str, Signable], in_g: str, in_p: str) -> None:
    assert signing.signed_string(params, Dialect.G) == in_g
    assert signing.signed_string(params, Dialect.P) == in_p


def test_what_the_rule_does_not_define_is_not_signed() -> None:
    for params in ({"a": 20.0}, {"a": ["x"]}, {"a": {"b": 1.5}}, {"a": b"x"}):
        for dialect in Dialect:
            with pytest.raises(TypeError, match="cannot be signed"):
                signing.signed_string(cast("dict[str, Signable]", params), dialect)
    third_level: dict[str, Signable] = {"a": {"b": {"c": "d"}}}
    assert signing.signed_string(third_level) == ""
    with pytest.raises(TypeError, match="third level"):
        signing.signed_string(third_level, Dialect.P)


def test_the_newest_and_the_previous_salt_match_and_no_other() -> None:
    assert signing.matches(KEY, signing.sign(KEY, SALT), (SALT, OLD_SALT)) == 0
    assert signing.matches(KEY, signing.sign(KEY, OLD_SALT), (SALT, OLD_SALT)) == 1
    assert signing.matches(KEY, signing.sign(KEY, "retired"), (SALT, OLD_SALT)) is None
    assert signing.matches(KEY, signing.sign(KEY, SALT), iter((OLD_SALT, SALT, SALT))) == 1
    assert signing.matches(KEY, signing.sign(KEY, SALT), ()) is None


def test_no_salt_signs_nothing() -> None:
    with pytest.raises(ValueError, match="salt"):
        signing.sign(KEY, "")
    text = signing.signed_string(KEY)
    unsalted = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  what an attacker computes
    assert signing.matches(KEY, unsalted, ["", SALT]) is None


def test_an_unknown_site_is_checked_against_a_salt_nobody_knows() -> None:
    assert len(signing.DUMMY_SALT) == 43
    assert signing.matches(KEY, signing.sign(KEY, SALT), (signing.DUMMY_SALT,)) is None


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: f" {text}",
        lambda text: f"{text}\n",
        lambda _: "",
        lambda _: "-" * 40,
        lambda text: "g" + text[1:],
        lambda text: text.replace("a", "а"),
        lambda text: text.replace("0", "０"),
        lambda text: "\ud800" + text[1:],
        lambda text: text + "\ud800",
    ],
)
def test_only_one_spelling_is_a_signature(change: Callable[[str], str]) -> None:
    # One with an `a` and a `0`, so that every change changes something.
    spelled = next(
        params
        for number in range(1000)
        if {"a", "0"} <= set(signing.sign(params := {**KEY, "user_preset_id": str(number)}, SALT))
    )
    right = signing.sign(spelled, SALT)
    assert signing.matches(spelled, right, [SALT]) == 0
    assert signing.matches(spelled, change(right), [SALT]) is None


def test_every_salt_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for signature in (signing.sign(KEY, SALT), signing.sign(KEY, "x"), "0" * 41, "", "x" * 10_000, "é"):
        compared.clear()
        signing.matches(KEY, signature, [SALT, OLD_SALT])
        assert [(len(one), len(other)) for one, other in compared] == [(40, 40), (40, 40)]


@given(PARAMS, st.text(max_size=50), st.sampled_from(Dialect))
def test_a_compare_never_raises_on_text(params: dict[str, str], signature: str, dialect: Dialect) -> None:
    assert signing.matches(params, signature, [SALT], dialect) is None
    assert signing.matches({**params, "x": "\ud800"}, signature, [SALT], dialect) is None


@given(PARAMS, st.sampled_from(Dialect), st.data())
def test_order_and_the_signature_field_do_not_count_and_every_value_does(
    params: dict[str, str], dialect: Dialect, data: st.DataObject
) -> None:
    signature = signing.sign(params, SALT, dialect)
    shuffled = dict(data.draw(st.permutations(list(params.items()))))
    assert signing.matches({**shuffled, "signature": signature}, signature, [SALT], dialect) == 0
    for name, value in params.items():
        tampered = {**params, name: f"{value}1"}
        assert signing.matches(tampered, signature, [SALT], dialect) is None


def test_the_dialects_agree_on_the_whole_protocol_in_practice() -> None:
    for vector in VECTORS:
        if vector["id"].startswith("O"):
            assert vector["sha1"] == vector["sha1_dialect_p"]
            flat = {name: value for name, value in vector["params"].items() if not isinstance(value, dict)}
            as_text = {name: str(value) for name, value in flat.items()}
            assert signing.signed_string(as_text) == signing.signed_string(as_text, Dialect.P)
