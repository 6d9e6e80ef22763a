"""The strict grammar of signed requests (protocol.md section 15, trust.md 3.3).

The signed string `a:1;b:2;` escapes nothing, so it means one thing only if no value can imitate the next
field. One law of every `Kind` sees to that: **an accepted value never holds a `;` that is followed by a small
letter**. Texts hold no `;` at all; the series and ranges of the cashier (`1:10,20;2:30;`) hold digits and
`, - : ;` only. Names begin with a small letter and hold no `:`. So the string can be cut in one way only: at
each `;` before a small letter, and inside at the first `:`. Whoever adds a kind keeps this law;
tests/kernel/test_injective.py tries every other cut.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from app.kernel.errors import Refusal
from app.kernel.masking import holds_card

__all__ = [
    "GRAMMARS",
    "KEY_OBTAINING",
    "PAYOUT_INITIATION",
    "TRANSACTION_STATUS",
    "USER_RESET",
    "Grammar",
    "Kind",
    "MalformedField",
    "read",
]

# A signed request has some 30 fields; more than this is not one.
MOST_FIELDS: Final = 100
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Control characters, lone surrogates (not UTF-8), line and paragraph separators.
_UNFIT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class MalformedField(Refusal):
    """The field {field} {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Name the field and the rule it breaks; a name that no grammar holds is shown escaped and cut."""
        shown = field if _NAME.fullmatch(field) else ascii(field[:64])
        super().__init__(field=shown, rule=rule)
        self.param = shown


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may look like; `rule` completes the sentence "The field x ..."."""

    rule: str
    accepts: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Grammar:
    """The fields of one endpoint. `signature` belongs to every grammar and is not declared.

    Of `one_of`, exactly one must be present. No two grammars accept one request (the signature names no
    endpoint, so a request captured at one must not fit another): tests/kernel/test_grammar.py compares
    GRAMMARS pairwise.
    """

    name: str
    required: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)
    one_of: Mapping[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that every name can be signed and is declared once; a mistake here is a fault of the code."""
        names = [*self.required, *self.optional, *self.one_of]
        assert len(set(names)) == len(names), f"{self.name}: a field is declared twice"
        assert all(_NAME.fullmatch(name) for name in names), f"{self.name}: names are lower case"
        assert "signature" not in names, f"{self.name}: the signature is declared by nobody"

    def fields(self) -> dict[str, Kind]:
        """Return every field with its kind, the signature last."""
        return {**self.required, **self.one_of, **self.optional, "signature": SIGNATURE}


def read(grammar: Grammar, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Read a request strictly: every field known, there once, and of its kind. Text stays as it was received.

    An empty value is the same as an absent field, as in the signed string (rule S6 of protocol.md section 1).

    Args:
        grammar: what the endpoint understands.
        pairs: names and values in the order received, repetitions included.

    Returns:
        The fields with a value, `signature` among them. The signature itself is not yet checked.

    Raises:
        MalformedField: for the first field that breaks a rule; required fields are looked for last.
    """
    kinds = grammar.fields()
    seen: set[str] = set()
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in kinds:
            raise MalformedField(field=name, rule="is not known here")
        if name in seen:
            raise MalformedField(field=name, rule="is there more than once")
        seen.add(name)
        if value:
            if not kinds[name].accepts(value):
                raise MalformedField(field=name, rule=kinds[name].rule)
            values[name] = value
    for name in (*grammar.required, "signature"):
        if name not in values:
            raise MalformedField(field=name, rule="is required")
    _check_choice(grammar, values)
    return values


def _check_choice(grammar: Grammar, values: Mapping[str, str]) -> None:
    given = [name for name in grammar.one_of if name in values]
    if grammar.one_of and len(given) != 1:
        names = ", ".join(grammar.one_of)
        field_name = given[1] if given else next(iter(grammar.one_of))
        raise MalformedField(field=field_name, rule=f"is a choice: exactly one of {names} must be given")


def _pattern(rule: str, pattern: str) -> Kind:
    compiled = re.compile(pattern, re.ASCII)
    return Kind(rule, lambda value: compiled.fullmatch(value) is not None)


def _one_of(*values: str) -> Kind:
    return Kind(f"must be one of {', '.join(values)}", frozenset(values).__contains__)


def _text(most: int) -> Kind:
    """What people write, without delimiters; blanks alone are refused, for the dialects differ on them."""

    def accepts(value: str) -> bool:
        if len(value) > most or value.isspace() or ":" in value or ";" in value:
            return False
        return not any(unicodedata.category(character) in _UNFIT for character in value)

    return Kind(f"must be at most {most} characters without ':', ';' and control characters", accepts)


def _name(most: int) -> Kind:
    """A text of which one must be able to say whom it names.

    Nothing invisible, nothing that turns the writing.
    """
    text = _text(most)

    def accepts(value: str) -> bool:
        return text.accepts(value) and not any(unicodedata.category(character) == "Cf" for character in value)

    return Kind(f"{text.rule} or invisible ones", accepts)


def _personal(most: int) -> Kind:
    """A text about a person; a card number in it would be stored (trust.md 3.1, row 26)."""
    text = _text(most)
    rule = f"{text.rule}, and no card number"
    return Kind(rule, lambda value: text.accepts(value) and not holds_card(value))


def _purse(most: int) -> Kind:
    """Where money goes: a wallet, a phone, an account number, or the mask of a card.

    An IBAN's digits add up as a card's do in one case of ten; its own check sum says that it is none.
    """
    text = _text(most)
    rule = f"{text.rule}, and no card number: send a mask such as 555555...4444"
    return Kind(rule, lambda value: text.accepts(value) and (_is_iban(value) or not holds_card(value)))


def _is_iban(value: str) -> bool:
    """ISO 13616: country, check digits, account; the whole, turned round and read in base 36, is 1 mod 97."""
    written = value.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", written):
        return False
    return int("".join(str(int(mark, 36)) for mark in written[4:] + written[:4])) % 97 == 1


def _is_address(value: str) -> bool:
    """IPv4 or IPv6, without a zone (`%eth0` means nothing on another machine)."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def _is_email(value: str) -> bool:
    """One `@` with something on both sides; more is for the mail server to say (RFC 5321: 254 characters)."""
    mailbox, at, domain = value.partition("@")
    if any(character.isspace() for character in value) or "@" in domain:
        return False
    return bool(mailbox and at and domain) and _text(254).accepts(value)


def _is_date(value: str) -> bool:
    """DD-MM-YYYY, a day of the calendar."""
    if not re.fullmatch(r"[0-9]{2}-[0-9]{2}-[0-9]{4}", value):
        return False
    day, month, year = map(int, value.split("-"))
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _is_url(value: str) -> bool:
    """Absolute, http or https, printable ASCII, no user info, no `;` (RFC 3986 allows one, our law none)."""
    shape = r"https?://[A-Za-z0-9.\-\[\]:]+(?:[/?#][!#-:=?-~]*)?"
    if len(value) > MOST_URL or not re.fullmatch(shape, value):
        return False
    try:
        parts = urlsplit(value)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return bool(parts.hostname) and port_is_number


def _series(rule: str, value: str) -> Kind:
    """`groups:value;groups:value;value`: an entry without groups is the default, a closing `;` is allowed."""
    entry = rf"(?:{_GROUPS}:)?{value}"
    return _pattern(rule, rf"(?=.{{1,1024}}\Z){entry}(?:;{entry})*;?")


MOST_URL: Final = 2048  # what browsers and proxies are known to carry
_GROUP: Final = r"[0-9]{1,9}"
_GROUPS: Final = rf"{_GROUP}(?:,{_GROUP})*"
_MINOR: Final = r"[0-9]{1,15}"

SIGNATURE: Final = _pattern("must be 40 lower-case hexadecimal digits", r"[0-9a-f]{40}")
# Nine digits fit PostgreSQL's integer; no leading zero, so that one number has one text.
NUMBER: Final = _pattern("must be a whole number from 1 to 999999999", r"[1-9][0-9]{0,8}")
AMOUNT: Final = _pattern("must be an amount in minor units: 1 to 15 digits", _MINOR)
CURRENCY: Final = _pattern("must be a currency code of three letters", r"[A-Za-z]{3}")
FLAG: Final = _one_of("0", "1")
LOGIN: Final = _name(256)
REFERENCE: Final = _name(256)
ADDRESS: Final = Kind("must be an IPv4 or IPv6 address", _is_address)
EMAIL: Final = Kind("must be an e-mail address", _is_email)
DATE: Final = Kind("must be a date as DD-MM-YYYY", _is_date)
LANGUAGE: Final = _pattern("must be a lower-case language code (ISO 639)", r"[a-z]{2,3}")
COUNTRY: Final = _pattern("must be a country code of two letters", r"[A-Za-z]{2}")
TIMEZONE: Final = _pattern("must name a time zone, such as Asia/Almaty", r"[A-Za-z][A-Za-z0-9_+/-]{0,63}")
URL: Final = Kind(f"must be an http(s) address of at most {MOST_URL} characters without ';'", _is_url)
# E.164 knows at most 15 digits; a card number of the usual 16 is no phone.
PHONE: Final = _pattern(
    "must be a phone number of at most 15 digits", r"(?!(?:[^0-9]*[0-9]){16})\+?[0-9][0-9 ()./-]{2,30}"
)
AMOUNT_SERIES: Final = _series("must look like 1:10,20,30;2:50,100;", r"[0-9]{1,15}(?:,[0-9]{1,15})*")
AMOUNT_RANGE: Final = _series("must look like 1:100-1000;2,3:200-2000;50-1500", rf"{_MINOR}-{_MINOR}")
GROUP_ORDER: Final = _pattern(
    "must be payment groups, deposits ';' payouts, such as 12,1,7;5,8,1",
    rf"(?=.{{1,1024}}\Z)(?:{_GROUPS})?(?:;(?:{_GROUPS})?)?",
)

# protocol.md 2.1. The public page calls the personal fields required, but merchants leave them out and are
# served, so only what identifies the player is (section 15). The two trustly/trumo links are sent by a
# merchant in the field.
KEY_OBTAINING: Final = Grammar(
    "key obtaining",
    required={"site_id": NUMBER, "site_login": LOGIN, "customer_ip": ADDRESS, "currency": CURRENCY},
    optional={
        "language": LANGUAGE,
        "user_email": EMAIL,
        "timezone": TIMEZONE,
        "amount_series": AMOUNT_SERIES,
        "ps_range": GROUP_ORDER,
        "deposit_range": AMOUNT_RANGE,
        "payout_range": AMOUNT_RANGE,
        "force_action": _one_of("1", "2", "3", "4", "5"),  # 3, history, is known to API 1.0 only
        "mode": _one_of("general", "mobile", "one_click"),
        "mirror_url": URL,
        "birthdate": DATE,
        "user_name": _personal(255),
        "first_name": _personal(128),
        "last_name": _personal(128),
        "user_country": COUNTRY,
        "user_city": _personal(128),
        "user_address": _personal(255),
        "user_postal": _personal(32),
        "user_phone": PHONE,
        "document_id": _personal(64),
        "user_preset_id": NUMBER,
        "trustly_uuid": _text(64),
        "trumo_uuid": _text(64),
    },
)

# protocol.md section 3.3: a merchant has approved the withdrawal that `request_payout` asked about. No other
# grammar knows `amount`, and this one knows no `payment_group_id`, which our own messages always hold.
PAYOUT_INITIATION: Final = Grammar(
    "payout initiation",
    required={
        "site_id": NUMBER,
        "site_login": LOGIN,
        "amount": AMOUNT,
        "currency": CURRENCY,
        "external_id": REFERENCE,
    },
    optional={
        "action": _one_of("payout"),
        "customer_purse": _purse(256),
        "remember_customer_purse": FLAG,
        "invoice_id": REFERENCE,
        "comment": _personal(1024),
        "first_name": _personal(128),
        "last_name": _personal(128),
        "user_preset_id": _text(64),
        "customer_ip": ADDRESS,
        "country_code": COUNTRY,
        "billing_phone": PHONE,
        "owner_name": _personal(255),
        "owner_phone": PHONE,
        "owner_address": _personal(255),
        "bank": _personal(128),
        "document_id": _personal(64),
        "birthdate": DATE,
        "external_value1": _personal(256),
    },
)

# protocol.md section 10 (status) and 15: POST /v1/payments/status/.
TRANSACTION_STATUS: Final = Grammar(
    "transaction status",
    required={"site_id": NUMBER},
    optional={"site_login": LOGIN},
    one_of={"order_id": _text(64), "external_id": REFERENCE, "transaction_id": _text(64)},
)

# protocol.md section 5b. It fits no other grammar: those require more, or exactly one reference.
USER_RESET: Final = Grammar("user reset", required={"site_id": NUMBER, "site_login": LOGIN})

GRAMMARS: Final = (KEY_OBTAINING, PAYOUT_INITIATION, TRANSACTION_STATUS, USER_RESET)
