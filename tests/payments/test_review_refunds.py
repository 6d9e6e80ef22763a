"""Refunds in several tries: what people say of one, and what is repeated."""

import pytest

from app import payments, providers
from app.payments.refund_sending import REFUNDS
from app.plumbing import switches
from tests.payments.desk import Desk, kzt
from tests.payments.test_disputes import say
from tests.payments.test_refund_tries import BACK
from tests.payments.world import ACCOUNT, NEVER_LEFT, UNKNOWN, State, just, paid


async def test_a_lost_order_is_not_repeated_while_a_dispute_has_the_money(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    assert (await desk.found(refund)).sub_status.value == "unknown"
    await say(desk, deposit, "opened")
    desk.provider.answers = [paid("back-1", kzt(BACK))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1, "it goes back by the dispute and by the refund"


async def test_nor_while_refunds_are_stopped(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    async with desk.world.database.transaction() as tx:
        await switches.set_switch(
            tx, desk.site_id, REFUNDS, stopped=True, reason="", by="t", at=desk.world.clock.now()
        )
    desk.provider.answers = [paid("back-1", kzt(BACK))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1
