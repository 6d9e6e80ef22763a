"""The merchants' signature: SHA-1 over sorted `name:value;` pairs and the site's salt (protocol.md 1).

The rule is old and weak in known ways (trust.md 3.3), and merchants already speak it. What makes it safe
enough is around it: requests are read by a strict grammar first (`read`, re-exported from
`app.kernel.grammar`), so that one string means one request; the compare takes constant time; the salt
rotates. Which salt, and whether we issued a signature ourselves (a reflection), is known to `app.merchants`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn, TypeAlias
from urllib.parse import unquote_to_bytes

from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.grammar import (
    GRAMMARS,
    KEY_OBTAINING,
    MOST_FIELDS,
    PAYOUT_INITIATION,
    TRANSACTION_STATUS,
    USER_RESET,
    Grammar,
    Kind,
    MalformedField,
    read,
)

__all__ = [
    "DUMMY_SALT",
    "GRAMMARS",
    "KEY_OBTAINING",
    "PAYOUT_INITIATION",
    "TRANSACTION_STATUS",
    "USER_RESET",
    "Dialect",
    "Grammar",
    "Kind",
    "MalformedField",
    "Signable",
    "Unreadable",
    "matches",
    "pairs_from_form",
    "pairs_from_json",
    "pairs_from_query",
    "read",
    "sign",
    "signed_string",
]

# An object's members may be objects themselves (the third level), which dialect G leaves out.
Signable: TypeAlias = str | int | Mapping[str, "Signable"] | None

# What an unknown site is checked against, so that it costs what a known one costs. Drawn anew by every
# process: nobody can sign with it.
DUMMY_SALT: Final = ids.secret()

_SIGNATURE: Final = re.compile(r"[0-9a-f]{40}")
_NO_SIGNATURE: Final = b"-" * 40  # as long as a signature, and equal to none


class Dialect(StrEnum):
    """The two readings of the rule (protocol.md 1.2); they agree on texts, ints and one level of object."""

    G = "G"  # the rule's text and the old gateway library; the default
    P = "P"  # what the sample on the public pages computes


class Unreadable(Refusal):
    """The request cannot be read: {reason}."""


def signed_string(params: Mapping[str, Signable], dialect: Dialect = Dialect.G) -> str:
    """Return `a:1;b:2;`, to which the salt is appended: sorted, without empty values and `signature`.

    Raises:
        TypeError: a float or a list (the rule's text does not define them), or in dialect P a third level.
    """
    pairs = [(name, _value(params[name], dialect)) for name in sorted(params) if name != "signature"]
    if dialect is Dialect.P:  # the sample lowers names after it has sorted them, and drops blank values
        pairs = [(name.lower(), value) for name, value in pairs if value.strip()]
    return "".join(f"{name}:{value};" for name, value in pairs if value)


def sign(params: Mapping[str, Signable], salt: str, dialect: Dialect = Dialect.G) -> str:
    """Return the signature of `params`: 40 lower-case hexadecimal digits.

    Raises:
        TypeError: see `signed_string`.
        ValueError: the salt is empty; such a signature would prove nothing.
    """
    if not salt:
        raise ValueError("nothing is signed without a salt")
    return _digest(signed_string(params, dialect), salt)


def matches(
    params: Mapping[str, Signable], signature: str, salts: Iterable[str], dialect: Dialect = Dialect.G
) -> int | None:
    """Tell which of the salts (the newest first) the signature was made with; None if with none of them.

    Every salt is tried whatever the outcome, and equally long bytes are compared in constant time. Only the
    one accepted spelling counts: 40 lower-case hexadecimal digits. An empty salt matches nothing.

    Raises:
        TypeError: see `signed_string`.
    """
    text = signed_string(params, dialect)
    presented = signature.encode() if _SIGNATURE.fullmatch(signature) else _NO_SIGNATURE
    found = None
    for index, salt in enumerate(salts):
        same = hmac.compare_digest(_digest(text, salt).encode(), presented)
        if same and salt and found is None:
            found = index
    return found


def pairs_from_json(raw: bytes) -> list[tuple[str, str]]:
    """Read the members of one flat JSON object as text, in order, repeated names included.

    Whole numbers keep the text they were written in (no trip through float or int).

    Raises:
        Unreadable: not UTF-8, not JSON, nested too deeply, not an object, or too many members.
        MalformedField: a member that is an object, a list, true, false, null, a fraction, or not Unicode
            text.
    """
    try:
        found = json.loads(
            raw.decode(),
            object_pairs_hook=_Members,
            parse_int=str,
            parse_float=lambda _: _Unfit("must be text or a whole number"),
            parse_constant=_no_constant,
        )
    except RecursionError as error:
        raise Unreadable(reason="it is nested too deeply") from error
    except ValueError as error:
        raise Unreadable(reason="it is not JSON in UTF-8") from error
    if not isinstance(found, _Members):
        raise Unreadable(reason="it is not a JSON object")
    if len(found.pairs) > MOST_FIELDS:
        raise Unreadable(reason=f"it has more than {MOST_FIELDS} fields")
    return [(name, _text_of(name, value)) for name, value in found.pairs]


def pairs_from_form(raw: bytes) -> list[tuple[str, str]]:
    """Read an `application/x-www-form-urlencoded` body or a query string, in order, repeated names included.

    Raises:
        Unreadable: not UTF-8, or too many fields.
    """
    parts = [part for part in raw.replace(b"+", b" ").split(b"&") if part]
    if len(parts) > MOST_FIELDS:
        raise Unreadable(reason=f"it has more than {MOST_FIELDS} fields")
    halves = [part.partition(b"=") for part in parts]
    try:
        return [
            (unquote_to_bytes(name).decode(), unquote_to_bytes(text).decode()) for name, _, text in halves
        ]
    except UnicodeDecodeError as error:
        raise Unreadable(reason="it is not UTF-8") from error


pairs_from_query = pairs_from_form


@dataclass(frozen=True, slots=True)
class _Members:
    """A JSON object as it was written: json's hook hands over pairs, so that repetitions are not lost."""

    pairs: list[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class _Unfit:
    """A JSON value that no signed request holds, and the rule it breaks."""

    rule: str


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # NaN and the infinities are Python's own idea


def _text_of(name: str, value: object) -> str:
    match value:
        case str():
            if any("\ud800" <= character <= "\udfff" for character in value):
                raise MalformedField(field=name, rule="must be Unicode text")
            return value
        case _Unfit(rule):
            raise MalformedField(field=name, rule=rule)
        case _Members():
            raise MalformedField(field=name, rule="must not be an object")
        case list():
            raise MalformedField(field=name, rule="must not be a list")
        case bool():
            raise MalformedField(field=name, rule="must be 1 or 0 instead of true or false")
        case _:
            raise MalformedField(field=name, rule="must not be null; leave it out")


def _digest(text: str, salt: str) -> str:
    """Hash the signed string and the salt; lone surrogates pass, so that no text makes a compare raise."""
    return hashlib.sha1(f"{text}{salt}".encode(errors="surrogatepass")).hexdigest()  # noqa: S324 the protocol


def _value(value: Signable, dialect: Dialect) -> str:
    """Write one value of the outer level; an object becomes its sorted pairs, without a closing delimiter."""
    if not isinstance(value, Mapping):
        return _scalar(value, dialect)
    if dialect is Dialect.P and any(isinstance(member, Mapping) for member in value.values()):
        raise TypeError("dialect P has no rule for a third level")
    members = {
        name: _scalar(member, dialect) for name, member in value.items() if not isinstance(member, Mapping)
    }
    return ";".join(f"{name}:{members[name]}" for name in sorted(members) if members[name])


def _scalar(value: str | int | None, dialect: Dialect) -> str:
    is_page_sample = dialect is Dialect.P
    match value:
        case None:
            return "None" if is_page_sample else ""
        case bool():
            return str(value) if is_page_sample else str(int(value))
        case str() | int():
            return str(value)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be signed; sign the text as it was received")
