"""What had failed and is open after all: what is held for it again, and that it is live, as long as any."""

import asyncio
import contextvars
from datetime import timedelta
from typing import Any

import pytest

from app import payments, staff
from app.payments import sending
from tests.payments.accounts import cases, tries
from tests.payments.banks import in_two_parts, parts, sent, told
from tests.payments.casework import open_cases
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days
from tests.payments.stage import FUNDS, NO, Bank, Stage
from tests.payments.test_held_up import stop
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, HERE, NEVER_LEFT, State, just, paid

LATER, DAY = timedelta(hours=7), timedelta(days=1)


async def opened_again(stage: Stage, bank: Bank) -> str:
    """Declined and given back; then the bank says that it is under way. Our reference of it."""
    bank.manners, bank.no = ["declines"], NO
    found = await sent(stage)
    assert (found.sub_status, await stage.credited(), await stage.held()) == ("declined", FUNDS, 0)
    [reference] = await stage.references(found.payment_id)
    bank.book[reference].state = State.PROCESSING
    stage.clock.advance(60)
    await told(stage, bank, reference, "processing")
    assert ((await stage.payment()).sub_status, await stage.held()) == ("unknown", AMOUNT.minor)
    return reference


async def test_called_off_while_it_waits_for_the_next_account_it_gives_its_money_back(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held at first was given back before: what is held since has a hold of its own."""
    next_bank.manners = ["never hears"]
    reference = await opened_again(stage, bank)

    async def never(*_: object) -> bool:
        return False

    monkeypatch.setattr("app.payments.cascade.was_in_doubt", never)  # as in the release before
    await stage.later(LATER)
    assert (await stage.payment()).sub_status == "provider_pending"
    bank.no, bank.book[reference].state = HERE, State.FAILED
    await stage.later(LATER)
    found = await stage.payment()
    assert (found.sub_status, await stage.held()) == ("allocated", AMOUNT.minor)
    by = await stage.operator("canceller", staff.Role.ADMINISTRATOR)
    await payments.cancel_for_staff(
        stage.pipes, stage.site_id, found.payment_id, by, reason="he asked for it"
    )
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("by_operator", FUNDS)
    assert await stage.held() == 0


async def test_what_could_not_be_held_is_held_as_soon_as_the_money_is_there(stage: Stage, bank: Bank) -> None:
    """The player has spent it by then; each time that the bank says so it is looked at anew."""
    await stage.fund()
    bank.manners = ["declines"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    await stage.spend(FUNDS)
    bank.book[reference].state = State.PROCESSING
    for _ in range(2):
        stage.clock.advance(600)
        await told(stage, bank, reference, "processing")
    assert await stage.state(found.payment_id) == ("declined", "revived")
    await stage.fund()
    await stage.later(LATER)
    assert ((await stage.payment()).sub_status, await stage.held()) == ("unknown", AMOUNT.minor)


async def test_it_is_live_whatever_its_worker_had_read_before(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker reads the tries; another hears a no; then the first one hears that it is under way."""
    await stage.fund()
    bank.manners = ["accepts"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    honest = sending._worth_asking

    async def overtaken(*args: Any) -> Any:  # noqa: ANN401
        seen = await honest(*args)
        monkeypatch.setattr(sending, "_worth_asking", honest)
        bank.book[reference].state = State.FAILED
        stage.clock.advance(1)
        other = sending.ask_payout(stage.pipes, stage.site_id, found.payment_id)
        await asyncio.create_task(other, context=contextvars.Context())
        bank.book[reference].state = State.PROCESSING
        stage.clock.advance(1)
        return seen

    monkeypatch.setattr(sending, "_worth_asking", overtaken)
    await sending.ask_payout(stage.pipes, stage.site_id, found.payment_id)
    [one] = await tries(stage)
    assert ((await stage.payment()).sub_status, one.is_over) == ("unknown", False)
    bank.pay(bank.book[reference])  # and its notice is lost
    await stage.later(LATER)
    assert ((await stage.payment()).sub_status, await cases(stage)) == ("completed", [])


async def opened_late(stage: Stage, bank: Bank) -> str:
    """Declined, and three weeks later under way after all; our reference of it."""
    await stage.fund()
    bank.manners = ["declines"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    await stage.later(20 * DAY)
    bank.book[reference].state = State.PROCESSING
    await told(stage, bank, reference, "processing")
    assert (await stage.payment()).sub_status == "unknown"
    return str(reference)


async def test_three_weeks_after_it_was_sent_it_is_asked_about(stage: Stage, bank: Bank) -> None:
    reference = await opened_late(stage, bank)
    for _ in range(12):
        await stage.later(DAY)
    bank.pay(bank.book[reference])  # and its notice is lost
    await stage.later(DAY)
    assert ((await stage.payment()).sub_status, await cases(stage)) == ("completed", [])


async def test_and_is_a_case_after_two_weeks_more(stage: Stage, bank: Bank) -> None:
    await opened_late(stage, bank)
    bank.words = ["nothing"]
    for _ in range(13):
        await stage.later(DAY)
    assert await cases(stage) == []
    for _ in range(2):
        await stage.later(DAY)
    assert (await cases(stage), await stage.held()) == (["unresolved"], AMOUNT.minor)


async def test_each_part_has_its_own_time(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is declined, and under way after all when the second has few days left."""
    await in_two_parts(stage, monkeypatch)
    await stage.fund()
    bank.manners = ["declines", "accepts"]
    await sent(stage)
    first, _ = await parts(stage)
    await stage.later(10 * DAY)
    bank.book[first.present_attempt].state = State.PROCESSING
    await told(stage, bank, first.present_attempt, "processing")
    assert [part.state for part in await parts(stage)] == ["unknown", "provider_pending"]
    for _ in range(6):
        await stage.later(DAY)
    assert await cases(stage) == ["unresolved"]  # about the second; the first has its time still
    bank.pay(bank.book[first.present_attempt])
    await stage.later(DAY)
    assert (await parts(stage))[0].state == "completed"


async def test_a_refund_that_seemed_not_to_leave_is_asked_about_as_long(desk: Desk) -> None:
    """Refunds are stopped for three weeks; then it is under way after all, and given back a week later."""
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    await stop(desk.world, payments.REFUNDS)
    await days(desk.world, 20)
    desk.provider.statuses = [just(State.PROCESSING)]
    await desk.carry_on(refund)
    assert (await desk.found(refund)).sub_status.value == "unknown"
    await days(desk.world, 7)
    desk.provider.statuses = [paid("back-1", kzt(BACK))]
    await days(desk.world, 1)
    assert (await desk.found(refund)).sub_status.value == "completed"
    assert await open_cases(desk) == []
