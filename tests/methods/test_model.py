"""What a merchant's wishes do to an offer: they order it and narrow it, and never widen it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import methods
from app.kernel.money import Money
from app.methods import (
    CATALOGUE,
    AmountTooHigh,
    AmountTooLow,
    Offer,
    arranged,
    check_amount,
    narrowed,
    quick_amounts,
)

CODES = list(CATALOGUE)


def offer(
    code: str = "card", low: int = 500, high: int = 1_000_000, currency: str = "KZT", at: int = 0
) -> Offer:
    """Limits in major units."""
    limits = (Money.parse(str(low), currency), Money.parse(str(high), currency))
    return Offer(CATALOGUE[code], *limits, "main", at)


def limits(found: Offer) -> tuple[str, str]:
    return found.minimum.text(), found.maximum.text()


@pytest.mark.parametrize(
    ("wish", "low", "high"),
    [
        ("", "500.00", "1000000.00"),
        ("600-700", "600.00", "700.00"),
        ("1:600-700", "600.00", "700.00"),
        ("2:600-700", "500.00", "1000000.00"),
        ("2:600-700;800-900", "800.00", "900.00"),
        ("800-900;1:600-700", "600.00", "700.00"),
        ("7,1,3:600-700;800-900", "600.00", "700.00"),
        ("1:600-700;1:800-900", "600.00", "700.00"),
        ("100-700", "500.00", "700.00"),
        ("600-9000000", "600.00", "1000000.00"),
        ("1-9000000", "500.00", "1000000.00"),
        ("600-600", "600.00", "600.00"),
        ("600-999999999999999", "600.00", "1000000.00"),
        ("0-700", "500.00", "700.00"),
        ("600-700;", "600.00", "700.00"),
        # What is not of the form is no wish.
        *(
            ((wish, "500.00", "1000000.00"))
            for wish in ("600", "600-", "-700", "6.5-7", "a-b", "1:", ":", ";;")
        ),
        *(((wish, "500.00", "1000000.00")) for wish in ("²-³", "٥-٩", "600-700-800", "1:x;600–700")),
    ],
)
def test_narrowed(wish: str, low: str, high: str) -> None:
    assert limits(narrowed(offer(), wish)) == (low, high)


@pytest.mark.parametrize(
    ("currency", "wish", "low", "high"),
    [
        ("JPY", "600-700", 600, 700),
        ("KWD", "600-700", 600_000, 700_000),
        ("CLF", "600-700", 6_000_000, 7_000_000),
        # 12 digits of four-decimal units are more than any amount: the wish has no upper end then.
        ("CLF", "600-999999999999", 6_000_000, 10_000_000_000),
    ],
)
def test_wishes_are_in_major_units_of_the_currency(currency: str, wish: str, low: int, high: int) -> None:
    found = narrowed(offer(currency=currency), wish)
    assert (found.minimum.minor, found.maximum.minor) == (low, high)


AMOUNTS = st.integers(1, 10**6)
WISHES = st.text(alphabet="0123456789,-:;", max_size=40) | st.builds(
    "{}:{}-{}".format, st.integers(0, 9), st.integers(0, 10**15 - 1), st.integers(0, 10**15 - 1)
)


@given(AMOUNTS, AMOUNTS, st.sampled_from(["KZT", "JPY", "KWD", "CLF"]), WISHES | st.text(max_size=20))
def test_a_wish_never_widens(one: int, other: int, currency: str, wish: str) -> None:
    ours = offer(low=min(one, other), high=max(one, other), currency=currency)
    try:
        found = narrowed(ours, wish)
    except methods.MethodUnavailable:
        return  # nothing is within both limits
    assert ours.minimum <= found.minimum <= found.maximum <= ours.maximum
    assert (found.method, found.account, found.position) == (ours.method, ours.account, ours.position)
    assert narrowed(found, wish) == found


def test_a_wish_below_our_minimum_does_not_open_everything() -> None:
    """The merchant says: at most 5. Ours begins at 500. That is no leave to deposit 1,000,000."""
    with pytest.raises((AmountTooHigh, methods.MethodUnavailable)):
        check_amount(narrowed(offer(), "1-5"), Money.parse("1000000", "KZT"))


@pytest.mark.parametrize(
    ("wish", "order"),
    [
        ("", ["card", "mobile_app", "qr", "mobile_operator"]),
        ("7", ["mobile_operator", "card", "mobile_app", "qr"]),
        ("603,1", ["mobile_app", "card", "qr", "mobile_operator"]),
        ("603,1;7,602", ["mobile_app", "card", "qr", "mobile_operator"]),
        (";7,602", ["card", "mobile_app", "qr", "mobile_operator"]),
        ("602,602,7", ["qr", "mobile_operator", "card", "mobile_app"]),
        ("999,7", ["mobile_operator", "card", "mobile_app", "qr"]),
        ("x,7,²", ["mobile_operator", "card", "mobile_app", "qr"]),
    ],
)
def test_arranged(wish: str, order: list[str]) -> None:
    codes = ["card", "mobile_app", "qr", "mobile_operator"]
    offers = [offer(code, at=place) for place, code in enumerate(codes)]
    assert [found.method.code for found in arranged(list(reversed(offers)), wish)] == order


@pytest.mark.parametrize(
    ("wish", "order"),
    [
        ("603,1;7,602", ["mobile_operator", "qr", "card", "mobile_app"]),
        (";7", ["mobile_operator", "card", "mobile_app", "qr"]),
        *((wish, ["card", "mobile_app", "qr", "mobile_operator"]) for wish in ("", "7", "7;", "7;x")),
        ("1;7;602", ["card", "mobile_app", "qr", "mobile_operator"]),
    ],
)
def test_payouts_are_arranged_by_what_stands_behind_the_semicolon(wish: str, order: list[str]) -> None:
    codes = ["card", "mobile_app", "qr", "mobile_operator"]
    offers = [offer(code, at=place) for place, code in enumerate(codes)]
    found = arranged(list(reversed(offers)), wish, methods.Direction.PAYOUT)
    assert [one.method.code for one in found] == order


@given(st.lists(st.sampled_from(CODES), unique=True), st.text(max_size=30) | WISHES)
def test_arranging_loses_and_adds_nothing(codes: list[str], wish: str) -> None:
    offers = [offer(code, at=place) for place, code in enumerate(codes)]
    assert sorted(found.position for found in arranged(offers, wish)) == list(range(len(codes)))


@pytest.mark.parametrize(
    ("series", "buttons"),
    [
        ("", ["500.00", "1000.00", "2500.00", "5000.00"]),
        ("1:600,700,800;", ["600.00", "700.00", "800.00"]),
        ("600,700", ["600.00", "700.00"]),
        ("2:600;700", ["700.00"]),
        ("2:600", ["500.00", "1000.00", "2500.00", "5000.00"]),
        ("1:100,600,9000000", ["600.00"]),
        ("1:100", []),
        ("1:600,x,,²,٥,6e2,700", ["600.00", "700.00"]),
        ("1:999999999999999", []),
        (",".join(["600"] * 7), ["600.00"] * 7),
    ],
)
def test_quick_amounts(series: str, buttons: list[str]) -> None:
    assert [amount.text() for amount in quick_amounts(offer(), series)] == buttons


@given(AMOUNTS, AMOUNTS, st.sampled_from(["KZT", "JPY", "KWD", "CLF"]), st.text(max_size=30) | WISHES)
def test_a_button_is_always_within_the_limits(one: int, other: int, currency: str, series: str) -> None:
    ours = offer(low=min(one, other), high=max(one, other), currency=currency)
    for amount in quick_amounts(ours, series):
        check_amount(ours, amount)


def test_limits_include_their_ends() -> None:
    for fits in ("500", "500.01", "1000000"):
        check_amount(offer(), Money.parse(fits, "KZT"))
    for minor, refusal in (
        (49_999, AmountTooLow),
        (0, AmountTooLow),
        (-1, AmountTooLow),
        (100_000_001, AmountTooHigh),
    ):
        with pytest.raises(refusal) as refused:
            check_amount(offer(), Money(minor, "KZT"))
        assert refused.value.fields == {"minimum": Money(50_000, "KZT"), "maximum": Money(100_000_000, "KZT")}


def test_the_catalogue_has_the_protocols_numbers() -> None:
    groups = {code: method.group_id for code, method in CATALOGUE.items()}
    assert groups == {
        "card": 1,
        "mobile_operator": 7,
        "bank_transfer": 601,
        "qr": 602,
        "mobile_app": 603,
        "e_wallet": 604,
        "aggregator": 605,
    }
    assert all(code == method.code and method.title and method.icon for code, method in CATALOGUE.items())
