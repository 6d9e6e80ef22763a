"""An answer that a notice has overtaken is older than the notice: it undoes nothing and ends no doubt."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from app import payments, providers
from app.payments.model import Source
from app.payments.rules import rank_of_answer
from tests.payments.desk import Desk
from tests.payments.stage import FUNDS, Stage
from tests.payments.world import UNKNOWN, Provider, World, fact, just, paid

State = providers.State
AT = datetime(2026, 11, 29, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("changed", "ask", "rank"),
    [
        (-1, None, Source.STATUS_QUERY),
        (0, None, Source.STATUS_QUERY),
        (1, None, Source.NOTICE),
        (-1, 60, Source.STATUS_QUERY),
        (-1, 0, Source.STATUS_QUERY),
        (-1, 1, Source.NOTICE),
        (-1, 2, Source.NOTICE),
    ],
)
def test_what_came_after_it_was_asked_for_makes_it_older(changed: int, ask: int | None, rank: Source) -> None:
    """It is asked for now and answers in two seconds; a question that is due later is the usual next one."""
    ask_at = None if ask is None else AT + ask * SECOND
    assert rank_of_answer(AT, AT + changed * SECOND, ask_at, AT + 2 * SECOND) is rank


def then_a_notice(world: World, *facts: dict[str, object]) -> Callable[[], Awaitable[object]]:
    async def arrive() -> None:
        world.clock.advance(1)
        await world.notice(*facts)
        world.clock.advance(1)

    return arrive


async def test_a_no_from_before_a_deposit_was_paid_takes_nothing_again(
    world: World, provider: Provider
) -> None:
    payment_id = (await world.deposit()).payment_id
    provider.statuses = [just(State.FAILED), paid()]
    provider.during_status = then_a_notice(world, fact(await world.reference()))
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    found = await world.payment()
    assert (found.sub_status, await world.credited()) == ("completed", 150_000)
    assert found.ask_at == world.clock.now(), "the provider is asked again"
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    found = await world.payment()
    assert (found.sub_status, found.attention, found.ask_at) == ("completed", None, None)
    assert await world.told() == [4]


async def test_a_no_that_comes_again_counts(world: World, provider: Provider) -> None:
    payment_id = (await world.deposit()).payment_id
    provider.statuses = [just(State.FAILED)]
    provider.during_status = then_a_notice(world, fact(await world.reference()))
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    assert ((await world.payment()).sub_status, await world.credited()) == ("reversed", 0)


async def test_a_yes_from_before_a_doubt_does_not_end_it(world: World, provider: Provider) -> None:
    """The deposit is completed; while somebody asks about it, a notice denies it."""
    payment_id = (await world.deposit()).payment_id
    reference = await world.reference()
    await world.notice(fact(reference))
    provider.statuses = [paid(), UNKNOWN, just(State.FAILED)]  # the second: asked because of the notice
    provider.during_status = then_a_notice(world, fact(reference, "failed"))
    world.clock.advance(1)
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    found = await world.payment()
    assert (found.sub_status, found.attention) == ("completed", "unconfirmed"), "the question is still open"
    assert found.ask_at is not None
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    assert (await world.payment()).sub_status == "reversed"


async def test_a_no_from_before_a_payout_was_paid_gives_nothing_back(stage: Stage) -> None:
    await stage.fund()
    stage.bank.manners, stage.bank.words = ["accepts"], ["failed", "truth"]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    stage.bank.pay(stage.bank.book[reference])
    stage.bank.during_status = then_a_notice(stage, stage.bank.fact(reference))
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert (await stage.state(found.payment_id), await stage.credited()) == (
        ("completed", "unconfirmed"),
        FUNDS - 150_000,
    )
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_a_no_from_before_a_refund_was_paid_undoes_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.PROCESSING)]
    refund = await desk.sent(deposit)
    reference = desk.provider.refunds[0].reference
    desk.provider.statuses = [just(State.FAILED), paid("back-1")]
    desk.provider.during_status = then_a_notice(desk.world, fact(reference, theirs="back-1"))
    await desk.carry_on(refund.payment_id)
    assert ((await desk.found(refund.payment_id)).sub_status.value, await desk.balances()) == (
        "completed",
        {},
    )
    await desk.carry_on(refund.payment_id)
    now_is = await desk.found(refund.payment_id)
    assert (now_is.sub_status.value, now_is.attention) == ("completed", None)
