"""What a signed request may hold, field by field, and that no request fits two endpoints."""

from itertools import combinations

import pytest

from app.kernel import grammar, signing
from app.kernel.signing import (
    GRAMMARS,
    KEY_OBTAINING,
    PAYOUT_INITIATION,
    TRANSACTION_STATUS,
    USER_RESET,
    Grammar,
    Kind,
    MalformedField,
)
from tests.kernel.examples import BAD, BAD_INITIATION, GOOD, GOOD_INITIATION, INITIATION, KEY, SIGNATURE


def refused(which: Grammar, pairs: list[tuple[str, str]]) -> tuple[object, object]:
    with pytest.raises(MalformedField) as caught:
        signing.read(which, pairs)
    return caught.value.fields["field"], caught.value.fields["rule"]


def test_the_examples_cover_every_field() -> None:
    assert GOOD.keys() == BAD.keys() == KEY_OBTAINING.fields().keys()


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in GOOD for value in GOOD[name]])
def test_good_fields_are_kept_as_received(name: str, value: str) -> None:
    asked = {**KEY, name: value}
    assert signing.read(KEY_OBTAINING, asked.items()) == asked


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_bad_fields_are_refused_with_name_and_rule(name: str, value: str) -> None:
    field, rule = refused(KEY_OBTAINING, list({**KEY, name: value}.items()))
    assert field == name
    assert str(rule).startswith("must ")


@pytest.mark.parametrize("name", ["site_id", "site_login", "customer_ip", "currency", "signature"])
def test_required_fields(name: str) -> None:
    absent = [(key, value) for key, value in KEY.items() if key != name]
    assert refused(KEY_OBTAINING, absent) == (name, "is required")
    assert refused(KEY_OBTAINING, [*absent, (name, "")]) == (name, "is required")


def test_only_five_fields_are_required() -> None:
    assert signing.read(KEY_OBTAINING, KEY.items()) == KEY


def test_an_empty_optional_field_is_absent() -> None:
    assert signing.read(KEY_OBTAINING, [*KEY.items(), ("user_email", "")]) == KEY


@pytest.mark.parametrize("value", ["1", "2", ""])
def test_a_repeated_field_is_refused(value: str) -> None:
    assert refused(KEY_OBTAINING, [*KEY.items(), ("site_id", value)]) == (
        "site_id",
        "is there more than once",
    )
    assert refused(KEY_OBTAINING, [("site_id", value), *KEY.items()])[0] == "site_id"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("amount", "amount"),
        ("Site_id", "'Site_id'"),
        ("SITE_ID", "'SITE_ID'"),
        ("", "''"),
        ("a\r\nb", "'a\\r\\nb'"),
        ("ключ", "'\\u043a\\u043b\\u044e\\u0447'"),
        ("additional_fields[bank]", "'additional_fields[bank]'"),
        ("x" * 300, f"'{'x' * 64}'"),
    ],
)
def test_an_unknown_name_is_refused_and_safely_shown(name: str, shown: str) -> None:
    assert refused(KEY_OBTAINING, [*KEY.items(), (name, "1")]) == (shown, "is not known here")
    assert refused(KEY_OBTAINING, [*KEY.items(), (name, "")]) == (shown, "is not known here")


def test_the_refusal_names_its_field_as_param() -> None:
    with pytest.raises(MalformedField) as caught:
        signing.read(KEY_OBTAINING, [*KEY.items(), ("language", "EN")])
    assert caught.value.param == "language"
    assert caught.value.code == "malformed_field"
    assert str(caught.value) == "The field language must be a lower-case language code (ISO 639)."


STATUS = {"site_id": "1", "signature": SIGNATURE}


@pytest.mark.parametrize("name", ["order_id", "external_id", "transaction_id"])
@pytest.mark.parametrize("login", [{}, {"site_login": "user_test"}])
def test_status_asks_for_exactly_one_payment(name: str, login: dict[str, str]) -> None:
    asked = {**STATUS, **login, name: "217742619264065507927945843197"}
    assert signing.read(TRANSACTION_STATUS, asked.items()) == asked


def test_status_refuses_none_and_two() -> None:
    rule = "is a choice: exactly one of order_id, external_id, transaction_id must be given"
    assert refused(TRANSACTION_STATUS, list(STATUS.items())) == ("order_id", rule)
    both = {**STATUS, "order_id": "1", "transaction_id": "2"}
    assert refused(TRANSACTION_STATUS, list(both.items())) == ("transaction_id", rule)
    one_empty = {**STATUS, "order_id": "1", "transaction_id": ""}
    assert signing.read(TRANSACTION_STATUS, one_empty.items()) == {**STATUS, "order_id": "1"}


def of_every_field(examples: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, values in examples.items() for value in values]


def test_the_examples_of_an_initiation_cover_every_field() -> None:
    assert GOOD_INITIATION.keys() == BAD_INITIATION.keys() == PAYOUT_INITIATION.fields().keys()


@pytest.mark.parametrize(("name", "value"), of_every_field(GOOD_INITIATION))
def test_good_fields_of_an_initiation_are_kept_as_received(name: str, value: str) -> None:
    asked = {**INITIATION, name: value}
    assert signing.read(PAYOUT_INITIATION, asked.items()) == asked


@pytest.mark.parametrize(("name", "value"), of_every_field(BAD_INITIATION))
def test_bad_fields_of_an_initiation_are_refused_with_name_and_rule(name: str, value: str) -> None:
    field, rule = refused(PAYOUT_INITIATION, list({**INITIATION, name: value}.items()))
    assert field == name
    assert str(rule).startswith("must ")


@pytest.mark.parametrize("name", ["site_id", "site_login", "amount", "currency", "external_id", "signature"])
def test_required_fields_of_an_initiation(name: str) -> None:
    absent = [(key, value) for key, value in INITIATION.items() if key != name]
    assert refused(PAYOUT_INITIATION, absent) == (name, "is required")
    assert refused(PAYOUT_INITIATION, [*absent, (name, "")]) == (name, "is required")


def test_an_initiation_needs_no_more() -> None:
    assert signing.read(PAYOUT_INITIATION, INITIATION.items()) == INITIATION


def test_a_card_number_in_the_purse_is_answered_with_what_to_send_instead() -> None:
    asked = {**INITIATION, "customer_purse": "4111111111111111"}
    with pytest.raises(MalformedField) as caught:
        signing.read(PAYOUT_INITIATION, asked.items())
    assert str(caught.value) == (
        "The field customer_purse must be at most 256 characters without ':', ';' and control characters, "
        "and no card number: send a mask such as 555555...4444."
    )


def test_what_we_ask_for_a_payout_is_no_initiation() -> None:
    """The one message of ours that is nearest to it."""
    ours = {**INITIATION, "action": "request_payout", "customer_purse": "555555...4444"}
    assert refused(PAYOUT_INITIATION, list(ours.items()))[0] == "action"
    more = {**INITIATION, "payment_group_id": "1"}
    assert refused(PAYOUT_INITIATION, list(more.items())) == ("payment_group_id", "is not known here")


def confusable(one: Grammar, other: Grammar) -> bool:
    """Whether some set of names is accepted by both: a request captured at one would fit the other."""
    common = one.fields().keys() & other.fields().keys()
    required_fit = {*one.required, *other.required} <= common
    choices_fit = all(not choice or choice.keys() & common for choice in (one.one_of, other.one_of))
    return required_fit and choices_fit


@pytest.mark.parametrize(("one", "other"), [*combinations(GRAMMARS, 2)], ids=lambda which: which.name)
def test_no_request_fits_two_endpoints(one: Grammar, other: Grammar) -> None:
    assert not confusable(one, other)


def test_every_declared_grammar_is_compared() -> None:
    declared = [value for value in vars(grammar).values() if isinstance(value, Grammar)]
    assert len(declared) == len(GRAMMARS)
    assert all(any(one is listed for listed in GRAMMARS) for one in declared)


def test_the_comparison_can_see_a_confusion() -> None:
    anything = Kind("must be", bool)
    loose = Grammar(
        "status", required={"site_id": anything}, optional={"site_login": anything, "order_id": anything}
    )
    assert confusable(USER_RESET, loose)
    assert confusable(loose, USER_RESET)
    assert not confusable(USER_RESET, TRANSACTION_STATUS)


@pytest.mark.parametrize(
    ("required", "optional"), [("Site_id", "a"), ("a", "a"), ("signature", "a"), ("a:b", "a"), ("1a", "b")]
)
def test_a_wrong_grammar_cannot_be_declared(required: str, optional: str) -> None:
    anything = Kind("must be", bool)
    with pytest.raises(AssertionError):
        Grammar("wrong", required={required: anything}, optional={optional: anything})
