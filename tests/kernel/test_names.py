"""Whom a request names, and what about a person is never taken in: card numbers."""

import pytest

from app.kernel import signing
from app.kernel.signing import KEY_OBTAINING, TRANSACTION_STATUS, USER_RESET, Grammar, MalformedField
from tests.kernel.examples import KEY, SIGNATURE

PERSONAL = [
    "user_name",
    "first_name",
    "last_name",
    "user_city",
    "user_address",
    "user_postal",
    "document_id",
]
CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    " 4111111111111111 ",
    "378282246310005",
    "4222222222222",
    "6304000000000000000",
]
NO_CARDS = ["4111111111111112", "411111111111", "32000000008", "050840003478", "AB1234567", "1234 5678"]
INVISIBLE = {
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "left-to-right mark": "\u200e",
    "right-to-left override": "\u202e",
    "left-to-right isolate": "\u2066",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "arabic letter mark": "\u061c",
    "tag letter": "\U000e0061",
}
NAMES: list[tuple[Grammar, dict[str, str], str]] = [
    (KEY_OBTAINING, KEY, "site_login"),
    (USER_RESET, {"site_id": "1", "site_login": "a", "signature": SIGNATURE}, "site_login"),
    (
        TRANSACTION_STATUS,
        {"site_id": "1", "site_login": "a", "external_id": "a", "signature": SIGNATURE},
        "site_login",
    ),
    (TRANSACTION_STATUS, {"site_id": "1", "external_id": "a", "signature": SIGNATURE}, "external_id"),
]


def refusal(which: Grammar, asked: dict[str, str]) -> MalformedField:
    with pytest.raises(MalformedField) as caught:
        signing.read(which, asked.items())
    return caught.value


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("name", PERSONAL)
def test_a_card_number_is_not_taken_for_a_persons_data(name: str, card: str) -> None:
    refused = refusal(KEY_OBTAINING, {**KEY, name: card})
    assert refused.fields["field"] == name
    assert "no card number" in refused.sentence
    assert card.strip() not in refused.sentence, "nor is it repeated in the answer, which is logged"


@pytest.mark.parametrize("number", NO_CARDS)
@pytest.mark.parametrize("name", PERSONAL)
def test_other_numbers_are_a_persons_own(name: str, number: str) -> None:
    asked = {**KEY, name: number}
    assert signing.read(KEY_OBTAINING, asked.items()) == asked


@pytest.mark.parametrize("mark", INVISIBLE.values(), ids=INVISIBLE.keys())
@pytest.mark.parametrize(("which", "asked", "name"), NAMES)
def test_a_name_holds_nothing_invisible(which: Grammar, asked: dict[str, str], name: str, mark: str) -> None:
    assert signing.read(which, asked.items()) == asked
    for value in (f"ab{mark}c", f"{mark}abc", f"abc{mark}", mark):
        refused = refusal(which, {**asked, name: value})
        assert refused.fields["field"] == name
        assert "invisible" in refused.sentence
        assert mark not in refused.sentence


@pytest.mark.parametrize("login", ["игрок", "Қуаныш", "josé", "jose\u0301", "玩家", "لاعب", "😀", "a b"])
def test_what_can_be_seen_is_a_name(login: str) -> None:
    asked = {**KEY, "site_login": login}
    assert signing.read(KEY_OBTAINING, asked.items()) == asked


@pytest.mark.parametrize("written", ["Ні\u200dколи", "נ\u200fא", "a\u00adb"])
def test_what_people_write_of_themselves_may_hold_joiners(written: str) -> None:
    """Whom a name names must be plain; how a person writes an address is the person's."""
    asked = {**KEY, "user_address": written}
    assert signing.read(KEY_OBTAINING, asked.items()) == asked


@pytest.mark.parametrize("name", PERSONAL)
def test_a_card_number_among_words_is_found_too(name: str) -> None:
    refusal(KEY_OBTAINING, {**KEY, name: "card 4111111111111111"})
