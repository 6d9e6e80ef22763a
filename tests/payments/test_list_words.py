"""What a list of payments may be asked for beyond its filters: `q`, `status[in]`, more of each."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, Final

import pytest
from sqlalchemy import text

from app import merchants, staff
from tests.payments.callers import Callers, Json, calling
from tests.payments.desk import Desk
from tests.payments.stage import Stage

EXPAND: Final[dict[str, Any]] = {"expand[]": ["events", "legs", "attempts"]}


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Callers]:
    await stage.policy(auto_below=None)
    await stage.fund()
    async with calling(stage.pipes, stage.site_id) as calls:
        yield calls


async def listed(api: Callers, token: str = "", **asked: Any) -> list[Json]:  # noqa: ANN401
    more = {"site_id": api.site_id} if token else {}
    status, told = await api.get(token or api.reads, "/v1/payments", **more, **asked)
    assert status == 200, told
    found: list[Json] = told["data"]
    return found


async def test_any_of_several_statuses_in_one_word(stage: Stage, api: Callers) -> None:
    waits, gone = [str((await stage.withdraw(minor)).payment_id) for minor in (1_000, 2_000)]
    body = {"reason": "asked"}
    assert (await api.post(await api.person("anna"), f"/v1/payments/{gone}/cancel", body)).status_code == 200

    async def ids(**asked: Any) -> set[str]:  # noqa: ANN401
        return {one["id"] for one in await listed(api, kind="payout", **asked)}

    assert await ids(**{"status[in]": "pending"}) == {waits}
    assert await ids(**{"status[in]": "cancelled,pending"}) == {waits, gone}
    assert await ids(**{"status[in]": "cancelled", "status": "pending"}) == {waits, gone}
    assert await ids(**{"status[in]": "completed,failed"}) == set()
    for wrong in ("", "paid", "pending,", "pending, failed", "PENDING"):
        status, told = await api.get(api.reads, "/v1/payments", **{"status[in]": wrong})
        assert (status, told["code"], told["param"]) == (400, "malformed_field", "status[in]"), wrong


async def test_a_payment_is_found_by_any_of_its_numbers(desk: Desk) -> None:
    deposit_id = await desk.deposit("theirs-77")
    refund_id = str((await desk.refund(deposit_id, 50_000)).payment_id)
    async with calling(desk.pipes, desk.site_id) as api:
        _, one = await api.get(api.reads, f"/v1/payments/{deposit_id}")
        for number in (deposit_id, one["transaction_id"]):
            assert [found["id"] for found in await listed(api, q=number)] == [deposit_id], number
        # All of a player's, or of an order's; the other filters narrow it further.
        for number in ("aigerim", one["external_id"]):
            assert {found["id"] for found in await listed(api, q=number)} == {deposit_id, refund_id}
            assert [found["id"] for found in await listed(api, q=number, kind="deposit")] == [deposit_id]
        for nothing in ("theirs", deposit_id[:-1], "0", "9" * 18, "9" * 30, "%", "nobody"):
            assert await listed(api, q=nothing) == [], nothing
        status, told = await api.get(api.reads, "/v1/payments", q="")
        assert (status, told["param"]) == (400, "q")


async def test_a_providers_number_is_for_people(desk: Desk) -> None:
    deposit_id = await desk.deposit("theirs-77")
    async with desk.pipes.database.reading() as reader:
        attempt = await reader.scalar(text("SELECT attempt_id FROM attempt"))
    async with calling(desk.pipes, desk.site_id) as api:
        anna = await api.person("anna", staff.Role.SUPPORT)
        for number in ("theirs-77", attempt):
            assert [one["id"] for one in await listed(api, anna, q=number)] == [deposit_id]
            assert await listed(api, q=number) == []


async def test_a_withdrawals_parts_are_found_by_their_providers_numbers(stage: Stage, api: Callers) -> None:
    wanted = str((await stage.withdraw(1_000)).payment_id)
    await stage.withdraw(2_000)
    async with stage.database.transaction() as tx:
        its = {"payment": wanted}
        await tx.execute(
            text("UPDATE payout_leg SET provider_reference = 'out-5' WHERE payment_id = :payment"), its
        )
    assert [one["id"] for one in await listed(api, await api.person("anna"), q="out-5")] == [wanted]


async def test_what_is_found_is_of_the_site_that_asks(stage: Stage, api: Callers) -> None:
    payment_id = str((await stage.withdraw(1_000)).payment_id)
    new = merchants.NewSite("Tulpar", ("KZT",), "https://a.example.com/", "https://a.example.com/")
    async with stage.database.transaction() as tx:
        made = await merchants.create_site(tx, new, at=stage.clock.now())
    for number in (payment_id, "aigerim", "100000001"):
        assert len(await listed(api, q=number)) == 1
        status, told = await api.get(made.tokens["read"], "/v1/payments", q=number)
        assert (status, told["data"]) == (200, [])


async def test_a_list_shows_the_same_of_each_as_one_that_is_read(stage: Stage, api: Callers) -> None:
    for minor in (1_000, 2_000, 3_000):
        await stage.withdraw(minor)
    anna = await api.person("anna")
    for token, more in ((api.reads, {}), (anna, {"site_id": api.site_id})):
        shown = await listed(api, token if more else "", kind="payout", **EXPAND)
        assert len(shown) == 3
        for one in shown:
            _, alone = await api.get(token, f"/v1/payments/{one['id']}", **more, **EXPAND)
            assert one == alone
            assert all(
                second["sequence"] == first["sequence"] + 1 for first, second in pairwise(one["events"])
            )
            assert [leg["amount_minor"] for leg in one["legs"]] == [one["amount_minor"]]
    [bare] = await listed(api, limit=1)
    assert (bare["events"], bare["legs"], bare["attempts"]) == (None, None, None)


async def test_what_cannot_be_shown_is_refused_by_its_name(stage: Stage, api: Callers) -> None:
    payment_id = (await stage.withdraw(1_000)).payment_id
    for path in ("/v1/payments", f"/v1/payments/{payment_id}"):
        status, told = await api.get(api.reads, path, **{"expand[]": ["events", "refunds"]})
        assert (status, told["code"], told["param"]) == (400, "malformed_field", "expand[]"), path
