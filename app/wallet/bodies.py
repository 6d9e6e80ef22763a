"""A body on the wire as the object that it is: JSON, each name once, numbers as they were written."""

import json
from typing import Any, Final

from app.wallet.contract import Refused
from app.wallet.terms import ID_LENGTH, Code

__all__ = ["Decimal", "read_body", "wrong"]


class Decimal(str):
    """A number that was written with a point or an exponent, as it was written."""

    __slots__ = ()


def _no_constant(text: str) -> object:
    raise ValueError(text)


class _Twice(ValueError):
    """A name that stands twice in one object: which of the two is meant, nobody knows."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


# Made once: `json.loads` makes one for each call that says how numbers are read.
_JSON: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_once)


def read_body(body: bytes) -> dict[str, Any]:
    """A JSON object from a stranger, in UTF-8; numbers with a point keep their text.

    Raises:
        Refused: VALIDATION.
    """
    try:
        found = _JSON.decode(body.decode())
    except _Twice as error:
        # Half a character can be read, and not be written.
        name = str(error)[:ID_LENGTH].encode(errors="backslashreplace").decode()
        raise Refused(Code.VALIDATION, f"{name!r} stands in one object twice.", field=name) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wrong("body", "is not JSON") from error
    except ValueError as error:
        raise wrong("body", "has a number that is none, or has far too many digits") from error
    if type(found) is not dict:
        raise wrong("body", "is not a JSON object")
    return found


def wrong(field: str, why: str) -> Refused:
    """The refusal of what a stranger sent, naming the field: VALIDATION."""
    return Refused(Code.VALIDATION, f"{field} {why}.", field=field)
