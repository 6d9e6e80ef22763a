"""A deposit was paid by one try, and by another that had been declined, whose notice is lost."""

from tests.payments.accounts import SECOND, cases
from tests.payments.questions import days
from tests.payments.world import REFUSED, UNKNOWN, Provider, State, World, fact, just, paid


async def test_both_were_declined_and_both_are_paid_late(
    world: World, provider: Provider, second: Provider, through_both: None
) -> None:
    """Both said no. The second collects, its notice is lost; then the first collects, its notice comes.

    The second is asked then, and this once its answer is lost.
    """
    provider.answers = provider.statuses = second.answers = second.statuses = [REFUSED]
    row = await world.deposit()
    assert row.sub_status == "declined"
    first = (await world.rows("SELECT attempt_id FROM attempt ORDER BY number"))[0].attempt_id
    world.clock.advance(7_200)
    second.statuses = [UNKNOWN, paid("second-1")]
    provider.statuses = [paid("theirs-1")]
    await world.notice(fact(first))
    assert (await world.payment()).sub_status == "completed"
    await days(world, 20)
    assert await cases(world) == ["second_payment"], (await world.payment()).ask_at


async def test_the_first_was_declined_and_is_paid_beside_the_second(
    world: World, provider: Provider, second: Provider, through_both: None
) -> None:
    """The first said no, the second collected; then the first collects as well, and its notice is lost."""
    provider.answers = provider.statuses = [REFUSED]
    row = await world.deposit()
    assert row.sub_status == "completed"
    provider.statuses = [paid("theirs-1")]
    await days(world, 20)
    assert await cases(world) == ["second_payment"], (await world.payment()).ask_at


async def test_the_first_was_declined_and_is_paid_when_the_second_was_called_off(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """The player leaves the second's page; the first, which had said no, collects, and its notice is lost."""
    second.statuses = [just(State.CANCELLED)]
    await world.notice(fact(both_tried[1], "cancelled"), account=SECOND)
    assert (await world.payment()).sub_status == "by_player"
    provider.statuses = [paid("theirs-1")]
    await days(world, 20)
    assert await cases(world), (await world.payment()).ask_at
