"""At which account a deposit is tried is chosen when it is sent, whatever was so when it was asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context

import pytest

from app import methods, payments, providers
from app.payments import deposit_sending
from app.payments.resolutions import ResolutionImpossible
from app.plumbing import switches
from tests.payments.accounts import (
    ELSEWHERE,
    SECOND,
    THIRD,
    decided,
    moved,
    moving,
    order,
    raised,
    switch_off,
    tries,
    why,
)
from tests.payments.peers import Heard
from tests.payments.world import ACCOUNT, AMOUNT, REFUSED, UNKNOWN, Provider, World
from tests.wallet.locking import blocked

OFF = f"the provider account {ACCOUNT} is switched off"
Deed = Callable[[World], Awaitable[object]]


def meanwhile(world: World, *deeds: Deed) -> None:
    """While the merchant is asked about a deposit, these are done."""

    async def do(_: Heard) -> None:
        world.shop.before = None
        for deed in deeds:
            await deed(world)

    world.shop.before = do


async def first_off(world: World) -> None:
    await switch_off(world, ACCOUNT)


async def second_off(world: World) -> None:
    await switch_off(world, SECOND)


async def offered_no_more(world: World) -> None:
    async with world.database.transaction() as tx:
        await methods.switch_method(tx, world.site_id, "card", "KZT", enabled=False)


async def stopped(world: World) -> None:
    async with world.database.transaction() as tx:
        at, name = world.clock.now(), payments.DEPOSITS
        await switches.set_switch(tx, world.site_id, name, stopped=True, reason="x", by="test", at=at)


async def test_switched_off_meanwhile_it_goes_to_the_next(
    world: World, provider: Provider, second: Provider, through_both: None
) -> None:
    meanwhile(world, first_off)
    found = await world.deposit()
    assert (found.sub_status, found.account) == ("completed", SECOND)
    [only] = await tries(world)
    assert (only.account, only.number, found.present_attempt) == (SECOND, 1, None)
    assert (provider.asked, len(second.orders)) == ([], 1)
    [told] = await world.rows("SELECT detail FROM payment_event WHERE detail ? 'next_account'")
    assert (told.detail["next_account"], told.detail["after"]) == (SECOND, ACCOUNT)
    assert told.detail["short"] == OFF


# What happens while the merchant is asked, and why no provider is.
ENDS: dict[str, tuple[tuple[Deed, ...], str]] = {
    "all off": ((first_off, second_off), f"{OFF}; switched off: {SECOND}"),
    "offered no more": ((offered_no_more,), "the method is offered no more"),
    "stopped": ((stopped,), "deposits are stopped"),
}


@pytest.mark.parametrize("what", ENDS)
async def test_where_nobody_may_be_asked_it_ends_and_the_merchant_hears_so(
    world: World, provider: Provider, second: Provider, through_both: None, what: str
) -> None:
    deeds, reason = ENDS[what]
    meanwhile(world, *deeds)
    found = await world.deposit()
    assert (found.status, found.sub_status, found.attention) == ("failed", "provider_error", None)
    assert (found.external_id, found.ask_at) == ("order_1", None)
    assert (await why(world), await tries(world)) == ([reason], [])
    assert await world.answered() == [("accepted", "order_1")]
    assert (provider.asked, second.asked) == ([], [])
    assert await world.told() == [19]
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).sub_status == "provider_error"


async def test_with_one_account_it_ends_once_that_is_off(world: World, provider: Provider) -> None:
    meanwhile(world, first_off)
    assert (await world.deposit()).sub_status == "provider_error"
    assert (await why(world), provider.asked) == ([f"{OFF}; no other account"], [])


async def refused_then(world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch, deed: Deed) -> None:
    """The first refuses, the second is next; something is done before it is sent there."""
    provider.answers = provider.statuses = [REFUSED]
    go_on = deposit_sending._send_on
    done: list[Deed] = []

    async def after(*words: object) -> None:
        if not done:
            done.append(deed)
            await deed(world)
        await go_on(*words)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(deposit_sending, "_send_on", after)
    await order(world, ACCOUNT, SECOND, THIRD)


async def test_where_the_next_is_off_by_then_a_third_is_tried(
    world: World,
    provider: Provider,
    second: Provider,
    third: Provider,
    through_both: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await refused_then(world, provider, monkeypatch, second_off)
    found = await world.deposit()
    assert (found.sub_status, found.account) == ("completed", THIRD)
    assert [one.account for one in await tries(world)] == [ACCOUNT, THIRD]
    assert (second.orders, len(third.orders)) == ([], 1)
    assert await why(world) == [SECOND, THIRD], "the history says both"


async def test_nothing_follows_once_the_method_is_offered_no_more(
    world: World,
    provider: Provider,
    second: Provider,
    third: Provider,
    through_both: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await refused_then(world, provider, monkeypatch, offered_no_more)
    assert (await world.deposit()).sub_status == "declined"
    assert await why(world) == [SECOND, "the method is offered no more"]
    assert (second.orders, third.orders) == ([], [])


@pytest.fixture
def urls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where orders went."""
    found: list[str] = []
    sends = Provider.deposit

    async def seen(self: Provider, http: object, account: providers.ProviderAccount, its: object) -> object:
        found.append(account.base_url)
        return await sends(self, http, account, its)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Provider, "deposit", seen)
    return found


async def test_an_account_that_moved_while_the_merchant_was_asked_is_found_where_it_is(
    world: World, provider: Provider, urls: list[str]
) -> None:
    meanwhile(world, moved)
    await world.ask()
    assert urls == [ELSEWHERE]


async def test_an_account_does_not_move_under_an_order_that_is_being_written(
    world: World, provider: Provider, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who moves it waits until the order is there, and then counts it."""
    provider.answers = provider.statuses = [UNKNOWN]
    outside, moving = copy_context(), []  # where no transaction is open
    conclude = payments.deposits._conclude_check

    async def slow(*words: object) -> object:
        step = await conclude(*words)  # type: ignore[arg-type]  # as they came
        moving.append(asyncio.create_task(moved(world), context=outside))
        await blocked(clone_url)
        return step

    monkeypatch.setattr("app.payments.deposits._conclude_check", slow)
    await world.ask()
    with pytest.raises(payments.OrdersUnderWay):
        await moving[0]
    [row] = await world.rows("SELECT base_url FROM provider_account WHERE account = 'main'")
    assert row.base_url == "https://pay.example.com"


async def test_an_order_that_begins_while_an_account_moves_goes_to_where_it_has_moved(
    world: World, provider: Provider, clone_url: str, urls: list[str]
) -> None:
    outside, asking = copy_context(), []
    session = await world.session()
    async with moving(world):
        asking.append(asyncio.create_task(world.ask(session), context=outside))
        await blocked(clone_url)
    await asking[0]
    assert urls == [ELSEWHERE]


async def test_what_was_sent_to_nobody_is_credited_by_nobody(world: World, provider: Provider) -> None:
    meanwhile(world, first_off)
    await world.ask()
    found = await world.payment()
    assert (found.sub_status, found.sent_at) == ("provider_error", None)
    await raised(world)
    with pytest.raises(ResolutionImpossible, match="nothing was sent"):
        await decided(world, payments.Resolution.ACCEPTED, amount=AMOUNT)
    assert await world.credited() == 0
