"""What we tell the player, in the player's language: one catalogue a language, one sentence a reason.

The catalogues, `locales/<language>/LC_MESSAGES/cashier.po`, are compiled in memory when first asked for.
"""

import copy
import gettext
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_time, get_timezone
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import NumberPattern, get_currency_symbol

from app.cashier.withdrawal_words import WITHDRAWAL_REASONS, WITHDRAWAL_REFUSALS
from app.cashier.words import METHODS, REASONS, REFUSALS, Reason, Words
from app.kernel.money import Money, currency_exponent

__all__ = [
    "LANGUAGES",
    "METHODS",
    "REASONS",
    "REFUSALS",
    "AmountShape",
    "Texts",
    "Words",
    "choose_language",
    "reason_of",
    "translator",
]

LANGUAGES: Mapping[str, str] = {"en": "English", "ru": "Русский", "kk": "Қазақша"}
_FALLBACK = "en"
_CATALOGUES = Path(__file__).parent / "locales"
_SAMPLE = Decimal(1500)  # the amount in "for example 1 500": shows how thousands are written

# CLDR knows these as narrow symbols; Babel offers only the standard ones: ₸ in Kazakh, but KZT in Russian.
_SYMBOLS: Mapping[str, str] = {"KZT": "₸", "RUB": "₽"}

_REASONS_OF: Mapping[str, Mapping[str, Reason]] = {"deposit": REASONS, "payout": WITHDRAWAL_REASONS}
_ALL_REFUSALS: Mapping[str, Words] = {**REFUSALS, **WITHDRAWAL_REFUSALS}


def reason_of(kind: str, code: str) -> Reason:
    """How a sub-status of a payment of a kind is shown.

    Raises:
        KeyError: a kind that no player sees, or not one of its sub-statuses.
    """
    return _REASONS_OF[kind][code]


@dataclass(frozen=True, slots=True)
class AmountShape:
    """How amounts of one currency are written in one language; in `pattern`, `{}` stands for the number."""

    decimal: str
    group: str
    pattern: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Texts:
    """Everything we can say in one language."""

    language: str
    locale: Locale
    catalogue: gettext.GNUTranslations

    def say(self, sentence: str, **fields: object) -> str:
        """Translate a sentence of the catalogue and fill in its `%(name)s` fields."""
        translated = self.catalogue.gettext(sentence)
        return translated % fields if fields else translated

    def reason(self, code: str, kind: str = "deposit") -> Words:
        """What to tell about a sub-status of a payment of a kind.

        Raises:
            KeyError: the sub-status is not one of payments.md section 1.2.
        """
        words = reason_of(kind, code).words
        return Words(self.say(words.headline), self.say(words.sentence))

    def refusal(self, code: str, fields: Mapping[str, object] | None = None) -> Words:
        """What to tell about a refusal; `Money` among the fields is written as this language writes it.

        `%(example)s` is filled in here. An unlisted code is told as `something_wrong`, never shown bare.
        """
        words = _ALL_REFUSALS.get(code, REFUSALS["something_wrong"])
        shown: dict[str, object] = {"example": self.example()}
        for name, value in (fields or {}).items():
            shown[name] = self.money(value) if isinstance(value, Money) else value
        return Words(self.say(words.headline, **shown), self.say(words.sentence) if words.sentence else "")

    def method(self, code: str, title: str) -> str:
        """The name of a shipped method in this language; an operator's own method keeps its title."""
        return self.say(METHODS[code].headline) if code in METHODS else title

    def number(self, amount: Money) -> str:
        """An amount without its currency: `1 500` when whole, `1 500,50` otherwise."""
        return self._number(amount.decimal(), currency_exponent(amount.currency))

    def money(self, amount: Money) -> str:
        """An amount with its currency: `1 500 ₸`."""
        return self.shape(amount.currency).pattern.replace("{}", self.number(amount))

    def span(self, low: Money, high: Money) -> str:
        """Two limits with the currency once: `500 – 500 000 ₸`, `₸500 – 500,000`."""
        before, _, after = self.shape(low.currency).pattern.partition("{}")
        return f"{before}{self.number(low)} – {self.number(high)}{after}"

    def shape(self, currency: str) -> AmountShape:
        """How this language writes amounts of a currency."""
        symbols = self.locale.number_symbols["latn"]
        symbol = _SYMBOLS.get(currency) or get_currency_symbol(currency, self.locale)
        before, after = (part.replace("¤", symbol) for part in _currency_pattern(self.locale))
        if before[-1:].isalpha():
            before += "\u00a0"  # CLDR's currency spacing: letters do not touch digits
        return AmountShape(symbols["decimal"], symbols["group"], f"{before}{{}}{after}", symbol)

    def example(self) -> str:
        """A sample amount, to show how to write one."""
        return self._number(_SAMPLE, 0)

    def moment(self, at: datetime, time_zone: str) -> str:
        """Date, time and offset in a time zone named like `Asia/Almaty`; an unknown name means UTC."""
        local = at.astimezone(_zone(time_zone))
        date = format_date(local, "long", locale=self.locale).replace("\u202f", "\u00a0")
        return f"{date}, {self._time(local)} (UTC{_offset(local)})"

    def time_of_day(self, at: datetime, time_zone: str) -> str:
        """Hours and minutes in a time zone; an unknown name means UTC."""
        return self._time(at.astimezone(_zone(time_zone)))

    def _time(self, local: datetime) -> str:
        return format_time(local, "short", tzinfo=local.tzinfo, locale=self.locale).replace(
            "\u202f", "\u00a0"
        )

    def _number(self, value: Decimal, exponent: int) -> str:
        places = 0 if value == value.to_integral_value() else exponent
        pattern: NumberPattern = copy.copy(self.locale.decimal_formats[None])
        pattern.frac_prec = (places, places)
        written: str = pattern.apply(value, self.locale)
        return written


def _currency_pattern(locale: Locale) -> tuple[str, str]:
    pattern: NumberPattern = locale.currency_formats["standard"]
    return pattern.prefix[0], pattern.suffix[0]


@cache
def translator(language: str) -> Texts:
    """The texts of a language.

    Raises:
        KeyError: not one of `LANGUAGES`; ask `choose_language` first.
    """
    if language not in LANGUAGES:
        raise KeyError(language)
    source = _CATALOGUES / language / "LC_MESSAGES" / "cashier.po"
    with source.open("rb") as file:
        catalogue = read_po(file, locale=language, domain="cashier", abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Texts(language, Locale.parse(language), gettext.GNUTranslations(compiled))


def choose_language(*wishes: str | None, offered: tuple[str, ...] = tuple(LANGUAGES)) -> str:
    """The first wish we can fulfil: codes (`kk`, `kk-KZ`) or an `Accept-Language` header; else English."""
    for wish in wishes:
        for part in (wish or "").split(","):
            code = part.partition(";")[0].strip().lower().replace("_", "-").partition("-")[0]
            if code in LANGUAGES and code in offered:
                return code
    return _FALLBACK if _FALLBACK in offered or not offered else offered[0]


def _offset(local: datetime) -> str:
    """`+5`, `-3:30`, or nothing."""
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}" if minutes else ""


def _zone(name: str) -> tzinfo:
    try:
        return get_timezone(name)
    except (LookupError, ValueError, OSError):  # OSError: a folder of the time zone data, such as "America"
        return get_timezone("UTC")
