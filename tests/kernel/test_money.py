"""Money is exact: parts sum, text comes back, roundings do what their names say, floats stay out."""

from decimal import Decimal, localcontext
from fractions import Fraction
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import Refusal
from app.kernel.money import (
    MAX_MINOR,
    AmountMalformed,
    AmountOutOfRange,
    CurrencyMismatch,
    Money,
    Rounding,
    UnknownCurrency,
    currency_exponent,
    declare_currencies,
)

BY_DECIMALS = {f"XD{decimals}": decimals for decimals in range(9)}
declare_currencies(BY_DECIMALS)
CURRENCIES = st.sampled_from(["KZT", "JPY", "BHD", "CLF", *BY_DECIMALS])
MINORS = st.integers(-MAX_MINOR, MAX_MINOR)
AMOUNTS = st.builds(Money, MINORS, CURRENCIES)
ROUNDINGS = st.sampled_from(Rounding)


@pytest.mark.parametrize(
    ("currency", "exponent"), [("KZT", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4), ("UZS", 2), ("USD", 2)]
)
def test_decimals_come_from_iso_4217(currency: str, exponent: int) -> None:
    assert currency_exponent(currency) == exponent


@pytest.mark.parametrize("currency", ["XAU", "XTS", "XXX", "kzt", "", "BTC9999999", "ТНГ"])
def test_other_currencies_are_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency) as caught:
        Money(1, currency)
    assert caught.value.fields == {"currency": currency}
    assert caught.value.param == "currency"


@pytest.mark.parametrize(
    ("decimals", "why"),
    [
        ({"XDX": 9}, "0 to 8"),
        ({"XDX": -1}, "0 to 8"),
        ({"XDX": True}, "0 to 8"),
        ({"XDX": 2.0}, "0 to 8"),
        ({"XDX": 2, "KZT": 0}, "KZT has 2 decimals by ISO 4217"),
        ({"XDX": 2, "XD3": 4}, "XD3 has 3 decimals by an earlier declaration"),
        ({"XDX": 2, "usdt": 6}, "capitals"),
        ({"XDX": 2, "US": 6}, "capitals"),
    ],
)
def test_a_contradiction_is_refused_and_nothing_is_declared(decimals: dict[str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        declare_currencies(decimals)
    with pytest.raises(UnknownCurrency):
        currency_exponent("XDX")


def test_declaring_again_changes_nothing() -> None:
    declare_currencies({"XD6": 6, "KZT": 2})
    assert Money.parse("0.000001", "XD6") == Money(1, "XD6")


@pytest.mark.parametrize("minor", [1.0, True, "1", Decimal(1), None, 1.5])
def test_only_an_int_is_money(minor: object) -> None:
    with pytest.raises(TypeError):
        Money(cast("int", minor), "KZT")


@pytest.mark.parametrize("text", [12.34, 12, Decimal("12.34"), True, b"12"])
def test_only_text_is_parsed(text: object) -> None:
    with pytest.raises(TypeError):
        Money.parse(cast("str", text), "KZT")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "--1",
        "1.",
        ".5",
        "1,5",
        "1 000",
        "1_000",
        "1e3",
        "1E3",
        "NaN",
        "Infinity",
        "0x1",
        *("١٢", "１２", "1.234", "1.230", "12345678901234567", "1.2.3", "−1"),
    ],
)
def test_anything_but_plain_digits_is_refused(text: str) -> None:
    with pytest.raises(AmountMalformed, match="at most 2 decimals"):
        Money.parse(text, "KZT")


def test_no_decimals_where_the_currency_has_none() -> None:
    assert Money.parse("1500", "JPY") == Money(1500, "JPY")
    with pytest.raises(AmountMalformed):
        Money.parse("1500.0", "JPY")


def test_limits() -> None:
    assert Money.parse("10000000000000.00", "KZT").minor == MAX_MINOR
    with pytest.raises(AmountOutOfRange):
        Money.parse("10000000000000.01", "KZT")
    with pytest.raises(AmountOutOfRange):
        Money.parse("-10000000000000.01", "KZT")
    largest = Money(2**63 - 1, "KZT")
    with pytest.raises(AmountOutOfRange):
        largest + Money(1, "KZT")
    with pytest.raises(AmountOutOfRange):
        Money(-(2**63), "KZT")


def test_written_examples() -> None:
    assert Money.parse("12.3", "KZT") == Money(1230, "KZT")
    assert Money(5, "KZT").text() == "0.05"
    assert Money(-5, "BHD").text() == "-0.005"
    assert str(Money(-123456, "KZT")) == f"{Money(-123456, 'KZT')}" == "-1234.56 KZT"
    assert str(Money(7, "JPY")) == "7 JPY"


@given(AMOUNTS)
def test_text_comes_back(amount: Money) -> None:
    assert Money.parse(amount.text(), amount.currency) == amount


@given(AMOUNTS)
def test_decimal_is_exact_even_in_a_coarse_context(amount: Money) -> None:
    with localcontext(prec=3):
        told = amount.decimal()
    assert Fraction(told) == Fraction(amount.minor, 10 ** currency_exponent(amount.currency))
    assert told.as_tuple().exponent == -currency_exponent(amount.currency)


@given(AMOUNTS, st.integers(0, 1000), ROUNDINGS)
def test_a_split_sums_exactly_and_is_rounded_as_named(
    amount: Money, per_mille: int, rounding: Rounding
) -> None:
    part, rest = amount.split(per_mille=per_mille, rounding=rounding)
    assert part + rest == amount
    exact = Fraction(amount.minor * per_mille, 1000)
    off = part.minor - exact
    assert abs(off) < 1
    match rounding:
        case Rounding.AGAINST_US:
            assert off <= 0
        case Rounding.IN_OUR_FAVOUR:
            assert off >= 0
        case Rounding.HALF_EVEN:
            assert part.minor == round(exact)
        case Rounding.HALF_UP:
            half = exact.numerator * 2 + exact.denominator * (1 if exact > 0 else -1)
            assert part.minor == int(Fraction(half, exact.denominator * 2))


@pytest.mark.parametrize(
    ("minor", "rounding", "part"),
    [
        (10, Rounding.AGAINST_US, 2),
        (10, Rounding.IN_OUR_FAVOUR, 3),
        (10, Rounding.HALF_EVEN, 2),
        (10, Rounding.HALF_UP, 3),
        (14, Rounding.HALF_EVEN, 4),
        (-10, Rounding.AGAINST_US, -3),
        (-10, Rounding.IN_OUR_FAVOUR, -2),
        (-10, Rounding.HALF_EVEN, -2),
        (-10, Rounding.HALF_UP, -3),
    ],
)
def test_a_quarter_of_ten_by_name(minor: int, rounding: Rounding, part: int) -> None:
    assert Money(minor, "JPY").split(per_mille=250, rounding=rounding)[0] == Money(part, "JPY")


@pytest.mark.parametrize(
    ("per_mille", "error"), [(-1, ValueError), (1001, ValueError), (15.0, TypeError), (True, TypeError)]
)
def test_a_rate_is_whole_thousandths(per_mille: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Money(100, "KZT").split(per_mille=cast("int", per_mille), rounding=Rounding.HALF_UP)


@given(AMOUNTS, st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any))
def test_shares_sum_exactly_and_are_fair(amount: Money, weights: list[int]) -> None:
    shares = amount.allocate(weights)
    assert sum(share.minor for share in shares) == amount.minor
    assert {share.currency for share in shares} == {amount.currency}
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share.minor - Fraction(amount.minor * weight, sum(weights))) < 1
        assert weight or share.minor == 0


def test_units_left_over_go_to_those_who_lost_most_then_to_the_first() -> None:
    assert [share.minor for share in Money(100, "KZT").allocate([1, 1, 1])] == [34, 33, 33]
    assert [share.minor for share in Money(-100, "KZT").allocate([1, 1, 1])] == [-34, -33, -33]
    assert [share.minor for share in Money(10, "KZT").allocate([1, 5, 0, 3])] == [1, 6, 0, 3]


@pytest.mark.parametrize(
    ("weights", "error"),
    [([], ValueError), ([0, 0], ValueError), ([2, -1], ValueError), ([1.0], TypeError), ([True], TypeError)],
)
def test_bad_weights_are_refused(weights: list[int], error: type[Exception]) -> None:
    with pytest.raises(error):
        Money(1, "KZT").allocate(weights)


@given(MINORS, MINORS, CURRENCIES)
def test_arithmetic_is_that_of_the_integers(one: int, other: int, currency: str) -> None:
    first, second = Money(one, currency), Money(other, currency)
    assert (first + second).minor == one + other
    assert (first - second).minor == one - other
    assert (-first).minor == -one
    assert [first < second, first <= second, first > second, first >= second, first == second] == [
        one < other,
        one <= other,
        one > other,
        one >= other,
        one == other,
    ]


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_nothing_goes_between_currencies(operator: str) -> None:
    tenge, yen = Money(1, "KZT"), Money(1, "JPY")
    with pytest.raises(CurrencyMismatch, match="KZT and JPY") as caught:
        getattr(tenge, operator)(yen)
    assert isinstance(caught.value, Refusal)
    with pytest.raises(TypeError):
        getattr(tenge, operator)(1)
    assert tenge != yen


def test_money_is_a_value() -> None:
    assert {Money(1, "KZT"): "kept"}[Money(1, "KZT")] == "kept"
    with pytest.raises(AttributeError):
        Money(1, "KZT").minor = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        sum([Money(1, "KZT")])  # type: ignore[list-item]
