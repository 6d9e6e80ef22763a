"""An account does not move while what its provider says of an order there still counts."""

import asyncio
import contextvars
from typing import Any

import pytest

from app import payments, providers
from app.payments import sending
from tests.payments.accounts import (
    ELSEWHERE,
    SECOND,
    left_waiting,
    moved,
    moving,
    order_out,
    through_both_accounts,
    tries,
)
from tests.payments.banks import sent
from tests.payments.desk import Desk
from tests.payments.questions import days
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT, NEVER_LEFT, REFUSED, UNKNOWN, Provider, World, awaiting, paid
from tests.wallet.locking import blocked


async def stays(world: World, name: str = ACCOUNT) -> None:
    with pytest.raises(payments.OrdersUnderWay):
        await moved(world, name)


async def address(world: World, name: str = ACCOUNT) -> str:
    async with world.database.reading() as reader:
        return (await providers.account(reader, world.site_id, name)).base_url


async def test_while_a_withdrawal_waits_that_seemed_not_to_leave(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """It was paid; another contract has never heard of it, and it would be paid again."""
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays and says it never heard", "pays"], ["nothing"]
    await sent(stage)
    [only] = await tries(stage)
    assert only.is_over
    await stays(stage)
    bank.words = ["truth"]
    await stage.later(3_600)
    assert (await stage.payment()).sub_status == "completed"
    assert len(bank.moved) == 1
    await moved(stage)
    assert await address(stage) == ELSEWHERE


async def test_not_for_one_that_is_called_off_before_anything_arrived(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears"]
    found = await sent(stage)
    by = await stage.operator("chief")
    await payments.cancel_for_staff(stage.pipes, stage.site_id, found.payment_id, by, reason="a mistake")
    assert (await stage.payment()).status == "cancelled"
    await moved(stage)


async def test_while_a_withdrawal_that_the_account_declined_is_open_at_the_next(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Should it have paid all the same, it is the case of a second payment as long as it is asked."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, next_one = await tries(stage)
    assert (first.account, first.is_over, next_one.account) == (ACCOUNT, True, SECOND)
    await stays(stage)
    await stays(stage, SECOND)


async def test_while_a_refund_waits_that_seemed_not_to_leave(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, 50_000)).payment_id
    assert (await desk.found(refund)).status is payments.Status.PENDING
    await stays(desk.world)


async def test_while_a_player_is_awaited_at_its_page(
    world: World, second: Provider, through_both: None, both_tried: tuple[str, str]
) -> None:
    assert (await world.payment()).status == "pending"
    await stays(world)
    await stays(world, SECOND)


async def test_while_a_deposit_waits_for_its_next_account(
    world: World, provider: Provider, through_both: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_waiting(world, provider, monkeypatch)
    assert (await world.payment()).next_account == SECOND
    await stays(world)


async def test_as_long_as_it_is_asked_whether_a_failed_deposit_was_paid(
    world: World, provider: Provider
) -> None:
    provider.answers = provider.statuses = [REFUSED]
    await world.ask()
    await stays(world)
    await days(world, 4)
    await moved(world)


async def test_what_is_known_there_as_well_moves_with_it(world: World) -> None:
    await world.deposit()
    await moved(world, with_orders=True)
    assert await address(world) == ELSEWHERE


async def test_while_an_order_is_being_written(
    stage: Stage, bank: Bank, next_bank: Bank, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who moves it waits for the order to be there, and counts it."""
    await order_out(stage, ACCOUNT)
    write, moving = sending._write_tries, []

    async def written(*args: Any) -> Any:  # noqa: ANN401  as it is
        orders = await write(*args)
        moving.append(asyncio.create_task(moved(stage), context=contextvars.Context()))
        await blocked(clone_url)
        return orders

    monkeypatch.setattr(sending, "_write_tries", written)
    await sent(stage)
    [result] = await asyncio.gather(*moving, return_exceptions=True)
    assert isinstance(result, payments.OrdersUnderWay), result


async def _while_it_moves(world: World, clone_url: str, deed: Any) -> None:  # noqa: ANN401  a coroutine
    """Run a deed whose order waits until the account has moved."""
    outside = contextvars.copy_context()
    async with moving(world, SECOND):
        task = asyncio.create_task(deed, context=outside)
        await blocked(clone_url)
    await task


async def test_an_order_that_waits_for_the_move_goes_where_the_account_is_then(
    stage: Stage, bank: Bank, next_bank: Bank, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await order_out(stage, SECOND)
    went, pay_out = [], next_bank.pay_out

    async def seen(http: Any, account: Any, order: Any) -> Any:  # noqa: ANN401  as it is
        went.append(account.base_url)
        return await pay_out(http, account, order)

    monkeypatch.setattr(next_bank, "pay_out", seen)
    await stage.withdraw()
    await _while_it_moves(stage, clone_url, stage.work())
    assert went == [ELSEWHERE]


async def test_so_does_a_deposit_that_goes_on_to_its_next_account(
    world: World, provider: Provider, second: Provider, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await through_both_accounts(world)
    await left_waiting(world, provider, monkeypatch)
    second.answers = [awaiting("https://second.example.com/2")]
    went, deposit = [], second.deposit

    async def seen(http: Any, account: Any, order: Any) -> Any:  # noqa: ANN401  as it is
        went.append(account.base_url)
        return await deposit(http, account, order)

    monkeypatch.setattr(second, "deposit", seen)
    found = await world.payment()
    await _while_it_moves(
        world, clone_url, payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    )
    assert went == [ELSEWHERE]


async def test_a_try_that_was_paid_holds_nothing(world: World, provider: Provider) -> None:
    provider.answers = provider.statuses = [paid()]
    await world.ask()
    assert (await world.payment()).sub_status == "completed"
    await moved(world)
