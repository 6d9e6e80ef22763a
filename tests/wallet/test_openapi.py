"""openapi/wallet.json: every call, every answer, and each example is what the product says."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from app import openapi
from app.kernel.clock import MovableClock
from app.main import create_app
from app.plumbing.database import Database, SessionSettings
from app.wallet import access
from app.wallet.access import Access
from app.wallet.contract import MEANINGS
from app.wallet.examples import ANSWERS, BODIES, CALLS, Call, codes_of, shapes
from app.wallet.terms import Code
from tests.conftest import ROOT
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.plays import PLAYS
from tests.wallet.theatre import BY_NAME, SCOPES, Theatre, ask

# Each call may answer these for reasons that have nothing to do with what it is for.
ANYWHERE: Final = (
    Code.VALIDATION,
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.WRONG_WALLET_MODE,
    Code.RATE_LIMITED,
    Code.OVERLOADED,
    Code.INTERNAL,
)
WRITE: Final = "CASHIER_WRITE_TRANSCRIPTS"


@pytest.fixture
async def theatre(clone_url: str, clock: MovableClock) -> AsyncIterator[Theatre]:
    async with (
        Database(clone_url, SessionSettings(lock_timeout=100), pool_size=5) as database,
        opened(database, clock) as counter,
    ):
        yield Theatre(counter, clone_url)


def played() -> dict[str, dict[str, Json]]:
    found: dict[str, dict[str, Json]] = json.loads(ANSWERS.read_text())
    return found


async def test_each_example_is_what_the_product_answers(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, dict[str, Json]] = {}
    for call in CALLS:
        told[call.name] = {}
        for name, steps in PLAYS[call.name].items():
            status, answer = await theatre.play(steps)
            assert answer["code"] == name.partition(" ")[0], (call.name, name, answer)
            assert status == MEANINGS[answer["code"]].status
            told[call.name][name] = answer
    await _anywhere(theatre, told, monkeypatch)
    if os.environ.get(WRITE):
        ANSWERS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    assert told == played(), f"write it anew with {WRITE}=1, and read what changed"


async def _anywhere(
    theatre: Theatre, told: dict[str, dict[str, Json]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers that each call gives alike."""
    counter = await theatre.site()
    seamless = await theatre.site(callback_url="https://shop.example.com/wallet")
    for call in CALLS:
        codes = codes_of(call)
        found: dict[Code, tuple[int, Json]] = {}
        if Code.VALIDATION in codes:
            found[Code.VALIDATION] = await ask(counter, call, _nonsense(call))
        found[Code.UNAUTHENTICATED] = await ask(counter, call, {}, token="ck_wallet_unknown")
        if Code.FORBIDDEN in codes:
            token = next(counter.tokens[scope] for scope in SCOPES if scope not in call.scopes)
            found[Code.FORBIDDEN] = await ask(counter, call, {}, token=token)
        if Code.WRONG_WALLET_MODE in codes:
            # Of a batch whose operations are independent, each says so itself.
            is_batch = "operations" in BODIES.get(call.name, {})
            body = {"allOrNone": True} if is_batch else {}
            found[Code.WRONG_WALLET_MODE] = await ask(seamless, call, body)
        with monkeypatch.context() as patch, capture_logs():
            patch.setattr(Access, "caller", _fails)
            found[Code.INTERNAL] = await ask(counter, call, {})
        _note(told[call.name], found)
    await _worn_out(theatre, told, monkeypatch)


async def _worn_out(
    theatre: Theatre, told: dict[str, dict[str, Json]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that asks too much, then a database that is gone."""
    counter = theatre.counter
    monkeypatch.setattr(access, "_PER_SECOND", 1)
    async with (
        Database(theatre.url, pool_size=1) as database,
        opened(database, counter.clock) as slow,
        Database("postgresql://nobody@127.0.0.1:1/nowhere", pool_size=1) as gone,
    ):
        await ask(slow, BY_NAME["effect matrix"], {})
        for call in CALLS:
            _note(told[call.name], {Code.RATE_LIMITED: await ask(slow, call, {})})
        transport = httpx.ASGITransport(create_app(replace(slow.pipes, database=gone)))
        async with httpx.AsyncClient(transport=transport, base_url=slow.http.base_url) as http:
            for call in CALLS:
                found = await ask(replace(slow, http=http), call, {})
                _note(told[call.name], {Code.OVERLOADED: found})


def _note(told: dict[str, Json], found: dict[Code, tuple[int, Json]]) -> None:
    for code, (status, answer) in found.items():
        assert (status, answer["code"]) == (MEANINGS[code].status, code), answer
        told[code.value] = answer


def _nonsense(call: Call) -> dict[str, Any]:
    """The first thing that the call takes is more than it may be."""
    if "operations" in BODIES.get(call.name, {}):
        return {"operations": []}
    if call.name == "reconcile":
        return {"items": None}
    if "{" in call.path:
        return {call.path.partition("{")[2].partition("}")[0]: "x" * 129}
    return {"sessionId": None} if call.name == "end" else {"playerExternalId": "x" * 129}


async def _fails(*_: object) -> None:
    raise RuntimeError("a mistake of ours")


def examples() -> Iterator[tuple[Call, str, Json]]:
    for name, told in played().items():
        for example, answer in told.items():
            yield BY_NAME[name], example, answer


def test_every_code_that_a_call_may_answer_has_an_example() -> None:
    shown = {name: {answer["code"] for answer in told.values()} for name, told in played().items()}
    assert shown == {call.name: set(codes_of(call)) for call in CALLS}
    assert set().union(*shown.values()) == set(Code)


def test_every_example_has_its_form() -> None:
    for call, example, answer in examples():
        assert _fitted(shapes.Envelope, answer) == answer
        stored = call.answer in {shapes.Money, shapes.Results}
        forms = [call.answer] if answer["code"] == "OK" else [shapes.Refusal, *([call.answer] * stored)]
        # A form drops the names that it does not have.
        assert any(_fitted(form, answer["data"]) == answer["data"] for form in forms), (call.name, example)


def _fitted(form: Any, data: Json) -> object:  # noqa: ANN401  a form
    try:
        return TypeAdapter(form).validate_json(json.dumps(data), strict=True)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["deposit", "withdraw", "bet", "win", "betwin", "rollback"])
async def test_a_body_has_the_fields_that_the_document_says(theatre: Theatre, name: str) -> None:
    counter, call = theatre.counter, BY_NAME[name]
    said = TypeAdapter(call.body).json_schema()
    check = BY_NAME["check"]
    status, told = await _checked(counter, check, name, BODIES[name])
    assert (status, told["code"]) == (200, "OK")
    for field in said["required"]:
        less = {one: value for one, value in BODIES[name].items() if one != field}
        status, told = await _checked(counter, check, name, less)
        assert (status, told["code"], told["data"]["field"]) == (400, "VALIDATION", field)
    for field in said["properties"].keys() - {"kind"}:
        status, told = await _checked(counter, check, name, {**BODIES[name], field: []})
        assert (status, told["code"]) == (400, "VALIDATION"), field


async def _checked(counter: Counter, check: Call, name: str, body: object) -> tuple[int, Json]:
    headers = {"authorization": f"Bearer {counter.tokens['read']}"}
    path = check.path.format(name=name)
    answer: httpx.Response = await counter.http.post(path, json=body, headers=headers)
    return answer.status_code, answer.json()


def test_the_document_describes_every_call_and_no_reference_hangs() -> None:
    document = json.loads((ROOT / "openapi" / "wallet.json").read_text())
    described = {
        (method, path.replace(":path}", "}"))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert described == {(call.method, call.path) for call in CALLS}
    kept = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "examples")
        for name in document["components"][kind]
    }
    assert set(_references(document)) == kept


def _references(node: object) -> Iterator[str]:
    match node:
        case dict():
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)
        case _:
            pass


def test_the_document_has_every_example() -> None:
    document = json.loads((ROOT / "openapi" / "wallet.json").read_text())
    operations = {
        (method, path.replace(":path}", "}")): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    for call, example, answer in examples():
        response = operations[call.method, call.path]["responses"][str(MEANINGS[answer["code"]].status)]
        content = response["content"]["application/json"]
        shown = content["examples"][example]
        if "$ref" in shown:
            shown = document["components"]["examples"][shown["$ref"].rpartition("/")[2]]
        assert shown["value"] == answer
        assert answer["code"] in content["schema"]["properties"]["code"]["enum"]
    assert "wallet.json" not in openapi.differences(ROOT / "openapi")
