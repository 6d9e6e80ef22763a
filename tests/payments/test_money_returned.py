"""What came for a deposit went back to its payer: whatever else is paid afterwards, people hear of it."""

import pytest

from app import payments
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, cases, decided, raised
from tests.payments.questions import days
from tests.payments.world import ACCOUNT, AMOUNT, Provider, State, World, fact, just, paid

R = payments.Resolution


async def cancelled(world: World, provider: Provider) -> str:
    """A deposit that its player gave up at the provider's page; our reference of its only try."""
    await world.deposit()
    reference = await world.reference()
    provider.statuses = [just(State.CANCELLED)]
    await world.notice(fact(reference, "cancelled"), mark="cancelled")
    assert (await world.payment()).sub_status == "by_player"
    world.clock.advance(5)
    return reference


async def is_paid(
    world: World, provider: Provider, reference: str, number: str | None, account: str = ACCOUNT
) -> None:
    """Its provider says so, by a notice and whenever it is asked."""
    provider.statuses = [paid(number) if number else just(State.SUCCEEDED)]
    world.clock.advance(5)
    await world.notice(fact(reference, theirs=number), mark=f"{number}", account=account)
    world.clock.advance(5)


@pytest.fixture
async def both_cancelled(
    world: World, second: Provider, through_both: None, both_tried: tuple[str, str]
) -> tuple[str, str]:
    """The first was declined, and the player gave up at the second's page."""
    second.statuses = [just(State.CANCELLED)]
    await world.notice(fact(both_tried[1], "cancelled"), mark="cancelled", account=SECOND)
    assert (await world.payment()).sub_status == "by_player"
    return both_tried


async def test_what_comes_by_the_other_try_afterwards_is_a_case(
    world: World, provider: Provider, second: Provider, both_cancelled: tuple[str, str]
) -> None:
    first, other = both_cancelled
    await is_paid(world, provider, first, "main-1")
    assert await cases(world) == ["second_payment"]
    await decided(world, R.MONEY_RETURNED)
    now = await world.payment()
    assert (now.sub_status, now.account, now.present_attempt) == ("refunded", ACCOUNT, first)
    assert now.provider_reference == "main-1"
    await is_paid(world, second, other, "second-1", SECOND)
    await days(world, 3)
    assert await cases(world) == ["second_payment"]


async def test_also_where_what_came_by_the_last_one_went_back(
    world: World, provider: Provider, second: Provider, both_cancelled: tuple[str, str]
) -> None:
    first, other = both_cancelled
    await is_paid(world, second, other, "second-1", SECOND)
    assert await cases(world) == ["paid_after_cancel"]
    await decided(world, R.MONEY_RETURNED)
    await is_paid(world, provider, first, "main-1")
    assert await cases(world) == ["second_payment"]


async def test_also_where_the_providers_tell_no_numbers(
    world: World, provider: Provider, second: Provider, both_cancelled: tuple[str, str]
) -> None:
    first, other = both_cancelled
    await is_paid(world, provider, first, None)
    await decided(world, R.MONEY_RETURNED)
    now = await world.payment()
    assert (now.present_attempt, now.provider_reference) == (first, None)
    await is_paid(world, second, other, None, SECOND)
    assert await cases(world) == ["second_payment"]


async def test_what_comes_by_the_same_try_under_another_number_is_a_case(
    world: World, provider: Provider
) -> None:
    reference = await cancelled(world, provider)
    await is_paid(world, provider, reference, "theirs-1")
    assert await cases(world) == ["paid_after_cancel"]
    await decided(world, R.MONEY_RETURNED)
    assert (await world.payment()).provider_reference == "theirs-1"
    await world.notice(fact(reference, theirs="theirs-1"), mark="again")
    assert await cases(world) == [], "told once more, it is what went back"
    await is_paid(world, provider, reference, "theirs-2")
    assert await cases(world) == ["second_payment"]


async def test_of_two_numbers_each_is_a_case_and_one_goes_back_by_its_own(
    world: World, provider: Provider
) -> None:
    reference = await cancelled(world, provider)
    await is_paid(world, provider, reference, "theirs-1")
    await is_paid(world, provider, reference, "theirs-2")
    assert await cases(world) == ["paid_after_cancel", "paid_after_cancel"]
    async with world.database.reading() as reader:
        first, second = await payments.cases_of_site(reader, world.site_id)
    await decided(world, R.MONEY_RETURNED, its=first)
    assert (await world.payment()).provider_reference == first.about == "theirs-1"
    async with world.database.reading() as reader:
        assert await payments.cases_of_site(reader, world.site_id) == [second]


async def test_who_names_the_number_of_the_first_means_that(
    world: World, provider: Provider, second: Provider, both_cancelled: tuple[str, str]
) -> None:
    first, other = both_cancelled
    await is_paid(world, provider, first, "main-1")
    await decided(world, R.NOTED)
    await raised(world)
    await decided(world, R.MONEY_RETURNED, provider_reference="main-1")
    now = await world.payment()
    assert (now.sub_status, now.present_attempt, now.account) == ("refunded", first, ACCOUNT)
    await is_paid(world, second, other, "second-1", SECOND)
    assert await cases(world) == ["second_payment"]


async def test_in_conflict_it_is_about_the_number_that_is_known(world: World, provider: Provider) -> None:
    """Two sums came under two numbers. That the second went back says nothing of the first."""
    await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference, theirs="theirs-1", minor=AMOUNT.minor - 1), mark="a")
    assert (await world.payment()).sub_status == "conflicted"
    world.clock.advance(5)
    await world.notice(fact(reference, theirs="theirs-2"), mark="b")
    async with world.database.reading() as reader:
        about_the_sum, about_another = await payments.cases_of_site(reader, world.site_id)
    assert about_another.kind.value == "second_payment"
    with pytest.raises(ResolutionImpossible, match="number of it is theirs-1, and another is another"):
        await decided(world, R.MONEY_RETURNED, its=about_another)
    assert (await world.payment()).sub_status == "conflicted"
    await decided(world, R.MONEY_RETURNED, its=about_the_sum)
    now = await world.payment()
    assert (now.sub_status, now.provider_reference) == ("refunded", "theirs-1")


async def test_what_another_deposit_was_credited_under_did_not_come_for_this_one(
    world: World, provider: Provider
) -> None:
    await world.deposit()
    await world.notice(fact(await world.reference(), theirs="its-1"), mark="a")
    assert await world.credited() == AMOUNT.minor
    await world.ask(key="form-2")
    await world.notice(fact(await world.reference(), theirs="its-1"), mark="b")
    assert ((await world.payment()).sub_status, await cases(world)) == ("conflicted", ["reference_reused"])
    with pytest.raises(ResolutionImpossible, match="another payment has this number"):
        await decided(world, R.MONEY_RETURNED)
    assert (await world.payment()).sub_status == "conflicted"


async def test_what_went_back_is_credited_to_no_other_deposit(world: World, provider: Provider) -> None:
    reference = await cancelled(world, provider)
    await is_paid(world, provider, reference, "theirs-1")
    await decided(world, R.MONEY_RETURNED)
    await world.ask(key="form-2")
    await world.notice(fact(await world.reference(), theirs="theirs-1"), mark="b")
    assert (await world.payment()).sub_status == "conflicted"
    assert (await cases(world), await world.credited()) == (["reference_reused"], 0)


async def test_what_is_paid_in_full_after_a_part_went_back_is_a_case(
    world: World, provider: Provider
) -> None:
    await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference, theirs="theirs-1", minor=AMOUNT.minor - 1), mark="a")
    await decided(world, R.MONEY_RETURNED)
    provider.statuses = [paid("theirs-1")]
    world.clock.advance(60)
    await world.notice(fact(reference, theirs="theirs-1"), mark="b")
    await days(world, 3)
    assert await cases(world) != []


async def test_a_number_that_nobody_knew_after_money_without_one_went_back_is_a_case(
    world: World, provider: Provider
) -> None:
    await world.deposit()
    reference = await world.reference()
    provider.statuses = [just(State.CANCELLED)]
    await world.notice(fact(reference, "cancelled"), mark="cancelled")
    provider.statuses = [just(State.SUCCEEDED)]
    world.clock.advance(5)
    await world.notice(fact(reference, theirs=None), mark="a")
    await decided(world, R.MONEY_RETURNED)
    provider.statuses = [paid("theirs-2")]
    world.clock.advance(60)
    await world.notice(fact(reference, theirs="theirs-2"), mark="b")
    await days(world, 3)
    assert await cases(world) != []
