"""Paid at the second account and undone there, then paid at the first: people say it of the first."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from app import payments
from app.kernel.clock import MovableClock
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from app.plumbing.database import Database
from app.providers.gateways import GATEWAYS
from tests import invariants
from tests.payments.accounts import SECOND, asked, cases, decided, order_out, raised, tries, with_accounts
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT, HERE, Provider, State, World, fact, just, opened, paid

R = payments.Resolution


@pytest.fixture
async def world(database: Database, clock: MovableClock, provider: Provider) -> AsyncIterator[World]:
    """As everywhere, but a deposit may be credited, taken again and credited once more."""
    async with opened(database, clock, provider) as made:
        yield made
        await invariants.hold(database)


async def clearing(world: World | Stage) -> dict[str, int]:
    rows = await world.rows("SELECT owner, balance_minor FROM account WHERE purpose = 'provider_clearing'")
    return {row.owner: row.balance_minor for row in rows}


@pytest.fixture
async def banks(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> tuple[Bank, Bank]:
    other = Bank("second", moved=bank.moved, numbers=bank.numbers, no=HERE)
    bank.no = HERE
    monkeypatch.setitem(GATEWAYS, other.name, other)
    await with_accounts(stage, SECOND)
    await order_out(stage, ACCOUNT, SECOND)
    await stage.fund()
    return bank, other


async def returned_and_paid(stage: Stage, banks: tuple[Bank, Bank]) -> tuple[Any, str]:
    """The withdrawal, and the first bank's number of it."""
    first_bank, other = banks
    first_bank.manners = ["declines"]
    found = await stage.withdraw()
    await stage.work()
    first, next_one = await tries(stage)
    other.send_back(next_one.attempt_id)
    await stage.store_notice(other.fact(next_one.attempt_id, "returned"), account=SECOND)
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "returned"
    first_bank.pay(first_bank.book[first.attempt_id])
    await stage.store_notice(first_bank.fact(first.attempt_id))
    await stage.work()
    assert await cases(stage) == ["second_payment"]
    # What the second paid and brought back is nothing, when the bank's books are held against ours.
    first_bank.moved[:] = [(first.attempt_id, AMOUNT)]
    return found, first_bank.book[first.attempt_id].theirs


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("resolution", [R.PAID, R.ACCEPTED])
async def test_a_returned_payout_that_the_first_bank_paid_is_booked_there_and_given_back_no_more(
    stage: Stage, banks: tuple[Bank, Bank], resolution: R, is_named: bool
) -> None:
    found, number = await returned_and_paid(stage, banks)
    amount = AMOUNT if resolution is R.ACCEPTED else None
    await decided(stage, resolution, amount=amount, provider_reference=number if is_named else "")
    leg = await stage.leg(found.payment_id)
    assert (leg.state, leg.account, leg.provider_reference) == ("completed", ACCOUNT, number)
    assert {owner: sum_ != 0 for owner, sum_ in (await clearing(stage)).items()} == {
        ACCOUNT: True,
        SECOND: False,
    }
    # Whatever the second says of its own payment now, it came back long ago.
    _, next_one = await tries(stage)
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    await stage.store_notice(banks[1].fact(next_one.attempt_id, "returned"), account=SECOND, mark="again")
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_a_number_that_is_nobodys_is_refused_of_a_returned_payout(
    stage: Stage, banks: tuple[Bank, Bank]
) -> None:
    found, _ = await returned_and_paid(stage, banks)
    with pytest.raises(ResolutionImpossible, match="another is another payment"):
        await decided(stage, R.PAID, provider_reference="bank-99")
    await decided(stage, R.NOT_PAID, its=await raised(stage), provider_reference="bank-1")
    assert (await stage.state(found.payment_id))[0] == "returned"
    assert await stage.credited() == FUNDS


async def reversed_at_second(world: World, second: Provider, next_one: str) -> None:
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    second.statuses = [just(State.FAILED)]
    await world.notice(fact(next_one, "failed"), account=SECOND)
    assert ((await world.payment()).sub_status, await world.credited()) == ("reversed", 0)


async def the_case(world: World, kind: CaseKind) -> payments.Case:
    async with world.database.reading() as reader:
        its = await payments.cases_of_site(reader, world.site_id)
    [found] = [one for one in its if one.kind is kind]
    return found


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("resolution", [R.PAID, R.ACCEPTED])
async def test_a_reversed_deposit_that_the_first_collected_is_credited_there(
    world: World, second: Provider, both_tried: tuple[str, str], resolution: R, is_named: bool
) -> None:
    first, next_one = both_tried
    await reversed_at_second(world, second, next_one)
    await world.notice(fact(first, theirs="main-1"))
    its = await the_case(world, CaseKind.SECOND_PAYMENT)
    amount = AMOUNT if resolution is R.ACCEPTED else None
    await decided(world, resolution, its=its, amount=amount, provider_reference="main-1" if is_named else "")
    now = await world.payment()
    assert (now.sub_status, now.account, now.provider_reference) == ("completed", ACCOUNT, "main-1")
    assert (now.present_attempt, await world.credited()) == (first, AMOUNT.minor)
    assert (await clearing(world))[SECOND] == 0


@pytest.mark.parametrize("resolution", [R.PAID, R.ACCEPTED])
async def test_what_the_first_collected_under_no_number_needs_the_one_that_people_name(
    world: World, second: Provider, both_tried: tuple[str, str], resolution: R
) -> None:
    first, next_one = both_tried
    await reversed_at_second(world, second, next_one)
    await world.notice(fact(first, theirs=None))
    its = await the_case(world, CaseKind.SECOND_PAYMENT)
    assert its.about == ""
    amount = AMOUNT if resolution is R.ACCEPTED else None
    await decided(world, resolution, its=its, amount=amount, provider_reference="main-1")
    now = await world.payment()
    assert (now.sub_status, now.account, now.provider_reference) == ("completed", ACCOUNT, "main-1")
    assert (now.present_attempt, await world.credited()) == (first, AMOUNT.minor)


@pytest.mark.parametrize("resolution", [R.PAID, R.NOT_PAID])
async def test_what_is_said_of_the_first_moves_nothing_of_what_the_second_brought(
    world: World, both_tried: tuple[str, str], resolution: R
) -> None:
    first, next_one = both_tried
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    await world.notice(fact(first, theirs="main-1"))
    its = await the_case(world, CaseKind.SECOND_PAYMENT)
    with pytest.raises(ResolutionImpossible) if resolution is R.PAID else nullcontext():
        await decided(world, resolution, its=its)
    now = await world.payment()
    assert (now.sub_status, now.account, await world.credited()) == ("completed", SECOND, AMOUNT.minor)


async def test_what_is_decided_of_the_second_leaves_the_doubt_about_the_first(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """Neither case has a number: both providers were asked, and said no more than that."""
    provider.statuses = [just(State.PROCESSING)]
    await asked(world)
    assert await cases(world) == ["revived"]
    await reversed_at_second(world, second, both_tried[1])
    await decided(world, R.PAID, its=await the_case(world, CaseKind.DENIED_AFTER_SUCCESS))
    now = await world.payment()
    assert (now.sub_status, now.account, now.provider_reference) == ("completed", SECOND, "second-1")
    assert (await cases(world), now.attention is None) == (["revived"], False)


async def test_cases_of_one_attempt_without_a_number_are_answered_together(
    world: World, second: Provider, both_tried: tuple[str, str]
) -> None:
    """What was denied and then revived is one question, where both are about the same attempt."""
    _, next_one = both_tried
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    second.statuses = [replace(just(State.FAILED), provider_reference=None)]
    await asked(world)
    world.clock.advance(1)
    second.statuses = [paid("second-1")]
    await asked(world)
    assert await cases(world) == ["denied_after_success", "revived"]
    await decided(world, R.PAID)
    assert await cases(world) == []
    assert (await world.payment()).sub_status == "completed"
