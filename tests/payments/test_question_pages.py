"""The page of a later try that is open still when an earlier one counts: by people, or credited late."""

from datetime import timedelta

import pytest

from app import payments, providers
from app.kernel.money import Money
from tests.payments.accounts import SECOND, asked, cases, decided
from tests.payments.questions import days, questioned, work
from tests.payments.world import AMOUNT, UNKNOWN, Provider, State, World, awaiting, fact, just, paid

pytestmark = pytest.mark.usefixtures("through_both")
PAGE = awaiting("https://second.example.com/2")


async def earlier_counts(world: World, provider: Provider, first: str) -> None:
    """The first try was paid after all, and people let it count."""
    provider.statuses = [paid("main-1")]
    await world.notice(fact(first, theirs="main-1"))
    await decided(world, payments.Resolution.PAID)
    found = await world.payment()
    assert (found.sub_status, found.present_attempt) == ("completed", first)


def cancelled(second: Provider) -> int:
    return sum(what == "cancel" for what, _ in second.asked)


async def alarms(world: World) -> list[str]:
    """Why people were called, each time, once those have decided who let the first count."""
    rows = await world.rows(
        "SELECT detail->>'attention' AS why FROM payment_event WHERE detail ? 'attention' AND sequence > "
        "(SELECT max(sequence) FROM payment_event WHERE source = 'settlement') ORDER BY sequence"
    )
    return [row.why for row in rows]


async def test_it_is_cancelled_at_its_provider_at_once_and_nobody_is_called(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await earlier_counts(world, provider, first)
    assert await questioned(world) == [next_one]
    await work(world, "payments.ask_provider")
    assert cancelled(second) == 1
    now = await world.payment()
    assert (await questioned(world), now.attention, await cases(world)) == ([], None, [])
    second.statuses = [just(State.CANCELLED)]
    await days(world, 20)
    assert (await alarms(world), cancelled(second)) == ([], 1)


async def test_it_is_asked_about_until_its_provider_says_that_it_is_over(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """Cancelling is not answered, again and again; the page stays open for three weeks."""
    first, next_one = both_tried
    second.cancels = [UNKNOWN]
    await earlier_counts(world, provider, first)
    await days(world, 20)
    assert (await questioned(world), await cases(world), await alarms(world)) == ([next_one], [], [])
    assert cancelled(second) > 14
    second.statuses = [just(State.CANCELLED)]
    await days(world, 1)
    assert (await questioned(world), (await world.payment()).attention) == ([], None)


async def test_where_the_adapter_cannot_cancel_it_is_only_asked(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    second.caps &= ~providers.Cap.CANCEL
    await earlier_counts(world, provider, first)
    await days(world, 20)
    assert (cancelled(second), await questioned(world), await cases(world)) == (0, [next_one], [])
    second.statuses = [just(State.FAILED)]
    await days(world, 1)
    assert (await questioned(world), await alarms(world)) == ([], [])


@pytest.mark.parametrize("when", ["asked", "cancelled", "told"])
async def test_that_the_player_pays_there_all_the_same_is_for_people(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str], when: str
) -> None:
    first, next_one = both_tried
    late = paid("second-1")
    if when == "cancelled":  # in the very moment
        second.cancels = [late]
    else:
        second.cancels = [UNKNOWN]
    await earlier_counts(world, provider, first)
    await days(world, 2)
    if when == "asked":
        second.statuses = [late]
        await days(world, 1)
    elif when == "told":
        await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    assert await cases(world) == ["second_payment"]
    assert (await alarms(world), await world.credited()) == (["second_payment"], AMOUNT.minor)


async def test_a_page_that_was_over_and_is_under_way_again_is_for_people(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await earlier_counts(world, provider, first)
    await work(world, "payments.ask_provider")
    second.statuses = [just(State.PROCESSING)]
    await world.notice(fact(next_one, "processing"), account=SECOND)
    await days(world, 1)
    assert await cases(world) == ["revived"]


async def test_a_provider_that_falls_silent_about_it_is_for_people_after_two_weeks(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    second.cancels = second.statuses = [UNKNOWN]
    await earlier_counts(world, provider, first)
    await days(world, 40)
    assert (await cases(world), await alarms(world)) == (["unresolved"], ["unresolved"])
    async with world.database.reading() as reader:
        [its] = await payments.cases_of_site(reader, world.site_id)
    why = f"{SECOND} has not said whether {next_one} is over: ask them"
    assert (its.attempt_id, its.theirs["text"]) == (next_one, why)
    assert world.clock.now() - its.opened_at > timedelta(days=20)


async def expired(world: World, provider: Provider, second: Provider) -> None:
    """The player's time is over, and the page of the second could not be closed then."""
    second.cancels = [UNKNOWN]
    world.clock.advance(timedelta(minutes=31))
    await asked(world)
    assert (await world.payment()).sub_status == "expired"
    provider.statuses = [paid("main-1")]


async def test_the_page_of_an_expired_try_is_asked_about_once_the_first_is_credited_late(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """Its player pays there as well, and the notice is lost."""
    first, next_one = both_tried
    await expired(world, provider, second)
    await world.notice(fact(first, theirs="main-1"))
    found = await world.payment()
    assert (found.sub_status, await questioned(world)) == ("completed", [next_one])
    second.statuses = [paid("second-1")]
    await days(world, 3)
    assert await cases(world) == ["second_payment"]


async def test_the_page_of_an_expired_try_is_cancelled_within_seconds_of_a_late_credit(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    await expired(world, provider, second)
    await world.notice(fact(first, theirs="main-1"))
    before = cancelled(second)
    second.cancels = [just(State.CANCELLED)]
    world.clock.advance(timedelta(seconds=1))
    await payments.sweep_due(world.pipes)
    await work(world, "payments.ask_provider")
    now = await world.payment()
    assert cancelled(second) == before + 1
    assert (await questioned(world), now.attention, await cases(world)) == ([], None, [])
    await days(world, 20)
    assert (cancelled(second), await world.credited()) == (before + 1, AMOUNT.minor)


async def first_in_conflict(world: World, provider: Provider, second: Provider, first: str) -> None:
    """The player's time is over, the page of the second is open still, and the first brought another sum."""
    second.cancels = [UNKNOWN]
    world.clock.advance(timedelta(minutes=31))
    await asked(world)
    assert (await world.payment()).sub_status == "expired"
    odd = paid("main-1", AMOUNT - Money(1, "KZT"))
    provider.statuses = [odd]
    await world.notice(fact(first, theirs="main-1", minor=AMOUNT.minor - 1))
    found = await world.payment()
    assert (found.sub_status, found.present_attempt) == ("conflicted", first)


@pytest.mark.parametrize("resolution", [payments.Resolution.NOT_PAID, payments.Resolution.MONEY_RETURNED])
async def test_the_page_of_the_other_try_is_asked_about_once_the_first_brought_nothing(
    world: World,
    provider: Provider,
    second: Provider,
    both_tried: tuple[str, str],
    resolution: payments.Resolution,
) -> None:
    """The player pays at the second's page, which is open still; its notice is lost."""
    first, _ = both_tried
    await first_in_conflict(world, provider, second, first)
    provider.statuses = [just(State.FAILED)]
    await decided(world, resolution)
    second.statuses = [paid("second-1")]
    await days(world, 14)
    assert await world.credited() == AMOUNT.minor or await cases(world) != []


async def test_while_it_is_in_conflict_the_page_of_the_other_try_is_asked_about(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    await first_in_conflict(world, provider, second, first)
    second.statuses = [paid("second-1")]
    await days(world, 20)
    assert "second_payment" in await cases(world)


async def test_a_conflict_is_asked_about_no_more_once_the_other_try_has_answered(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    await first_in_conflict(world, provider, second, first)
    second.statuses = [just(State.FAILED)]
    await days(world, 2)
    assert await questioned(world) == []
    asked_of_first = len(provider.asked)
    await days(world, 20)
    assert await cases(world) == ["amount_differs"]
    assert len(provider.asked) == asked_of_first
