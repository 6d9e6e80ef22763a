"""How a "no" is said: RFC 9457 problem+json with the members of payments.md section 3.3, in one place.

`type` is the address, at the host that was asked, of a page that says what the code means.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from fastapi.responses import JSONResponse

from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = ["MEMBERS", "NAMES", "SENTENCES", "TYPES", "fault_of", "meaning_of", "problem"]

# What every problem has or may have of itself; a refusal's own facts never stand in their place.
MEMBERS: Final = frozenset(
    {
        "type", "title", "status", "code", "detail", "instance", "param", "retryable", "player_message",
        "request_id", "correlation_id",
    }
)  # fmt: skip
TYPES: Final = "/problems/"  # followed by the code
# What the framework refuses, by its status, and what each of these codes means.
NAMES: Final[Mapping[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
}
SENTENCES: Final[Mapping[str, str]] = {
    "not_found": "There is nothing at this address.",
    "method_not_allowed": "This address takes other methods.",
    "too_slow": "The request body did not arrive in time.",
    "too_large": "The request body is too large.",
    "refused": "The request was refused.",
    "malformed_field": "A field or parameter is missing, malformed or not known here; `param` names it.",
    "overloaded": "Too busy right now. Send the same again soon; with the same key it is carried out once.",
    "internal": "Something went wrong on our side; the outcome may be unknown.",
}
_OBJECT: Final = 'The body must be a JSON object, sent with the header "Content-Type: application/json".'
_WORDS: Final[Mapping[str, str]] = {"missing": "required", "extra_forbidden": "not known here"}
_TOO_LONG: Final = frozenset({"too_long", "string_too_long"})
# The same request again, with the same key, may succeed though nothing of it is changed.
_PASSING: Final = frozenset({408, 429, 503})
_RUNNING: Final = "idempotency_in_progress"
_LANGUAGE: Final = re.compile(r"[a-z]{2}")
# All that a player may read of a "no" to somebody else's server: nothing of why, and what to do.
_TO_PLAYERS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "money": "There is not enough money for this.",
        "passing": "Try again in a minute.",
        "other": "This is not possible now. Please contact support.",
    },
    "ru": {
        "money": "Для этого недостаточно денег.",
        "passing": "Попробуйте ещё раз через минуту.",
        "other": "Сейчас это невозможно. Обратитесь в поддержку.",
    },
    "kk": {
        "money": "Бұл үшін ақша жеткіліксіз.",
        "passing": "Бір минуттан кейін қайталап көріңіз.",
        "other": "Қазір бұл мүмкін емес. Қолдау қызметіне хабарласыңыз.",
    },
}
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def problem(
    status: int,
    code: str,
    detail: str,
    facts: Mapping[str, object] = _NOTHING,
    *,
    scope: Mapping[str, Any] = _NOTHING,
) -> JSONResponse:
    """One problem+json answer.

    Args:
        status: the HTTP status.
        code: for programs; never changes its meaning.
        detail: for people who wrote the request.
        facts: further members; those that are None are left out.
        scope: the ASGI scope of the request, with the ids that `RequestContext` gave it.
    """
    is_passing = status in _PASSING or code == _RUNNING
    request_id = scope.get("request_id")
    content: dict[str, object] = {
        "type": f"{TYPES}{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "retryable": is_passing,
        "player_message": _to_player(status, scope, is_passing=is_passing),
    }
    more = {
        **facts,
        "instance": f"urn:cashier:{request_id}" if request_id else None,
        "request_id": request_id,
        "correlation_id": scope.get("correlation_id"),
    }
    content |= {name: _plain(value) for name, value in more.items() if value is not None}
    return JSONResponse(content, status, media_type="application/problem+json")


def fault_of(found: Mapping[str, Any]) -> tuple[str, str]:
    """The field that is wrong, as it was sent, and the sentence about it.

    Args:
        found: one of the errors of pydantic, whose words speak of Python.
    """
    place, what, limits = found["loc"], found["type"], found.get("ctx", {})
    if what == "json_invalid":
        why = limits.get("error", "it cannot be read")
        return "body", f"The body is not JSON: {why}, at character {place[-1]}."
    if place == ("body",):
        return "body", _OBJECT
    # The second of `kind=a&kind=b` has the name `kind` as well.
    parts = [part for part in place[1:] if place[0] == "body" or isinstance(part, str)]
    param = ".".join(map(str, parts)) or "body"
    if what in _TOO_LONG and isinstance(found["input"], str):
        return param, f"{param}: at most {limits['max_length']} characters"
    return param, f"{param}: {_WORDS.get(what, str(found['msg']).removeprefix('Value error, '))}"


def meaning_of(code: str, statuses: Mapping[str, int]) -> str | None:
    """What a code means, in words; None: it is none of ours.

    Args:
        statuses: the HTTP status of each refusal's code.
    """
    sentences = {one.code: _sentence(one) for one in _refusals(Refusal)} | dict(SENTENCES)
    if code not in sentences:
        return None
    known = {name: status for status, name in NAMES.items()} | {"malformed_field": 400, "internal": 500}
    status = (known | dict(statuses)).get(code, 400)
    return f"{code}\n\nHTTP {status}. {sentences[code]}\n"


def _refusals(of: type[Refusal]) -> Iterator[type[Refusal]]:
    for one in of.__subclasses__():
        yield one
        yield from _refusals(one)


def _sentence(of: type[Refusal]) -> str:
    """As it is written: what is told with it stands in braces."""
    return " ".join(inspect.cleandoc(of.__doc__ or "").split("\n\n")[0].split())


def _to_player(status: int, scope: Mapping[str, Any], *, is_passing: bool) -> str:
    said = next((value for name, value in scope.get("headers", ()) if name == b"accept-language"), b"")
    wanted = _LANGUAGE.findall(said.decode("latin-1").lower())
    language = next((one for one in wanted if one in _TO_PLAYERS), "en")
    why = "money" if status == 402 else "passing" if is_passing else "other"  # noqa: PLR2004  HTTP's own
    return _TO_PLAYERS[language][why]


def _plain(value: object) -> object:
    if isinstance(value, Money):
        return {"amount": value.minor, "currency": value.currency}
    return value if isinstance(value, str | int | bool | list | dict) else str(value)
