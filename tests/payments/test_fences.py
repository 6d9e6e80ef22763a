"""The fences before the money: how many, under which order number, by which account; and what survives."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app import merchants, methods, payments, players, providers
from app.kernel.clock import MovableClock
from app.payments import fences
from app.payments.deposits import OPEN_AT_MOST, PlayerMayNotDeposit, TooManyOpenDeposits
from app.plumbing import web
from app.plumbing.database import Built, Database
from tests import invariants
from tests.payments.peers import answering
from tests.payments.world import ACCEPTED, AMOUNT, Provider, World, fact, just, opened, paid

State = providers.State


async def two_of_one_order(world: World) -> tuple[str, str]:
    """Two deposits that both got past the look for their order number; the providers' references of them."""
    world.shop.manner = answering(ACCEPTED)
    await asyncio.gather(world.ask(key="form-1"), world.ask(key="form-2"))
    rows = await world.rows("SELECT external_id, sub_status FROM payment")
    assert [tuple(row) for row in rows] == [("order_1", "awaiting_player")] * 2
    one, other = await world.rows("SELECT attempt_id FROM attempt ORDER BY attempt_id")
    return one.attempt_id, other.attempt_id


def both_look_first(looked: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    """The look itself, but the first two who look wait for each other before they go on."""
    barrier = asyncio.Barrier(2)
    looks = 0

    async def look(*asked: Any) -> bool:  # noqa: ANN401  as the look is asked
        nonlocal looks
        looks += 1
        first_two = looks <= barrier.parties
        found = await looked(*asked)
        if first_two:
            async with asyncio.timeout(10):
                await barrier.wait()
        return found

    return look


async def dies(*_: object) -> None:
    raise SystemError


async def switch(world: World, *, enabled: bool) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE provider_account SET enabled = :enabled"), {"enabled": enabled})


async def states(world: World) -> list[tuple[str, str | None]]:
    rows = await world.rows("SELECT sub_status, attention FROM payment ORDER BY number")
    return [(row.sub_status, row.attention) for row in rows]


async def test_ten_unfinished_deposits_of_one_player_are_enough(world: World) -> None:
    session = await world.session()
    for number in range(OPEN_AT_MOST):
        await world.ask(session, key=f"form-{number}")
    with pytest.raises(TooManyOpenDeposits, match="10 unfinished"):
        await world.ask(session, key="form-more")
    assert web.status_of(TooManyOpenDeposits) == 429
    assert len(await world.rows("SELECT 1 FROM payment")) == OPEN_AT_MOST == 10
    # Who sends a form again finds his payment, and another player is another matter.
    await world.ask(session, key="form-0")
    await world.ask(await world.session("bolat"), key="form-0")
    assert len(await world.rows("SELECT 1 FROM payment")) == OPEN_AT_MOST + 1


@pytest.mark.parametrize("standing", [players.PlayerStatus.BLOCKED, players.PlayerStatus.CLOSED])
async def test_who_may_not_play_may_not_pay_in(world: World, standing: players.PlayerStatus) -> None:
    """What came could neither be played with nor be paid out (rule 74)."""
    session = await world.session()
    async with world.database.transaction() as tx:
        await players.set_status(tx, world.site_id, "aigerim", standing)
    with pytest.raises(PlayerMayNotDeposit):
        await world.ask(session)
    assert web.status_of(PlayerMayNotDeposit) == 403
    assert world.shop.heard == []
    assert await world.rows("SELECT 1 FROM payment") == []
    async with world.database.transaction() as tx:
        await players.set_status(tx, world.site_id, "aigerim", players.PlayerStatus.ACTIVE)
    await world.ask(session)


async def test_ten_are_enough_also_at_once(world: World) -> None:
    session = await world.session()
    asking = (world.ask(session, key=f"form-{number}") for number in range(30))
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(end) for end in ends} == {str, TooManyOpenDeposits}
    assert len(await world.rows("SELECT 1 FROM payment")) == OPEN_AT_MOST


@pytest.mark.parametrize("state", [State.FAILED, State.SUCCEEDED, State.CANCELLED])
async def test_finished_deposits_do_not_count(world: World, state: State) -> None:
    session = await world.session()
    for number in range(OPEN_AT_MOST + 2):
        await world.ask(session, key=f"form-{number}")
        await world.notice(fact(await world.reference(), state.value, theirs=f"theirs-{number}"))
    for number in range(OPEN_AT_MOST):
        await world.ask(session, key=f"open-{number}")
    with pytest.raises(TooManyOpenDeposits):
        await world.ask(session, key="open-more")
    # The form that was refused was not used up.
    await world.notice(fact(await world.reference(), state.value, theirs="theirs-last"))
    await world.ask(session, key="open-more")


async def test_an_order_number_that_is_open_or_paid_is_not_collected_again(
    world: World, provider: Provider
) -> None:
    world.shop.manner = answering(ACCEPTED)
    await world.ask(key="form-1")
    first = await world.reference()
    await world.ask(key="form-2")
    await world.notice(fact(first))
    await world.ask(key="form-3")
    refused = ("merchant_unreachable", None)
    assert await states(world) == [("completed", None), refused, refused]
    assert [order.reference for order in provider.orders] == [first]
    rows = await world.rows("SELECT external_id, reason FROM payment ORDER BY number")
    assert [row.external_id for row in rows] == ["order_1", "", ""]
    assert "another open or paid deposit" in rows[1].reason
    assert await world.credited() == AMOUNT.minor


async def test_an_order_number_is_free_again_once_its_deposit_failed(
    world: World, provider: Provider
) -> None:
    world.shop.manner = answering(ACCEPTED)
    await world.ask(key="form-1")
    await world.notice(fact(await world.reference(), "failed"))
    await world.ask(key="form-2")
    assert len(provider.orders) == 2
    await world.notice(fact(await world.reference(), theirs="theirs-2"))
    assert await states(world) == [("declined", None), ("completed", None)]
    assert await world.credited() == AMOUNT.minor


async def test_a_late_success_behind_a_paid_deposit_of_the_same_order_is_a_case_for_people(
    world: World, provider: Provider
) -> None:
    world.shop.manner = answering(ACCEPTED)
    await world.ask(key="form-1")
    first = await world.reference()
    await world.notice(fact(first, "failed"))
    await world.ask(key="form-2")
    await world.notice(fact(await world.reference(), theirs="theirs-2"))
    provider.statuses = [paid("theirs-1")]
    await world.notice(fact(first))
    assert await states(world) == [("conflicted", "second_payment"), ("completed", None)]
    [late] = await world.rows("SELECT * FROM payment WHERE sub_status = 'conflicted'")
    assert late.provider_reference == "theirs-1", "whoever gives the money back needs the provider's number"
    assert await world.credited() == AMOUNT.minor
    assert (await world.told()).count(4) == 1


async def test_a_late_success_before_it_makes_the_second_the_case_for_people(
    world: World, provider: Provider
) -> None:
    world.shop.manner = answering(ACCEPTED)
    await world.ask(key="form-1")
    first = await world.reference()
    await world.notice(fact(first, "failed"))
    await world.ask(key="form-2")
    provider.statuses = [paid("theirs-1")]
    await world.notice(fact(first))
    await world.notice(fact(await world.reference(), theirs="theirs-2"))
    assert await states(world) == [("completed", None), ("conflicted", "second_payment")]
    assert await world.credited() == AMOUNT.minor


async def test_two_collections_of_one_order_at_once_meet_the_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either wrote, at the order number and again at the money: the index remains."""
    for place, name in (("deposits", "locked_for_order"), ("fences", "taken")):
        looked = getattr(payments.fences, name)
        monkeypatch.setattr(f"app.payments.{place}.{name}", both_look_first(looked))
    references = await two_of_one_order(world)
    notices = [
        await world.store_notice(fact(reference, theirs=f"of {reference}")) for reference in references
    ]
    reading = (payments.read_notice(world.pipes, world.site_id, notice_id) for notice_id in notices)
    [lost] = [end for end in await asyncio.gather(*reading, return_exceptions=True) if end is not None]
    assert isinstance(lost, asyncpg.UniqueViolationError)
    assert "uq_payment_paid_order" in str(lost)
    assert await world.credited() == AMOUNT.minor
    # The job of the one that lost comes again, and now sees the other.
    for notice_id in notices:
        await payments.read_notice(world.pipes, world.site_id, notice_id)
    assert sorted(await states(world), key=str) == [("completed", None), ("conflicted", "second_payment")]
    assert {row.state for row in await world.rows("SELECT state FROM notice")} == {"read"}
    assert await world.credited() == AMOUNT.minor


async def test_an_account_switched_off_takes_no_new_deposit_and_keeps_its_old_ones(
    world: World, provider: Provider
) -> None:
    session = await world.session()
    references = []
    for number in range(2):
        await world.ask(session, key=f"form-{number}")
        references.append(await world.reference())
    by_query = await world.payment()
    await switch(world, enabled=False)
    with pytest.raises(methods.MethodUnavailable):
        await world.ask(session, key="form-new")
    assert len(await world.rows("SELECT 1 FROM payment")) == len(provider.orders) == 2
    await world.notice(fact(references[0], theirs="theirs-0"))
    provider.statuses = [paid("theirs-1")]
    await payments.ask_provider(world.pipes, world.site_id, by_query.payment_id)
    assert await states(world) == [("completed", None)] * 2
    assert await world.credited() == 2 * AMOUNT.minor
    # Switched on again, the same form goes through: the refusal wrote nothing.
    await switch(world, enabled=True)
    await world.ask(session, key="form-new")
    assert len(provider.orders) == 3


@pytest.fixture
async def refusing_world(database: Database, clock: MovableClock, provider: Provider) -> AsyncIterator[World]:
    """A world whose ledger refuses: its refusal is a stored transfer too, so the posted ones are counted."""
    async with opened(database, clock, provider) as made:
        yield made
        await invariants.hold(database)
        assert await made.rows("SELECT 1 FROM transfer WHERE outcome = 'posted'") == []


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_credit_that_the_ledger_refuses_is_a_case_for_people_and_nothing_is_lost(
    refusing_world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch, *, is_late: bool
) -> None:
    world = refusing_world
    await world.deposit()
    reference = await world.reference()
    if is_late:
        await world.notice(fact(reference, "failed"))
        provider.statuses = [paid()]
    with monkeypatch.context() as patched:
        patched.setattr("app.ledger.rules.MAX_BALANCE", AMOUNT.minor - 1)
        notice_id = await world.notice(fact(reference))
    found = await world.payment()
    assert (found.sub_status, found.attention) == ("conflicted", "not_posted")
    assert found.provider_reference == "theirs-1"
    assert await world.credited() == 0
    assert 4 not in await world.told()
    *_, event = await world.rows("SELECT * FROM payment_event ORDER BY sequence")
    assert (event.amount_minor, event.currency, event.provider_reference) == (150_000, "KZT", "theirs-1")
    assert event.detail["attention"] == "not_posted"
    [kept] = await world.rows("SELECT state FROM notice WHERE notice_id = :id", id=notice_id)
    assert kept.state == "read"
    async with world.database.reading() as reader:
        [shown] = await payments.needing_attention(reader, world.site_id)
    assert shown.payment_id == found.payment_id
    # There would be room now; but what people were called for is theirs, and is not credited behind them.
    await world.notice(fact(reference), mark="again")
    assert await states(world) == [("conflicted", "not_posted")]
    assert await world.credited() == 0


@pytest.mark.parametrize(
    ("said", "end"),
    [(paid(), ("completed", None)), (just(State.FAILED), ("declined", None))],
    ids=["paid", "not paid"],
)
async def test_a_process_that_dies_between_a_notice_and_its_question_loses_only_time(
    world: World,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    said: providers.Result,
    end: tuple[str, str | None],
) -> None:
    found = await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference, "failed"))
    with monkeypatch.context() as patched:
        patched.setattr("app.payments.notices.carry_on", dies)
        with pytest.raises(SystemError):
            await world.notice(fact(reference))
    # The notice is read and will not be read again; the question stands in the payment's row.
    assert {row.state for row in await world.rows("SELECT state FROM notice")} == {"read"}
    assert await states(world) == [("declined", "unconfirmed")]
    assert await world.credited() == 0
    assert await payments.sweep_due(world.pipes) == 1
    assert await world.jobs("payments.ask_provider") == 1
    provider.statuses = [said]
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert await states(world) == [end]
    assert await world.credited() == (AMOUNT.minor if end[0] == "completed" else 0)
    # Settled: a deposit that is declined still has its own few questions, and no other.
    late = None if end[0] == "completed" else world.clock.now() + timedelta(minutes=10)
    assert (await world.payment()).ask_at == late
    details = await world.rows("SELECT detail FROM payment_event WHERE type = 'payment.attention'")
    assert [row.detail["attention"] for row in details] == ["unconfirmed"]


async def test_a_question_without_an_answer_stays_open(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await world.deposit()
    await world.notice(fact(await world.reference(), "failed"))
    with monkeypatch.context() as patched:
        patched.setattr("app.payments.notices.carry_on", dies)
        with pytest.raises(SystemError):
            await world.notice(fact(await world.reference()))
    for answer in (just(State.UNKNOWN), paid()):
        assert await states(world) == [("declined", "unconfirmed")]
        assert await payments.sweep_due(world.pipes) == 1
        provider.statuses = [answer]
        await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
        world.clock.advance(3_600)
    assert await states(world) == [("completed", None)]
    assert await world.credited() == AMOUNT.minor


async def test_an_abandoned_deposit_that_the_merchant_had_accepted_is_told_under_its_order_number(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("app.payments.deposits._conclude_check", dies)
        with pytest.raises(SystemError):
            await world.ask()
    [row] = await world.rows("SELECT state, external_id FROM callout")
    assert (row.state, row.external_id) == ("accepted", "order_1")
    assert (await world.payment()).external_id == ""
    world.clock.advance(61)
    assert await payments.end_abandoned(world.pipes) == 1
    found = await world.payment()
    assert (found.sub_status, found.external_id) == ("merchant_unreachable", "order_1")
    [webhook] = await world.rows("SELECT success, fields FROM webhook")
    assert not webhook.success
    assert (webhook.fields["external_id"], webhook.fields["status_id"]) == ("order_1", 10)
    assert provider.asked == []


async def test_whoever_credits_knows_the_site_by_then(world: World, provider: Provider) -> None:
    """It is read with what stands in the way, and not asked for again."""
    payment_id = (await world.deposit()).payment_id
    async with world.database.transaction() as tx:
        found = await payments.payment(tx, world.site_id, payment_id)
        await fences.taken(tx, found, None)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Built, "rows", dies)
            assert (await merchants.site(tx, world.site_id)).site_id == world.site_id
