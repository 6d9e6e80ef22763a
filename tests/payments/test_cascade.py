"""A deposit at two provider accounts: what the first refuses for certain the second collects, and no more."""

from datetime import timedelta

import pytest

from app import methods, payments, providers, staff
from app.merchants.model import ATTEMPTS_LIMIT
from app.methods.model import ACCOUNTS_AT_MOST
from tests.payments.accounts import (
    SECOND,
    THIRD,
    asked,
    cases,
    order,
    switch_off,
    tries,
    why,
)
from tests.payments.world import (
    ACCOUNT,
    AMOUNT,
    NEVER_LEFT,
    REFUSED,
    UNKNOWN,
    Provider,
    World,
    awaiting,
    fact,
    just,
    paid,
)

pytestmark = pytest.mark.usefixtures("through_both")
State = providers.State


# What the first account answers, and whether the second is asked.
ANSWERS = {
    "refused here": (REFUSED, "completed", 1, [SECOND]),
    "never left": (NEVER_LEFT, "completed", 1, [SECOND]),
    "declined for good": (just(State.FAILED), "declined", 0, ["the decline is final"]),
    "a decline without a reason": (
        providers.Result(State.FAILED),
        "declined",
        0,
        ["the decline is final"],
    ),
    "undeliverable": (
        providers.Result(State.FAILED, error=providers.ProviderError("78", "closed", undeliverable=True)),
        "declined",
        0,
        ["the destination cannot receive"],
    ),
    "cancelled": (just(State.CANCELLED), "by_player", 0, []),
    "time-out": (UNKNOWN, "unknown", 0, []),
    "a time-out that calls itself retryable": (
        providers.Result(State.UNKNOWN, error=providers.ProviderError("t", "", retryable=True)),
        "unknown",
        0,
        [],
    ),
    "pending": (just(State.PROCESSING), "provider_pending", 0, []),
    "awaits its player": (awaiting(), "awaiting_player", 0, []),
    "knows no such order": (just(State.NOT_FOUND), "submitted", 0, []),
    "says it was taken back": (just(State.REVERSED), "unknown", 0, []),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_what_the_first_answers_decides_whether_the_second_is_asked(
    world: World, provider: Provider, second: Provider, what: str
) -> None:
    answer, end, orders, reasons = ANSWERS[what]
    provider.answers, provider.statuses = [answer], [UNKNOWN]
    found = await world.deposit()
    assert (found.sub_status, found.attention) == (end, None)
    assert (len(provider.orders), len(second.orders)) == (1, orders)
    assert await why(world) == reasons
    assert await world.credited() == (AMOUNT.minor if end == "completed" else 0)


async def test_the_second_collects_once_and_all_of_it_is_its_own(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers = [REFUSED]
    found = await world.deposit()
    first, next_one = await tries(world)
    assert (found.sub_status, found.account, found.provider_reference) == ("completed", SECOND, "second-1")
    assert (found.present_attempt, found.next_account) == (next_one.attempt_id, None)
    assert [(one.account, one.state, one.is_over) for one in (first, next_one)] == [
        (ACCOUNT, "failed", True),
        (SECOND, "succeeded", False),
    ]
    assert [one.reference for one in provider.orders] == [first.attempt_id]
    assert [one.reference for one in second.orders] == [next_one.attempt_id]
    assert second.orders[0].notice_url.endswith(f"/notices/{world.site_id}/{SECOND}")
    assert second.orders[0].return_url == provider.orders[0].return_url
    assert await world.credited() == AMOUNT.minor
    assert await world.told() == [4], "the merchant hears of the end, once"
    [entry] = await world.rows(
        "SELECT owner FROM account JOIN entry USING (site_id, account_id) WHERE purpose = 'provider_clearing'"
    )
    assert entry.owner == SECOND, "the money is booked where it is"
    assert found.return_url is None, "what has a token in it is not kept beyond the end"


async def test_failed_comes_after_the_last_attempt_only(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, second.answers = [REFUSED], [REFUSED]
    found = await world.deposit()
    assert (found.sub_status, found.status) == ("declined", "failed")
    assert await world.told() == [6]
    assert [name for name in await world.events() if "failed" in name] == ["deposit.failed"]
    assert await why(world) == [SECOND, "no other account"]


async def test_no_account_is_asked_twice_and_no_more_than_the_site_wants(
    world: World, provider: Provider, second: Provider, third: Provider
) -> None:
    for one in (provider, second, third):
        one.answers = [REFUSED]
    await order(world, ACCOUNT, SECOND, THIRD)
    async with world.database.transaction() as tx:
        await payments.set_most_attempts(tx, world.site_id, 2, by=staff.SYSTEM, at=world.clock.now())
    assert (await world.deposit()).sub_status == "declined"
    assert [len(one.orders) for one in (provider, second, third)] == [1, 1, 0]
    assert (await why(world))[-1] == "tried at 2 of at most 2 accounts"


async def test_one_attempt_at_most_switches_it_off(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers = [REFUSED]
    async with world.database.transaction() as tx:
        await payments.set_most_attempts(tx, world.site_id, 1, by=staff.SYSTEM, at=world.clock.now())
    assert (await world.deposit()).sub_status == "declined"
    assert second.orders == []


async def test_who_is_passed_by_keeps_its_place_among_so_many(
    world: World, provider: Provider, third: Provider
) -> None:
    provider.answers = [REFUSED]
    await order(world, ACCOUNT, SECOND, THIRD)
    await switch_off(world, SECOND)
    async with world.database.transaction() as tx:
        await payments.set_most_attempts(tx, world.site_id, 2, by=staff.SYSTEM, at=world.clock.now())
    assert (await world.deposit()).sub_status == "declined"
    assert third.orders == []
    assert await why(world) == [f"switched off: {SECOND}; behind the first 2: {THIRD}"]


async def test_three_accounts_in_their_order(
    world: World, provider: Provider, second: Provider, third: Provider
) -> None:
    provider.answers, second.answers = [NEVER_LEFT], [REFUSED]
    await order(world, SECOND, ACCOUNT, THIRD)
    assert (await world.deposit()).account == THIRD
    assert [one.account for one in await tries(world)] == [SECOND, ACCOUNT, THIRD]


async def test_an_account_that_is_switched_off_is_passed_by(
    world: World, provider: Provider, second: Provider, third: Provider
) -> None:
    provider.answers = [REFUSED]
    await order(world, ACCOUNT, SECOND, THIRD)
    await switch_off(world, SECOND)
    assert (await world.deposit()).account == THIRD
    assert second.orders == []


async def test_where_the_first_is_switched_off_it_begins_at_the_second(
    world: World, provider: Provider, second: Provider
) -> None:
    await switch_off(world, ACCOUNT)
    assert (await world.deposit()).account == SECOND
    assert (provider.orders, len(second.orders)) == ([], 1)


async def test_nobody_behind_so_many_stands_in_for_one_that_is_switched_off(
    world: World, provider: Provider, second: Provider
) -> None:
    await switch_off(world, ACCOUNT)
    async with world.database.transaction() as tx:
        await payments.set_most_attempts(tx, world.site_id, 1, by=staff.SYSTEM, at=world.clock.now())
    with pytest.raises(methods.MethodUnavailable):
        await world.deposit()
    assert second.orders == []
    assert await world.rows("SELECT 1 FROM payment") == []


async def test_where_all_others_are_switched_off_it_ends_and_says_so(
    world: World, provider: Provider
) -> None:
    provider.answers = [REFUSED]
    await switch_off(world, SECOND)
    assert (await world.deposit()).sub_status == "declined"
    assert await why(world) == [f"switched off: {SECOND}"]


async def test_no_answer_means_no_second_attempt_however_it_ends(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, provider.statuses = [UNKNOWN], [UNKNOWN]
    found = await world.deposit()
    provider.statuses = [REFUSED]
    world.clock.advance(timedelta(minutes=5))
    await asked(world)
    assert (await world.payment()).sub_status == "declined"
    assert second.orders == []
    assert await why(world) == ["for a while nobody knew of it"]
    assert len(await tries(world)) == 1, found


async def test_an_order_that_the_first_does_not_find_is_no_definite_failure(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    await world.deposit()
    world.clock.advance(timedelta(minutes=5))
    await asked(world)
    assert (await world.payment()).sub_status == "provider_error"
    assert second.orders == []
    assert await why(world) == ["it ended without a decline"]


async def test_who_said_paid_before_is_not_believed_that_another_may_collect(
    world: World, provider: Provider, second: Provider
) -> None:
    """Its answer said paid, its status pending, then it refuses: money may have moved."""
    provider.answers, provider.statuses = [paid()], [just(State.PROCESSING)]
    assert (await world.deposit()).sub_status == "provider_pending"
    provider.statuses = [REFUSED]
    await asked(world)
    assert (await world.payment()).sub_status == "declined"
    assert second.orders == []
    assert await why(world) == [f"{ACCOUNT} said before that it was paid"]


async def test_after_the_players_decline_at_the_page_the_second_page_is_offered(
    world: World, provider: Provider, second: Provider
) -> None:
    second.answers = [awaiting("https://second.example.com/2")]
    assert (await world.deposit()).sub_status == "awaiting_player"
    provider.statuses = [REFUSED]
    await world.notice(fact(await world.reference(), "failed", code="91"))
    found = await world.payment()
    assert (found.sub_status, found.account) == ("awaiting_player", SECOND)
    assert found.continue_url == "https://second.example.com/2"
    assert second.orders[0].return_url == provider.orders[0].return_url
    assert len(second.orders) == 1


async def test_a_notice_that_its_provider_does_not_confirm_sends_nothing_on(
    world: World, provider: Provider, second: Provider
) -> None:
    """What another would collect is decided by the provider's own answer; and here it was paid."""
    await world.deposit()
    provider.statuses = [UNKNOWN]
    reference = await world.reference()
    await world.notice(fact(reference, "failed", code="91"))
    found = await world.payment()
    assert (found.sub_status, found.next_account, second.orders) == ("submitted", SECOND, [])
    await asked(world)
    assert ((await world.payment()).next_account, second.orders) == (SECOND, [])
    provider.statuses = [paid()]
    await asked(world)
    found = await world.payment()
    assert (found.sub_status, found.account, found.next_account) == ("completed", ACCOUNT, None)
    assert (await world.credited(), second.orders, await cases(world)) == (AMOUNT.minor, [], [])


async def test_the_players_own_refusal_at_the_page_goes_nowhere(
    world: World, provider: Provider, second: Provider
) -> None:
    await world.deposit()
    await world.notice(fact(await world.reference(), "cancelled"))
    assert (await world.payment()).sub_status == "by_player"
    assert second.orders == []


async def test_when_the_players_time_is_over_it_goes_nowhere(
    world: World, provider: Provider, second: Provider
) -> None:
    await world.deposit()
    provider.statuses = [REFUSED]
    world.clock.advance(timedelta(minutes=31))
    await asked(world)
    assert (await world.payment()).sub_status == "declined"
    assert second.orders == []
    assert await why(world) == ["the player's time is over"]


async def test_one_account_keeps_no_address_with_a_token_in_it(world: World) -> None:
    await order(world, ACCOUNT)
    assert (await world.deposit()).return_url is None


async def test_who_was_asked_for_with_one_account_stays_with_it(
    world: World, provider: Provider, second: Provider
) -> None:
    """Another may be named meanwhile; it would have no address to send the player's browser back to."""
    await order(world, ACCOUNT)
    await world.deposit()
    await order(world, ACCOUNT, SECOND)
    provider.statuses = [REFUSED]
    await asked(world)
    assert ((await world.payment()).sub_status, second.orders) == ("declined", [])
    assert await why(world) == ["it was asked for with one account"]


@pytest.mark.parametrize("answer", [State.NOT_FOUND, State.PROCESSING])
async def test_not_found_yet_and_a_question_without_an_answer_are_no_doubt_about_the_order(
    world: World, provider: Provider, second: Provider, answer: State
) -> None:
    """It was not there yet, or it was pending: who then declines it had not left it in doubt before."""
    provider.answers = [just(answer)]
    provider.statuses = [UNKNOWN if answer is State.PROCESSING else just(answer)]
    await world.deposit()
    await asked(world)
    assert second.orders == []
    provider.statuses = [REFUSED]
    await asked(world)
    assert ((await world.payment()).sub_status, len(second.orders)) == ("completed", 1)


def test_a_site_may_want_as_many_attempts_as_a_method_has_accounts_at_most() -> None:
    assert ATTEMPTS_LIMIT == ACCOUNTS_AT_MOST


async def test_nobody_else_is_asked_for_what_was_unknown_though_it_was_pending_meanwhile(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, provider.statuses = [UNKNOWN], [just(State.PROCESSING)]
    await world.deposit()
    world.clock.advance(60)
    await asked(world)
    assert (await world.payment()).sub_status == "provider_pending"
    provider.statuses = [REFUSED]
    world.clock.advance(60)
    await asked(world)
    assert ((await world.payment()).sub_status, second.orders) == ("declined", [])
    assert await why(world) == ["for a while nobody knew of it"]
