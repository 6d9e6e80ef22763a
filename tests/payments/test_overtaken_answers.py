"""An answer that a notice has overtaken is older than the notice: it undoes nothing and ends no doubt."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import payments, providers
from app.payments import sweeps
from app.payments.model import Source
from app.payments.rules import rank_of_answer
from tests.payments.accounts import SECOND as SECOND_ACCOUNT
from tests.payments.accounts import THIRD, listed, through_both_accounts
from tests.payments.desk import Desk
from tests.payments.questions import work
from tests.payments.stage import FUNDS, Stage
from tests.payments.world import ACCOUNT, AMOUNT, REFUSED, UNKNOWN, Provider, World, fact, just, paid

State = providers.State
AT = datetime(2026, 11, 29, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("changed", "ask", "rank"),
    [
        (-1, None, Source.STATUS_QUERY),
        (0, None, Source.STATUS_QUERY),
        (1, None, Source.HINT),
        (-1, 60, Source.STATUS_QUERY),
        (-1, 0, Source.STATUS_QUERY),
        (-1, 1, Source.HINT),
        (-1, 2, Source.HINT),
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


async def test_a_no_from_before_a_deposit_was_under_way_ends_nothing(
    world: World, provider: Provider
) -> None:
    payment_id = (await world.deposit()).payment_id
    provider.statuses = [just(State.FAILED), paid()]
    provider.during_status = then_a_notice(world, fact(await world.reference(), "processing"))
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    found = await world.payment()
    assert (found.sub_status, found.ask_at) == ("provider_pending", world.clock.now()), "it is asked again"
    await payments.carry_on(world.pipes, world.site_id, payment_id)
    found = await world.payment()
    assert (found.sub_status, found.is_late, await world.credited()) == ("completed", False, 150_000)
    assert await world.told() == [4]


async def test_a_no_to_an_open_deposit_that_comes_again_counts(world: World, provider: Provider) -> None:
    payment_id = (await world.deposit()).payment_id
    provider.statuses = [just(State.FAILED)]
    provider.during_status = then_a_notice(world, fact(await world.reference(), "processing"))
    for state in ("provider_pending", "declined"):
        await payments.carry_on(world.pipes, world.site_id, payment_id)
        assert (await world.payment()).sub_status == state


async def test_a_no_from_before_a_payout_was_under_way_gives_nothing_back(stage: Stage) -> None:
    await stage.fund()
    stage.bank.manners, stage.bank.words = ["accepts silently"], ["failed", "truth"]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    assert await stage.state(found.payment_id) == ("unknown", None)
    stage.bank.during_status = then_a_notice(stage, stage.bank.fact(reference, "processing"))
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert await stage.state(found.payment_id) == ("provider_pending", None)
    assert (await stage.held(), (await stage.row(found.payment_id)).ask_at) == (150_000, stage.clock.now())
    stage.bank.pay(stage.bank.book[reference])
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert await stage.state(found.payment_id) == ("completed", None)
    await stage.settle()


async def test_a_no_from_before_a_refund_was_under_way_ends_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [UNKNOWN]
    refund = await desk.sent(deposit)
    reference = desk.provider.refunds[0].reference
    desk.provider.statuses = [just(State.FAILED), paid("back-1")]
    desk.provider.during_status = then_a_notice(desk.world, fact(reference, "processing"))
    await desk.carry_on(refund.payment_id)
    assert (await desk.found(refund.payment_id)).sub_status.value == "provider_pending"
    await desk.carry_on(refund.payment_id)
    now_is = await desk.found(refund.payment_id)
    assert (now_is.sub_status.value, now_is.attention) == ("completed", None)


async def test_an_order_that_was_not_found_yet_is_not_sent_again_once_it_is_heard_of(stage: Stage) -> None:
    """Asked, the bank does not know it; then its notice says that it does: no case, and no second sending."""
    await stage.fund()
    stage.bank.manners, stage.bank.words = ["accepts silently"], ["not_found", "truth"]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(121)
    stage.bank.during_status = then_a_notice(stage, stage.bank.fact(reference, "processing"))
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert (await stage.state(found.payment_id), len(stage.bank.payouts)) == (("provider_pending", None), 1)


async def test_the_answer_to_a_deposits_order_is_no_later_word_than_a_notice(
    world: World, provider: Provider
) -> None:
    async def under_way(order: providers.DepositOrder) -> None:
        await world.notice(fact(order.reference, "processing"))

    provider.answers, provider.statuses, provider.during_deposit = [just(State.FAILED)], [paid()], under_way
    found = await world.deposit()
    assert (found.sub_status, found.attention) == ("completed", None), "asked at once, it says what is true"


async def test_the_answer_to_a_payouts_order_is_no_later_word_than_a_notice(stage: Stage) -> None:
    async def under_way(order: providers.PayoutOrder) -> None:
        await stage.notice(stage.bank.fact(order.reference, "processing"))

    await stage.fund()
    stage.bank.manners, stage.bank.before, stage.bank.words = ["declines"], under_way, ["processing"]
    found = await stage.withdraw()
    await stage.work()
    assert (await stage.state(found.payment_id), await stage.held()) == (("provider_pending", None), 150_000)


def slow(monkeypatch: pytest.MonkeyPatch, world: World, provider: Provider, seconds: float) -> None:
    """Let its answers to our questions take so long."""
    status = provider.status

    async def answer(*asked: Any) -> providers.Result:  # noqa: ANN401  as the contract has it
        said = await status(*asked)
        world.clock.advance(seconds)
        return said

    monkeypatch.setattr(provider, "status", answer)


async def asked_in_turn(world: World) -> None:
    for _ in range(10):
        world.clock.advance(5)
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)


@pytest.mark.parametrize("seconds", [1, 8, 16, 70])
async def test_a_slow_answer_counts_although_the_next_turn_came_before_it(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Whoever takes a turn says when the next one is; what overtakes an answer is a question nobody asked."""
    provider.answers, provider.statuses = [just(State.PROCESSING)], [paid()]
    await world.ask()
    slow(monkeypatch, world, provider, seconds)
    await asked_in_turn(world)
    assert (await world.payment()).sub_status == "completed"


async def test_two_slow_providers_are_heard(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = listed(monkeypatch, SECOND_ACCOUNT)
    listed(monkeypatch, THIRD)
    await through_both_accounts(world)
    provider.answers = provider.statuses = [REFUSED]
    second.answers, second.statuses = [just(State.PROCESSING)], [paid("theirs-2")]
    await world.ask()
    slow(monkeypatch, world, provider, 7.9)
    slow(monkeypatch, world, second, 7.3)
    await asked_in_turn(world)
    assert (await world.payment()).sub_status == "completed"


def while_it_is_placed(world: World, provider: Provider, account: str = ACCOUNT) -> None:
    """The order is answered with paid, so its provider is asked; before that answer comes, a notice does."""
    provider.answers, provider.statuses = [paid("its-1")], [just(State.FAILED)]

    async def arrive() -> None:
        provider.statuses = [paid("its-1")]
        world.clock.advance(1)
        await world.notice(fact(provider.orders[-1].reference, theirs="its-1"), account=account)

    provider.during_status = arrive


async def test_a_no_from_before_a_notice_takes_nothing_again_as_the_deposit_is_placed(
    world: World, provider: Provider
) -> None:
    while_it_is_placed(world, provider)
    await world.ask()
    found = await world.payment()
    assert (found.sub_status, found.attention, found.ask_at) == ("completed", None, None)
    assert await world.credited() == AMOUNT.minor


async def test_nor_as_it_is_placed_at_its_next_account(world: World, provider: Provider) -> None:
    with pytest.MonkeyPatch.context() as patched:
        second = listed(patched, SECOND_ACCOUNT)
        listed(patched, THIRD)
        await through_both_accounts(world)
        provider.answers = provider.statuses = [REFUSED]
        while_it_is_placed(world, second, SECOND_ACCOUNT)
        await world.ask()
        found = await world.payment()
    assert (found.sub_status, found.account) == ("completed", SECOND_ACCOUNT)
    assert await world.credited() == AMOUNT.minor


async def test_a_no_that_nothing_has_overtaken_counts_as_the_deposit_is_placed(
    world: World, provider: Provider
) -> None:
    """Its own answer to the order was written a moment before, and is no news."""
    provider.answers, provider.statuses = [paid()], [just(State.FAILED)]

    async def is_slow() -> None:
        world.clock.advance(3)

    provider.during_status = is_slow
    await world.ask()
    assert ((await world.payment()).sub_status, await world.credited()) == ("declined", 0)
    assert [what for what, _ in provider.asked] == ["deposit", "status"]


async def test_a_yes_that_comes_after_the_next_question_was_due_is_asked_for_again(
    world: World, provider: Provider
) -> None:
    provider.answers = provider.statuses = [paid()]

    async def is_slower() -> None:
        world.clock.advance(30)

    provider.during_status = is_slower
    await world.ask()
    assert ((await world.payment()).sub_status, await world.credited()) == ("completed", AMOUNT.minor)
    assert [what for what, _ in provider.asked] == ["deposit", "status", "status"]
