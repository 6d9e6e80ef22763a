"""Withdrawals: two tries at one account, stops, and an account that moves meanwhile."""

import asyncio
import contextlib
import contextvars
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app import payments, providers
from app.kernel.money import Money
from app.payments import sending
from app.payments.requests import LegPlan
from app.payments.resolutions import ResolutionImpossible
from app.plumbing import switches
from tests.payments.accounts import SECOND, cases, decided, order_out, raised, tries
from tests.payments.banks import PART, parts, sent
from tests.payments.questions import questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, AMOUNT, State

DAY = timedelta(days=1)


async def two_tries(stage: Stage, bank: Bank) -> tuple[str, str]:
    """Both at one account: the first, which seemed not to have left, is said to be under way; of the second
    nobody knows.
    """
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "accepts silently"]
    await sent(stage)
    await stage.later(60)
    first, next_one = await tries(stage)
    said = bank._said

    def says(of: str) -> providers.Result:
        return (
            providers.Result(State.NOT_FOUND) if of == first.attempt_id and of not in bank.book else said(of)
        )

    bank._said = says  # type: ignore[method-assign]
    bank.words = ["nothing"]
    stage.clock.advance(5)
    fact: Any = {"reference": first.attempt_id, "state": "processing", "theirs": "bank-a"}
    await stage.store_notice(fact, mark="a")
    await stage.work()
    assert await questioned(stage) == [first.attempt_id]
    return first.attempt_id, next_one.attempt_id


async def test_not_paid_under_the_firsts_number_does_not_end_the_second(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await two_tries(stage, bank)
    await raised(stage)
    with contextlib.suppress(ResolutionImpossible):
        await decided(stage, payments.Resolution.NOT_PAID, provider_reference="bank-a")
    now = await stage.payment()
    assert (now.sub_status, await stage.held()) == ("unknown", AMOUNT.minor)


async def test_paid_under_the_firsts_number_is_booked_as_the_first(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    first, next_one = await two_tries(stage, bank)
    await raised(stage)
    await decided(stage, payments.Resolution.PAID, provider_reference="bank-a")
    leg = await stage.leg((await stage.payment()).payment_id)
    bank.words = ["truth"]
    bank.pay(bank.book[next_one])  # it is paid as well, and its notice is lost
    for _ in range(4):
        await stage.later(HOURS)
    seen = await cases(stage)
    bank.moved.clear()
    bank.moved.append((first, AMOUNT))
    assert (leg.present_attempt, seen) == (first, ["second_payment"])


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


async def test_a_part_whose_account_is_well_does_not_wait_for_one_that_cannot_be_asked(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        return [
            replace(
                leg,
                account=account,
                amount=Money(part, "KZT"),
                destination={"wallet": name},
                masked=f"*{name}",
                fingerprint=name,
                instrument_id=None,
            )
            for part, name, account in (
                (PART, "one", ACCOUNT),
                (leg.amount.minor - PART, "two", SECOND),
            )
        ]

    monkeypatch.setattr("app.payments.payouts.looped", split)
    await stage.policy(closed_loop=True)
    bank.manners, next_bank.manners = ["never hears"], ["never hears", "pays"]
    bank.words = ["nothing"]  # down for days
    found = await sent(stage)
    for _ in range(5):
        await stage.later(DAY)
    now = await stage.row(found.payment_id)
    states = [part.state for part in await parts(stage)]
    assert states == ["planned", "completed"], (states, now.reason, now.attention, await cases(stage))
