"""An account moves while its former address is asked: what that does not know may be known at the next."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app import payments, providers
from tests.payments.accounts import ADDRESS, ELSEWHERE, NUMBER, SECOND, asked, left_waiting, moved, tries
from tests.payments.banks import sent
from tests.payments.desk import Desk, kzt
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK
from tests.payments.world import (
    ACCOUNT,
    NEVER_LEFT,
    REFUSED,
    UNKNOWN,
    Provider,
    State,
    World,
    awaiting,
    just,
    paid,
)

CHANGES = pytest.mark.parametrize("change", [ADDRESS, NUMBER], ids=["address", "number"])


def noted(monkeypatch: pytest.MonkeyPatch, gateway: Provider, deed: str) -> list[str]:
    """The addresses to which such orders go from now on."""
    places: list[str] = []
    do: Callable[..., Awaitable[providers.Result]] = getattr(gateway, deed)

    async def done(http: Any, account: Any, order: Any) -> providers.Result:  # noqa: ANN401  as it is
        places.append(account.base_url)
        return await do(http, account, order)

    monkeypatch.setattr(gateway, deed, done)
    return places


@CHANGES
async def test_a_no_of_the_former_address_lets_no_other_order_follow_at_the_new_one(
    stage: Stage, bank: Bank, change: providers.AccountChange
) -> None:
    """The first seemed not to leave, and was paid; the new address knows that, the former one does not."""
    await stage.fund()
    bank.manners = ["pays and says it never heard", "pays"]
    found = await sent(stage)
    assert len(bank.moved) == 1

    async def operator() -> None:
        await moved(stage, change=change, with_orders=True)

    bank.words, bank.during_status = ["not_found", "truth"], operator
    for _ in range(3):
        await stage.later(600)
    assert len(bank.moved) == 1, "paid twice"
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_where_the_new_one_does_not_know_it_either_another_follows_there(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.fund()
    bank.manners = ["never hears", "pays"]
    found = await sent(stage)

    async def operator() -> None:
        await moved(stage, with_orders=True)

    places, bank.during_status = noted(monkeypatch, bank, "pay_out"), operator
    for _ in range(3):
        await stage.later(600)
    assert places == [ELSEWHERE]
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_nor_is_a_lost_order_sent_to_the_former_address_again(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the order no more, and has not stopped taking new ones; the new address has it."""
    await stage.fund()
    bank.manners = ["pays silently"]
    found = await sent(stage)

    async def operator() -> None:
        await moved(stage, with_orders=True)

    places = noted(monkeypatch, bank, "pay_out")
    bank.words, bank.during_status = ["not_found", "truth"], operator
    for _ in range(3):
        await stage.later(600)
    assert places == []
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_nor_is_one_sent_again_while_the_account_before_moves(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """It is the first that was paid: its new address knows that, and people decide about the lost one."""
    bank.manners, bank.words = ["pays and says it never heard"], ["not_found"]
    next_bank.manners = ["loses the order", "pays"]
    found = await sent(stage)
    await stage.work()
    assert [one.account for one in await tries(stage)] == [ACCOUNT, SECOND]

    async def operator() -> None:
        await moved(stage, with_orders=True)
        bank.words = ["truth"]

    bank.during_status = operator
    for _ in range(3):
        await stage.later(600)
    assert len(bank.moved) == 1, "paid twice"
    assert await stage.state(found.payment_id) == ("unknown", "second_payment")


@CHANGES
async def test_nor_does_another_try_of_a_refund_follow(desk: Desk, change: providers.AccountChange) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    await _refund_goes_on(desk, refund, change)
    assert len(desk.provider.refunds) == 1, "sent twice"


async def test_nor_is_a_lost_refund_sent_to_the_former_address_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [UNKNOWN], [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.provider.statuses = [just(State.NOT_FOUND)]
    places = noted(monkeypatch, desk.provider, "refund")
    await _refund_goes_on(desk, refund, ADDRESS)
    assert places == []


async def _refund_goes_on(desk: Desk, refund: str, change: providers.AccountChange) -> None:
    """The account moves while it is asked, and knows at its new address that the refund was paid."""

    async def operator() -> None:
        await moved(desk.world, change=change, with_orders=True)
        desk.provider.statuses = [paid("back-1", kzt(BACK))]

    desk.provider.during_status = operator
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert (await desk.found(refund)).sub_status == "completed"


def _knows_of_it_elsewhere(world: World, change: providers.AccountChange) -> None:
    """The first account moves while it is asked, and knows at its new address that the deposit was paid."""

    async def operator() -> None:
        await moved(world, change=change, with_orders=True)
        world.provider.statuses = [paid()]

    world.provider.during_status = operator


@CHANGES
async def test_nor_does_a_waiting_deposit_go_on_to_its_next_account(
    world: World,
    provider: Provider,
    second: Provider,
    through_both: None,
    monkeypatch: pytest.MonkeyPatch,
    change: providers.AccountChange,
) -> None:
    await left_waiting(world, provider, monkeypatch)
    provider.statuses = [just(State.NOT_FOUND)]
    _knows_of_it_elsewhere(world, change)
    await asked(world)
    assert (second.orders, (await world.payment()).next_account) == ([], SECOND)
    await asked(world)
    found = await world.payment()
    assert (found.sub_status, found.account, second.orders) == ("completed", ACCOUNT, [])


async def test_nor_one_that_the_former_address_declines(
    world: World, provider: Provider, second: Provider, through_both: None
) -> None:
    """It moves while its answer to the order is on its way."""

    async def operator(_: providers.DepositOrder) -> None:
        await moved(world, with_orders=True)

    provider.answers, provider.statuses, provider.during_deposit = [REFUSED], [paid()], operator
    found = await world.deposit()
    assert (second.orders, found.next_account) == ([], SECOND)
    await asked(world)
    assert (await world.payment()).sub_status == "completed"
    assert second.orders == []


async def test_nor_one_whose_player_was_awaited_there(
    world: World, provider: Provider, second: Provider, through_both: None
) -> None:
    await world.ask()
    provider.statuses = [REFUSED]
    _knows_of_it_elsewhere(world, ADDRESS)
    await asked(world)
    assert (second.orders, (await world.payment()).next_account) == ([], SECOND)
    await asked(world)
    assert (await world.payment()).sub_status == "completed"
    assert second.orders == []


async def test_where_it_says_no_at_the_new_address_as_well_the_deposit_goes_on(
    world: World,
    provider: Provider,
    second: Provider,
    through_both: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await left_waiting(world, provider, monkeypatch)
    second.answers = [awaiting("https://second.example.com/2")]

    async def operator() -> None:
        await moved(world, with_orders=True)

    provider.during_status = operator
    await asked(world)
    assert second.orders == []
    await asked(world)
    assert [one.account for one in await tries(world)] == [ACCOUNT, SECOND]
    assert (await world.payment()).status == payments.Status.PENDING
