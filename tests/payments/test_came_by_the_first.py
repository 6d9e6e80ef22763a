"""Deposits in several tries: what came by an earlier one is credited or seen, however the last one ends."""

import pytest

from app import payments
from tests.payments.accounts import SECOND, cases, decided, raised
from tests.payments.questions import days, questioned
from tests.payments.world import ACCOUNT, AMOUNT, UNKNOWN, Provider, State, World, fact, just, paid

R = payments.Resolution
pytestmark = pytest.mark.usefixtures("through_both")


async def noted(world: World, provider: Provider, first: str) -> None:
    """The first is paid after all; people have noted it, for the second may be paid as well."""
    provider.statuses = [paid("main-1")]
    await world.notice(fact(first, theirs="main-1"))
    await decided(world, R.NOTED)
    world.clock.advance(5)


async def test_not_paid_about_the_second_does_not_hide_what_came_by_the_first(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    provider.statuses = [paid("main-1")]
    await world.notice(fact(first, theirs="main-1"))
    assert await cases(world) == ["second_payment"]
    await decided(world, R.NOTED)
    await raised(world)
    await decided(world, R.NOT_PAID)
    second.statuses = [just(State.FAILED)]
    await days(world, 1)
    now = await world.payment()
    assert (now.sub_status, now.account, await world.credited()) == ("completed", ACCOUNT, AMOUNT.minor)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_nor_does_the_end_of_the_second_while_the_first_is_silent(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str], state: State
) -> None:
    """Longer than what has failed is asked about; cancelled, only people credit it."""
    first, other = both_tried
    await noted(world, provider, first)
    provider.statuses, second.statuses = [UNKNOWN], [just(state)]
    await world.notice(fact(other, state.value), account=SECOND, mark="b")
    assert (await world.payment()).sub_status == {"failed": "declined"}.get(state.value, "by_player")
    assert await questioned(world) == [first]
    await days(world, 6)
    assert await questioned(world) == [first]
    provider.statuses = [paid("main-1")]
    await days(world, 1)
    if state is State.CANCELLED:
        assert await cases(world) == ["second_payment"]
        await decided(world, R.ACCEPTED, amount=AMOUNT)
    now = await world.payment()
    assert (now.sub_status, now.account, await world.credited()) == ("completed", ACCOUNT, AMOUNT.minor)


async def test_nor_does_the_end_of_the_players_time(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    await noted(world, provider, first)
    provider.statuses, second.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    await days(world, 1)
    assert (await world.payment()).sub_status == "expired"
    assert await questioned(world) == [first]
    await days(world, 15)
    assert await cases(world) == ["unresolved"]


async def test_where_people_say_that_neither_was_paid_nobody_is_asked(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    await noted(world, provider, first)
    for number in ("main-1", ""):
        await raised(world)
        await decided(world, R.NOT_PAID, provider_reference=number)
    now = await world.payment()
    assert (now.sub_status, now.is_questioned) == ("declined", False)
