"""The OpenAPI document of what merchants' servers call, made complete: who may, which answers, one of each.

Nothing of this is needed to serve: it is put together when somebody asks for the document.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from app.kernel import signing
from app.kernel.errors import Refusal
from app.payments.examples.calls import ASKED, BUSY, CALLS, EVERYWHERE, SIGNED, Call, Said
from app.plumbing import problems, web

__all__ = ["described"]

Json = dict[str, Any]
_REQUEST: Final = {"request_id": "req_6f3BoxYrXc1Sx6Hn8bKq2T"}
_JSON, _PROBLEM = "application/json", "application/problem+json"


def described(document: Json) -> Json:
    """The document of an application, with all that merchants' calls answer.

    Args:
        document: as the web framework makes it; changed in place.
    """
    for path in document["paths"].values():
        for operation in path.values():
            name = operation.get("operationId", "")
            if name in CALLS:
                _complete(operation, CALLS[name])
            elif name in SIGNED:
                _complete_signed(document, operation, SIGNED[name])
            for content in operation["requestBody"]["content"].values() if name in ASKED else ():
                content["example"] = {**ASKED[name], "signature": signing.sign(ASKED[name], "test_salt")}
    return document


def _complete(operation: Json, call: Call) -> None:
    rights = [right.value for right in call.rights]
    who = f"A person needs the right `{'` or `'.join(rights)}`."
    servers = "A site's server needs a token for `read` or `wallet`. " if call.by_servers else ""
    operation["description"] = f"{operation['description']}\n\n{servers}{who}"
    operation["x-permission"] = {"person": rights, "server": ["read", "wallet"] if call.by_servers else []}
    good = operation["responses"]["200"]
    good["content"][_JSON]["example"] = call.answer.model_dump(mode="json")
    operation["responses"] = {"200": good}
    for said in (*EVERYWHERE, *call.refusals):
        _add(operation["responses"], _problem(said))
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "Idempotency-Key":
            parameter["required"] = True
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 255}


def _complete_signed(document: Json, operation: Json, refusals: Sequence[Refusal]) -> None:
    """Of the protocol's own calls: their answers have forms of their own, but for a database that is busy."""
    responses = operation["responses"]
    forms = document["components"]["schemas"]
    for answer in responses.values():
        answer["content"][_JSON]["example"] = _of_form(forms, answer["content"][_JSON]["schema"], {})
    refused = next(iter(responses[status] for status in responses if status != "200"))["content"][_JSON]
    for refusal in refusals:
        status = web.status_of(type(refusal))
        fields = {"errors": refusal.sentence, "code": status, "error": refusal.sentence, "success": False}
        example = _of_form(forms, refused["schema"], fields)
        content = {_JSON: {"schema": refused["schema"], "example": example}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    _add(responses, _problem(BUSY))


def _of_form(forms: Json, schema: Json, fields: Json) -> Json:
    """The form's own example with these fields; the framework leaves out what is null there."""
    form = forms[schema["$ref"].rpartition("/")[2]]
    return {name: fields.get(name, form["example"].get(name)) for name in form["properties"]}


def _add(responses: Json, said: Json) -> None:
    """One more answer of a status, under its code."""
    named = HTTPStatus(said["status"]).phrase
    here = responses.setdefault(str(said["status"]), {"description": named, "content": {}})
    form = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    here["content"].setdefault(_PROBLEM, form)["examples"][said["code"]] = {"value": said}
    if said["retryable"]:
        here.setdefault("headers", {})["Retry-After"] = {
            "description": "Seconds to wait before asking again.",
            "schema": {"type": "integer"},
        }


def _problem(said: Said) -> Json:
    if isinstance(said, Refusal):
        status, code, detail = web.status_of(type(said)), said.code, said.sentence
        facts: Mapping[str, object] = {**said.fields, "param": said.param}
    else:
        status, code, detail, param = said
        facts = {"param": param}
        detail = detail or problems.SENTENCES[code]
    told = problems.problem(status, code, detail, facts, scope=_REQUEST)
    shown: Json = json.loads(bytes(told.body))
    return shown
