"""What our own API takes in a list, and how it names what is wrong: as it was sent, in words."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.payments.callers import Callers, Json, calling
from tests.payments.desk import Desk
from tests.payments.stage import Stage

DEEDS: Final[dict[str, Json]] = {
    "approve": {},
    "reject": {"reason_staff": "not his card"},
    "cancel": {"reason": "asked"},
    "refunds": {"reason": "twice"},
}


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Callers]:
    await stage.policy(auto_below=None)
    await stage.fund()
    async with calling(stage.pipes, stage.site_id) as calls:
        yield calls


async def opened_case(stage: Stage, api: Callers, token: str) -> str:
    path = f"/v1/payments/{(await stage.withdraw()).payment_id}/cases"
    return str((await api.post(token, path, {"reason": "look"}, "open")).json()["id"])


@pytest.mark.parametrize(
    ("path", "cursor"),
    [
        *(("/v1/payments", cursor) for cursor in ("starting_after", "ending_before")),
        *(("/v1/cases", cursor) for cursor in ("starting_after", "ending_before")),
        ("/v1/disputes", "starting_after"),
    ],
)
async def test_a_cursor_that_is_nobodys_is_named_as_it_was_sent(
    stage: Stage, api: Callers, path: str, cursor: str
) -> None:
    query = {"site_id": stage.site_id, cursor: "dep_nowhere"}
    status, told = await api.get(await api.person("anna"), path, **query)
    assert (status, told["param"]) == (404, cursor)


@pytest.mark.parametrize(
    ("path", "unknown"),
    [
        *(
            ("/v1/payments", unknown)
            for unknown in ("search", "status[nin]", "expand", "amount[gt]", "amount_to")
        ),
        *((path, "q") for path in ("/v1/cases", "/v1/disputes")),
        *((path, "expand[]") for path in ("/v1/cases", "/v1/disputes")),
    ],
)
async def test_a_parameter_that_a_list_does_not_know_is_refused_by_its_name(
    stage: Stage, api: Callers, path: str, unknown: str
) -> None:
    query = {"site_id": stage.site_id, unknown: "1"}
    status, told = await api.get(await api.person("anna"), path, **query)
    assert (status, told["code"], told["param"]) == (400, "malformed_field", unknown)


async def test_a_list_is_narrowed_by_the_sum_that_was_ordered(stage: Stage, api: Callers) -> None:
    sums = {str((await stage.withdraw(minor)).payment_id): minor for minor in (1_000, 2_000, 3_000)}

    async def found(**asked: object) -> list[int]:
        status, told = await api.get(api.reads, "/v1/payments", **asked)
        assert status == 200, told
        return sorted(sums[one["id"]] for one in told["data"])

    assert await found(**{"amount[gte]": 2_000}) == [2_000, 3_000]
    assert await found(**{"amount[lte]": 2_000}) == [1_000, 2_000]
    assert await found(**{"amount[gte]": 2_000, "amount[lte]": 2_000, "currency": "kzt"}) == [2_000]
    assert await found(currency="USD") == []
    for wrong in ("-1", "1.5", "x", str(10**30)):
        status, told = await api.get(api.reads, "/v1/payments", **{"amount[lte]": wrong})
        assert (status, told["param"]) == (400, "amount[lte]")


async def test_a_body_that_is_no_json_is_said_in_words(stage: Stage, api: Callers) -> None:
    headers = {"authorization": f"Bearer {await api.person('anna')}", "idempotency-key": "k"}
    headers["content-type"] = "application/json"
    for body, where in ((b"{", "character 1"), (b'{"reason": x}', "character 11")):
        answer = await api.http.post("/v1/payments/wdr_1/cancel", content=body, headers=headers)
        told = answer.json()
        assert (answer.status_code, told["param"]) == (400, "body")
        assert told["detail"].startswith("The body is not JSON: ")
        assert where in told["detail"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (
            "/v1/payments/dep_1/refunds",
            b'{"amount_minor": 1, "amount_minor": 2, "reason": "r"}',
            "amount_minor",
        ),
        ("/v1/cases/cas_1/resolve", b'{"note": {"a": 1, "a": 1}}', "a"),
        ("/v1/cases/cas_1/resolve", rb'{"\ud800": 1, "\ud800": 1}', r"\ud800"),
    ],
)
async def test_of_a_name_that_stands_twice_nobody_guesses(
    api: Callers, path: str, body: bytes, param: str
) -> None:
    headers = {"authorization": f"Bearer {await api.person('anna')}", "idempotency-key": "k"}
    headers["content-type"] = "application/json"
    answer = await api.http.post(path, content=body, headers=headers)
    told = answer.json()
    assert (answer.status_code, told["code"], told["param"]) == (400, "malformed_field", param)
    assert told["detail"] == f"{param}: stands in one object twice"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"attachment_sha256": "zz"}, "attachment_sha256"),
        ({"resolution": "accepted"}, "amount_minor"),
        ({"amount_minor": 5, "currency": "KZT"}, "amount_minor"),
        ({"note": " "}, "note"),
        ({"payment_id": "dep_1"}, "payment_id"),
    ],
)
async def test_a_wrong_field_of_a_proposal_is_named_as_it_was_sent(
    stage: Stage, api: Callers, change: Json, param: str
) -> None:
    anna = await api.person("anna")
    path = f"/v1/cases/{await opened_case(stage, api, anna)}/resolve"
    body = {"resolution": "noted", "note": "n", "attachment_sha256": "a" * 64, **change}
    told = (await api.post(anna, path, body)).json()
    assert (told["code"], told["param"], told["field"]) == ("bad_proposal", param, param)
    assert told["detail"].startswith(f"{param}: ")


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_deed_for_other_kinds_of_payment_says_so(desk: Desk, deed: str) -> None:
    deposit_id = await desk.deposit()
    refund_id = (await desk.refund(deposit_id, 50_000)).payment_id
    its, kinds = (refund_id, "deposit") if deed == "refunds" else (deposit_id, "withdrawal or a refund")
    async with calling(desk.pipes, desk.site_id) as calls:
        anna = await calls.person("anna")
        told = await calls.post(anna, f"/v1/payments/{its}/{deed}", DEEDS[deed])
        assert (told.status_code, told.json()["code"]) == (422, "not_of_this_kind")
        assert told.json()["detail"].endswith(f"this can be done to a {kinds}.")
        gone = await calls.post(anna, f"/v1/payments/dep_nowhere/{deed}", DEEDS[deed], "k-2")
        assert gone.status_code == 404


async def test_the_sum_of_a_refund_is_named_as_it_was_sent(desk: Desk) -> None:
    deposit_id = await desk.deposit()
    async with calling(desk.pipes, desk.site_id) as calls:
        body = {"reason": "twice", "amount_minor": 150_001}
        told = await calls.post(await calls.person("anna"), f"/v1/payments/{deposit_id}/refunds", body)
        assert (told.json()["code"], told.json()["param"]) == ("refund_exceeds_captured", "amount_minor")
