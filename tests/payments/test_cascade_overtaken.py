"""What is told of a deposit while we are on our way to its provider: no doubt of ours asks another one."""

from datetime import timedelta

import pytest

from app import providers
from app.plumbing.http import HttpClient
from tests.payments.accounts import (
    SECOND,
    THIRD,
    asked,
    left_waiting,
    order,
    through_both_accounts,
    tries,
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

State = providers.State


@pytest.fixture(autouse=True)
async def through_both(world: World, second: Provider, third: Provider) -> None:
    await through_both_accounts(world)


async def test_a_time_out_does_not_undo_the_decline_that_came_before_it(
    world: World, provider: Provider, second: Provider
) -> None:
    """It was declined by notice, our call times out, and the provider can be reached no more."""

    async def declined(order: providers.DepositOrder) -> None:
        await world.notice(fact(order.reference, "failed", code="91"))

    provider.during_deposit = declined
    provider.answers = provider.statuses = [UNKNOWN]
    await world.ask()
    [only] = await tries(world)
    assert (only.state, only.error_code, only.is_over) == ("failed", "91", True)
    provider.statuses = [NEVER_LEFT]
    await asked(world)
    assert second.orders == []
    assert len(await tries(world)) == 1


async def test_the_third_is_not_asked_before_the_second_is_asked_again(
    world: World, provider: Provider, second: Provider, third: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one worker asks about the first try, another sends the second, and a notice declines that."""
    await order(world, ACCOUNT, SECOND, THIRD)
    await left_waiting(world, provider, monkeypatch)
    second.answers, second.statuses = [awaiting()], [UNKNOWN]
    status, waits = provider.status, [True]

    async def slow(http: HttpClient, account: providers.ProviderAccount, reference: str) -> providers.Result:
        if waits:
            waits.clear()
            await asked(world)
            [_, next_one] = await tries(world)
            await world.notice(fact(next_one.attempt_id, "failed", code="91"), account=SECOND)
        return await status(http, account, reference)

    monkeypatch.setattr(provider, "status", slow)
    await asked(world)
    assert (await world.payment()).next_account == THIRD
    assert third.orders == []
    second.statuses = [REFUSED]
    await asked(world)
    assert len(third.orders) == 1
    assert (await world.payment()).sub_status == "completed"


async def test_what_the_first_says_does_not_settle_the_question_about_the_second(
    world: World, provider: Provider, second: Provider
) -> None:
    """Both declined. The second says by notice that it was paid, and is silent when it is asked."""
    provider.answers = provider.statuses = [REFUSED]
    second.answers, second.statuses = [awaiting()], [just(State.FAILED)]
    await world.deposit()
    [_, next_one] = await tries(world)
    await world.notice(fact(next_one.attempt_id, "failed"), account=SECOND)
    assert (await world.payment()).sub_status == "declined"
    world.clock.advance(timedelta(days=4))
    provider.statuses, second.statuses = [just(State.FAILED)], [UNKNOWN]
    await world.notice(fact(next_one.attempt_id, theirs="second-1"), account=SECOND)
    for _ in range(2):
        now = await world.payment()
        assert (now.attention, now.ask_at is not None) == ("unconfirmed", True)
        await asked(world)
    second.statuses = [paid("second-1")]
    await asked(world)
    now = await world.payment()
    assert (now.sub_status, now.account, now.attention) == ("completed", SECOND, None)
    assert await world.credited() == AMOUNT.minor


async def test_a_word_about_the_first_does_not_end_the_second_without_its_cancel(
    world: World, provider: Provider, second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second was begun while the first was asked; then the player's time ran out."""
    page = awaiting("https://second.example.com/2")
    provider.answers, second.answers, second.statuses = [awaiting()], [page], [page]
    await world.deposit()
    first = await world.reference()
    world.clock.advance(timedelta(minutes=29))
    waits = [True]

    async def slow(*_: object) -> providers.Result:
        if not waits:
            return REFUSED
        waits.clear()
        await world.notice(fact(first, "failed", code="91"))
        await asked(world)
        world.clock.advance(timedelta(minutes=2))
        return just(State.CANCELLED)

    monkeypatch.setattr(provider, "status", slow)
    await asked(world)
    now = await world.payment()
    assert (now.sub_status, now.account) == ("awaiting_player", SECOND)
    await asked(world)
    [_, next_one] = await tries(world)
    assert ("cancel", next_one.attempt_id) in second.asked
    assert (await world.payment()).sub_status == "expired"
