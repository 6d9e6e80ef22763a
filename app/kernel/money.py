"""Money is a type, and every rounding has a name.

An amount is a whole number of minor units and its currency. How many decimals a currency has is taken from
ISO 4217 (package `iso4217`); an operator may declare further currencies at start-up. No float comes near: one
raises TypeError.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, Self, assert_never

import iso4217
from typing_extensions import override

from app.kernel.errors import Refusal

__all__ = [
    "MAX_MINOR",
    "AmountMalformed",
    "AmountOutOfRange",
    "CurrencyMismatch",
    "Money",
    "Rounding",
    "UnknownCurrency",
    "currency_exponent",
    "declare_currencies",
]

# What is read from outside: 15 digits in the protocol, and ten trillion of any two-decimal currency is a
# typing error.
MAX_MINOR: Final = 10**15
# What may be added up: a PostgreSQL BIGINT, in which every amount is kept.
_MAX_KEPT: Final = 2**63 - 1
_MAX_DECIMALS: Final = 8
_PER_MILLE: Final = 1000
_AMOUNT: Final = re.compile(r"(-?)([0-9]{1,16})(?:\.([0-9]{1,8}))?")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9]{2,7}")
_exponents: dict[str, int] = {
    currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None
}
_iso: Final = frozenset(_exponents)


class UnknownCurrency(Refusal):
    """The currency {currency} is not known here."""

    param = "currency"


class CurrencyMismatch(Refusal):
    """Amounts in {one} and {other} cannot be combined."""

    param = "currency"


class AmountMalformed(Refusal):
    """The amount must be written in digits, with at most {decimals} decimals after a point."""

    param = "amount"


class AmountOutOfRange(Refusal):
    """The amount is too large."""

    param = "amount"


class Rounding(StrEnum):
    """How a part that does not come out even becomes whole.

    The last two speak of the part that is *ours* (a fee, a commission), for amounts of either sign: taking
    back a fee is a negative amount, and AGAINST_US then gives back the larger one.
    """

    HALF_EVEN = "half_even"  # currency conversion: no drift over many (ISO 80000-1, rule A)
    HALF_UP = "half_up"  # what people expect to see on a screen; halves go away from zero
    AGAINST_US = "against_us"  # fees: a doubtful unit stays with the customer
    IN_OUR_FAVOUR = "in_our_favour"  # costs passed on: a doubtful unit is never paid by the house


def currency_exponent(currency: str) -> int:
    """Return how many decimals a currency has: 2 for KZT, 0 for JPY, 3 for BHD.

    Raises:
        UnknownCurrency: neither ISO 4217 with a minor unit nor declared; gold (XAU) has none and is refused.
    """
    try:
        return _exponents[currency]
    except KeyError as error:
        raise UnknownCurrency(currency=currency) from error


def declare_currencies(decimals: Mapping[str, int]) -> None:
    """Make further currencies known to this process, at its start: `{"USDT": 6}`; repeating it is harmless.

    Args:
        decimals: by code (three to eight capitals and digits), how many decimals, 0 to 8.

    Raises:
        ValueError: a malformed code, other decimals than 0 to 8, or a contradiction to ISO 4217 or to what
            was declared (amounts already kept would change their worth); then nothing is declared.
    """
    for code, exponent in decimals.items():
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is not a currency code: three to eight capitals and digits")
        if type(exponent) is not int or not 0 <= exponent <= _MAX_DECIMALS:
            raise ValueError(f"{code} needs a whole number of decimals from 0 to {_MAX_DECIMALS}")
        known = _exponents.get(code, exponent)
        if known != exponent:
            source = "ISO 4217" if code in _iso else "an earlier declaration"
            raise ValueError(f"{code} has {known} decimals by {source}")
    _exponents.update(decimals)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (`Money(1234, "KZT")` is 12.34 tenge) of one currency; may be negative."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is not money.

        Raises:
            TypeError: `minor` is not exactly an int; a float or a bool is a fault of the code.
            UnknownCurrency: see `currency_exponent`.
            AmountOutOfRange: more than can be kept.
        """
        if type(self.minor) is not int:
            raise TypeError(f"money is an int of minor units, not {type(self.minor).__name__}")
        currency_exponent(self.currency)
        if abs(self.minor) > _MAX_KEPT:
            raise AmountOutOfRange

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """Read an exact decimal text in major units: `Money.parse("12.34", "KZT")`.

        Nothing is rounded and nothing guessed: no blanks, no thousands separators, no exponent, no sign but a
        minus, and no more decimals than the currency has, even zeros.

        Raises:
            TypeError: `text` is not a str.
            UnknownCurrency: see `currency_exponent`.
            AmountMalformed: anything else than such a text.
            AmountOutOfRange: above MAX_MINOR.
        """
        if not isinstance(text, str):
            raise TypeError(f"an amount is read from text, not from {type(text).__name__}")
        exponent = currency_exponent(currency)
        found = _AMOUNT.fullmatch(text)
        if found is None or len(found[3] or "") > exponent:
            raise AmountMalformed(decimals=exponent)
        minor = int(found[2] + (found[3] or "").ljust(exponent, "0"))
        if minor > MAX_MINOR:
            raise AmountOutOfRange
        return cls(-minor if found[1] else minor, currency)

    def text(self) -> str:
        """Return the exact decimal text in major units, with all decimals of the currency: "12.34"."""
        exponent = currency_exponent(self.currency)
        digits = str(abs(self.minor)).rjust(exponent + 1, "0")
        whole, part = (digits[:-exponent], "." + digits[-exponent:]) if exponent else (digits, "")
        return f"{'-' if self.minor < 0 else ''}{whole}{part}"

    def decimal(self) -> Decimal:
        """Return the exact amount in major units; its exponent is the currency's."""
        return Decimal(self.text())  # a Decimal read from text is exact in every context

    def split(self, *, per_mille: int, rounding: Rounding) -> tuple[Self, Self]:
        """Part off thousandths, rounded once by name: `fee, rest = amount.split(per_mille=15, rounding=...)`.

        Returns:
            The part and the rest; they sum exactly.

        Raises:
            TypeError: `per_mille` is not exactly an int.
            ValueError: `per_mille` is not from 0 to 1000.
        """
        if type(per_mille) is not int:
            raise TypeError(f"a rate is an int of thousandths, not {type(per_mille).__name__}")
        if not 0 <= per_mille <= _PER_MILLE:
            raise ValueError("a part is from 0 to 1000 thousandths")
        part = self._like(_divided(self.minor * per_mille, _PER_MILLE, rounding))
        return part, self - part

    def allocate(self, weights: Sequence[int]) -> list[Self]:
        """Share out in proportion to `weights`; the shares sum exactly.

        Units left over go to those who lost most by rounding down, the earlier first among equals.

        Raises:
            TypeError: a weight is not exactly an int.
            ValueError: a weight is negative, or all are zero.
        """
        if any(type(weight) is not int for weight in weights):
            raise TypeError("weights are ints")
        total = sum(weights)
        if total == 0 or min(weights) < 0:
            raise ValueError("weights are not negative, and at least one is above zero")
        quotients = [divmod(abs(self.minor) * weight, total) for weight in weights]
        shares = [share for share, _ in quotients]
        left = abs(self.minor) - sum(shares)
        by_loss = sorted(range(len(shares)), key=lambda index: -quotients[index][1])
        for index in by_loss[:left]:
            shares[index] += 1
        return [self._like(-share if self.minor < 0 else share) for share in shares]

    def __add__(self, other: Self) -> Self:
        """Raises CurrencyMismatch between currencies."""
        return self._like(self.minor + self._of(other))

    def __sub__(self, other: Self) -> Self:
        """Raises CurrencyMismatch between currencies."""
        return self._like(self.minor - self._of(other))

    def __neg__(self) -> Self:
        return self._like(-self.minor)

    def __lt__(self, other: Self) -> bool:
        """Raises CurrencyMismatch between currencies."""
        return self.minor < self._of(other)

    def __le__(self, other: Self) -> bool:
        """Raises CurrencyMismatch between currencies."""
        return self.minor <= self._of(other)

    def __gt__(self, other: Self) -> bool:
        """Raises CurrencyMismatch between currencies."""
        return self.minor > self._of(other)

    def __ge__(self, other: Self) -> bool:
        """Raises CurrencyMismatch between currencies."""
        return self.minor >= self._of(other)

    @override
    def __str__(self) -> str:
        """Write it for sentences and logs: "12.34 KZT"."""
        return f"{self.text()} {self.currency}"

    def _like(self, minor: int) -> Self:
        return type(self)(minor, self.currency)

    def _of(self, other: object) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"money is combined with money, not with {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatch(one=self.currency, other=other.currency)
        return other.minor


def _divided(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Divide whole numbers exactly and round once; `denominator` is above zero."""
    below, left = divmod(numerator, denominator)
    match rounding:
        case Rounding.AGAINST_US:
            return below
        case Rounding.IN_OUR_FAVOUR:
            return below + (left > 0)
        case Rounding.HALF_EVEN:
            return below + (2 * left > denominator or (2 * left == denominator and below % 2 == 1))
        case Rounding.HALF_UP:
            return below + (2 * left > denominator or (2 * left == denominator and numerator > 0))
        case _:
            assert_never(rounding)
