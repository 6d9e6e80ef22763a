"""Withdrawals: two tries at one account, stops, and an account that moves meanwhile."""

import asyncio
import contextvars
from datetime import timedelta
from typing import Any

import pytest

from app import payments, providers
from app.payments import sending
from app.plumbing import switches
from tests.payments.accounts import order_out
from tests.payments.banks import sent
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT

DAY = timedelta(days=1)


async def test_a_lost_order_is_not_sent_again_while_withdrawals_are_stopped(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["loses the order", "pays"]
    await sent(stage)
    async with stage.database.transaction() as tx:
        await switches.set_switch(
            tx, stage.site_id, payments.PAYOUTS, stopped=True, reason="", by="t", at=stage.clock.now()
        )
    for _ in range(3):
        await stage.later(600)
    assert len(bank.payouts) == 1


async def test_an_account_does_not_move_while_an_order_is_being_written(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await order_out(stage, ACCOUNT)
    write, seen = sending._write_tries, []

    async def move() -> None:
        async with stage.database.transaction() as tx:
            await payments.move_account(
                tx,
                stage.site_id,
                ACCOUNT,
                providers.AccountChange(base_url="https://new.example.org"),
                with_orders=False,
                by="machine:test",
                at=stage.clock.now(),
                allowed_private_peers=frozenset(),
            )

    async def written(*args: Any) -> Any:  # noqa: ANN401  as it is
        orders = await write(*args)
        task = asyncio.create_task(move(), context=contextvars.Context())
        seen.append(task)
        await asyncio.sleep(0.5)
        return orders

    monkeypatch.setattr(sending, "_write_tries", written)
    await sent(stage)
    [result] = await asyncio.gather(*seen, return_exceptions=True)
    assert isinstance(result, payments.OrdersUnderWay), result
