"""Cases and disputes over HTTP: who may look, how two people end them, and what goes wrong said plainly."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from app import payments, staff
from tests.payments.callers import Callers, Json, calling
from tests.payments.casework import unknown_payout
from tests.payments.desk import Desk
from tests.payments.world import fact

Role = staff.Role
PROOF = "ef" * 32
NOTED = {"resolution": "noted", "note": "all is well", "attachment_sha256": PROOF}


@dataclass
class Room:
    """A desk, the application, and two people who may."""

    desk: Desk
    calls: Callers
    anna: str
    boris: str

    async def opened(self, deposit: str, key: str = "open") -> Json:
        body = {"reason": "odd"}
        answer = await self.calls.post(self.anna, f"/v1/payments/{deposit}/cases", body, key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def cases(self, token: str = "", **query: object) -> tuple[int, Json]:
        query.setdefault("site_id", self.desk.site_id)
        return await self.calls.get(token or self.anna, "/v1/cases", **query)

    async def dispute(self) -> str:
        deposit = await self.desk.deposit()
        told = {"number": "cb-1", "stage": "opened", "minor": 50_000}
        await self.desk.world.notice(
            fact(await self.desk.world.reference(), "unknown", dispute=told), mark="d"
        )
        return deposit


@pytest.fixture
async def room(desk: Desk) -> AsyncIterator[Room]:
    async with calling(desk.pipes, desk.site_id) as calls:
        yield Room(desk, calls, await calls.person("anna"), await calls.person("boris"))


async def test_two_people_end_a_case_and_a_repeat_hears_the_first_answer(room: Room) -> None:
    its = await room.opened(await room.desk.deposit())
    assert (its["kind"], its["state"], its["proposal"]) == ("unresolved", "open", None)
    path = f"/v1/cases/{its['id']}"
    asked = await room.calls.post(room.anna, f"{path}/resolve", NOTED)
    assert asked.status_code == 200, asked.text
    again = await room.calls.post(room.anna, f"{path}/resolve", NOTED)
    assert (again.content, again.headers["idempotent-replayed"]) == (asked.content, "true")
    _, seen = await room.calls.get(room.boris, path, site_id=room.desk.site_id)
    assert seen["proposal"]["resolution"] == "noted"
    assert seen["proposal"]["proposed_by"].startswith("operator:")
    own = await room.calls.post(room.anna, f"{path}/decide", {"verdict": "approve"})
    assert (own.status_code, own.json()["code"]) == (403, "own_request")
    verdict = {"verdict": "approve", "approval_id": seen["proposal"]["approval_id"]}
    done = await room.calls.post(room.boris, f"{path}/decide", verdict)
    assert (done.status_code, done.json()["state"], done.json()["resolution"]) == (200, "resolved", "noted")
    assert done.json()["attachment_sha256"] == PROOF
    late = await room.calls.post(room.anna, f"{path}/resolve", NOTED, "k-2")
    assert (late.status_code, late.json()["code"]) == (409, "case_closed")


async def test_a_conflict_is_credited_with_what_came_over_the_api(room: Room) -> None:
    row = await room.desk.world.deposit()
    await room.desk.world.notice(fact(await room.desk.world.reference(), minor=120_000))
    _, listed = await room.cases(kind="amount_differs")
    [its] = listed["data"]
    assert (its["ours"]["amount"], its["theirs"]["amount"]) == ("1500.00 KZT", "1200.00 KZT")
    path = f"/v1/cases/{its['id']}"
    said = NOTED | {"resolution": "accepted", "amount_minor": 120_000, "currency": "KZT"}
    assert (await room.calls.post(room.anna, f"{path}/resolve", said)).status_code == 200
    await room.calls.post(room.boris, f"{path}/decide", {"verdict": "approve"})
    assert (await room.desk.found(row.payment_id)).captured.minor == 120_000
    assert (await room.cases())[1]["data"] == []
    assert [one["id"] for one in (await room.cases(state="resolved"))[1]["data"]] == [its["id"]]


async def test_cases_are_read_in_pages_both_ways(room: Room) -> None:
    made = []
    for number in range(5):
        room.desk.world.clock.advance(timedelta(seconds=1))
        await room.desk.world.notice(fact(f"att_of_nobody_{number}"))
        made.append(f"att_of_nobody_{number}")
    newest = made[::-1]
    seen: list[str] = []
    cursor: Json = {}
    while True:
        _, page = await room.cases(limit=2, **cursor)
        seen += [one["about"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"starting_after": page["next_cursor"]}
    assert seen == newest
    _, whole = await room.cases()
    _, back = await room.cases(limit=2, ending_before=whole["data"][3]["id"])
    assert [one["about"] for one in back["data"]] == newest[1:3]
    assert (await room.cases(starting_after="cas_none"))[1]["code"] == "case_not_found"
    assert (await room.cases(limit=201))[0] == 400
    assert (await room.cases(payment_id="dep_none"))[1]["data"] == []


async def test_a_servers_token_decides_nothing_and_is_told_what_is_needed(room: Room) -> None:
    its = await room.opened(await room.desk.deposit())
    refused = await room.calls.post(room.calls.reads, f"/v1/cases/{its['id']}/resolve", NOTED)
    assert (refused.status_code, refused.json()["code"]) == (403, "operator_needed")
    assert refused.json()["detail"] == "A site's server may not resolve: an operator's token is needed."
    status, problem = await room.cases(room.calls.reads)
    assert (status, problem["code"]) == (403, "operator_needed")


async def test_who_has_not_the_right_reads_and_does_nothing(room: Room) -> None:
    its = await room.opened(await room.desk.deposit())
    sara = await room.calls.person("sara", Role.SUPPORT)
    assert (await room.cases(sara))[0] == 200
    path = f"/v1/cases/{its['id']}"
    for deed, body in (("resolve", NOTED), ("decide", {"verdict": "reject", "reason": "no"})):
        await room.calls.post(room.anna, f"{path}/resolve", NOTED)
        answer = await room.calls.post(sara, f"{path}/{deed}", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"attachment_sha256": "xyz"}, 422, "attachment"),
        ({"note": ""}, 422, "note"),
        ({"amount_minor": 5, "currency": "KZT"}, 422, "amount"),
        ({"resolution": "accepted", "amount_minor": 5}, 422, "currency"),
        ({"currency": "KZT"}, 422, "currency"),
        ({"resolution": "matched"}, 422, "payment_id"),
        ({"resolution": "won"}, 400, "resolution"),
        ({"resolution": "accepted", "amount_minor": 5, "currency": "QQQ"}, 422, None),
        ({"force": True}, 400, "force"),
    ],
)
async def test_a_proposal_that_is_wrong_does_nothing(
    room: Room, change: Json, status: int, named: str | None
) -> None:
    its = await room.opened(await room.desk.deposit())
    path = f"/v1/cases/{its['id']}"
    answer = await room.calls.post(room.anna, f"{path}/resolve", NOTED | change)
    assert answer.status_code == status, answer.text
    assert named is None or named in answer.text
    _, seen = await room.calls.get(room.anna, path, site_id=room.desk.site_id)
    assert (seen["state"], seen["proposal"]) == ("open", None)


async def test_what_is_not_there(room: Room) -> None:
    for path, body in (
        ("/v1/cases/cas_none/resolve", NOTED),
        ("/v1/cases/cas_none/decide", {"verdict": "approve"}),
        ("/v1/payments/dep_none/cases", {"reason": "odd"}),
        ("/v1/disputes/dsp_none/move", {"state": "submitted", "note": "sent"}),
    ):
        assert (await room.calls.post(room.anna, path, body)).status_code == 404, path
        assert (await room.calls.post(room.anna, path, body, None)).status_code == 400, path
    assert (await room.calls.get(room.anna, "/v1/cases/cas_none", site_id=room.desk.site_id))[0] == 404


async def test_people_say_what_they_did_about_a_dispute(room: Room) -> None:
    deposit = await room.dispute()
    _, listed = await room.calls.get(room.calls.reads, "/v1/disputes", open="true")
    [its] = listed["data"]
    assert (its["payment_id"], its["status"], its["posted_minor"]) == (deposit, "opened", 50_000)
    path = f"/v1/disputes/{its['id']}/move"
    before = await room.desk.balances()
    answer = await room.calls.post(room.anna, path, {"state": "submitted", "note": "the receipt was sent"})
    assert (answer.status_code, answer.json()["status"]) == (200, "submitted")
    again = await room.calls.post(room.anna, path, {"state": "submitted", "note": "the receipt was sent"})
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    assert await room.desk.balances() == before  # no money moves by hand
    assert await room.desk.told(its["transaction_id"]) == [(7, 4), (7, 21)]
    async with room.desk.world.database.reading() as reader:
        [line] = await staff.diary(reader, room.desk.site_id, subject=its["id"])
    assert (line.deed, line.detail["note"]) == ("dispute.moved", "the receipt was sent")
    assert (line.detail["from"], line.detail["to"]) == ("opened", "submitted")


@pytest.mark.parametrize(
    ("state", "status", "why"),
    [
        ("won", 409, "bank's word"),
        ("lost", 409, "bank's word"),
        ("expired", 409, "bank's word"),
        ("prevented", 409, "does not follow"),
        ("refunded", 400, "state"),
    ],
)
async def test_a_dispute_goes_nowhere_else_by_hand(room: Room, state: str, status: int, why: str) -> None:
    deposit = await room.dispute()
    _, listed = await room.calls.get(room.anna, "/v1/disputes", site_id=room.desk.site_id, payment_id=deposit)
    path = f"/v1/disputes/{listed['data'][0]['id']}/move"
    answer = await room.calls.post(room.anna, path, {"state": state, "note": "x"})
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
    sara = await room.calls.person("sara", Role.SUPPORT)
    for token, note, wanted in ((sara, "x", 403), (room.calls.reads, "x", 403), (room.anna, " ", 422)):
        refused = await room.calls.post(token, path, {"state": "submitted", "note": note})
        assert refused.status_code == wanted, refused.text
    async with room.desk.world.database.reading() as reader:
        [its] = await payments.disputes_of(reader, room.desk.site_id, deposit)
    assert its.state.value == "opened"


async def test_disputes_are_read_in_pages(room: Room) -> None:
    deposit = await room.dispute()
    for number in range(2, 5):
        told = {"number": f"cb-{number}", "stage": "early_warning", "minor": 10_000}
        await room.desk.world.notice(
            fact(await room.desk.world.reference(), "unknown", dispute=told), mark=str(number)
        )
    seen: list[str] = []
    cursor: Json = {}
    while True:
        _, page = await room.calls.get(room.calls.reads, "/v1/disputes", limit=3, **cursor)
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"starting_after": page["next_cursor"]}
    async with room.desk.world.database.reading() as reader:
        made = await payments.disputes_of(reader, room.desk.site_id, deposit)
    assert seen == [one.dispute_id for one in made][::-1]
    assert (await room.calls.get(room.calls.reads, "/v1/disputes", starting_after="dsp_none"))[0] == 404


async def test_what_can_never_be_done_is_not_proposed(room: Room) -> None:
    """Else it would be in the way of what can, until it has run out."""
    payout = await unknown_payout(room.desk)
    its = await room.opened(payout)
    path = f"/v1/cases/{its['id']}/resolve"
    told = await room.calls.post(room.anna, path, NOTED | {"resolution": "money_returned"}, "k-1")
    assert (told.status_code, told.json()["code"]) == (409, "resolution_impossible")
    assert "about no deposit" in told.json()["detail"]
    assert (await room.calls.post(room.anna, path, NOTED, "k-2")).status_code == 200
    waits = await room.calls.post(room.anna, path, NOTED | {"resolution": "not_paid"}, "k-3")
    assert (waits.status_code, waits.json()["code"]) == (409, "proposal_waits")
    assert "as noted already: another person approves or rejects that first" in waits.json()["detail"]
    assert waits.json()["approval_id"]
