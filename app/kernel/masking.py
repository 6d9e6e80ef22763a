"""What a log, a stored raw reply or an error may show: no card number, no secret, no forged line.

Card numbers keep their first six and last four digits (PCI DSS 3.4.1). Secrets are found by the name they
stand under, in data (`mask_value`) and in text: forms, JSON, addresses, headers (`mask_text`). Where it is
doubtful, a name too many is masked rather than one too few.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NoReturn

from typing_extensions import override

__all__ = [
    "CARD_PART",
    "MASK",
    "CardNumber",
    "holds_card",
    "is_secret_name",
    "looks_like_card",
    "mask_cards",
    "mask_excerpt",
    "mask_text",
    "mask_value",
]

MASK: Final = "***"
_SHORTEST_CARD: Final = 13
_LONGEST_CARD: Final = 19
_LONGEST_WRITTEN: Final = 80  # characters that a card number takes when it is written with blanks
_CARD_BITS: Final = 64  # hold 19 digits; Python does not even write out much longer numbers
_DIGITS: Final = "0123456789"
# Major industry identifiers of ISO/IEC 7812-1 under which cards are issued that somebody pays with.
_ISSUED: Final = "2345689"
_USUAL_NAME: Final = 64  # characters; longer names are not remembered, strangers could fill the memory
_DEEPEST: Final = 20  # deeper data is nobody's message, and a loop must end

_SECRET_WORD: Final = re.compile(
    "(?:auth|authorization|bearer|cookie|credential|csc|csrf|cvc2?|cvn|cvv2?|jwt|key|otp|pan|passphrase|passwd"
    "|password|pin|pwd|salt|secret|sig|signature|token)s?"
)
# All in one word, as some spell them.
_SECRET_COMPOUNDS: Final = re.compile(
    "apikey|accesskey|accesstoken|authtoken|cardno|cardnumber|privatekey|secretkey|securitycode|sessionid"
)
# `key_id` names a key, `KeyError` is a mishap, `signature_ok` an outcome: not secrets.
_HARMLESS_ENDING: Final = re.compile(
    "age|at|count|dialect|errors?|ids?|kind|length|names?|ok|status|type|valid|version"
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+")

# Digits in groups, between them blanks, no-break spaces and dashes of any kind, as in "4111 - 1111 - ...".
_SEPARATOR: Final = r"[ \u00a0\u202f\u2010-\u2015\u2212-]{1,3}"
_CARD_LIKE: Final = re.compile(rf"[0-9](?:(?:{_SEPARATOR})?[0-9]){{12,18}}")
# The same in any script's digits, and between them also what is not seen, or marks that join other numbers.
_UNSEEN: Final = r"\x00\u00ad\u1680\u2000-\u200f\u202a-\u202e\u205f-\u2064\u2066-\u2069\u3000\ufeff"
_MARKS: Final = r"._/|+*~\u00b7\u2022\u2024\u2027\u2219\u22c5\u30fb\uff0b\uff0e\uff0f\uff3f"
_BETWEEN: Final = rf" \u00a0\u202f\u2010-\u2015\u2212{_UNSEEN}{_MARKS}-"
_DIGIT_GROUPS: Final = re.compile(rf"\d+(?:[{_BETWEEN}]{{1,3}}\d+)*")
CARD_PART: Final = re.compile(rf"[\d{_BETWEEN}]")  # what the number of a card may be written with
_JOINED: Final = re.compile(rf"[{_MARKS}]")
# How many digits each group of a card has where such marks stand between them: versions, addresses, times and
# sums are written with them as well.
_LAYOUTS: Final = frozenset(
    {(4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 3, 3, 3)}
    | {(1,) * length for length in range(_SHORTEST_CARD, _LONGEST_CARD + 1)}
)
_GROUP: Final = re.compile(r"[0-9]+")
_DIGIT: Final = re.compile(r"\d")

# `name=`, `"name": `, `name: `, also with escaped quotes; what follows is looked at under a secret name only.
# The quantifiers are possessive, so that long texts stay cheap.
_NAME: Final = re.compile(
    r"""
    (?<![A-Za-z0-9_-])
    (?P<name> [A-Za-z0-9_-]++) (?P<quote> \\*+["']?+)
    \s*+ (?P<sign> [=:]) \s*+ (?i: (?:Bearer|Basic|Digest)\ ++ )?+
    """,
    re.VERBOSE,
)
_VALUE: Final = re.compile(
    r"""
      "(?:[^"\\]|\\.)*+"?+
    | '(?:[^'\\]|\\.)*+'?+
    | \\++["'][^"'\\]*+
    | [^\s"'\\&,;}\])>]++
    """,
    re.VERBOSE | re.DOTALL,
)
_REST_OF_LINE: Final = re.compile(r"[^\r\n]++")
_QUOTE: Final = re.compile(r"""\\*["']""")
_OPENING: Final = "([{"
_CLOSING: Final = ")]}"
# Of such marks nothing can be made but the number of a card.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]*+")
_SCHEMES: Final = re.compile(r"\b(Bearer|Basic|Digest)( +)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"""(://)[^\s/?#"'<>]+@""")
# Everything that could end a line in some log reader (the C0 and C1 controls, DEL, Unicode's two separators),
# or show what follows it in another order (the marks of direction).
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class CardNumber:
    """A card number on its way from a form to the provider that gives a token for it: shows its mask only.

    Whatever writes it out, a log, a repr, an f-string, gets the mask; it cannot be pickled or copied, and
    `reveal` is the only way to the digits.
    """

    __slots__ = ("_digits",)

    def __init__(self, text: str) -> None:
        """Take a number as people write it, with blanks or dashes between its groups.

        Raises:
            ValueError: it is no card number; the sentence does not repeat it.
        """
        stripped = text.strip()
        if not looks_like_card(stripped):
            raise ValueError("not a card number")
        self._digits = "".join(_GROUP.findall(stripped))

    def reveal(self) -> str:
        """The digits, for the body of the one request that turns them into a token."""
        return self._digits

    @property
    def masked(self) -> str:
        """The first six and the last four digits, as `411111******1111` (PCI DSS 3.4.1)."""
        return f"{self._digits[:6]}{'*' * (len(self._digits) - 10)}{self._digits[-4:]}"

    @override
    def __repr__(self) -> str:
        return f"CardNumber({self.masked})"

    @override
    def __str__(self) -> str:
        return self.masked

    @override
    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a card number is not written anywhere")


def mask_text(text: str) -> str:
    """Mask card numbers and named secrets in free text, and escape control characters: it stays one line."""
    if _PLAIN.fullmatch(text):
        return text if len(text) < _SHORTEST_CARD else _DIGIT_GROUPS.sub(_hide_cards, text)
    shown = _USER_INFO.sub(rf"\1{MASK}@", text)
    shown = _hide_named(shown)
    shown = _SCHEMES.sub(rf"\1\2{MASK}", shown)
    shown = _DIGIT_GROUPS.sub(_hide_cards, shown)
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), shown)


def mask_excerpt(raw: bytes, most: int) -> str:
    """The beginning of a stranger's bytes as masked text of at most `most` characters, fit to be stored.

    Cut before masking, which takes its time, and again after it: half a card number would not be known.
    """
    text = raw[: 4 * (most + _LONGEST_WRITTEN)].decode(errors="replace").replace("\x00", "")
    return mask_text(text[: most + _LONGEST_WRITTEN])[:most]


def mask_cards(text: str) -> str:
    """Mask the card numbers of a text and leave everything else of it as it is.

    For what is stored to be read again: numbers that no card begins with (0, 1 and 7: times in milliseconds,
    telephones) stay.
    """
    return _DIGIT_GROUPS.sub(lambda found: _hide_cards(found, _ISSUED), text)


def mask_value(value: object, name: str = "") -> object:
    """Mask data of any shape, told under which name it stands.

    Mappings, lists, tuples and sets are copied with everything inside masked (the last three as lists);
    None, bools, floats and ints that are no card number stay; whatever else there is becomes its masked text.
    """
    return _masked(value, name, _DEEPEST)


def looks_like_card(text: str) -> bool:
    """Tell whether a text is a card number: 13 to 19 digits, blanks and dashes allowed, right by Luhn."""
    stripped = text.strip()
    return _CARD_LIKE.fullmatch(stripped) is not None and _is_luhn("".join(_GROUP.findall(stripped)))


def holds_card(text: str) -> bool:
    """Tell whether a card number stands anywhere in a text, also among words."""
    return _DIGIT_GROUPS.sub(_hide_cards, text) != text


def is_secret_name(name: str) -> bool:
    """Tell whether a secret stands under this name: `salt`, `api_key`, `webhook-signature`, `secretKey`."""
    return _known_name(name) if len(name) <= _USUAL_NAME else _is_secret(name)


@lru_cache(maxsize=2048)  # messages have the same names again and again
def _known_name(name: str) -> bool:
    return _is_secret(name)


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    if _SECRET_COMPOUNDS.search("".join(words)):
        return True
    if _HARMLESS_ENDING.fullmatch(words[-1]):
        return False
    return any(_SECRET_WORD.fullmatch(word) for word in words)


def _masked(value: object, name: str, depth: int) -> object:
    if value is None or value in ("", b""):
        return value  # that a secret is missing is worth knowing
    if is_secret_name(name):
        return MASK
    if depth == 0:
        return "..."
    match value:
        case bool() | float():
            return value
        case int():
            is_card = value.bit_length() <= _CARD_BITS and looks_like_card(str(abs(value)))
            return mask_text(str(value)) if is_card else value
        case str():
            return mask_text(value)
        case bytes():
            return mask_text(value.decode(errors="replace"))
        case Mapping():
            members = ((str(key), member) for key, member in value.items())
            return {mask_text(key): _masked(member, key, depth - 1) for key, member in members}
        case list() | tuple() | set() | frozenset():
            return [_masked(member, "", depth - 1) for member in value]
        case _:
            return mask_text(str(value))


def _hide_named(text: str) -> str:
    """Mask the values that stand behind secret names."""
    shown, done = [], 0
    for start, end in _named(text):
        shown += [text[done:start], MASK]
        done = end
    return "".join([*shown, text[done:]])


def _named(text: str) -> Iterator[tuple[int, int]]:
    """Find the values behind secret names: where each starts and ends, without its quotes.

    From left to right and without recursion, however deeply `a=b=c=...` is nested.
    """
    at = 0
    while found := _NAME.search(text, at):
        at = found.end()
        if is_secret_name(found["name"]):
            may_hold_blanks = found["sign"] == ":" and not found["quote"] and _is_header(found["name"])
            start, at = _value_at(text, at, to_line_end=may_hold_blanks)
            if start < at:
                yield start, at


def _is_header(name: str) -> bool:
    """Tell whether this may be a header whose secret holds blanks and semicolons."""
    return name.lower().endswith(("cookie", "authorization"))


def _value_at(text: str, at: int, *, to_line_end: bool) -> tuple[int, int]:
    """Return where the value at `at` starts and ends: a bracketed group, a line, a quoted text or a word."""
    if at < len(text) and text[at] in _OPENING:
        return at, _closing(text, at)
    found = (_REST_OF_LINE if to_line_end else _VALUE).match(text, at)
    if found is None:
        return at, at
    quote = _QUOTE.match(found[0])
    if quote is None or to_line_end:
        return found.span()
    is_closed = found[0].endswith(quote[0]) and len(found[0]) > len(quote[0])
    return at + len(quote[0]), found.end() - (len(quote[0]) if is_closed else 0)


def _closing(text: str, at: int) -> int:
    """Return where the bracketed group ends that starts at `at`; an unclosed one ends with the text."""
    depth = 0
    for index in range(at, len(text)):
        depth += (text[index] in _OPENING) - (text[index] in _CLOSING)
        if depth == 0:
            return index + 1
    return len(text)


def _hide_cards(found: re.Match[str], beginnings: str = _DIGITS) -> str:
    """Mask each card within a run of digit groups: groups that together have 13 to 19 digits and add up.

    Whole groups only: a 30-digit order number would nearly always hold a lucky window of digits.
    """
    text = found[0]
    if len(text) < _SHORTEST_CARD:
        return text
    plain = text if text.isascii() else _DIGIT.sub(lambda digit: str(int(digit[0])), text)
    groups = [group.span() for group in _GROUP.finditer(plain)]
    shown, done, first = [], 0, 0
    while first < len(groups):
        is_one = plain[groups[first][0]] in beginnings
        last = _card_from(plain, groups, first) if is_one else None
        if last is None:
            first += 1
            continue
        digits = "".join(plain[start:end] for start, end in groups[first : last + 1])
        shown += [text[done : groups[first][0]], f"{digits[:6]}...{digits[-4:]}"]
        done, first = groups[last][1], last + 1
    return "".join([*shown, text[done:]])


def _card_from(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """Return the last group of the longest card that begins with the group `first`."""
    digits, found, sizes, is_joined = "", None, [], False
    for index in range(first, len(groups)):
        start, end = groups[index]
        is_joined = is_joined or (index > first and bool(_JOINED.search(text, groups[index - 1][1], start)))
        digits += text[start:end]
        sizes.append(end - start)
        if len(digits) > _LONGEST_CARD:
            break
        fits = not is_joined or (digits[0] in _ISSUED and tuple(sizes) in _LAYOUTS)
        if len(digits) >= _SHORTEST_CARD and fits and _is_luhn(digits):
            found = index
    return found


def _is_luhn(digits: str) -> bool:
    """Check the last digit by Luhn's rule (ISO/IEC 7812-1, annex B)."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0
