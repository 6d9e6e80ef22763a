"""A late success whose notice is lost: failed deposits are asked about, ever more seldom, then no more."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app import payments, providers
from app.payments import schedules, sweeps
from app.payments.model import CaseKind
from app.payments.states import Kind, SubStatus
from tests.payments.casework import R, conflicted_deposit, only, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import work
from tests.payments.world import UNKNOWN, Provider, World, awaiting, fact, just, paid

State = providers.State
SOON, DAY = timedelta(minutes=10), timedelta(days=1)
DECLINED = just(State.FAILED)


async def declined(world: World, provider: Provider, key: str = "form-1") -> str:
    """A deposit that the provider declined, and would decline again; returns its id."""
    provider.statuses = [DECLINED]
    await world.ask(key=key)
    await world.notice(fact(await world.reference(), "failed"), mark=key)
    found = await world.payment()
    assert (found.sub_status, found.ask_at) == ("declined", world.clock.now() + SOON)
    return str(found.payment_id)


async def asked_in(
    world: World, span: timedelta, *, every: timedelta, name: str = sweeps.ASK_LATE
) -> list[timedelta]:
    """Sweep and work for so long; how long after the beginning something was asked."""
    begun, asked = world.clock.now(), []
    while world.clock.now() - begun < span:
        world.clock.advance(every)
        await payments.sweep_due(world.pipes)
        if await work(world, name):
            asked.append(world.clock.now() - begun)
    return asked


@pytest.mark.parametrize("said", [DECLINED, UNKNOWN, just(State.NOT_FOUND), awaiting()], ids=str)
async def test_a_declined_deposit_is_asked_about_with_growing_pauses_that_end(
    world: World, provider: Provider, said: providers.Result
) -> None:
    await declined(world, provider)
    before = await world.events()
    provider.statuses = [said]
    pauses = [SOON, timedelta(hours=1), timedelta(hours=6), DAY, 3 * DAY]
    assert await asked_in(world, 4 * DAY, every=timedelta(minutes=10)) == pauses
    found = await world.payment()
    assert (found.sub_status, found.attention, found.ask_at) == ("declined", None, None)
    assert await world.events() == before
    assert await world.told() == [6]


async def test_its_late_success_is_found_although_its_notice_is_lost(
    world: World, provider: Provider
) -> None:
    await declined(world, provider)
    provider.statuses = [DECLINED, paid()]
    assert len(await asked_in(world, 4 * DAY, every=timedelta(minutes=30))) == 2
    found = await world.payment()
    assert (found.sub_status, found.is_late, found.ask_at) == ("completed", True, None)
    assert await world.credited() == 150_000
    assert await world.told() == [6, 4]
    # The notice that comes after all adds nothing.
    await world.notice(fact(await world.reference()), mark="at last")
    assert await world.credited() == 150_000


async def test_another_sum_that_is_found_so_is_a_case(world: World, provider: Provider) -> None:
    await declined(world, provider)
    provider.statuses = [paid(amount=kzt(149_999))]
    await asked_in(world, timedelta(hours=1), every=SOON)
    found = await world.payment()
    assert (found.sub_status, found.attention, found.ask_at) == ("conflicted", "amount_differs", None)
    assert await world.credited() == 0


async def test_who_slept_through_the_schedule_asks_once(world: World, provider: Provider) -> None:
    await declined(world, provider)
    world.clock.advance(20 * DAY)
    assert await payments.sweep_due(world.pipes) == 1
    assert await work(world) == 1
    found = await world.payment()
    assert (found.attention, found.ask_at) == (None, None)
    assert await payments.sweep_due(world.pipes) == 0


async def test_a_doubt_about_it_is_asked_until_it_is_answered_and_then_the_schedule_goes_on(
    world: World, provider: Provider
) -> None:
    await declined(world, provider)
    provider.statuses = [UNKNOWN]
    declined_at = world.clock.now()
    world.clock.advance(timedelta(minutes=1))
    await world.notice(fact(await world.reference()), mark="late")
    assert (await world.payment()).attention == "unconfirmed"
    assert len(await asked_in(world, 7 * DAY, every=timedelta(hours=6), name=sweeps.ASK)) >= 7
    found = await world.payment()
    assert (found.attention, found.ask_at is None) == ("unconfirmed", False)
    provider.statuses = [DECLINED]
    await asked_in(world, DAY, every=timedelta(hours=6), name=sweeps.ASK)
    found = await world.payment()
    assert (found.attention, found.ask_at) == (None, None)
    assert world.clock.now() - declined_at > 3 * DAY


def test_what_never_reached_a_provider_is_asked_of_nobody(now: datetime) -> None:
    for sub_status in (SubStatus.LIMIT_BLOCKED, SubStatus.RISK_DECLINED, SubStatus.MERCHANT_UNREACHABLE):
        assert schedules.next_question(Kind.DEPOSIT, sub_status, 0, now, now, has_tries=True) is None
    assert schedules.next_question(Kind.PAYOUT, SubStatus.DECLINED, 0, now, now, has_tries=True) is None


async def test_what_two_people_ended_is_not_asked_open_again(desk: Desk) -> None:
    """The provider would only repeat the story that they have read."""
    deposit = await conflicted_deposit(desk)
    desk.provider.statuses = [paid("theirs-1", kzt(120_000))]
    await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
    found = await desk.found(deposit)
    assert (found.sub_status.value, found.ask_at) == ("declined", None)
    assert await asked_in(desk.world, 4 * DAY, every=timedelta(hours=6)) == []
    # Nor does its notice, told once more; another sum is heard.
    await desk.world.notice(fact(await desk.world.reference(), minor=120_000), mark="again")
    assert await open_cases(desk) == []
    desk.provider.statuses = [paid("theirs-1", kzt(130_000))]
    await desk.world.notice(fact(await desk.world.reference(), minor=130_000), mark="another")
    assert (await only(desk)).kind is CaseKind.AMOUNT_DIFFERS


async def test_failed_ones_wait_for_room_and_keep_nobody_waiting(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "_MOST_LATE", 3)
    for number in range(8):
        await declined(world, provider, f"form-{number}")
    provider.answers = [UNKNOWN]
    await world.ask(key="open")
    world.clock.advance(timedelta(minutes=11))
    # The one that is open, and as many failed ones as may wait; the others stay due, and add no jobs.
    assert await payments.sweep_due(world.pipes) == 4
    assert (await world.jobs(sweeps.ASK), await world.jobs(sweeps.ASK_LATE)) == (1, 3)
    assert await payments.sweep_due(world.pipes) == 0
    [late, soon] = await world.rows(
        "SELECT DISTINCT entrypoint, priority FROM queue.pgqueuer WHERE entrypoint LIKE 'payments.ask%' "
        "ORDER BY entrypoint"
    )
    assert (late.entrypoint, late.priority) == (sweeps.ASK_LATE, 0)
    assert soon.priority > 0
    counts = []
    while found := await work(world):
        counts.append(found)
        await payments.sweep_due(world.pipes)
    assert counts == [3, 3, 2]


async def test_what_is_due_is_found_by_its_index(world: World, provider: Provider) -> None:
    await declined(world, provider)
    failed = "status = 'failed' AND attention IS NULL"
    for condition in (f"NOT ({failed})", failed):
        async with world.database.transaction() as tx:
            await tx.execute(text("SET LOCAL enable_seqscan = off"))
            plan = await tx.all(
                text(
                    f"EXPLAIN SELECT payment_id FROM payment WHERE ask_at <= now() AND {condition} "  # noqa: S608
                    "ORDER BY ask_at LIMIT 20"
                )
            )
        assert "ix_payment_ask_at" in "\n".join(row[0] for row in plan)
