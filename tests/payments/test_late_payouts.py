"""What was given back and paid all the same: taken from the player's cash, or owed, and never in silence."""

from datetime import timedelta
from typing import Any

import pytest

from app import ledger, payments, providers
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import AMOUNT

State = providers.State


@pytest.fixture(autouse=True)
async def money(stage: Stage) -> None:
    await stage.fund()


async def sent(stage: Stage, *manners: str) -> Any:  # noqa: ANN401  a row
    """A withdrawal that was sent to a bank of these manners."""
    stage.bank.manners = list(manners)
    found = await stage.withdraw()
    await stage.work()
    return await stage.row(found.payment_id)


# Late success: the money went although it had been given back.
async def late(stage: Stage, cash_left: int) -> Any:  # noqa: ANN401  a row
    """Declined and given back; the player spends all but `cash_left`; and then the bank had paid."""
    found = await sent(stage, "declines and pays")
    assert found.sub_status == "declined"
    assert await stage.credited() == FUNDS
    if cash_left < FUNDS:
        await stage.spend(FUNDS - cash_left)
    [reference] = await stage.references(found.payment_id)
    await stage.store_notice(stage.bank.fact(reference))
    await stage.work()
    return await stage.row(found.payment_id)


@pytest.mark.parametrize(
    ("cash_left", "cash", "owed"),
    [(FUNDS, 350_000, 0), (150_000, 0, 0), (50_000, 0, 100_000), (0, 0, 150_000)],
)
async def test_paid_after_it_was_given_back_is_taken_or_owed(
    stage: Stage, cash_left: int, cash: int, owed: int
) -> None:
    found = await late(stage, cash_left)
    assert (found.sub_status, found.attention, found.is_late) == ("completed", "paid_after_release", True)
    assert (await stage.credited(), await stage.owed()) == (cash, owed)
    assert await stage.told() == [6, 4]
    types = [row.type for row in await stage.rows("SELECT type FROM payment_event ORDER BY sequence")]
    assert types[-1] == "withdrawal.late_completed"
    # Said again, by whatever way, it is not taken again.
    [reference] = await stage.references(found.payment_id)
    for number in range(5):
        await stage.store_notice(stage.bank.fact(reference), mark=str(number))
    await stage.work()
    assert (await stage.credited(), await stage.owed()) == (cash, owed)


async def test_a_notice_alone_does_not_make_a_debt(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "declines")
    [reference] = await stage.references(found.payment_id)
    await stage.store_notice(
        {
            "reference": reference,
            "state": "succeeded",
            "theirs": "forged",
            "minor": 150_000,
            "currency": "KZT",
        }
    )
    await stage.work()
    assert await stage.state(found.payment_id) == ("declined", None)
    assert (await stage.credited(), await stage.owed()) == (FUNDS, 0)


async def test_who_owes_is_paid_nothing_until_it_is_repaid(stage: Stage, bank: Bank) -> None:
    await late(stage, 50_000)
    assert await stage.owed() == 100_000
    bank.manners = ["pays"]
    await stage.fund(120_000)
    with pytest.raises(ledger.InsufficientFunds, match=r"200\.00 KZT is available"):
        await stage.withdraw(20_001)
    assert (await stage.credited(), await stage.owed()) == (120_000, 100_000), "a refusal changes nothing"
    found = await stage.withdraw(20_000)
    assert (await stage.credited(), await stage.owed()) == (0, 0)
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_a_payout_that_is_open_after_all_is_held_again(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "declines")
    [reference] = await stage.references(found.payment_id)
    assert await stage.held() == 0
    bank.book[reference].state = State.PROCESSING
    await stage.store_notice(bank.fact(reference, "processing"))
    await stage.work()
    assert await stage.state(found.payment_id) == ("unknown", None)
    assert await stage.held() == AMOUNT.minor
    bank.pay(bank.book[reference])
    await stage.later(timedelta(hours=1))
    assert await stage.state(found.payment_id) == ("completed", None)
    assert (await stage.held(), await stage.credited()) == (0, FUNDS - AMOUNT.minor)


async def test_open_after_all_and_the_money_is_gone_is_a_persons(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "declines")
    await stage.spend(FUNDS)
    [reference] = await stage.references(found.payment_id)
    bank.book[reference].state = State.PROCESSING
    await stage.store_notice(bank.fact(reference, "processing"))
    await stage.work()
    assert await stage.state(found.payment_id) == ("declined", "revived")
    bank.pay(bank.book[reference])
    await stage.store_notice(bank.fact(reference))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", "paid_after_release")
    assert await stage.owed() == AMOUNT.minor


async def test_paid_although_it_was_cancelled_is_graver_than_late(stage: Stage, bank: Bank) -> None:
    """Nothing had left us, said the transport; so it was taken back, and then the bank had paid."""
    found = await sent(stage, "pays and says it never heard", "accepts")
    anna = await stage.operator("anna")
    await payments.cancel_for_staff(stage.pipes, stage.site_id, found.payment_id, anna, reason="asked for")
    assert await stage.credited() == FUNDS
    [reference] = await stage.references(found.payment_id)
    await stage.store_notice(bank.fact(reference))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", "paid_unapproved")
    assert await stage.credited() == FUNDS - AMOUNT.minor
