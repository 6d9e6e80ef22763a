"""An account that is switched off: a withdrawal that was not sent there goes to the next one, or waits."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import merchants, payments, providers
from app.kernel.money import Money
from app.plumbing.http import HttpClient
from app.providers.gateways import GATEWAYS
from tests.payments.accounts import SECOND, THIRD, order_out, switch_off, switch_on, tries, with_accounts
from tests.payments.banks import PART, another_bank, in_two_parts, parts, sent, through_both_banks
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT, HERE

OFF = f"the provider account {ACCOUNT} is switched off"
SOON = timedelta(minutes=6)


@pytest.fixture
def second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.fixture
def third(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    made = Bank(THIRD, moved=bank.moved, numbers=bank.numbers, no=HERE)
    monkeypatch.setitem(GATEWAYS, made.name, made)
    return made


@pytest.fixture(autouse=True)
async def through_both(stage: Stage, second: Bank) -> None:
    await through_both_banks(stage)


async def is_held(stage: Stage, found: Any, why: str) -> None:  # noqa: ANN401  a row
    now = await stage.row(found.payment_id)
    assert (now.status, now.attention, now.reason) == ("pending", None, why)
    assert (await stage.held(), await tries(stage)) == (AMOUNT.minor, [])


async def test_it_goes_to_the_next_that_is_on_and_the_history_says_why(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    await switch_off(stage, ACCOUNT)
    found = await sent(stage)
    assert (found.sub_status, bank.payouts, len(second.payouts)) == ("completed", [], 1)
    [only], leg = await tries(stage), await stage.leg(found.payment_id)
    assert (only.account, leg.account, leg.state) == (SECOND, SECOND, "completed")
    assert (await stage.credited(), await stage.held(), await stage.told()) == (FUNDS - AMOUNT.minor, 0, [4])
    [told] = await stage.rows("SELECT detail FROM payment_event WHERE detail ? 'next_account'")
    assert (told.detail["next_account"], told.detail["after"]) == (SECOND, ACCOUNT)
    assert told.detail["short"] == f"{OFF}; {SECOND} holds {Money(second.float_minor or 0, 'KZT')}"


async def test_what_waits_already_goes_on_once_its_account_is_switched_off(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.float_minor, second.float_minor = 0, 0
    found = await sent(stage)
    await switch_off(stage, ACCOUNT)
    second.float_minor = AMOUNT.minor
    await stage.later(SOON)
    assert (await stage.state(found.payment_id), bank.payouts) == (("completed", None), [])
    assert len(second.payouts) == 1


async def test_who_is_switched_off_is_not_asked_what_it_holds(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: object) -> Money:
        raise AssertionError

    await switch_off(stage, ACCOUNT)
    monkeypatch.setattr(bank, "balance", asked)
    assert (await sent(stage)).sub_status == "completed"


async def test_where_all_are_off_it_waits_names_them_and_goes_to_who_comes_back(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    for name in (ACCOUNT, SECOND):
        await switch_off(stage, name)
    found = await sent(stage)
    await is_held(stage, found, f"{OFF}; switched off: {SECOND}")
    await switch_on(stage, SECOND)
    await stage.later(SOON)
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_each_account_is_named_with_why_it_does_not_pay(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    await with_accounts(stage, THIRD, "fourth")
    await order_out(stage, ACCOUNT, SECOND, THIRD, "fourth")
    await switch_off(stage, ACCOUNT)
    await switch_off(stage, THIRD)
    second.float_minor = AMOUNT.minor - 1
    found = await sent(stage)
    why = f"{OFF}; {SECOND} holds 1499.99 KZT; switched off: {THIRD}; behind the first 3: fourth"
    await is_held(stage, found, why)


async def test_a_card_waits_for_the_account_that_has_its_token(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    found = await stage.withdraw(method="card", destination={"number": "4111 1111 1111 1111"})
    await switch_off(stage, ACCOUNT)
    await stage.work()
    await is_held(stage, found, f"{OFF}; only {ACCOUNT} can pay to this card")
    assert second.payouts == []


async def test_a_site_that_wants_the_first_only_waits_for_it(stage: Stage, bank: Bank, second: Bank) -> None:
    async with stage.database.transaction() as tx:
        await merchants.set_most_attempts(tx, stage.site_id, 1, at=stage.clock.now())
    await switch_off(stage, ACCOUNT)
    found = await sent(stage)
    await is_held(stage, found, f"{OFF}; behind the first 1: {SECOND}")
    assert second.payouts == []


async def test_what_was_ever_sent_there_stays_there(stage: Stage, bank: Bank, second: Bank) -> None:
    """Also where nothing left us then: evidence moves it on, and a switch is none."""
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "pays"]
    found = await sent(stage)
    await order_out(stage, ACCOUNT, SECOND)
    await switch_off(stage, ACCOUNT)
    await stage.later(timedelta(minutes=10))
    now = await stage.row(found.payment_id)
    assert (now.sub_status, now.reason) == ("allocated", f"{OFF}; it was sent to {ACCOUNT} before")
    assert (second.payouts, len(await tries(stage))) == ([], 1)
    await switch_on(stage, ACCOUNT)
    await stage.later(timedelta(minutes=10))
    assert (await stage.state(found.payment_id), second.payouts) == (("completed", None), [])


async def test_what_waits_for_its_next_account_goes_past_it_and_never_back(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    await with_accounts(stage, THIRD)
    await order_out(stage, ACCOUNT, SECOND, THIRD)
    bank.manners, second.float_minor, third.float_minor = ["declines", "pays"], 0, 0
    found = await sent(stage)
    assert (await stage.leg(found.payment_id)).account == SECOND
    await switch_off(stage, SECOND)
    await stage.later(SOON)
    why = f"the provider account {SECOND} is switched off; {THIRD} holds 0.00 KZT; {ACCOUNT} was asked before"
    assert (await stage.row(found.payment_id)).reason == why
    third.float_minor = AMOUNT.minor
    await stage.later(SOON)
    assert [one.account for one in await tries(stage)] == [ACCOUNT, THIRD]
    assert (await stage.state(found.payment_id), len(bank.payouts)) == (("completed", None), 1)


async def test_what_is_switched_off_while_it_is_looked_at_sends_nothing_and_is_looked_at_anew(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def going(_: HttpClient, __: providers.ProviderAccount, currency: str) -> Money:
        await switch_off(stage, ACCOUNT)
        return Money(FUNDS, currency)

    monkeypatch.setattr(bank, "balance", going)
    found = await sent(stage)
    await is_held(stage, found, OFF)
    await stage.later(SOON)
    assert (await stage.state(found.payment_id), bank.payouts) == (("completed", None), [])
    assert len(second.payouts) == 1


async def test_nor_where_the_next_is_switched_off_meanwhile(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def going(_: HttpClient, __: providers.ProviderAccount, currency: str) -> Money:
        await switch_off(stage, SECOND)
        return Money(FUNDS, currency)

    await switch_off(stage, ACCOUNT)
    monkeypatch.setattr(second, "balance", going)
    found = await sent(stage)
    await is_held(stage, found, f"{OFF}; {SECOND} holds 5000.00 KZT; {SECOND} may not be asked any more")
    assert second.payouts == []


async def test_however_many_look_at_once_it_is_sent_once(stage: Stage, bank: Bank, second: Bank) -> None:
    await switch_off(stage, ACCOUNT)
    found = await stage.withdraw()
    await asyncio.gather(*(payments.carry_on(stage.pipes, stage.site_id, found.payment_id) for _ in range(8)))
    await stage.work()
    assert (len(await tries(stage)), len(second.payouts), bank.payouts) == (1, 1, [])
    assert (await stage.state(found.payment_id), len(bank.moved)) == (("completed", None), 1)


# Of a withdrawal whose two parts wait for the first account: what the second holds, and the reason.
TWO = {
    "enough for both": (AMOUNT.minor, ""),
    "for the larger only": (PART, f"{OFF}; {SECOND} holds 1000.00 KZT"),
}


@pytest.mark.parametrize("what", TWO)
async def test_all_parts_go_on_or_all_wait(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await in_two_parts(stage, monkeypatch)
    second.float_minor, why = TWO[what]
    await switch_off(stage, ACCOUNT)
    found = await sent(stage)
    if why:
        await is_held(stage, found, why)
        return
    assert (found.sub_status, [part.account for part in await parts(stage)]) == (
        "completed",
        [SECOND, SECOND],
    )
    assert (len(second.payouts), bank.payouts) == (2, [])


async def test_a_part_whose_own_account_has_enough_waits_for_the_other_part(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has enough for its own part alone, and the first, which is off, for nothing."""
    await in_two_parts(stage, monkeypatch)
    bank.float_minor = second.float_minor = 0
    found = await sent(stage)
    async with stage.database.transaction() as tx:
        await tx.execute(text("UPDATE payout_leg SET account = 'second' WHERE leg = 2"))
    await switch_off(stage, ACCOUNT)
    second.float_minor = PART
    await stage.later(SOON)
    await is_held(stage, found, f"{OFF}; {SECOND} holds 1000.00 KZT")
    second.float_minor = AMOUNT.minor
    await stage.later(SOON)
    assert [part.account for part in await parts(stage)] == [SECOND, SECOND]
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 2)
