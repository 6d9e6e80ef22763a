"""A dispute of what is no deposit, or of another try, moves no money: however it comes, people look at it."""

import pytest

from app import payments, staff
from app.payments.policies import set_policy
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, cases, decided
from tests.payments.casework import R, decide, open_cases, orphan, pay_out, propose
from tests.payments.desk import Desk, kzt
from tests.payments.peers import answering
from tests.payments.world import AMOUNT, Provider, World, fact, paid

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


async def test_a_dispute_of_another_try_takes_nothing_of_what_came_by_the_present_one(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """1,000 of 1,500 came by the second and were accepted; the first is charged back with 1,500."""
    first, other = both_tried
    odd = paid("second-1", kzt(100_000))
    second.statuses = [odd]
    await world.notice(fact(other, theirs="second-1", minor=100_000), account=SECOND)
    assert (await world.payment()).sub_status == "conflicted"
    await decided(world, R.ACCEPTED, amount=kzt(100_000))
    found = await world.payment()
    assert (found.sub_status, found.account, found.captured_minor) == ("completed", SECOND, 100_000)
    told = {"number": "cb-1", "stage": "opened", "minor": AMOUNT.minor}
    await world.notice(fact(first, "unknown", dispute=told), mark="cb")
    assert await cases(world) == ["second_payment"]
    with pytest.raises(ResolutionImpossible):
        await decided(world, R.ACCEPTED, amount=kzt(100_000))
    assert await world.rows("SELECT * FROM dispute") == []
