"""What is stopped, or goes to an account that is off, is not sent a second time either, and says why."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app import payments
from app.plumbing import switches
from tests.payments.accounts import cases, switch_off, switch_on, tries
from tests.payments.banks import sent
from tests.payments.desk import Desk
from tests.payments.stage import Bank, Stage
from tests.payments.test_deposit_command import said
from tests.payments.world import ACCOUNT, UNKNOWN, State, World, fact, just, paid

OFF = f"the provider account {ACCOUNT} is switched off"
LATER = timedelta(minutes=10)  # "not found" may mean "not stored yet" for two


async def stop(world: World, name: str, *, site_id: int | None = None, stopped: bool = True) -> None:
    its = world.site_id if site_id is None else site_id
    async with world.database.transaction() as tx:
        at = world.clock.now()
        await switches.set_switch(tx, its, name, stopped=stopped, reason="x", by="machine:test", at=at)


async def release(world: World, name: str, *, site_id: int | None = None) -> None:
    await stop(world, name, site_id=site_id, stopped=False)


def alarms(kind: str) -> float:
    return REGISTRY.get_sample_value("cashier_alarms_total", {"kind": kind}) or 0


# What is in the way of a withdrawal whose order was lost: how it comes, how it goes, and what staff reads.
HELD: dict[str, tuple[Any, Any, str]] = {
    "stopped here": (
        lambda world: stop(world, payments.PAYOUTS),
        lambda world: release(world, payments.PAYOUTS),
        "withdrawals are stopped",
    ),
    "stopped everywhere": (
        lambda world: stop(world, payments.PAYOUTS, site_id=switches.EVERY_SITE),
        lambda world: release(world, payments.PAYOUTS, site_id=switches.EVERY_SITE),
        "withdrawals are stopped",
    ),
    "switched off": (
        lambda world: switch_off(world, ACCOUNT),
        lambda world: switch_on(world, ACCOUNT),
        OFF,
    ),
}


@pytest.mark.parametrize("what", HELD)
async def test_a_lost_order_waits_like_one_that_was_never_sent(stage: Stage, bank: Bank, what: str) -> None:
    comes, goes, why = HELD[what]
    await stage.fund()
    bank.manners = ["loses the order", "pays"]
    found = await sent(stage)
    await comes(stage)
    for _ in range(3):
        await stage.later(LATER)
        now = await stage.row(found.payment_id)
        assert (now.sub_status, now.attention, now.reason) == ("unknown", None, why)
    assert len(bank.payouts) == 1
    await goes(stage)
    for _ in range(2):  # sent, and asked about
        await stage.later(LATER)
    assert await stage.state(found.payment_id) == ("completed", None)
    [only] = await tries(stage)
    assert [one.reference for one in bank.payouts] == [only.attempt_id] * 2, "the same order, once more"


async def test_a_lost_order_that_is_sent_again_says_no_more_that_it_waits(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners = ["loses the order"]
    found = await sent(stage)
    await stop(stage, payments.PAYOUTS)
    await stage.later(LATER)
    await release(stage, payments.PAYOUTS)
    await stage.later(LATER)
    now = await stage.row(found.payment_id)
    assert (now.sub_status, now.reason_code, now.reason) == ("unknown", "", "")


async def test_a_stop_that_outlasts_the_day_of_an_order_calls_people(stage: Stage, bank: Bank) -> None:
    """By then a provider could take the repeat for a new order; and it is not forgotten."""
    await stage.fund()
    bank.manners = ["loses the order", "pays"]
    found = await sent(stage)
    await stop(stage, payments.PAYOUTS)
    await stage.later(timedelta(hours=25))
    await release(stage, payments.PAYOUTS)
    await stage.later(LATER)
    assert await stage.state(found.payment_id) == ("unknown", "order_vanished")
    assert (len(bank.payouts), await cases(stage)) == (1, ["order_vanished"])


async def lost_refund(desk: Desk) -> payments.Payment:
    deposit = await desk.deposit()
    desk.provider.answers = [UNKNOWN, paid("back-1")]
    desk.provider.statuses = [just(State.NOT_FOUND)]
    return await desk.sent(deposit)


# The same of a refund.
REFUND_HELD: dict[str, tuple[Any, Any, str]] = {
    "stopped here": (
        lambda world: stop(world, payments.REFUNDS),
        lambda world: release(world, payments.REFUNDS),
        "refunds are stopped",
    ),
    "switched off": HELD["switched off"],
}


@pytest.mark.parametrize("what", REFUND_HELD)
async def test_a_lost_refund_waits_like_one_that_was_never_sent(desk: Desk, what: str) -> None:
    comes, goes, why = REFUND_HELD[what]
    lost = await lost_refund(desk)
    await comes(desk.world)
    for _ in range(3):
        desk.world.clock.advance(LATER)
        await desk.carry_on(lost.payment_id)
        now = await desk.found(lost.payment_id)
        assert (now.sub_status.value, now.attention, now.waits_because) == ("unknown", None, why)
    assert len(desk.provider.refunds) == 1
    await goes(desk.world)
    desk.provider.statuses = [just(State.NOT_FOUND), paid("back-1")]
    for _ in range(2):  # sent, and asked about
        await desk.carry_on(lost.payment_id)
    first, second = desk.provider.refunds
    assert first == second, "the same order, once more"
    assert (await desk.found(lost.payment_id)).sub_status.value == "completed"


async def test_a_lost_refund_of_a_disputed_deposit_is_not_sent_again(desk: Desk) -> None:
    lost = await lost_refund(desk)
    reference = (await desk.world.rows("SELECT attempt_id FROM attempt ORDER BY number, sent_at"))[0]
    its = {"number": "D1", "stage": "opened", "minor": 150_000}
    await desk.world.notice(fact(reference.attempt_id, "unknown", dispute=its))
    desk.world.clock.advance(LATER)
    await desk.carry_on(lost.payment_id)
    now = await desk.found(lost.payment_id)
    assert now.waits_because == "the deposit is disputed, and its money is gone"
    assert len(desk.provider.refunds) == 1


async def approved_refund(desk: Desk) -> tuple[str, payments.Payment]:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await desk.approve(asked.payment_id)
    return deposit, asked


@pytest.mark.parametrize("what", REFUND_HELD)
async def test_a_refund_that_waits_says_why_with_one_alarm(desk: Desk, what: str) -> None:
    comes, goes, why = REFUND_HELD[what]
    _, asked = await approved_refund(desk)
    await comes(desk.world)
    before = alarms("refund_waits")
    with capture_logs() as lines:
        for _ in range(3):
            await desk.carry_on(asked.payment_id)
            desk.world.clock.advance(LATER)
    now = await desk.found(asked.payment_id)
    assert (now.sub_status.value, now.reason_code, now.waits_because) == ("approved", "waits", why)
    assert [(one["event"], one["why"]) for one in lines if "waits" in one["event"]] == [("refund.waits", why)]
    assert alarms("refund_waits") - before == 1
    assert desk.provider.refunds == []
    await goes(desk.world)
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(asked.payment_id)
    now = await desk.found(asked.payment_id)
    assert (now.status.value, now.waits_because) == ("completed", "")


async def test_who_looks_at_a_refund_reads_why_it_waits(desk: Desk, clone_url: str) -> None:
    deposit, asked = await approved_refund(desk)
    await switch_off(desk.world, ACCOUNT)
    await desk.carry_on(asked.payment_id)
    for words in (("list", desk.site_id, deposit), ("show", desk.site_id, asked.payment_id)):
        assert f"waits: {OFF}" in await said(clone_url, "refund", *words)
    assert f'"reason_staff": "{OFF}"' in await said(
        clone_url, "refund", "show", desk.site_id, asked.payment_id, "--json"
    )
    await switch_on(desk.world, ACCOUNT)
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(asked.payment_id)
    assert "waits:" not in await said(clone_url, "refund", "list", desk.site_id, deposit)
