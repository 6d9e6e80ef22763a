"""Deposits in several tries: money that came by one of them and nobody hears of."""

import pytest

from app import payments, providers
from tests.payments.accounts import SECOND, cases, decided
from tests.payments.questions import days
from tests.payments.world import AMOUNT, Provider, State, World, fact, just, paid

pytestmark = pytest.mark.usefixtures("through_both")


async def test_money_returned_by_one_try_does_not_hide_what_came_by_the_other(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """Cancelled at the second's page. What came by the first was sent back; then the second was paid too."""
    first, other = both_tried
    second.statuses, provider.statuses = [just(State.CANCELLED)], [paid("main-1")]
    await world.notice(fact(other, "cancelled"), mark="a", account=SECOND)
    assert (await world.payment()).sub_status == "by_player"
    world.clock.advance(5)
    await world.notice(fact(first, theirs="main-1"), mark="b")
    assert await cases(world) == ["second_payment"]
    await decided(world, payments.Resolution.MONEY_RETURNED)
    assert (await world.payment()).sub_status == "refunded"
    world.clock.advance(5)
    second.statuses = [paid("second-1")]
    await world.notice(fact(other, theirs="second-1"), mark="c", account=SECOND)
    await days(world, 3)
    assert await cases(world), "the player paid, nothing was credited, and nobody hears of it"


async def test_nor_what_comes_under_another_number_of_the_same_try(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    _, other = both_tried
    second.statuses = [just(State.CANCELLED)]
    await world.notice(fact(other, "cancelled"), mark="a", account=SECOND)
    world.clock.advance(5)
    second.statuses = [paid("second-1")]
    await world.notice(fact(other, theirs="second-1"), mark="b", account=SECOND)
    assert await cases(world) == ["paid_after_cancel"]
    await decided(world, payments.Resolution.MONEY_RETURNED)
    assert (await world.payment()).sub_status == "refunded"
    world.clock.advance(5)
    second.statuses = [paid("second-2")]
    await world.notice(fact(other, theirs="second-2"), mark="c", account=SECOND)
    await days(world, 3)
    assert await cases(world), "paid once more, and nobody hears of it"
