"""How what strangers send is read (signed parameters, JSON), and how the API's documents say it."""

import json
import re
from typing import Any, Final

from fastapi import Request

from app.kernel import signing
from app.kernel.errors import Refusal

__all__ = ["NotReadable", "body_of", "parameters_of", "read_json", "signed_pairs"]

_JSON_DEPTH: Final = 16
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


class NotReadable(Refusal):
    """The request cannot be read: {why}."""


async def signed_pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of a signed request as text, duplicates kept.

    From the query, a form, or a flat JSON object.

    Raises:
        NotReadable: the body is none of these.
        Unreadable: the query or the form is not UTF-8, or it has too many fields.
        MalformedField: JSON with values that the signature rule does not allow (protocol.md section 15).
    """
    if request.method == "GET":
        # As it was sent: Starlette would put replacement characters where the sender signed bytes.
        return signing.pairs_from_query(request.scope["query_string"])
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return signing.pairs_from_form(body)
    if kind in {"application/json", ""}:
        return signing.pairs_from_json(body)
    raise NotReadable(why="send JSON or a form")


def parameters_of(grammar: signing.Grammar) -> dict[str, Any]:
    """OpenAPI query parameters of a signed GET request."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": _is_required(grammar, name), "schema": _schema(kind)}
            for name, kind in grammar.fields().items()
        ]
    }


def body_of(grammar: signing.Grammar) -> dict[str, Any]:
    """OpenAPI request body of a signed POST request: flat JSON or a form."""
    fields = grammar.fields()
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in fields if _is_required(grammar, name)],
        "properties": {name: _schema(kind) for name, kind in fields.items()},
    }
    media = {"schema": schema}
    content = {"application/json": media, "application/x-www-form-urlencoded": media}
    return {"requestBody": {"required": True, "content": content}}


def _is_required(grammar: signing.Grammar, name: str) -> bool:
    return name in grammar.required or name == "signature"


def _schema(kind: signing.Kind) -> dict[str, str]:
    return {"type": "string", "description": f"The field {kind.rule}."}


def read_json(body: bytes) -> Any:  # noqa: ANN401  any JSON value
    """JSON from a stranger: bounded depth, no NaN.

    Raises:
        NotReadable: not JSON, or nested deeper than anything of ours.
    """
    depth = 0
    for mark in _STRING.sub(b"", body):
        depth += (mark in b"[{") - (mark in b"]}")
        if depth > _JSON_DEPTH:
            raise NotReadable(why=f"nested deeper than {_JSON_DEPTH} levels")
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise NotReadable(why="not JSON") from error


def _no_constant(text: str) -> float:
    raise ValueError(text)
