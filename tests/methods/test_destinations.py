"""Where a payout may go: what is right, what names its field and its rule, and what never comes out again."""

import json
import string
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app import methods
from app.kernel.masking import CardNumber
from app.methods import BadDestination, Destination, DestinationRule, read_destination
from app.plumbing import web

CARD = "4111111111111111"
IBAN, IIN, NAME = "KZ86125KZT5004100100", "900101300007", "Айгерім Сәтова"
BANK = {"iban": IBAN, "iin": IIN, "name": NAME}
# Examples of the SWIFT registry.
IBANS = [
    *("KZ86125KZT5004100100", "DE89370400440532013000", "GB29NWBK60161331926819", "NO9386011117947"),
    *("FR1420041010050500013M02606", "MT84MALT011000012345MTLCAST001S", "BE68539007547034"),
    *("SC18SSCB11010000000000001497USD", "NL91ABNA0417164300", "CH9300762011623852957"),
    *("AZ21NABZ00000000137010001944", "GE29NB0000000101904917", "TR330006100519786457841326"),
]
RIGHT: list[tuple[str, dict[str, str]]] = [
    ("card", {"number": CARD}),
    ("card", {"number": " 4111 1111-1111\u00a01111 "}),
    ("card", {"number": "378282246310005"}),
    ("bank_transfer", BANK),
    ("bank_transfer", {**BANK, "iban": " kz86 125k zt50 0410 0100 ", "name": "  J. O'Neill-Smith "}),
    ("e_wallet", {"wallet": "aigerim@example.kz"}),
    ("e_wallet", {"wallet": "W123456789012"}),
    ("mobile_operator", {"phone": "+77011234567"}),
    ("mobile_operator", {"phone": "+7 (701) 123-45-67"}),
    ("mobile_operator", {"phone": "+998 90 123 45 67"}),
]
R = DestinationRule
WRONG: list[tuple[str, dict[str, object], str, DestinationRule]] = [
    ("card", {}, "number", R.MISSING),
    ("card", {"number": " "}, "number", R.MISSING),
    ("card", {"number": "4111111111111112"}, "number", R.CHECKSUM),
    ("card", {"number": "411111111111"}, "number", R.LENGTH),
    ("card", {"number": "4" * 20}, "number", R.LENGTH),
    ("card", {"number": "4111x1111y1111z1111"}, "number", R.MALFORMED),
    ("card", {"number": "\u0664" * 16}, "number", R.MALFORMED),
    ("card", {"number": int(CARD)}, "number", R.MALFORMED),
    ("card", {"number": [CARD]}, "number", R.MALFORMED),
    ("card", {"number": CARD, "token": "tok_1"}, "token", R.UNKNOWN_FIELD),
    ("card", {"number": CARD, "cvv": "123"}, "cvv", R.UNKNOWN_FIELD),
    ("card", {"token": "tok_1"}, "token", R.UNKNOWN_FIELD),
    ("bank_transfer", {"iin": IIN, "name": NAME}, "iban", R.MISSING),
    ("bank_transfer", {**BANK, "iban": "KZ86125KZT5004100101"}, "iban", R.CHECKSUM),
    ("bank_transfer", {**BANK, "iban": "KZ68125KZT5004100100"}, "iban", R.CHECKSUM),
    ("bank_transfer", {**BANK, "iban": "KZ86125KZT500410010"}, "iban", R.LENGTH),
    ("bank_transfer", {**BANK, "iban": "KZ86125KZT50041001000"}, "iban", R.LENGTH),
    ("bank_transfer", {**BANK, "iban": "ZZ86125KZT5004100100"}, "iban", R.COUNTRY),
    ("bank_transfer", {**BANK, "iban": "US86125KZT5004100100"}, "iban", R.COUNTRY),
    ("bank_transfer", {**BANK, "iban": "КZ86125KZT5004100100"}, "iban", R.MALFORMED),
    ("bank_transfer", {**BANK, "iban": "KZ86125KZT500410010_"}, "iban", R.MALFORMED),
    ("bank_transfer", {**BANK, "iban": CARD}, "iban", R.CARD_NUMBER),
    ("bank_transfer", {"iban": IBAN, "name": NAME}, "iin", R.MISSING),
    ("bank_transfer", {**BANK, "iin": "900101300008"}, "iin", R.CHECKSUM),
    ("bank_transfer", {**BANK, "iin": "90010130000"}, "iin", R.MALFORMED),
    ("bank_transfer", {**BANK, "iin": "9001013000077"}, "iin", R.MALFORMED),
    ("bank_transfer", {**BANK, "iin": "90010130000x"}, "iin", R.MALFORMED),
    ("bank_transfer", {**BANK, "iin": "\u0669" * 12}, "iin", R.MALFORMED),
    ("bank_transfer", {"iban": IBAN, "iin": IIN}, "name", R.MISSING),
    ("bank_transfer", {**BANK, "name": "12345"}, "name", R.MALFORMED),
    ("bank_transfer", {**BANK, "name": "A\x00B"}, "name", R.MALFORMED),
    ("bank_transfer", {**BANK, "name": "A\u202eB"}, "name", R.MALFORMED),
    ("bank_transfer", {**BANK, "name": "A" * 141}, "name", R.LENGTH),
    ("bank_transfer", {**BANK, "name": f"Aigerim {CARD}"}, "name", R.CARD_NUMBER),
    ("bank_transfer", {**BANK, "bic": "X"}, "bic", R.UNKNOWN_FIELD),
    ("e_wallet", {}, "wallet", R.MISSING),
    ("e_wallet", {"wallet": "ab"}, "wallet", R.MALFORMED),
    ("e_wallet", {"wallet": "a b c"}, "wallet", R.MALFORMED),
    ("e_wallet", {"wallet": "<script>"}, "wallet", R.MALFORMED),
    ("e_wallet", {"wallet": "w" * 65}, "wallet", R.MALFORMED),
    ("e_wallet", {"wallet": CARD}, "wallet", R.CARD_NUMBER),
    ("e_wallet", {"wallet": "4111-1111-1111-1111"}, "wallet", R.CARD_NUMBER),
    ("e_wallet", {"wallet": "4111.1111.1111.1111"}, "wallet", R.CARD_NUMBER),
    ("e_wallet", {"wallet": "4111_1111_1111_1111"}, "wallet", R.CARD_NUMBER),
    ("e_wallet", {"wallet": "4111/1111/1111/1111"}, "wallet", R.CARD_NUMBER),
    ("e_wallet", {"wallet": "my.4111.1111+1111@1111"}, "wallet", R.CARD_NUMBER),
    ("bank_transfer", {**BANK, "name": "Aigerim 4111.1111.1111.1111"}, "name", R.CARD_NUMBER),
    ("bank_transfer", {**BANK, "name": "Aigerim 4111 / 1111 / 1111 / 1111"}, "name", R.CARD_NUMBER),
    ("mobile_operator", {}, "phone", R.MISSING),
    ("mobile_operator", {"phone": "87011234567"}, "phone", R.MALFORMED),
    ("mobile_operator", {"phone": "+07011234567"}, "phone", R.MALFORMED),
    ("mobile_operator", {"phone": "+7701123456"}, "phone", R.LENGTH),
    ("mobile_operator", {"phone": "+770112345678"}, "phone", R.LENGTH),
    ("mobile_operator", {"phone": "+1234567"}, "phone", R.MALFORMED),
    ("mobile_operator", {"phone": "+" + "1" * 16}, "phone", R.MALFORMED),
    ("mobile_operator", {"phone": "+7701123456x"}, "phone", R.MALFORMED),
    ("mobile_operator", {"phone": CARD}, "phone", R.CARD_NUMBER),
    ("mobile_operator", {"phone": "+378282246310005"}, "phone", R.CARD_NUMBER),
]


def tried(method: str, fields: Mapping[str, object]) -> BadDestination:
    with pytest.raises(BadDestination) as refused:
        read_destination(method, fields)
    return refused.value


@pytest.mark.parametrize(("method", "fields"), RIGHT)
def test_what_is_right_is_read(method: str, fields: dict[str, str]) -> None:
    found = read_destination(method, fields)
    assert found.method == method
    assert found.needs_token is (method == "card")
    assert bool(found.fingerprint) is (method != "card")
    assert "*" in found.masked
    assert found.brief.startswith("*")
    assert len(found.brief) <= 5


def test_blanks_are_taken_out_and_nothing_else_changes() -> None:
    assert read_destination("bank_transfer", BANK).fields == BANK
    spaced = {"iban": "kz86 125k-zt50 0410 0100", "iin": "900101 300007", "name": f" {NAME} "}
    assert read_destination("bank_transfer", spaced).fields == BANK
    phone = read_destination("mobile_operator", {"phone": " +7 (701) 123-45-67"})
    assert phone.fields == {"phone": "+77011234567"}
    assert (phone.masked, phone.brief) == ("+77*****4567", "*4567")
    assert read_destination("bank_transfer", BANK).masked == "KZ86************0100"


@pytest.mark.parametrize(("method", "fields", "name", "rule"), WRONG)
def test_what_is_wrong_names_its_field_and_rule(
    method: str, fields: dict[str, object], name: str, rule: DestinationRule
) -> None:
    refused = tried(method, fields)
    assert (refused.param, refused.rule, refused.fields["field"]) == (name, rule, name)
    assert refused.code == "bad_destination"
    assert web.status_of(type(refused)) == 422
    said = refused.sentence + json.dumps(refused.fields) + repr(refused)
    for typed in fields.values():
        if len(str(typed).strip()) > 5 and str(typed) not in {IBAN, IIN, NAME}:
            assert str(typed) not in said, "what was typed is not repeated"


def test_every_rule_is_broken_once() -> None:
    assert {rule for *_, rule in WRONG} == set(DestinationRule)


def test_every_method_with_a_destination_is_in_the_catalogue_and_tested() -> None:
    assert methods.DESTINATION_FIELDS.keys() <= methods.CATALOGUE.keys()
    assert {method for method, _ in RIGHT} == methods.DESTINATION_FIELDS.keys()
    labels = [one.label for fields in methods.DESTINATION_FIELDS.values() for one in fields]
    assert all(label and label[0].isupper() for label in labels)


@pytest.mark.parametrize("method", ["qr", "mobile_app", "aggregator", "", "nonsense", CARD, f"pay {CARD}"])
def test_nothing_is_paid_out_by_other_methods(method: str) -> None:
    with pytest.raises(methods.MethodUnavailable) as refused:
        read_destination(method, {})
    assert CARD not in str(refused.value) + json.dumps(refused.value.fields)


def test_a_name_that_nobody_asked_for_is_shown_masked() -> None:
    for name in (CARD, f"x{CARD}", f"a\r\n{CARD}", "n" * 500):
        refused = tried("card", {name: "1", "number": CARD})
        assert refused.rule is DestinationRule.UNKNOWN_FIELD
        said = f"{refused} {refused.param} {refused.fields}"
        assert CARD not in said
        assert "\n" not in said
        assert len(said) < 400


@pytest.mark.parametrize("iban", IBANS)
def test_ibans_of_the_registry(iban: str) -> None:
    assert read_destination("bank_transfer", {**BANK, "iban": iban}).fields["iban"] == iban


@given(st.sampled_from(IBANS), st.data())
def test_no_iban_with_one_wrong_or_two_exchanged_signs_passes(iban: str, data: st.DataObject) -> None:
    """A digit taken for another digit, a letter for another letter: modulo 97 catches all of them."""
    at = data.draw(st.integers(4, len(iban) - 2))
    alike = string.digits if iban[at].isdigit() else string.ascii_uppercase
    if data.draw(st.booleans()) and iban[at + 1] in alike:
        spoilt = iban[:at] + iban[at + 1] + iban[at] + iban[at + 2 :]
    else:
        spoilt = iban[:at] + data.draw(st.sampled_from(alike)) + iban[at + 1 :]
    assume(spoilt != iban)
    assert tried("bank_transfer", {**BANK, "iban": spoilt}).rule is DestinationRule.CHECKSUM


def control_of(eleven: str) -> int:
    """The control digit of an IIN, written out once more; 10 means that there is no such number."""
    digits = [int(digit) for digit in eleven]
    first = sum((place + 1) * digit for place, digit in enumerate(digits)) % 11
    if first < 10:
        return first
    return sum((place + 2) % 11 * digit for place, digit in enumerate(digits, 1)) % 11


@given(st.text(string.digits, min_size=11, max_size=11))
def test_the_iins_last_digit_checks_the_others(eleven: str) -> None:
    control = control_of(eleven)
    for digit in range(10):
        fields = {**BANK, "iin": f"{eleven}{digit}"}
        if digit == control:
            assert read_destination("bank_transfer", fields).fields["iin"] == fields["iin"]
        else:
            assert tried("bank_transfer", fields).rule is DestinationRule.CHECKSUM


def test_iins_that_need_the_second_pass_and_those_that_cannot_be() -> None:
    """Found by hand with the decree's weights: sums 10 and then 0..9, or 10 twice."""
    weights = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)

    def sums(eleven: str) -> list[int]:
        return [
            sum(weight * int(digit) for weight, digit in zip(w, eleven, strict=True)) % 11 for w in weights
        ]

    second = [
        f"{number:011}" for number in range(90_010_130_000, 90_010_131_000) if sums(f"{number:011}")[0] == 10
    ]
    possible = [eleven for eleven in second if sums(eleven)[1] < 10]
    assert possible
    for eleven in possible:
        fields = {**BANK, "iin": f"{eleven}{sums(eleven)[1]}"}
        assert read_destination("bank_transfer", fields).fields["iin"] == fields["iin"]
    for eleven in set(second) - set(possible):
        for digit in range(10):
            assert (
                tried("bank_transfer", {**BANK, "iin": f"{eleven}{digit}"}).rule is DestinationRule.CHECKSUM
            )


@given(st.text(string.digits, min_size=12, max_size=18))
def test_a_card_is_right_by_luhn_alone(body: str) -> None:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    for last in range(10):
        number = f"{body}{last}"
        if last == -total % 10:
            found = read_destination("card", {"number": number})
            assert found.secret is not None
            assert found.secret.reveal() == number
        else:
            assert tried("card", {"number": number}).rule is DestinationRule.CHECKSUM


def test_a_card_number_is_in_nothing_but_the_secret() -> None:
    found = read_destination("card", {"number": CARD})
    assert (found.fields, found.fingerprint, found.masked) == ({}, "", "411111******1111")
    assert CARD not in repr(found) + str(found) + f"{found.secret!r}{found.secret}"
    known = found.tokenised("tok_1", "fpr_1")
    assert known == Destination("card", {"token": "tok_1"}, "411111******1111", "fpr_1")
    assert not known.needs_token
    assert "tok_1" not in repr(known)
    assert known.brief == "*1111"


@pytest.mark.parametrize(("token", "fingerprint"), [("", "f"), ("t", ""), (CARD, "f"), ("t", CARD)])
def test_a_card_number_is_no_token(token: str, fingerprint: str) -> None:
    with pytest.raises(ValueError, match=r"^no token$"):
        read_destination("card", {"number": CARD}).tokenised(token, fingerprint)


def test_the_same_account_is_known_again_however_it_is_written() -> None:
    def fingerprint(method: str, **fields: str) -> str:
        return read_destination(method, fields).fingerprint

    one = fingerprint("mobile_operator", phone="+7 701 123 45 67")
    assert one == fingerprint("mobile_operator", phone="+77011234567")
    assert one != fingerprint("mobile_operator", phone="+77011234568")
    assert one != fingerprint("e_wallet", wallet="77011234567")
    assert fingerprint("e_wallet", wallet="Aigerim@x.kz") == fingerprint("e_wallet", wallet="aigerim@x.kz")
    other = {**BANK, "name": "Somebody Else", "iban": IBAN.lower()}
    assert read_destination("bank_transfer", other).fingerprint == fingerprint("bank_transfer", **BANK)
    typed = read_destination("bank_transfer", BANK)
    assert methods.marks("bank_transfer", "KZ86 125K ZT50 0410 0100") == (typed.masked, typed.fingerprint)


@pytest.mark.parametrize("method", ["card", "qr", "nonsense"])
def test_what_has_no_accounts_has_no_marks(method: str) -> None:
    with pytest.raises(methods.MethodUnavailable):
        methods.marks(method, CARD)


@pytest.mark.parametrize("wallet", ["abc", "abcd", "abcdef", "a@b.kz"])
def test_a_mask_hides_something(wallet: str) -> None:
    masked = read_destination("e_wallet", {"wallet": wallet}).masked
    assert masked != wallet
    assert len(masked) == len(wallet)
    assert masked.count("*") * 2 >= len(wallet) - 1


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=24), max_size=4),
    st.sampled_from(list(methods.CATALOGUE)),
)
def test_whatever_is_typed_is_read_or_refused(fields: dict[str, str], method: str) -> None:
    try:
        found = read_destination(method, fields)
    except (BadDestination, methods.MethodUnavailable):
        return
    assert isinstance(found, Destination)


def test_the_secret_is_a_card_number() -> None:
    assert isinstance(read_destination("card", {"number": CARD}).secret, CardNumber)
