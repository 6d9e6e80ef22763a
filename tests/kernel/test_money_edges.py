"""The last value inside every limit of money, and what a fault of the code is told."""

import re
from collections.abc import Callable
from typing import cast

import pytest

from app.kernel.money import (
    MAX_MINOR,
    CurrencyMismatch,
    Money,
    Rounding,
    UnknownCurrency,
    _divided,
    currency_exponent,
    declare_currencies,
)


def test_a_currency_has_from_no_to_eight_decimals() -> None:
    declare_currencies({"XE0": 0, "XE8": 8})
    assert [currency_exponent(code) for code in ("XE0", "XE8")] == [0, 8]
    assert Money.parse("0.00000001", "XE8") == Money(1, "XE8")
    with pytest.raises(ValueError, match=r"^XE9 needs a whole number of decimals from 0 to 8$"):
        declare_currencies({"XE9": 9})


def test_nothing_is_written_without_a_sign() -> None:
    assert (Money(0, "KZT").text(), Money(0, "JPY").text(), str(Money(0, "BHD"))) == (
        "0.00",
        "0",
        "0.000 BHD",
    )
    assert Money(0, "KZT").decimal().is_signed() is False
    assert (Money(1, "KZT").text(), Money(-1, "KZT").text()) == ("0.01", "-0.01")
    assert (Money(100, "KZT").text(), Money(-100, "KZT").text()) == ("1.00", "-1.00")


def test_the_largest_that_can_be_read_and_kept() -> None:
    assert Money.parse("1000000000000000", "JPY").minor == MAX_MINOR
    assert Money.parse("-1000000000000000", "JPY").minor == -MAX_MINOR
    assert Money(2**63 - 1, "JPY").text() == "9223372036854775807"
    assert Money(-(2**63) + 1, "JPY").text() == "-9223372036854775807"


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounding", "whole"),
    [
        # The smallest part is enough to round up in our favour, and none is not.
        (1, 1000, Rounding.IN_OUR_FAVOUR, 1),
        (1000, 1000, Rounding.IN_OUR_FAVOUR, 1),
        (999, 1000, Rounding.AGAINST_US, 0),
        # One half, of either sign, and its nearest neighbours.
        (1, 2, Rounding.HALF_UP, 1),
        (-1, 2, Rounding.HALF_UP, -1),
        (0, 2, Rounding.HALF_UP, 0),
        (1, 2, Rounding.HALF_EVEN, 0),
        (3, 2, Rounding.HALF_EVEN, 2),
        (499, 1000, Rounding.HALF_UP, 0),
        (501, 1000, Rounding.HALF_UP, 1),
        (-499, 1000, Rounding.HALF_UP, 0),
        (-501, 1000, Rounding.HALF_UP, -1),
        (499, 1000, Rounding.HALF_EVEN, 0),
        (501, 1000, Rounding.HALF_EVEN, 1),
    ],
)
def test_rounding_at_its_edges(numerator: int, denominator: int, rounding: Rounding, whole: int) -> None:
    assert _divided(numerator, denominator, rounding) == whole


def test_a_rounding_that_is_none_divides_nothing() -> None:
    with pytest.raises(AssertionError, match="'half_down'"):
        _divided(1, 2, cast("Rounding", "half_down"))


def test_the_whole_and_nothing_can_be_parted_off() -> None:
    amount = Money(123, "KZT")
    for rounding in Rounding:
        assert amount.split(per_mille=0, rounding=rounding) == (Money(0, "KZT"), amount)
        assert amount.split(per_mille=1000, rounding=rounding) == (amount, Money(0, "KZT"))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda: Money(cast("int", 1.5), "KZT"), "money is an int of minor units, not float"),
        (lambda: Money.parse(cast("str", 12), "KZT"), "an amount is read from text, not from int"),
        (
            lambda: Money(1, "KZT").split(per_mille=cast("int", 1.5), rounding=Rounding.HALF_UP),
            "a rate is an int of thousandths, not float",
        ),
        (
            lambda: Money(1, "KZT").split(per_mille=1001, rounding=Rounding.HALF_UP),
            "a part is from 0 to 1000 thousandths",
        ),
        (lambda: Money(1, "KZT").allocate([cast("int", 1.5)]), "weights are ints"),
        (lambda: Money(1, "KZT").allocate([0]), "weights are not negative, and at least one is above zero"),
        (lambda: Money(1, "KZT") + cast("Money", 1), "money is combined with money, not with int"),
        (
            lambda: declare_currencies({"us": 2}),
            "'us' is not a currency code: three to eight capitals and digits",
        ),
        (lambda: declare_currencies({"KZT": 3}), "KZT has 2 decimals by ISO 4217"),
    ],
)
def test_a_fault_of_the_code_is_told_what_it_did(fault: Callable[[], object], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(told)}$"):
        fault()


def test_refusals_say_between_what() -> None:
    with pytest.raises(CurrencyMismatch) as mismatch:
        Money(1, "KZT") - Money(1, "JPY")
    assert mismatch.value.fields == {"one": "KZT", "other": "JPY"}
    with pytest.raises(UnknownCurrency) as unknown:
        Money.parse("1", "XAU")
    assert unknown.value.fields == {"currency": "XAU"}
