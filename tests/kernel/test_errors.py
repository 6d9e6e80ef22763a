"""A refusal's class is its sentence, its code and its fields."""

import pytest

from app.kernel.errors import Refusal


class AmountTooLow(Refusal):
    """The amount must be at least {minimum}."""

    param = "amount"


class HTTPAnswerMissing2x(Refusal):
    """The answer of {peer!r} is missing
    for {seconds:03d} s.

    What follows the first paragraph is for readers of the code, even with {braces}.
    """


class KeyReused(Refusal):
    """This key was used before."""


def test_sentence_code_fields_and_param() -> None:
    refusal = AmountTooLow(minimum=500, currency="KZT")
    assert str(refusal) == refusal.sentence == "The amount must be at least 500."
    assert refusal.code == AmountTooLow.code == "amount_too_low"
    assert refusal.fields == {"minimum": 500, "currency": "KZT"}
    assert refusal.param == AmountTooLow.param == "amount"


def test_only_the_first_paragraph_is_the_sentence() -> None:
    refusal = HTTPAnswerMissing2x(peer="shop", seconds=7)
    assert str(refusal) == "The answer of 'shop' is missing for 007 s."
    assert refusal.code == "http_answer_missing2x"


def test_a_refusal_without_fields_can_be_raised_as_a_class() -> None:
    with pytest.raises(KeyReused, match=r"^This key was used before\.$") as caught:
        raise KeyReused
    assert caught.value.fields == {}
    assert caught.value.param is None


def test_a_refusal_without_a_sentence_cannot_be_born() -> None:
    with pytest.raises(TypeError, match="Nameless needs a docstring"):
        type("Nameless", (Refusal,), {})


def test_a_forgotten_field_is_a_fault_of_the_code() -> None:
    with pytest.raises(TypeError, match="AmountTooLow needs minimum"):
        AmountTooLow()


def test_the_base_is_never_raised_itself() -> None:
    with pytest.raises(TypeError, match="class of its own"):
        Refusal()


def test_braces_in_a_value_are_not_read_as_fields() -> None:
    assert AmountTooLow(minimum="{secret}").sentence == "The amount must be at least {secret}."
