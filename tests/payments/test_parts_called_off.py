"""Parts that wait are called off, while others of the withdrawal were paid or are at their provider."""

from datetime import timedelta
from typing import Any

import pytest

from app import payments, staff
from app.payments.doubts import MayBePaid
from tests.payments.accounts import cases, switch_off, switch_on
from tests.payments.banks import PART, in_parts, in_two_parts, parts, sent, told
from tests.payments.questions import questioned
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_parts_given_back import arrived
from tests.payments.world import ACCOUNT, AMOUNT, State

DAY = timedelta(days=1)
REST = AMOUNT.minor - PART


@pytest.fixture(autouse=True)
async def money(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_two_parts(stage, monkeypatch)
    await stage.fund()


async def one_waits(stage: Stage, bank: Bank, manner: str) -> str:
    """The bank does this to the first part; the second never leaves, and the account is off."""
    bank.manners = [manner, "never hears"]
    found = await sent(stage)
    await switch_off(stage, ACCOUNT)
    await stage.later(timedelta(minutes=2))
    assert (await parts(stage))[1].state == "planned"
    return str(found.payment_id)


async def called_off(stage: Stage, payment_id: str) -> payments.Payment:
    by = await stage.operator(f"canceller-{next(stage.keys)}", staff.Role.ADMINISTRATOR)
    why = "closed for good"
    return await payments.cancel_for_staff(stage.pipes, stage.site_id, payment_id, by, reason=why)


async def webhooks(stage: Stage) -> list[Any]:
    return [row.fields for row in await stage.rows("SELECT fields FROM webhook ORDER BY sequence")]


async def test_the_rest_of_what_is_paid_in_part_is_the_players_again(stage: Stage, bank: Bank) -> None:
    payment_id = await one_waits(stage, bank, "pays")
    assert (await stage.payment()).sub_status == "partly_paid"
    now_is = await called_off(stage, payment_id)
    assert (now_is.sub_status.value, now_is.captured.minor, now_is.ask_at) == ("completed", PART, None)
    assert [(part.state, part.is_released) for part in await parts(stage)] == [
        ("completed", False),
        ("declined", True),
    ]
    assert (await stage.credited(), await stage.held()) == (FUNDS - PART, 0)
    last = (await webhooks(stage))[-1]
    assert (last["status_id"], last["amount"], last["real_amount"]) == (24, AMOUNT.minor, PART)
    [event] = await stage.rows("SELECT * FROM payment_event ORDER BY sequence DESC LIMIT 1")
    assert (event.type, event.source, event.detail["leg"]) == ("withdrawal.completed", "staff", 2)
    async with stage.database.reading() as reader:
        lines = await staff.diary(reader, stage.site_id, subject=payment_id)
    [its] = [line.detail for line in lines if line.deed == "payout.cancelled"]
    assert (its["parts"], its["was"], its["reason"]) == ([2], "partly_paid", "closed for good")


async def test_nothing_of_it_is_sent_asked_about_or_a_case_any_more(stage: Stage, bank: Bank) -> None:
    payment_id = await one_waits(stage, bank, "pays")
    await called_off(stage, payment_id)
    orders = len(bank.payouts)
    await switch_on(stage, ACCOUNT)
    for _ in range(16):
        await stage.later(DAY)
    assert (len(bank.payouts), await cases(stage)) == (orders, [])


@pytest.mark.parametrize(
    ("end", "sub_status", "status_id", "left"),
    [(State.SUCCEEDED, "completed", 24, FUNDS - PART), (State.FAILED, "declined", 6, FUNDS)],
)
async def test_what_is_at_its_provider_goes_on_and_ends_by_its_word(
    stage: Stage, bank: Bank, end: State, sub_status: str, status_id: int, left: int
) -> None:
    payment_id = await one_waits(stage, bank, "accepts")
    assert "switched off" in (await stage.payment()).reason
    now_is = await called_off(stage, payment_id)
    assert (now_is.sub_status.value, now_is.waits_because) == ("provider_pending", "")
    assert (await stage.held(), await stage.credited()) == (PART, FUNDS - PART)
    [order] = bank.book.values()
    if end is State.SUCCEEDED:
        bank.pay(order)
    order.state = end
    await stage.later(DAY)
    assert (await stage.payment()).sub_status == sub_status
    assert (await webhooks(stage))[-1]["status_id"] == status_id
    assert (await stage.held(), await stage.credited()) == (0, left)


async def test_where_nothing_waits_it_is_too_late(stage: Stage, bank: Bank) -> None:
    bank.manners = ["pays", "accepts"]
    found = await sent(stage)
    with pytest.raises(payments.TooLateToCancel):
        await called_off(stage, found.payment_id)
    assert await stage.held() == REST


async def test_a_part_that_may_be_paid_waits_for_two_people(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three, two seem not to have left; one of these is under way after all, says its bank once."""
    await in_parts(stage, monkeypatch, PART, REST // 2)
    bank.manners = ["pays", "never hears"]
    found = await sent(stage)
    _, doubted, _ = await parts(stage)
    bank.words = ["nothing"]
    await told(stage, bank, doubted.present_attempt, "processing")
    assert await questioned(stage) == [doubted.present_attempt]
    await called_off(stage, found.payment_id)
    assert [part.state for part in await parts(stage)] == ["completed", "planned", "declined"]
    assert ((await stage.payment()).sub_status, await stage.held()) == ("partly_paid", REST // 2)
    with pytest.raises(MayBePaid):
        await called_off(stage, found.payment_id)
    assert await stage.held() == REST // 2


async def test_paid_after_all_it_is_taken_and_people_are_called(stage: Stage, bank: Bank) -> None:
    """Nothing of the second part had left, said the transport."""
    payment_id = await one_waits(stage, bank, "pays")
    _, reference = await stage.references(payment_id)
    await called_off(stage, payment_id)
    stage.clock.advance(60)
    await arrived(stage, reference, REST)
    found = await stage.payment()
    assert (found.sub_status, found.captured_minor) == ("completed", AMOUNT.minor)
    assert await cases(stage) == ["paid_after_release"]
    assert (await stage.credited(), await stage.held()) == (FUNDS - AMOUNT.minor, 0)
