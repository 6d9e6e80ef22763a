"""Card numbers as people and programs write them, and the numbers beside them that are none."""

import time

import pytest

from app.kernel import grammar
from app.kernel.masking import holds_card, mask_cards, mask_text

SHOWN = "411111...1111"
WRITTEN = {
    "full stops": "4111.1111.1111.1111",
    "underscores": "4111_1111_1111_1111",
    "slashes": "4111/1111/1111/1111",
    "spaced slashes": "4111 / 1111 / 1111 / 1111",
    "upright lines": "4111|1111|1111|1111",
    "plus signs, as in a form": "4111+1111+1111+1111",
    "different marks": "4111.1111/1111 1111",
    "each digit by itself": ".".join("4111111111111111"),
    "middle dots": "4111\u00b71111\u00b71111\u00b71111",
    "thin spaces": "4111\u20091111\u20091111\u20091111",
    "zero-width spaces": "4111\u200b1111\u200b1111\u200b1111",
    "soft hyphens": "\u00ad".join("4111111111111111"),
    "NUL": "\x00".join("4111111111111111"),
    "marks of direction": "4111\u202e1111\u202c1111\u200f1111",
    "full-width digits": "".join(chr(0xFF10 + int(digit)) for digit in "4111111111111111"),
    "full-width digits and dots": "４１１１．１１１１．１１１１．１１１１",
    "Arabic digits": "".join(chr(0x0660 + int(digit)) for digit in "4111111111111111"),
}
AROUND = ["{}", "card {}.", "/v1/{}", "12.{}", "{} 27", "7, {}", "<{}>", "user_{}_x"]
# Each of them adds up by Luhn's rule as a card's digits do, or would with another separator.
NO_CARDS = [
    "4111.1111.1111.1112",  # the sum is wrong
    "192.168.100.100 192.168.100.104",
    "2026.11.21 12:00:00.123456",
    "1732190400.123458",  # an instant with its microseconds
    "41111111.11111111",
    "411111111111.1111",
    "4.111.111.111.111.111",  # a sum
    "+7.701.123.45.67",
    "8/701/123/45/67",
    "+49.1525.1234.567",
    "900101300007",  # an IIN
    "KZ86.125K.ZT50.0410.0100",
    "1.3.6.1.4.1.5.9.2.6.5.3.5",  # an object identifier
    "0111.1111.1111.1114",  # no card begins so
    "att_01fwhe4ydgfk1shh6w1g60eecf",
    "/v1/payments/100000001/12345670",
    "217742619264065507927945843197",
]


@pytest.mark.parametrize("how", WRITTEN)
@pytest.mark.parametrize("around", AROUND)
def test_no_card_number_is_logged(how: str, around: str) -> None:
    text = around.format(WRITTEN[how])
    assert holds_card(text)
    assert SHOWN in mask_text(text)
    assert mask_cards(text) == around.format(SHOWN)


@pytest.mark.parametrize("text", NO_CARDS)
def test_other_numbers_stay(text: str) -> None:
    assert (holds_card(text), mask_text(text), mask_cards(text)) == (False, text, text)


def test_digits_of_another_script_stay_where_they_are_no_card() -> None:
    assert mask_cards("１５００ ₸, ٢٠٢٦") == "１５００ ₸, ٢٠٢٦"


@pytest.mark.parametrize("how", WRITTEN)
def test_no_card_number_passes_the_strict_grammar(how: str) -> None:
    """A site's own name for a player is taken as it is: it is a key, and may be any number."""
    fields = {**grammar.KEY_OBTAINING.fields(), **grammar.PAYOUT_INITIATION.fields()}
    for name in ("user_name", "user_address", "comment", "customer_purse", "document_id"):
        assert not fields[name].accepts(WRITTEN[how]), name


@pytest.mark.parametrize(
    "text", ["1." * 10_000, "4111." * 5_000, "4111.1111.1111.111" * 1_000, "\u200b1" * 10_000, "１" * 20_000]
)
def test_long_texts_stay_cheap(text: str) -> None:
    started = time.monotonic()
    mask_text(text)
    assert time.monotonic() - started < 2
