"""A card number on its way to a tokeniser shows its mask only; what is stored loses cards, nothing else."""

import copy
import json
import logging
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.masking import CardNumber, mask_cards, mask_text, mask_value

CARD = "4111111111111111"
WRITTEN = [
    CARD,
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    f"  {CARD} ",
    "4111\u00a01111\u00a01111\u00a01111",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_only_reveal_gives_the_digits(written: str) -> None:
    number = CardNumber(written)
    assert number.reveal() == CARD
    assert number.masked == str(number) == "411111******1111"
    shown = [
        repr(number),
        f"{number}",
        f"{number!r}",
        f"{[number]}",
        f"{ {1: number} }",
        f"{number} {number!r}",
    ]
    shown += [str(mask_value({"n": number})), json.dumps({"n": number}, default=str)]
    shown += [logging.LogRecord("x", 1, "x", 1, "%s", (number,), None).getMessage()]
    assert not any(CARD in text for text in shown)


@pytest.mark.parametrize(
    "write", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps], ids=lambda do: do.__module__
)
def test_it_is_not_written_anywhere(write: object) -> None:
    assert callable(write)
    with pytest.raises(TypeError) as refused:
        write(CardNumber(CARD))
    assert CARD not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "4111",
            "4111111111111112",
            "411111111111",
            f"{CARD}0",
            f"{CARD[:-1]}x",
            f"x{CARD}",
            "4" * 40,
        ),
        *(f"{CARD} {CARD}", "4111.1111.1111.1111", "\u0664" * 16, f"{CARD}\n{CARD}"),
    ],
)
def test_what_is_no_card_number_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a card number$"):
        CardNumber(text)


@pytest.mark.parametrize(
    "digits", ["4222222222222", "378282246310005", "4111111111111111", "6304000000000000000"]
)
def test_thirteen_to_nineteen_digits(digits: str) -> None:
    masked = CardNumber(digits).masked
    assert (masked[:6], masked[-4:], len(masked)) == (digits[:6], digits[-4:], len(digits))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f'{{"pan":"{CARD}","token":"tok_1"}}', '{"pan":"411111...1111","token":"tok_1"}'),
        ('{"text":"card 4111 1111 1111 1111\\n"}', '{"text":"card 411111...1111\\n"}'),
        (f"a={CARD}&secret=x", "a=411111...1111&secret=x"),
        ("8600492993215991", "860049...5991"),
        # Not one that anybody pays with: a time in milliseconds, an amount, an order number, a telephone.
        ('{"at":1732795477128}', '{"at":1732795477128}'),
        ("0000000000000000", "0000000000000000"),
        ("att_01kb4x9m2n7q8r5s6t3v4w1y0z", "att_01kb4x9m2n7q8r5s6t3v4w1y0z"),
        ("+7 701 123 45 67", "+7 701 123 45 67"),
        ("\x00\r\n\xff{password=1}", "\x00\r\n\xff{password=1}"),
    ],
)
def test_masking_cards_leaves_everything_else(text: str, left: str) -> None:
    assert mask_cards(text) == left


@given(
    st.text(alphabet=st.characters(exclude_categories=["Nd"])), st.sampled_from(WRITTEN), st.text(max_size=5)
)
def test_a_planted_card_never_stays(before: str, written: str, after: str) -> None:
    if before[-1:] in {"-", "\u2212"} or not after.isascii() or after[:1].isdigit():
        return
    assert CARD not in "".join(
        mark for mark in mask_cards(f"{before}{written}|{after}") if mark in "0123456789"
    )


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.text())
def test_what_logs_hide_of_cards_is_no_less(value: Decimal | str) -> None:
    text = str(value)
    if mask_cards(text) != text:
        assert mask_text(text) != text
