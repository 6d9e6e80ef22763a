"""A dispute of what is no deposit moves no money: by whatever way it comes, people look at it."""

import pytest

from app import payments, staff
from app.payments.policies import set_policy
from app.payments.resolutions import ResolutionImpossible
from tests.payments.casework import R, decide, open_cases, orphan, pay_out, propose
from tests.payments.desk import Desk, kzt
from tests.payments.peers import answering
from tests.payments.world import fact, paid

HALF = kzt(50_000)


async def went_out(desk: Desk, kind: str) -> str:
    """A refund or a withdrawal of 500 tenge that the provider has paid; its id."""
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("out-1", HALF)]
    if kind == "refund":
        gone = (await desk.sent(deposit, HALF.minor)).payment_id
    else:
        await pay_out(desk)
        async with desk.world.database.transaction() as tx:
            rules = payments.PayoutPolicy(auto_below=kzt(10**9), needs_initiation=False)
            await set_policy(tx, desk.site_id, "KZT", rules, by=staff.SYSTEM, at=desk.world.clock.now())
        desk.world.shop.manner = answering({"code": 50, "external_id": "withdrawal_1"})
        wish = payments.PayoutWish("e_wallet", HALF, "wish", 3, {"wallet": "aigerim.77"})
        await payments.request_payout(desk.pipes, await desk.world.session(), wish)
        gone = str((await desk.world.payment()).payment_id)
        await desk.carry_on(gone)
    found = await desk.found(gone)
    assert (found.sub_status.value, found.captured) == ("completed", HALF)
    return gone


def disputed(reference: str) -> dict[str, object]:
    return fact(reference, "unknown", dispute={"number": "cb-1", "stage": "opened", "minor": HALF.minor})


async def stands(desk: Desk, gone: str) -> tuple[object, ...]:
    """All that a dispute would change."""
    found, rows = await desk.found(gone), await desk.world.rows("SELECT dispute_id FROM dispute")
    return await desk.balances(), found.sub_status, found.captured, found.charged_back, rows


@pytest.mark.parametrize("kind", ["refund", "withdrawal"])
async def test_told_of_it_by_its_reference(desk: Desk, kind: str) -> None:
    gone = await went_out(desk, kind)
    before = await stands(desk, gone)
    [row] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=gone)
    await desk.world.notice(disputed(row.attempt_id), mark="dispute")
    assert await stands(desk, gone) == before
    [its] = await open_cases(desk)
    assert (its.kind.value, its.payment_id) == ("amount_differs", gone)


@pytest.mark.parametrize("kind", ["refund", "withdrawal"])
async def test_matched_to_it_by_two_people(desk: Desk, kind: str) -> None:
    gone = await went_out(desk, kind)
    before = await stands(desk, gone)
    its = await orphan(desk, disputed("att_of_nobody"))
    await propose(desk, its.case_id, R.MATCHED, payment_id=gone)
    with pytest.raises(ResolutionImpossible, match="the dispute does not fit this payment"):
        await decide(desk, its.case_id)
    assert await stands(desk, gone) == before
    assert [one.case_id for one in await open_cases(desk)] == [its.case_id]
