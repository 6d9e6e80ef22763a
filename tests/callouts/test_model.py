"""How a merchant's answer to a question is read: allowed, refused, or unknown (trust.md scenario 39)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from app.callouts import Answer, CalloutState, DepositQuestion, PayoutQuestion
from app.callouts.model import (
    check_deposit_fields,
    read_check_deposit,
    read_request_payout,
    request_payout_fields,
)
from app.callouts.schemas import CheckDeposit, CheckDepositAnswer, RequestPayout, RequestPayoutAnswer
from app.kernel import signing
from app.kernel.money import Money

ACCEPTED = {"code": 0, "external_id": "order_123456"}
REFUSED = {"code": 500, "error_description": "User not found"}
LIMIT = 256


def read(content: object, status: int = 200) -> tuple[CalloutState, str, str]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = read_check_deposit(status, body)
    return answer.state, answer.external_id, answer.reason


@pytest.mark.parametrize(
    ("content", "external_id"),
    [
        (ACCEPTED, "order_123456"),
        ({**ACCEPTED, "more": {"of": ["anything", None, 1.5]}}, "order_123456"),
        ({"code": 0, "external_id": 704_224_078}, "704224078"),
        ({"code": 0, "external_id": "x"}, "x"),
        ({"code": 0, "external_id": "заказ 1"}, "заказ 1"),
        ({"code": 0, "external_id": "o" * LIMIT}, "o" * LIMIT),
        ({"code": 0, "external_id": "4111111111111111"}, "4111111111111111"),
        ({**ACCEPTED, "error_description": None}, "order_123456"),
        (b' {"external_id":"order_123456",\r\n"code":0}\n', "order_123456"),
        (b'{"code": -0, "external_id": "x"}', "x"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_allowed(content: object, external_id: str, status: int) -> None:
    assert read(content, status) == (CalloutState.ACCEPTED, external_id, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (REFUSED, "User not found"),
        ({"code": 500}, ""),
        ({"code": 500, "error_description": None}, ""),
        ({"code": 500, "error_description": ["User"]}, ""),
        ({"code": 500, "error_description": "a\r\nb\x00c\ud800d"}, "a\\r\\nb\\x00c d"),
        ({"code": 500, "error_description": "r" * 5_000}, "r" * 1_024),
        ({"code": 500, "error_description": "card 4111 1111 1111 1111"}, "card 411111...1111"),
        ({**REFUSED, "external_id": "order_123456"}, "User not found"),
    ],
)
def test_refused(content: object, reason: str) -> None:
    assert read(content) == (CalloutState.REFUSED, "", reason)


def read_payout(content: object, status: int = 200) -> tuple[CalloutState, str, str]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = read_request_payout(status, body)
    return answer.state, answer.external_id, answer.reason


@pytest.mark.parametrize("status", [200, 299])
def test_a_payout_is_accepted_with_50_and_nothing_else(status: int) -> None:
    accepted = (CalloutState.ACCEPTED, "704224078", "")
    assert read_payout({"code": 50, "external_id": "704224078"}, status) == accepted
    assert read_payout({"code": 50, "external_id": 704_224_078, "error_description": ""}, status) == accepted
    for code in range(-1, 1_000):
        if code not in {50, 402, 500}:
            assert read_payout({"code": code, "external_id": "704224078"})[0] is CalloutState.UNKNOWN


@pytest.mark.parametrize(
    ("content", "state", "reason"),
    [
        ({"code": 402}, CalloutState.NO_FUNDS, ""),
        ({"code": 402, "error_description": "Not enough"}, CalloutState.NO_FUNDS, "Not enough"),
        ({"code": 402, "external_id": "704224078"}, CalloutState.NO_FUNDS, ""),
        (REFUSED, CalloutState.REFUSED, "User not found"),
        (
            {"code": 500, "error_description": "card 4111 1111 1111 1111"},
            CalloutState.REFUSED,
            "card 411111...1111",
        ),
    ],
)
def test_a_payout_is_refused_with_402_and_500(content: object, state: CalloutState, reason: str) -> None:
    assert read_payout(content) == (state, "", reason)


UNKNOWN: dict[str, object] = {
    "empty": b"",
    "blanks": b"   ",
    "text": b"OK",
    "HTML": b"<html><body>code 0</body></html>",
    "half": b'{"code": 0, "external_id": "order_1',
    "two objects": b'{"code": 0, "external_id": "a"}{"code": 0, "external_id": "a"}',
    "more behind": b'{"code": 0, "external_id": "a"} ok',
    "single quotes": b"{'code': 0, 'external_id': 'a'}",
    "comment": b'{"code": 0, /* fine */ "external_id": "a"}',
    "form": b"code=0&external_id=a",
    "XML": b'<?xml version="1.0"?><code>0</code>',
    "null": None,
    "number": 0,
    "string": "0",
    "true": True,
    "list": [ACCEPTED],
    "nested": {"response": ACCEPTED},
    "not UTF-8": b'{"code": 0, "external_id": "\xff"}',
    "NaN for code": b'{"code": NaN, "external_id": "a"}',
    "NaN beside": b'{"code": 0, "external_id": "a", "score": NaN}',
    "infinity beside": b'{"code": 0, "external_id": "a", "score": -Infinity}',
    "10^400 for code": b'{"code": 1' + b"0" * 400 + b', "external_id": "a"}',
    "endless number": b'{"code": 0, "external_id": 1' + b"0" * 5_000 + b"}",
    "endless order number": b'{"code": 0, "external_id": 1' + b"0" * 300 + b"}",
    "deep": b'{"code": 0, "external_id": "a", "x": ' + b"[" * 100_000,
    "duplicate code": b'{"code": 500, "code": 0, "external_id": "a"}',
    "the same twice": b'{"code": 0, "code": 0, "external_id": "a"}',
    "duplicate deeper": b'{"code": 0, "external_id": "a", "x": {"y": 1, "y": 2}}',
    "no code": {"external_id": "a"},
    "null code": {"code": None, "external_id": "a"},
    "text code": {"code": "0", "external_id": "a"},
    "float code": {"code": 0.0, "external_id": "a"},
    "exponent code": b'{"code": 0e0, "external_id": "a"}',
    "false code": {"code": False, "external_id": "a"},
    "list code": {"code": [0], "external_id": "a"},
    "upper-case name": {"CODE": 0, "external_id": "a"},
    "another code": {"code": 1, "external_id": "a"},
    "payout's yes": {"code": 50, "external_id": "a"},
    "payout's no": {"code": 402, "external_id": "a"},
    "HTTP's yes": {"code": 200, "external_id": "a"},
    "negative code": {"code": -500, "external_id": "a"},
    "sibling's yes": {"result": "ok"},
    "success without code": {"success": True, "external_id": "a"},
    "no order": {"code": 0},
    "null order": {"code": 0, "external_id": None},
    "empty order": {"code": 0, "external_id": ""},
    "blank order": {"code": 0, "external_id": "  "},
    "long order": {"code": 0, "external_id": "o" * (LIMIT + 1)},
    "float order": {"code": 0, "external_id": 1.0},
    "true order": {"code": 0, "external_id": True},
    "list order": {"code": 0, "external_id": ["a"]},
    "colon in the order": {"code": 0, "external_id": "a:1"},
    "semicolon in the order": {"code": 0, "external_id": "a;status_id:4"},
    "newline in the order": {"code": 0, "external_id": "a\n"},
    "NUL in the order": {"code": 0, "external_id": "a\x00"},
    "half a character": {"code": 0, "external_id": "a\ud800"},
    "invisible direction": {"code": 0, "external_id": "a\u202eb"},
}


@pytest.mark.parametrize("content", UNKNOWN.values(), ids=UNKNOWN)
def test_anything_else_is_unknown(content: object) -> None:
    state, external_id, reason = read(content)
    assert (state, external_id) == (CalloutState.UNKNOWN, "")
    assert reason
    assert len(reason) < 600


ABOUT_CODES = {"payout's yes", "payout's no"}


@pytest.mark.parametrize("name", sorted(UNKNOWN.keys() - ABOUT_CODES))
def test_what_is_no_answer_about_a_deposit_is_none_about_a_payout(name: str) -> None:
    content = UNKNOWN[name]
    state, external_id, reason = read_payout(content)
    assert (state, external_id) == (CalloutState.UNKNOWN, "")
    assert reason
    # The same slip around the right code.
    if isinstance(content, bytes):
        content = content.replace(b'"code": 0', b'"code": 50')
    elif isinstance(content, dict) and content.get("code") == 0 and type(content["code"]) is int:
        content = {**content, "code": 50}
    assert read_payout(content)[0] is CalloutState.UNKNOWN


@pytest.mark.parametrize("code", [0, "50", 50.0, [50], True, None, {"code": 50}])
def test_only_the_number_50_accepts_a_payout(code: object) -> None:
    assert read_payout({"code": code, "external_id": "a"})[0] is CalloutState.UNKNOWN


@pytest.mark.parametrize("status", [100, 302, 400, 402, 500, 502])
@pytest.mark.parametrize("code", [50, 402, 500])
def test_only_2xx_counts_for_a_payout(code: int, status: int) -> None:
    assert read_payout({"code": code, "external_id": "a"}, status)[0] is CalloutState.UNKNOWN


@pytest.mark.parametrize(
    "status", [100, 199, 300, 301, 302, 304, 307, 400, 401, 404, 409, 410, 429, 500, 502, 503]
)
@pytest.mark.parametrize("content", [ACCEPTED, REFUSED], ids=["yes", "no"])
def test_only_2xx_counts(content: object, status: int) -> None:
    assert read(content, status)[0] is CalloutState.UNKNOWN


@given(st.binary(max_size=80))
def test_no_bytes_are_taken_for_an_order(body: bytes) -> None:
    assert read(body)[0] is CalloutState.UNKNOWN
    assert read_payout(body)[0] is CalloutState.UNKNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(code=JSON, external_id=JSON)
def test_whatever_is_accepted_can_be_signed_and_queried(code: object, external_id: object) -> None:
    answer = read_check_deposit(200, json.dumps({"code": code, "external_id": external_id}).encode())
    if answer.state is CalloutState.ACCEPTED:
        assert type(code) is int
        assert code == 0
        assert str(external_id) == answer.external_id
        assert answer.external_id.strip()
        assert not set(answer.external_id) & set(":;\r\n\x00")
        assert answer.external_id.encode()


def test_the_fields_of_the_question() -> None:
    question = DepositQuestion("dep_1", "100000001", "user_test", Money(10_000, "USD"), 6, 18, "127.0.0.1", 4)
    fields = {
        "action": "check_deposit",
        "site_id": 332,
        "site_login": "user_test",
        "amount": 10_000,
        "currency": "USD",
        "payment_group_id": 6,
        "payment_type_id": 18,
        "customer_ip": "127.0.0.1",
        "source_type": 4,
        "transaction_id": "100000001",
    }
    assert check_deposit_fields(332, question) == fields
    nobody = DepositQuestion("dep_1", "100000001", "user_test", Money(5, "JPY"), 6, 18, "", 0)
    assert fields.keys() - check_deposit_fields(332, nobody).keys() == {"customer_ip"}
    assert check_deposit_fields(332, nobody)["amount"] == 5


@given(external_id=st.text(max_size=8) | st.integers() | st.text("ab:;\u202e\x00 ", max_size=4))
def test_whatever_a_payout_is_accepted_under_can_initiate_it(external_id: object) -> None:
    answer = read_request_payout(200, json.dumps({"code": 50, "external_id": external_id}).encode())
    if answer.state is CalloutState.ACCEPTED:
        initiation = {
            "site_id": "1",
            "site_login": "user_test",
            "amount": "1",
            "currency": "USD",
            "external_id": answer.external_id,
            "signature": "0" * 40,
        }
        assert signing.read(signing.PAYOUT_INITIATION, initiation.items()) == initiation


PAYOUT = PayoutQuestion(
    *("wdr_1", "100000002", "user_test", Money(400_000, "USD"), 1, 1),
    customer_purse="555555...4444",
    remember_customer_purse=False,
    customer_ip="127.0.0.1",
)


def test_the_fields_of_the_payout_question() -> None:
    fields = {
        "action": "request_payout",
        "site_id": 332,
        "site_login": "user_test",
        "amount": 400_000,
        "currency": "USD",
        "payment_group_id": 1,
        "payment_type_id": 1,
        "customer_purse": "555555...4444",
        "remember_customer_purse": 0,
        "customer_ip": "127.0.0.1",
        "transaction_id": "100000002",
    }
    assert request_payout_fields(332, PAYOUT) == fields
    assert request_payout_fields(332, replace(PAYOUT, remember_customer_purse=True)) == {
        **fields,
        "remember_customer_purse": 1,
    }
    assert fields.keys() - request_payout_fields(332, replace(PAYOUT, customer_ip="")).keys() == {
        "customer_ip"
    }


@pytest.mark.parametrize(
    ("purse", "sent"),
    [
        ("4111111111111111", "411111...1111"),
        ("card 4111 1111 1111 1111", "card 411111...1111"),
        ("KZ86...0100", "KZ86...0100"),
        ("+77011234567", "+77011234567"),
        ("a:1;site_id:2", "a 1 site_id 2"),
        ("a\x00b\nc", "a\\x00b\\nc"),
        ("p" * 300, "p" * 256),
    ],
)
def test_no_card_number_leaves_and_nothing_that_cannot_be_signed(purse: str, sent: str) -> None:
    assert request_payout_fields(332, replace(PAYOUT, customer_purse=purse))["customer_purse"] == sent


def test_no_question_of_ours_is_a_request_to_us() -> None:
    """What we sign with the merchant's salt must not be of use when somebody sends it back."""
    deposit = DepositQuestion("dep_1", "100000001", "user_test", Money(5, "USD"), 6, 18, "127.0.0.1", 4)
    for fields in (check_deposit_fields(332, deposit), request_payout_fields(332, PAYOUT)):
        pairs = [(name, str(value)) for name, value in {**fields, "signature": "0" * 40}.items()]
        for grammar in signing.GRAMMARS:
            with pytest.raises(signing.MalformedField):
                signing.read(grammar, pairs)


@pytest.mark.parametrize("shape", [CheckDeposit, RequestPayout])
def test_the_documented_example_is_a_message_as_it_is_signed(shape: type[BaseModel]) -> None:
    extra = shape.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    example = dict(cast("dict[str, str | int]", extra["example"]))
    shape.model_validate(example)
    assert example.pop("signature") == signing.sign(example, "test_salt")


@pytest.mark.parametrize(
    ("shape", "reads"),
    [(CheckDepositAnswer, read_check_deposit), (RequestPayoutAnswer, read_request_payout)],
)
def test_the_documented_answers_are_understood(
    shape: type[BaseModel], reads: Callable[[int, bytes], Answer]
) -> None:
    extra = shape.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    for example in cast("list[dict[str, str | int]]", extra["examples"]):
        shape.model_validate(example)
        answer = reads(200, json.dumps(example).encode())
        assert answer.state is not CalloutState.UNKNOWN
        assert answer.reason == example.get("error_description", "")
        assert answer.external_id == example.get("external_id", "")
