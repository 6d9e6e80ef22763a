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
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_time, get_timezone
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import NumberPattern, get_currency_symbol

from app.kernel.money import Money, currency_exponent

__all__ = [
    "LANGUAGES",
    "METHODS",
    "REASONS",
    "REFUSALS",
    "AmountShape",
    "Reason",
    "Stage",
    "Texts",
    "Words",
    "choose_language",
    "translator",
]

LANGUAGES: Mapping[str, str] = {"en": "English", "ru": "Русский", "kk": "Қазақша"}
_FALLBACK = "en"
_CATALOGUES = Path(__file__).parent / "locales"
_SAMPLE = Decimal(1500)  # the amount in "for example 1 500": shows how thousands are written

# CLDR knows these as narrow symbols; Babel offers only the standard ones: ₸ in Kazakh, but KZT in Russian.
_SYMBOLS: Mapping[str, str] = {"KZT": "₸", "RUB": "₽"}

Stage = Literal["progress", "go_to_provider", "waiting", "success", "failure"]


@dataclass(frozen=True, slots=True)
class Words:
    """A headline (what happened) and a sentence (what to do)."""

    headline: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Reason:
    """How one sub-status of a deposit (payments.md section 1.2) is shown; a `calm` failure is no bad news."""

    stage: Stage
    words: Words
    calm: bool = False


@dataclass(frozen=True, slots=True)
class AmountShape:
    """How amounts of one currency are written in one language; in `pattern`, `{}` stands for the number."""

    decimal: str
    group: str
    pattern: str
    symbol: str


def said(headline: str, sentence: str = "") -> Words:
    """Mark words for the catalogues; they are translated when they are shown."""
    return Words(headline, sentence)


REASONS: Mapping[str, Reason] = {
    "created": Reason("progress", said("Starting your payment", "This takes a few seconds.")),
    "checking": Reason(
        "progress",
        said("Checking your payment", "We are asking the site whether it can accept this deposit."),
    ),
    "risk_review": Reason(
        "waiting",
        said("We are reviewing your payment", "This can take a few minutes. You can close this page."),
    ),
    "awaiting_player": Reason(
        "go_to_provider",
        said("Confirm your payment", "Go to the payment page and confirm the payment there."),
    ),
    "submitted": Reason(
        "progress",
        said(
            "Processing your payment",
            "We have sent the payment and are waiting for the answer. It usually takes less than a minute.",
        ),
    ),
    "provider_pending": Reason(
        "waiting",
        said(
            "Waiting for the payment to arrive",
            "You can close this page: the money will be added to your balance as soon as it arrives.",
        ),
    ),
    "unknown": Reason(
        "waiting",
        said(
            "We are finding out what happened",
            "There is no clear answer about this payment yet. Please do not pay again: "
            "we keep checking, and if the money was taken, it will be added to your balance.",
        ),
    ),
    "conflicted": Reason(
        "waiting",
        said(
            "We are checking the amount",
            "The payment that arrived differs from the one you asked for, so a person is checking it. "
            "Please do not pay again; the site's support can help you by the number below.",
        ),
    ),
    "crediting": Reason("progress", said("Payment received", "We are adding the money to your balance.")),
    "completed": Reason("success", said("Deposit completed", "The money is on your balance.")),
    "declined": Reason(
        "failure",
        said(
            "The payment was declined",
            "Your bank or payment service did not approve it. "
            "Check your balance and limits, or try another method.",
        ),
    ),
    "provider_error": Reason(
        "failure",
        said(
            "The payment could not be made",
            "The payment service had a problem. Try again in a few minutes or choose another method.",
        ),
    ),
    "limit_blocked": Reason(
        "failure",
        said(
            "A limit has been reached",
            "This deposit would exceed a limit set for your account. "
            "Try a smaller amount or wait until the limit is renewed.",
        ),
    ),
    "risk_declined": Reason(
        "failure",
        said(
            "We cannot accept this payment",
            "Try another method or contact the site's support.",
        ),
    ),
    "expired": Reason(
        "failure",
        said(
            "Time has run out",
            "The payment was not confirmed in time. If you have already paid, do not pay again: "
            "we check late payments too. Otherwise, start again.",
        ),
        calm=True,
    ),
    "by_player": Reason(
        "failure",
        said(
            "You cancelled the payment", "Nothing was added to your balance. You can start again at any time."
        ),
        calm=True,
    ),
    "by_operator": Reason(
        "failure",
        said(
            "The payment was cancelled",
            "Our staff cancelled this payment. If you have questions, contact the site's support.",
        ),
        calm=True,
    ),
    "rejected_by_merchant": Reason(
        "failure",
        said(
            "The site did not accept the deposit",
            "No money was taken. Try another amount or contact the site's support.",
        ),
    ),
    "merchant_unreachable": Reason(
        "failure",
        said("The site is not answering", "No money was taken. Try again in a few minutes."),
    ),
    "refunded": Reason(
        "failure",
        said("The deposit was refunded", "The money has been sent back to the account it came from."),
        calm=True,
    ),
    "charged_back": Reason(
        "failure",
        said("The deposit was returned", "Your bank took this payment back. Contact the site's support."),
        calm=True,
    ),
}

# Whole pages (with a sentence) and messages beside a field (headline only).
REFUSALS: Mapping[str, Words] = {
    "key_invalid": said("This link is no longer valid", "Go back to the site and open the cashier again."),
    "payment_not_found": said(
        "We cannot find this payment", "Go back to the site and open the cashier again."
    ),
    "too_many_requests": said("Too many attempts", "Wait a minute and try again."),
    "closed_for_now": said(
        "The cashier is closed for now", "Deposits are paused for a short while. Try again later."
    ),
    "something_wrong": said("Something went wrong on our side", "Try again in a minute."),
    "amount_too_low": said("This amount is too small. Enter from %(minimum)s to %(maximum)s."),
    "amount_too_high": said("This amount is too large. Enter from %(minimum)s to %(maximum)s."),
    "amount_malformed": said("Enter the amount in digits, for example %(example)s."),
    "method_missing": said("Choose a payment method."),
    "too_many_open_deposits": said("You have too many unfinished deposits. Finish one or wait."),
    "idempotency_key_reused": said("This form was already sent. Open the cashier again."),
    "method_unavailable": said("This payment method is not available now. Choose another one."),
}

METHODS: Mapping[str, Words] = {
    "card": said("Bank card"),
    "mobile_app": said("Mobile banking app"),
    "qr": said("QR payment"),
    "bank_transfer": said("Bank transfer"),
    "e_wallet": said("E-wallet"),
    "mobile_operator": said("Mobile operator"),
    "aggregator": said("Payment terminal"),
}


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

    def reason(self, code: str) -> Words:
        """What to tell about a sub-status.

        Raises:
            KeyError: the sub-status is not one of payments.md section 1.2.
        """
        words = REASONS[code].words
        return Words(self.say(words.headline), self.say(words.sentence))

    def refusal(self, code: str, fields: Mapping[str, object] | None = None) -> Words:
        """What to tell about a refusal; `Money` among the fields is written as this language writes it.

        `%(example)s` is filled in here. An unlisted code is told as `something_wrong`, never shown bare.
        """
        words = REFUSALS.get(code, REFUSALS["something_wrong"])
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
