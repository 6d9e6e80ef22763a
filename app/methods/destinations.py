"""Where a payout goes: what each method needs to know of it, and whether what was typed can be right. Pure.

Sources: ISO 13616 and the SWIFT registry (IBAN), ISO/IEC 7812-1 (card numbers), ITU-T E.164 (telephones), the
decree of the Republic of Kazakhstan on individual identification numbers (IIN, two passes of weights).
"""

import hashlib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.kernel.errors import Refusal
from app.kernel.masking import CardNumber, holds_card, looks_like_card, mask_text
from app.methods.model import MethodUnavailable

__all__ = [
    "DESTINATION_FIELDS",
    "BadDestination",
    "Destination",
    "DestinationField",
    "DestinationRule",
    "FieldKind",
    "marks",
    "read_destination",
]

_BLANKS: Final = re.compile(r"[\s\u00a0\u202f-]+")
_PUNCTUATION: Final = re.compile(r"[^\w\s]|_")
_LONGEST_NAME: Final = 140  # of ISO 20022, Max140Text
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_IIN: Final = re.compile(r"[0-9]{12}")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_WALLET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{2,63}")
_OF_SEVEN: Final = 12  # characters of a number of Kazakhstan or Russia: +7 and ten digits
_CARD_AS_PHONE: Final = 14  # digits from which on a telephone that passes Luhn's rule is rather a card

# Characters of an IBAN by country: SWIFT IBAN registry, release 99.
# fmt: off
_IBAN_LENGTHS: Final[Mapping[str, int]] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25,
    "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}
# fmt: on
_IIN_WEIGHTS: Final = ((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2))


class FieldKind(StrEnum):
    """What is typed into a field: the page chooses keyboard and pattern by it."""

    CARD_NUMBER = "card_number"
    IBAN = "iban"
    IIN = "iin"
    NAME = "name"
    PHONE = "phone"
    WALLET = "wallet"


class DestinationRule(StrEnum):
    """The rule that a field broke; each has its sentence in `_SENTENCES`."""

    MISSING = "missing"
    UNKNOWN_FIELD = "unknown_field"
    MALFORMED = "malformed"
    COUNTRY = "country"
    LENGTH = "length"
    CHECKSUM = "checksum"
    CARD_NUMBER = "card_number"


_SENTENCES: Final[Mapping[DestinationRule, str]] = {
    DestinationRule.MISSING: "it is needed",
    DestinationRule.UNKNOWN_FIELD: "this way to pay has no such field",
    DestinationRule.MALFORMED: "it is not of the right form",
    DestinationRule.COUNTRY: "the country in it has no such numbers",
    DestinationRule.LENGTH: "it is too short or too long",
    DestinationRule.CHECKSUM: "its check digits do not fit: a digit is wrong",
    DestinationRule.CARD_NUMBER: "a card number does not belong here",
}
assert _SENTENCES.keys() == set(DestinationRule)


class BadDestination(Refusal):
    """The money cannot be sent there; {field}: {why}.

    It never repeats what was typed.
    """

    def __init__(self, *, field: str, rule: DestinationRule) -> None:
        """Name the field and the rule that it broke."""
        self.param = mask_text(field)[:64]
        self.rule = rule
        super().__init__(field=self.param, rule=rule.value, why=_SENTENCES[rule])


@dataclass(frozen=True, slots=True)
class DestinationField:
    """One field that the page asks for; `label` is the English text that catalogues translate."""

    name: str
    kind: FieldKind
    label: str


# What a payout by each method needs to know. The first field is the one that tells destinations apart.
DESTINATION_FIELDS: Final[Mapping[str, tuple[DestinationField, ...]]] = {
    "card": (DestinationField("number", FieldKind.CARD_NUMBER, "Card number"),),
    "bank_transfer": (
        DestinationField("iban", FieldKind.IBAN, "Account number (IBAN)"),
        DestinationField("iin", FieldKind.IIN, "IIN of the account's holder"),
        DestinationField("name", FieldKind.NAME, "Name of the account's holder"),
    ),
    "e_wallet": (DestinationField("wallet", FieldKind.WALLET, "Wallet number"),),
    "mobile_operator": (DestinationField("phone", FieldKind.PHONE, "Phone number"),),
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a payout goes, fit to be stored but for `secret`.

    `fields` is what the provider needs; of a card nothing until it is `tokenised`, then the token alone.
    `masked` may be shown. `fingerprint` is the same for the same account, telephone or wallet; a card has its
    provider's, so none before it is tokenised.
    """

    method: str
    fields: Mapping[str, str] = field(repr=False)
    masked: str
    fingerprint: str
    secret: CardNumber | None = field(default=None, repr=False, compare=False)

    @property
    def needs_token(self) -> bool:
        """Whether this must be tokenised before it is stored or sent."""
        return self.secret is not None

    @property
    def brief(self) -> str:
        """The mask's end, as in "card *4242"."""
        return f"*{self.masked.rpartition('*')[2]}"

    def tokenised(self, token: str, fingerprint: str) -> "Destination":
        """The same destination with the provider's token in place of the number.

        Raises:
            ValueError: the token or the fingerprint is empty, or a card number itself.
        """
        if not token or not fingerprint or looks_like_card(token) or looks_like_card(fingerprint):
            raise ValueError("no token")
        return Destination(self.method, {"token": token}, self.masked, fingerprint)


def read_destination(method: str, fields: Mapping[str, object]) -> Destination:
    """What a player typed as the destination of a payout.

    Blanks and dashes as people write them are taken out of numbers.

    Raises:
        MethodUnavailable: nothing is paid out by this method.
        BadDestination: a field is missing, unknown, or cannot be right; the first one is named.
    """
    asked = DESTINATION_FIELDS.get(method)
    if asked is None:
        raise MethodUnavailable(method=method)
    known = {one.name for one in asked}
    for name in fields:
        if name not in known:
            raise BadDestination(field=name, rule=DestinationRule.UNKNOWN_FIELD)
    read: dict[str, str] = {}
    for one in asked:
        typed = fields.get(one.name, "")
        if not isinstance(typed, str):
            raise BadDestination(field=one.name, rule=DestinationRule.MALFORMED)
        if not typed.strip():
            raise BadDestination(field=one.name, rule=DestinationRule.MISSING)
        read[one.name] = _READERS[one.kind](one.name, typed)
    first = asked[0]
    if first.kind is FieldKind.CARD_NUMBER:
        number = CardNumber(read[first.name])
        return Destination(method, {}, number.masked, "", number)
    masked, fingerprint = marks(method, read[first.name])
    return Destination(method, read, masked, fingerprint)


def marks(method: str, account: str) -> tuple[str, str]:
    """The mask and the fingerprint of an account that is no card: IBAN, telephone or wallet.

    The same whether a player typed it or a provider told it.

    Raises:
        MethodUnavailable: the method has no accounts of its own.
        BadDestination: it cannot be one.
    """
    asked = DESTINATION_FIELDS.get(method)
    if asked is None or asked[0].kind is FieldKind.CARD_NUMBER:
        raise MethodUnavailable(method=method)
    first = asked[0]
    read = _READERS[first.kind](first.name, account)
    fingerprint = hashlib.sha256(f"{method}\n{read.lower()}".encode()).hexdigest()[:32]
    return _MASKS[first.kind](read), fingerprint


def _squeezed(typed: str) -> str:
    return _BLANKS.sub("", typed)


def _holds_card(typed: str) -> bool:
    """Whether a card number stands in it, however it is written: 4111.1111.1111.1111, 4111/1111/..."""
    return holds_card(typed) or holds_card(_PUNCTUATION.sub("", typed))


def _card_number(name: str, typed: str) -> str:
    digits = _squeezed(typed)
    if not (digits.isascii() and digits.isdigit()):
        raise BadDestination(field=name, rule=DestinationRule.MALFORMED)
    if not 13 <= len(digits) <= 19:  # noqa: PLR2004  ISO/IEC 7812-1
        raise BadDestination(field=name, rule=DestinationRule.LENGTH)
    if not looks_like_card(digits):
        raise BadDestination(field=name, rule=DestinationRule.CHECKSUM)
    return digits


def _iban(name: str, typed: str) -> str:
    """Country, length, then the number with its beginning at its end is 1 modulo 97 (ISO 7064)."""
    iban = _squeezed(typed).upper()
    if looks_like_card(iban):
        raise BadDestination(field=name, rule=DestinationRule.CARD_NUMBER)
    if not _IBAN.fullmatch(iban):
        raise BadDestination(field=name, rule=DestinationRule.MALFORMED)
    if iban[:2] not in _IBAN_LENGTHS:
        raise BadDestination(field=name, rule=DestinationRule.COUNTRY)
    if len(iban) != _IBAN_LENGTHS[iban[:2]]:
        raise BadDestination(field=name, rule=DestinationRule.LENGTH)
    number = "".join(str(int(mark, 36)) for mark in iban[4:] + iban[:4])
    if int(number) % 97 != 1 or not 2 <= int(iban[2:4]) <= 98:  # noqa: PLR2004  ISO 7064, MOD 97-10
        raise BadDestination(field=name, rule=DestinationRule.CHECKSUM)
    return iban


def _iin(name: str, typed: str) -> str:
    """The twelfth digit checks the others: weighted sum modulo 11, where that is 10 with other weights."""
    iin = _squeezed(typed)
    if not (iin.isascii() and _IIN.fullmatch(iin)):
        raise BadDestination(field=name, rule=DestinationRule.MALFORMED)
    digits = [int(digit) for digit in iin]
    sums = [sum(map(operator.mul, weights, digits)) % 11 for weights in _IIN_WEIGHTS]
    control = sums[0] if sums[0] <= 9 else sums[1]  # noqa: PLR2004  10 is no digit
    if control != digits[-1]:
        raise BadDestination(field=name, rule=DestinationRule.CHECKSUM)
    return iin


def _name(name: str, typed: str) -> str:
    read = " ".join(typed.split())
    if _holds_card(read):
        raise BadDestination(field=name, rule=DestinationRule.CARD_NUMBER)
    if len(read) > _LONGEST_NAME:
        raise BadDestination(field=name, rule=DestinationRule.LENGTH)
    if not read.isprintable() or not any(mark.isalpha() for mark in read):
        raise BadDestination(field=name, rule=DestinationRule.MALFORMED)
    return read


def _phone(name: str, typed: str) -> str:
    phone = _squeezed(typed.replace("(", " ").replace(")", " "))
    if not (phone.isascii() and _PHONE.fullmatch(phone)):
        is_card = looks_like_card(phone)
        raise BadDestination(
            field=name, rule=DestinationRule.CARD_NUMBER if is_card else DestinationRule.MALFORMED
        )
    if phone.startswith("+7") and len(phone) != _OF_SEVEN:
        raise BadDestination(field=name, rule=DestinationRule.LENGTH)
    if len(phone) > _CARD_AS_PHONE and looks_like_card(phone[1:]):
        raise BadDestination(field=name, rule=DestinationRule.CARD_NUMBER)
    return phone


def _wallet(name: str, typed: str) -> str:
    wallet = typed.strip()
    if _holds_card(wallet):
        raise BadDestination(field=name, rule=DestinationRule.CARD_NUMBER)
    if not (wallet.isascii() and _WALLET.fullmatch(wallet)):
        raise BadDestination(field=name, rule=DestinationRule.MALFORMED)
    return wallet


def _hidden(text: str, shown_first: int, shown_last: int) -> str:
    return text[:shown_first] + "*" * (len(text) - shown_first - shown_last) + text[-shown_last:]


_READERS: Final[Mapping[FieldKind, Callable[[str, str], str]]] = {
    FieldKind.CARD_NUMBER: _card_number,
    FieldKind.IBAN: _iban,
    FieldKind.IIN: _iin,
    FieldKind.NAME: _name,
    FieldKind.PHONE: _phone,
    FieldKind.WALLET: _wallet,
}
_MASKS: Final[Mapping[FieldKind, Callable[[str], str]]] = {
    FieldKind.IBAN: lambda iban: _hidden(iban, 4, 4),
    FieldKind.PHONE: lambda phone: _hidden(phone, 3, 4),
    FieldKind.WALLET: lambda wallet: _hidden(wallet, 1, 1 if len(wallet) < 6 else 2),  # noqa: PLR2004  half
}
assert _READERS.keys() == set(FieldKind)
