"""Our own API over HTTP: who may read and who may act, pages, keys, and what goes wrong said plainly."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from sqlalchemy import text

from app import merchants, staff
from tests.payments.callers import Callers, Json, calling
from tests.payments.stage import Stage

Role = staff.Role


@dataclass
class Api(Callers):
    """The same on a stage for withdrawals."""

    stage: Stage

    async def forget(self, what: str) -> None:
        """As if the process had died before it could answer."""
        async with self.stage.database.transaction() as tx:
            done = await tx.execute(text(f"UPDATE claim SET {what} WHERE scope LIKE 'api:%'"))  # noqa: S608
            assert done.rowcount == 1

    async def waiting(self, amount: int = 150_000) -> str:
        """A withdrawal that waits for people."""
        await self.stage.policy(auto_below=None)
        await self.stage.fund()
        return str((await self.stage.withdraw(amount)).payment_id)


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Api]:
    async with calling(stage.pipes, stage.site_id) as calls:
        yield Api(calls.pipes, calls.site_id, calls.http, calls.reads, stage)


async def test_two_people_approve_and_a_repeat_hears_the_first_answer(api: Api) -> None:
    payment_id = await api.waiting()
    anna = await api.person("anna")
    path = f"/v1/payments/{payment_id}/approve"
    first = await api.post(anna, path, {"reason": "known player"})
    assert (first.status_code, first.json()["sub_status"]) == (200, "approved")
    again = await api.post(anna, path, {"reason": "known player"})
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other = await api.post(anna, path, {"reason": "another reason"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    late = await api.post(anna, path, {}, key="k-2")
    assert (late.status_code, late.json()["code"]) == (409, "approval_closed")


async def test_a_refusal_frees_the_key(api: Api) -> None:
    payment_id = await api.waiting()
    support, anna = await api.person("sara", Role.SUPPORT), await api.person("anna")
    path = f"/v1/payments/{payment_id}/reject"
    body = {"reason_staff": "not his card", "reason_player": "Use your own card."}
    refused = await api.post(support, path, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
    assert refused.headers["content-type"] == "application/problem+json"
    done = await api.post(anna, path, body)
    assert (done.status_code, done.json()["sub_status"]) == (200, "rejected")
    _, seen = await api.get(api.reads, f"/v1/payments/{payment_id}")
    assert (seen["reason"], seen["reason_staff"]) == ("Use your own card.", None)


async def test_what_moves_money_needs_a_key(api: Api) -> None:
    payment_id = await api.waiting()
    anna = await api.person("anna")
    for key in (None, "k" * 256):
        answer = await api.post(anna, f"/v1/payments/{payment_id}/cancel", {"reason": "asked"}, key=key)
        assert (answer.status_code, answer.json()["param"]) == (400, "Idempotency-Key")


async def test_a_servers_token_reads_its_own_site_and_acts_nowhere(api: Api) -> None:
    payment_id = await api.waiting()
    assert (await api.get(api.reads, f"/v1/payments/{payment_id}"))[0] == 200
    assert (await api.get(api.reads, f"/v1/payments/{payment_id}", site_id=999))[0] == 404
    answer = await api.post(api.reads, f"/v1/payments/{payment_id}/approve", {})
    assert (answer.status_code, answer.json()["code"]) == (403, "operator_needed")
    assert "A site's server may not approve: an operator's token is needed." in answer.text
    assert (await api.get("ck_read_nobody", "/v1/payments"))[0] == 401
    assert (await api.get("ck_staff_nobody", "/v1/payments", site_id=1))[0] == 401
    assert (await api.get("", "/v1/payments"))[0] == 401
    for headers in ({}, {"authorization": "Basic abc"}, {"authorization": "Bearer ck_read_nobody"}):
        told = await api.http.get("/v1/payments", headers=headers)
        assert (told.status_code, told.json()["code"]) == (401, "token_needed")
        assert told.headers["www-authenticate"] == "Bearer"
        assert told.json()["detail"] == (
            'Send the header "Authorization: Bearer TOKEN" with a token that is good here: of your '
            "site's server (made by `cashier token create SITE read`) or of a person "
            "(`cashier operator create LOGIN --role ROLE`)."
        )
    stranger = await api.http.get("/v1/payments", headers={"authorization": "Bearer ck_staff_nobody"})
    assert (stranger.json()["code"], stranger.headers["www-authenticate"]) == (
        "operator_not_authentic",
        "Bearer",
    )


async def test_a_game_platforms_token_is_known_and_reads_no_payment(api: Api) -> None:
    async with api.stage.database.transaction() as tx:
        _, play = await merchants.create_token(
            tx, api.stage.site_id, merchants.Scope.PLAY, at=api.stage.clock.now()
        )
    status, told = await api.get(play, "/v1/payments")
    assert (status, told["code"], told["scope"]) == (403, "token_of_another_use", "play")


async def test_what_colleagues_write_is_not_told_to_the_merchant(api: Api) -> None:
    async with api.stage.database.transaction() as tx:
        await tx.execute(text("UPDATE site SET extended_info = true, tell_every_change = true"))
    payment_id = await api.waiting()
    anna = await api.person("anna")
    for deed, key in (("approve", "k-1"), ("cancel", "k-2")):
        body = {"reason": "reported to the police"}
        answer = await api.post(anna, f"/v1/payments/{payment_id}/{deed}", body, key=key)
        assert answer.status_code == 200, answer.text
    told = await api.stage.rows("SELECT fields FROM webhook")
    assert len(told) > 1
    assert "police" not in str([row.fields for row in told])


async def test_people_see_only_the_sites_that_are_theirs(api: Api) -> None:
    payment_id = await api.waiting()
    async with api.stage.database.transaction() as tx:
        other = merchants.NewSite("Other", currencies=("KZT",), callout_url="", notify_url="")
        theirs = (await merchants.create_site(tx, other, at=api.stage.clock.now())).site_id
        new = staff.NewOperator("zoe", "Zoe", frozenset({Role.FINANCE}), frozenset({theirs}))
        zoe = (await staff.create_operator(tx, new, at=api.stage.clock.now()))[1]
    status, answer = await api.get(zoe, f"/v1/payments/{payment_id}", site_id=api.stage.site_id)
    assert (status, answer["code"]) == (403, "not_permitted")
    assert (await api.post(zoe, f"/v1/payments/{payment_id}/approve", {})).status_code == 403


async def test_a_person_names_the_site(api: Api) -> None:
    anna = await api.person("anna")
    answer = await api.http.get("/v1/payments", headers={"authorization": f"Bearer {anna}"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["param"]) == (400, "site_not_named", "site_id")


async def test_a_list_is_read_in_pages_both_ways(api: Api) -> None:
    await api.stage.policy(auto_below=None)
    await api.stage.fund(5_000_000)
    made = []
    for number in range(5):
        api.stage.clock.advance(1)
        made.append((await api.stage.withdraw(10_000 + number)).payment_id)
    newest = made[::-1]
    seen: list[str] = []
    cursor: Json = {}
    while True:
        _, page = await api.get(api.reads, "/v1/payments", limit=2, kind="payout", **cursor)
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"starting_after": page["next_cursor"]}
    assert seen == newest
    _, back = await api.get(api.reads, "/v1/payments", limit=2, kind="payout", ending_before=newest[3])
    assert [one["id"] for one in back["data"]] == newest[1:3]
    assert back["has_more"] is True
    _, none = await api.get(api.reads, "/v1/payments", kind="refund")
    assert (none["data"], none["has_more"], none["next_cursor"]) == ([], False, None)
    _, his = await api.get(api.reads, "/v1/payments", site_login="aigerim", status="pending")
    assert len(his["data"]) == 5


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"limit": 201}, 400, None),
        ({"limit": 0}, 400, None),
        ({"status": "paid"}, 400, None),
        ({"created[gte]": "yesterday"}, 400, None),
        ({"created[gte]": "9999-12-31T23:59:59-14:00"}, 400, None),
        ({"created[lt]": "0001-01-01T00:00:00+14:00"}, 400, None),
        ({"unknown": "x"}, 400, None),
        ({"starting_after": "pay_none"}, 404, "cursor_not_found"),
        ({"site_login": "nobody"}, 404, "player_not_found"),
    ],
)
async def test_a_list_that_cannot_be_asked_for_says_why(
    api: Api, query: Json, status: int, code: str | None
) -> None:
    answered, problem = await api.get(api.reads, "/v1/payments", **query)
    assert answered == status
    assert problem["detail"]
    assert code in {None, problem["code"]}


@pytest.mark.parametrize(
    "body",
    [{}, {"reason": ""}, {"reason": 7}, {"reason": "x" * 501}, {"reason": "x", "force": True}],
)
async def test_a_body_that_is_wrong_does_nothing(api: Api, body: Json) -> None:
    payment_id = await api.waiting()
    anna = await api.person("anna")
    answer = await api.post(anna, f"/v1/payments/{payment_id}/cancel", body)
    assert answer.status_code == 400
    assert (await api.stage.state(payment_id))[0] == "under_review"


@pytest.mark.parametrize("mark", ["\x00", "\x1b", "\x7f"])
async def test_control_characters_are_refused_with_their_field(api: Api, mark: str) -> None:
    payment_id = await api.waiting()
    anna = await api.person("anna")
    for name in ("site_login", "external_id", "starting_after", "ending_before"):
        status, problem = await api.get(api.reads, "/v1/payments", **{name: f"a{mark}"})
        assert (status, problem["param"]) == (400, name)
        assert problem["detail"] == f"{name}: no control characters"
    for path in (f"/v1/payments/a{quote(mark)}", f"/v1/cases/a{quote(mark)}"):
        status, problem = await api.get(anna, path, site_id=api.site_id)
        assert (status, problem["code"]) == (400, "malformed_field")
    bodies: list[tuple[str, Json]] = [
        ("cancel", {"reason": mark}),
        ("approve", {"reason": mark}),
        ("approve", {"approval_id": mark}),
        ("reject", {"reason_staff": mark}),
        ("reject", {"reason_staff": "a", "reason_player": mark}),
        ("refunds", {"reason": mark}),
        ("cases", {"reason": mark}),
    ]
    for verb, body in bodies:
        answer = await api.post(anna, f"/v1/payments/{payment_id}/{verb}", body)
        assert (answer.status_code, answer.json()["param"]) == (400, list(body)[-1]), verb
    assert (await api.stage.state(payment_id))[0] == "under_review"
    # Tab and line feed are text.
    answer = await api.post(anna, f"/v1/payments/{payment_id}/cancel", {"reason": "asked:\n\tby telephone"})
    assert answer.status_code == 200


async def test_a_site_that_cannot_be_is_refused_with_its_field(api: Api) -> None:
    anna = await api.person("anna", Role.ADMINISTRATOR)
    for path in ("/v1/payments", "/v1/payments/wdr_1", "/v1/cases", "/v1/disputes"):
        status, problem = await api.get(anna, path, site_id=2**31)
        assert (status, problem["param"]) == (400, "site_id"), path
        assert (await api.get(anna, path, site_id=2**31 - 1))[0] == 404, path


async def test_a_payment_shows_what_is_asked_for(api: Api) -> None:
    payment_id = await api.waiting()
    anna = await api.person("anna")
    many = {"expand[]": ["events", "legs", "attempts"]}
    _, server = await api.get(api.reads, f"/v1/payments/{payment_id}", **many)
    assert [one["sequence"] for one in server["events"]] == list(range(1, len(server["events"]) + 1))
    assert server["object"] == "withdrawal"
    assert "source" not in server["events"][0]
    assert sum(one["amount_minor"] for one in server["legs"]) == server["amount_minor"]
    assert server["attempts"] is None
    _, person = await api.get(anna, f"/v1/payments/{payment_id}", site_id=api.stage.site_id, **many)
    assert person["attempts"] == []
    assert "source" in person["events"][0]


async def test_a_key_that_nobody_answered_is_taken_over_after_a_minute(api: Api) -> None:
    payment_id = await api.waiting()
    anna = await api.person("anna")
    path, body = f"/v1/payments/{payment_id}/cancel", {"reason": "asked"}
    first = await api.post(anna, path, body)
    assert first.json()["status"] == "cancelled"
    await api.forget("receipt = NULL")
    running = await api.post(anna, path, body)
    assert (running.status_code, running.json()["code"]) == (409, "idempotency_in_progress")
    await api.forget("claimed_at = claimed_at - interval '61 seconds'")
    again = await api.post(anna, path, body)
    assert (again.status_code, again.json()["code"]) == (409, "too_late_to_cancel")


PAN = "a stolen card, 4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("deed", "body", "param"),
    [
        ("approve", {"reason": PAN}, "reason"),
        ("reject", {"reason_staff": PAN}, "reason_staff"),
        ("reject", {"reason_staff": "x", "reason_player": PAN}, "reason_player"),
        ("cancel", {"reason": PAN}, "reason"),
        ("cases", {"reason": PAN}, "reason"),
    ],
)
async def test_a_card_number_is_not_taken_from_staff(api: Api, deed: str, body: Json, param: str) -> None:
    payment_id = await api.waiting()
    answer = await api.post(await api.person("anna"), f"/v1/payments/{payment_id}/{deed}", body)
    assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (422, "bad_reason", param)
    assert "4111" not in answer.text
    for table in ("payment", "payment_event", "approval_vote", "diary", "payment_case"):
        assert not await api.stage.rows(f"SELECT 1 FROM {table} t WHERE t::text LIKE '%4111 1111%'")  # noqa: S608


async def test_in_progress_says_when_to_ask_again_in_the_header(api: Api) -> None:
    """payments.md section 3.2: 409 `idempotency_in_progress` and `Retry-After`."""
    path = f"/v1/payments/{await api.waiting()}/cancel"
    anna = await api.person("anna")
    await api.post(anna, path, {"reason": "asked"})
    await api.forget("receipt = NULL")
    running = await api.post(anna, path, {"reason": "asked"})
    assert (running.status_code, running.json()["code"]) == (409, "idempotency_in_progress")
    assert int(running.headers["retry-after"]) == running.json()["retry_after_seconds"] > 0
