"""Nothing is forgotten: who is asked when, who is ended, and that two sweeps share the work."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from app import payments, providers
from app.payments import sweeps
from tests.payments.world import UNKNOWN, Provider, World, awaiting, fact, just, paid

ASKS = "payments.ask_provider"


async def sweeps_in(world: World, seconds: float, *, every: float = 5) -> list[float]:
    """Sweep every few seconds for so long; the seconds at which a job was left. The jobs are not run."""
    left = []
    passed = 0.0
    while passed < seconds:
        world.clock.advance(every)
        passed += every
        if await payments.sweep_due(world.pipes):
            left.append(passed)
    return left


async def test_a_due_payment_gets_one_job_and_its_next_turn(world: World) -> None:
    found = await world.deposit()
    assert await payments.sweep_due(world.pipes) == 0
    world.clock.advance(5)
    assert await payments.sweep_due(world.pipes) == 1
    assert await payments.sweep_due(world.pipes) == 0
    assert await world.jobs(ASKS) == 1
    now_is = await world.payment()
    assert (now_is.asked, now_is.ask_at) == (1, world.clock.now() + timedelta(seconds=15))
    [job] = await world.rows("SELECT payload FROM queue.pgqueuer WHERE entrypoint = :name", name=ASKS)
    assert found.payment_id.encode() in bytes(job.payload)


async def test_the_schedule_of_asking_is_the_rules(world: World, provider: Provider) -> None:
    provider.answers = [UNKNOWN]
    await world.deposit()
    # 5 s, then 15 s, 1 min, 5 min, 15 min after the one before.
    assert await sweeps_in(world, 1_500) == [5, 20, 80, 380, 1_280]


async def test_an_expiry_is_met_on_time_whatever_the_schedule(world: World) -> None:
    await world.deposit()
    assert (await sweeps_in(world, 1_800))[-1] == 1_800


async def test_two_sweeps_at_once_leave_one_job_each(world: World) -> None:
    for number in range(12):
        await world.ask(await world.session(f"player-{number}"), key=f"form-{number}")
    world.clock.advance(5)
    counts = await asyncio.gather(*(payments.sweep_due(world.pipes) for _ in range(4)))
    assert sum(counts) == 12
    assert await world.jobs(ASKS) == 12
    rows = await world.rows("SELECT asked FROM payment")
    assert Counter(row.asked for row in rows) == {1: 12}


async def test_a_sweep_passes_by_what_another_holds(world: World) -> None:
    """SKIP LOCKED: a payment that is being changed is not waited for."""
    found = await world.deposit()
    world.clock.advance(5)
    held, let_go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with world.database.transaction() as tx:
            await payments.payment(tx, world.site_id, found.payment_id, lock=True)
            held.set()
            await let_go.wait()

    holding = asyncio.create_task(hold())
    await held.wait()
    async with asyncio.timeout(1):
        assert await payments.sweep_due(world.pipes) == 0
    let_go.set()
    await holding
    assert await payments.sweep_due(world.pipes) == 1


async def test_somebody_who_looks_makes_us_ask_at_once(world: World) -> None:
    found = await world.deposit()
    for _ in range(5):
        await payments.ask_soon(world.pipes, world.site_id, found.payment_id)
    assert await world.jobs(ASKS) == 1


async def test_final_payments_are_left_alone(world: World) -> None:
    await world.deposit()
    await world.notice(fact(await world.reference()))
    world.clock.advance(timedelta(days=20))
    assert await payments.sweep_due(world.pipes) == 0
    assert (await world.payment()).attention is None


async def test_expired_deposits_are_asked_about_for_a_late_success(world: World, provider: Provider) -> None:
    found = await world.deposit()
    world.clock.advance(timedelta(minutes=30))
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    provider.statuses = [paid()]
    world.clock.advance(5)
    assert await payments.sweep_due(world.pipes) == 1
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).is_late
    assert await world.credited() == 150_000


async def test_after_the_horizon_a_person_is_called(world: World, provider: Provider) -> None:
    provider.answers = [UNKNOWN]
    await world.deposit()
    world.clock.advance(timedelta(days=14, seconds=1))
    assert await payments.sweep_due(world.pipes) == 1
    found = await world.payment()
    assert (found.sub_status, found.attention, found.ask_at) == ("unknown", "unresolved", None)
    assert await payments.sweep_due(world.pipes) == 0


@pytest.mark.parametrize(("seconds", "sub_status"), [(60, "checking"), (61, "merchant_unreachable")])
async def test_a_deposit_whose_process_died_while_the_merchant_was_asked(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch, seconds: float, sub_status: str
) -> None:
    async def dies(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr("app.callouts.check_deposit", dies)
        with pytest.raises(SystemError):
            await world.ask()
    assert (await world.payment()).sub_status == "checking"
    world.clock.advance(seconds)
    await payments.end_abandoned(world.pipes)
    assert (await world.payment()).sub_status == sub_status
    assert provider.asked == []


async def test_the_merchants_answer_after_the_end_changes_nothing(world: World, provider: Provider) -> None:
    async def meanwhile(_: object) -> None:
        world.clock.advance(61)
        assert await payments.end_abandoned(world.pipes) == 1

    world.shop.before = meanwhile
    found = await world.deposit()
    assert found.sub_status == "merchant_unreachable"
    assert provider.asked == []
    assert await world.told() == [10]
    assert await world.answered() == [("accepted", "order_1")]


async def test_the_order_number_is_known_although_the_step_after_the_answer_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr("app.payments.deposits.locked_for_order", fails)
        with pytest.raises(SystemError):
            await world.ask()
    assert await world.answered() == [("accepted", "order_1")]
    world.clock.advance(61)
    await payments.end_abandoned(world.pipes)
    ended = await world.payment()
    assert (ended.sub_status, ended.external_id) == ("merchant_unreachable", "order_1")


async def test_two_sweeps_end_an_abandoned_deposit_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr("app.callouts.check_deposit", dies)
        with pytest.raises(SystemError):
            await world.ask()
    world.clock.advance(61)
    await asyncio.gather(*(payments.end_abandoned(world.pipes) for _ in range(4)))
    assert await world.told() == [10]


async def test_a_process_that_died_before_the_provider_was_asked(world: World, provider: Provider) -> None:
    """The try was written, nothing was sent: the provider says so, and then the deposit fails."""

    async def dies(_: object) -> None:
        raise SystemError

    provider.during_deposit = dies
    with pytest.raises(SystemError):
        await world.ask()
    provider.statuses = [just(providers.State.NOT_FOUND)]
    found = await world.payment()
    assert found.sub_status == "submitted"
    for seconds, sub_status in ((5, "submitted"), (115, "provider_error")):
        world.clock.advance(seconds)
        assert await payments.sweep_due(world.pipes) == 1
        await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
        assert (await world.payment()).sub_status == sub_status


async def test_a_process_that_died_after_the_provider_was_asked(world: World, provider: Provider) -> None:
    async def dies(_: object) -> None:
        raise SystemError

    provider.during_deposit = dies
    with pytest.raises(SystemError):
        await world.ask()
    provider.statuses = [awaiting()]
    found = await world.payment()
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).continue_url == "https://pay.example.com/1"


def test_the_job_is_called_as_the_worker_knows_it() -> None:
    assert sweeps.ASK == ASKS


@pytest.mark.parametrize("state", [providers.State.PROCESSING, providers.State.UNKNOWN])
async def test_the_schedule_holds_after_the_players_time_is_over(
    world: World, provider: Provider, state: providers.State
) -> None:
    provider.answers = [just(state)]
    await world.deposit()
    await sweeps_in(world, 1_800, every=300)
    assert len(await sweeps_in(world, 600, every=60)) <= 1


async def test_a_deposit_that_expired_needs_no_person_two_weeks_later(world: World) -> None:
    found = await world.deposit()
    world.clock.advance(timedelta(minutes=30))
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).sub_status == "expired"
    world.clock.advance(timedelta(days=14, seconds=1))
    await payments.sweep_due(world.pipes)
    assert (await world.payment()).attention is None


async def test_what_the_horizon_does_is_in_the_history(world: World, provider: Provider) -> None:
    found = await world.deposit()
    provider.statuses = [just(providers.State.NOT_FOUND)]
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    world.clock.advance(timedelta(days=14, seconds=1))
    await payments.sweep_due(world.pipes)
    rows = await world.rows(
        "SELECT detail FROM payment_event WHERE type = 'payment.attention' ORDER BY sequence"
    )
    assert [row.detail["attention"] for row in rows] == ["order_vanished", "unresolved"]
