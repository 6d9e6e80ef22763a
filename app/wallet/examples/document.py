"""The OpenAPI document of the wallet's surface, made complete: forms, answers, and an example of each.

Nothing of this is needed to serve: it is put together when somebody asks for the document.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from app.wallet.contract import MEANINGS
from app.wallet.examples import shapes
from app.wallet.examples.calls import CALLS, Call, codes_of
from app.wallet.examples.wishes import BODIES, PATHS, QUERIES
from app.wallet.terms import Code

__all__ = ["ANSWERS", "alone", "described"]

Json = dict[str, Any]
# Played and written by tests/wallet/test_openapi.py: no line of it was thought up.
ANSWERS: Final = Path(__file__).with_name("answers.json")
_REFS: Final = "#/components/schemas/{model}"
_MONEY_BODIES: Final = frozenset({"deposit", "withdraw"})
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_RETRY: Final = {
    "description": "Seconds to wait before asking again.",
    "schema": {"type": "integer"},
}


def described(document: Json) -> Json:
    """The document of an application, with all that the wallet's calls take and answer.

    Args:
        document: as the web framework makes it; changed in place.
    """
    played: Mapping[str, Mapping[str, Json]] = json.loads(ANSWERS.read_text())
    forms, schemas = _schemas()
    alike = _alike(played)
    for call in CALLS:
        path = next(path for path in document["paths"] if path.replace(":path}", "}") == call.path)
        operation = document["paths"][path][call.method]
        operation.update(
            {
                "summary": call.summary,
                "description": f"Scope: {' or '.join(f'`{scope}`' for scope in call.scopes)}.",
                "operationId": f"wallet_{call.name.replace(' ', '_')}",
                "security": [{"token": []}],
                "parameters": _parameters(operation, call),
                "responses": _responses(call, forms, played[call.name], alike),
            }
        )
        if call.body is not None:
            operation["requestBody"] = _body(call, forms)
    components = document.setdefault("components", {})
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **schemas}.items()))
    components["examples"] = {name: _shown(example) for name, example in alike.items()}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


def alone(document: Json) -> Json:
    """The document where it holds nothing but the wallet: its title, and no forms of others."""
    schemas = document["components"]["schemas"]
    # Every answer is an envelope: the framework's own refusal is not among them.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["info"] |= {
        "title": "Open Cashier: wallet API",
        "description": "What operators and game platforms call; see docs/wallet.md. Amounts are minor units; "
        "at a site with amount_unit = major they are numbers with the currency's decimals.",
    }
    return document


def _schemas() -> tuple[dict[Any, Json], Json]:
    """By form, how it is referred to; and the definitions, by their names."""
    wanted = {form: TypeAdapter(form) for form in _forms()}
    adapters = [(id(form), "validation", adapter) for form, adapter in wanted.items()]
    references, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REFS)  # type: ignore[arg-type]
    forms = {form: references[id(form), "validation"] for form in wanted}
    return forms, definitions["$defs"]


def _forms() -> list[Any]:
    found: list[Any] = [shapes.Refusal]
    for call in CALLS:
        found += [call.answer, *(call.body.values() if isinstance(call.body, dict) else [call.body])]
    return [form for form in dict.fromkeys(found) if form is not None]


def _parameters(operation: Json, call: Call) -> list[Json]:
    """Those that the application knows, with an example of each, and the header of transfers."""
    examples = {**QUERIES.get(call.name, {}), **PATHS.get(call.name, {})}
    found = [
        {**parameter, "example": examples[parameter["name"]]} if parameter["name"] in examples else parameter
        for parameter in operation.get("parameters", [])
        if parameter["in"] != "header"
    ]
    known = {parameter["name"] for parameter in found}
    # The framework looks past a route that reads its request by itself.
    for name in _IN_PATH.findall(call.path):
        if name not in known:
            named = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            found.append({**named, "example": examples[name]} if name in examples else named)
    if call.name in _MONEY_BODIES:
        header = {"name": "Idempotency-Key", "in": "header", "required": False}
        found.append({**header, "schema": {"type": "string"}, "description": "Serves as transferId."})
    return found


def _body(call: Call, forms: Mapping[Any, Json]) -> Json:
    schema: Json
    if isinstance(call.body, dict):
        items = [_typed(name, forms[form]) for name, form in call.body.items()]
        schema = {
            "type": "object",
            "required": ["operations"],
            "properties": {
                "operations": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1000,
                    "items": {"oneOf": items},
                },
                "allOrNone": {"type": "boolean", "description": "One refusal undoes all."},
            },
        }
    else:
        schema = forms[call.body]
    content = {"application/json": {"schema": schema, "example": BODIES[call.name]}}
    return {"required": True, "content": content}


def _typed(name: str, form: Json) -> Json:
    """An operation of a batch says what it is."""
    says = {"type": "object", "required": ["type"], "properties": {"type": {"const": name}}}
    return {"allOf": [says, form]}


def _alike(played: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """The answers that several calls give word for word."""
    found: dict[str, Json] = {}
    for code in Code:
        told = [answers[code] for answers in played.values() if code in answers]
        if len(told) > 1 and all(answer == told[0] for answer in told):
            found[code.value] = told[0]
    return found


def _shown(example: Json) -> Json:
    return {"summary": MEANINGS[Code(example["code"])].sentence, "value": example}


def _responses(
    call: Call, forms: Mapping[Any, Json], played: Mapping[str, Json], alike: Mapping[str, Json]
) -> Json:
    """By HTTP status: the form of the envelope, and an example for each code that it may carry."""
    found: Json = {}
    for code in sorted(codes_of(call), key=lambda code: MEANINGS[code].status):
        status = MEANINGS[code].status
        if str(status) not in found:
            found[str(status)] = {
                "description": "",
                "content": {"application/json": {"schema": _envelope(call, status, forms), "examples": {}}},
            }
        response = found[str(status)]
        if code in {Code.RATE_LIMITED, Code.OVERLOADED}:
            response["headers"] = {"Retry-After": _RETRY}
        examples = response["content"]["application/json"]["examples"]
        for name, example in played.items():
            if example["code"] == code:
                is_alike = name in alike
                examples[name] = {"$ref": f"#/components/examples/{name}"} if is_alike else _shown(example)
        codes = [code for code in codes_of(call) if MEANINGS[code].status == status]
        response["description"] = f"{HTTPStatus(status).phrase}: {', '.join(codes)}"
    return found


def _envelope(call: Call, status: int, forms: Mapping[Any, Json]) -> Json:
    data = forms[call.answer]
    if status != HTTPStatus.OK:
        # What was stored tells the whole operation, also where it was refused.
        told = call.answer in {shapes.Money, shapes.Results}
        data = {"anyOf": [data, forms[shapes.Refusal]]} if told else forms[shapes.Refusal]
    codes = [code for code in codes_of(call) if MEANINGS[code].status == status]
    return {
        "type": "object",
        "required": ["success", "code", "message", "data"],
        "properties": {
            "success": {"const": status == HTTPStatus.OK},
            "code": {"enum": codes},
            "message": {"type": "string", "description": "For people; never parse it."},
            "data": data,
        },
    }
