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
