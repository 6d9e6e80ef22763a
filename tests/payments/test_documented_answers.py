"""openapi/merchant.json: an example of every answer, true to its form; who may; what must be sent."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import pytest
from pydantic import BaseModel

from app import staff
from app.kernel import signing
from app.payments import api_schemas, case_schemas, schemas
from app.payments.states import STATUS_OF
from app.players import routes as players_routes
from app.plumbing import problems, web
from tests.conftest import ROOT
from tests.payments.callers import Callers, calling
from tests.payments.stage import Stage

Json = dict[str, Any]
DOCUMENT: Final[Json] = json.loads((ROOT / "openapi" / "merchant.json").read_text())
CALLS: Final[Mapping[str, tuple[str, str, Json]]] = {
    call["operationId"]: (method, path, call)
    for path, calls in DOCUMENT["paths"].items()
    for method, call in calls.items()
}
ROOMS: Final = (api_schemas, case_schemas, schemas, players_routes)


def form(reference: str) -> type[BaseModel]:
    """The form that a schema of the document was made from."""
    name = reference.rpartition("/")[2]
    found: type[BaseModel] = next(getattr(room, name) for room in ROOMS if hasattr(room, name))
    return found


def shown() -> Iterator[tuple[str, int, Json, Json]]:
    """Every example: of which call, with which status, its schema, and itself."""
    for name, (_, _, call) in CALLS.items():
        for status, answer in call["responses"].items():
            for content in answer["content"].values():
                of_all = [one["value"] for one in content.get("examples", {}).values()]
                of_all += [content["example"]] if "example" in content else []
                assert of_all, f"{name} {status} shows nothing"
                yield from ((name, int(status), content["schema"], one) for one in of_all)


def test_every_answer_is_shown_as_its_form_says() -> None:
    for name, status, schema, example in shown():
        its = form(schema["$ref"])
        told = its.model_validate_json(json.dumps(example)).model_dump(mode="json")
        if its is api_schemas.Problem:
            told = {member: value for member, value in told.items() if value is not None}
        assert told == example, f"{name} {status}"


def test_every_problem_is_one_that_has_this_status() -> None:
    for name, status, schema, example in shown():
        if form(schema["$ref"]) is api_schemas.Problem:
            known = web.STATUS_BY_CODE.get(example["code"], status)
            assert (known, example["status"]) == (status, status), f"{name} {status}"
            assert example["code"] in web.STATUS_BY_CODE or example["code"] in problems.SENTENCES


def test_every_payment_that_is_shown_is_one_that_can_be() -> None:
    for name, status, schema, example in shown():
        if form(schema["$ref"]) is api_schemas.PaymentObject:
            assert STATUS_OF[example["sub_status"]] == example["status"], f"{name} {status}"


def test_busy_and_too_many_are_said_where_they_can_happen() -> None:
    answers = {name: call["responses"] for name, (_, _, call) in CALLS.items()}
    assert [name for name, said in answers.items() if "503" not in said] == []
    assert {name for name, said in answers.items() if "429" in said} == {"keys_obtain", "keys_obtain_post"}


def test_a_key_is_needed() -> None:
    keys = [
        one
        for _, _, call in CALLS.values()
        for one in call.get("parameters", [])
        if one["name"] == "Idempotency-Key"
    ]
    assert len(keys) == 8
    assert all(one["required"] for one in keys)


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Callers]:
    await stage.policy(auto_below=None)
    await stage.fund(1_000_000)
    async with calling(stage.pipes, stage.site_id) as calls:
        yield calls


BODIES: Final[Mapping[str, Json]] = {
    "payments_cancel": {"reason": "asked"},
    "payments_approve": {},
    "payments_reject": {"reason_staff": "not his card"},
    "refunds_create": {"reason": "twice"},
    "cases_open": {"reason": "look"},
    "cases_resolve": {"resolution": "noted", "note": "seen", "attachment_sha256": "a" * 64},
    "cases_decide": {"verdict": "approve"},
    "disputes_move": {"state": "submitted", "note": "by mail"},
}


def test_every_call_of_people_says_which_right_it_needs() -> None:
    of_ours = {name for name, (_, _, call) in CALLS.items() if call.get("security")}
    assert of_ours == {name for name, (_, _, call) in CALLS.items() if "x-permission" in call}
    assert {name for name in of_ours if CALLS[name][0] == "post"} == BODIES.keys()


@pytest.mark.parametrize("name", BODIES.keys() - {"refunds_create", "disputes_move"})
async def test_the_right_that_is_named_is_the_one_that_counts(stage: Stage, api: Callers, name: str) -> None:
    _, path, call = CALLS[name]
    right = staff.Right(call["x-permission"]["person"][0])  # the first is that of a withdrawal
    payment_id = (await stage.withdraw()).payment_id
    opener = await api.person("opener")
    opened = await api.post(opener, f"/v1/payments/{payment_id}/cases", {"reason": "look"}, "open")
    case_id = opened.json()["id"]
    if name == "cases_decide":
        await api.post(opener, f"/v1/cases/{case_id}/resolve", BODIES["cases_resolve"], "propose")
    filled = path.format(payment_id=payment_id, case_id=case_id)
    able = [role for role in staff.Role if right in staff.RIGHTS[role]]
    for role in (*(role for role in staff.Role if role not in able), able[0]):
        told = await api.post(await api.person(role.value, role), filled, BODIES[name], role.value)
        expected = (200, None, None) if role in able else (403, "not_permitted", right.value)
        body = told.json()
        assert (told.status_code, body.get("code"), body.get("right")) == expected, role


async def test_what_is_shown_has_the_members_of_what_is_told(stage: Stage, api: Callers) -> None:
    payment_id = (await stage.withdraw()).payment_id
    anna = await api.person("anna")
    opened = await api.post(anna, f"/v1/payments/{payment_id}/cases", {"reason": "look"}, "k")
    paths = {
        "payments_list": "/v1/payments",
        "payments_get": f"/v1/payments/{payment_id}",
        "cases_list": "/v1/cases",
        "cases_get": f"/v1/cases/{opened.json()['id']}",
        "disputes_list": "/v1/disputes",
    }
    examples = {name: one for name, status, _, one in shown() if status == 200}
    for name, path in paths.items():
        status, told = await api.get(anna, path, site_id=stage.site_id)
        assert (status, told.keys()) == (200, examples[name].keys()), name
        for one, example in zip(told.get("data", []), examples[name].get("data", []), strict=False):
            assert one.keys() == example.keys(), name


@pytest.mark.parametrize(
    ("name", "grammar"),
    [
        ("keys_obtain_post", signing.KEY_OBTAINING),
        ("players_reset", signing.USER_RESET),
        ("payments_status", signing.TRANSACTION_STATUS),
        ("payouts_initiate", signing.PAYOUT_INITIATION),
    ],
)
def test_every_signed_call_is_shown_as_it_is_sent(name: str, grammar: signing.Grammar) -> None:
    for content in CALLS[name][2]["requestBody"]["content"].values():
        asked = content["example"]
        fields = signing.read(grammar, signing.pairs_from_json(json.dumps(asked).encode()))
        assert asked["signature"] == signing.sign(fields, "test_salt")
