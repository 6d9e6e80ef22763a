"""Money that would have gone a second time, or not at all, where people had decided something before."""

from datetime import timedelta

import pytest

from app import payments
from app.payments.resolutions import ResolutionImpossible
from tests.payments.casework import (
    APPROVE,
    PROOF,
    REJECT,
    R,
    conflicted_deposit,
    decide,
    only,
    open_cases,
    propose,
    raised,
    resolve,
)
from tests.payments.desk import Desk, kzt
from tests.payments.stage import Bank, Stage
from tests.payments.test_accepted_sums import conflicted_refund
from tests.payments.world import AMOUNT, State, fact, just, paid


async def ended(stage: Stage, proposal: payments.Proposal) -> None:
    """Two people end the one case that is open."""
    async with stage.database.reading() as reader:
        [its] = await payments.cases_of_site(reader, stage.site_id)
    maker, checker = await stage.operator("maker"), await stage.operator("checker")
    await payments.propose_resolution(stage.pipes, stage.site_id, its.case_id, maker, proposal)
    await payments.decide_case(stage.pipes, stage.site_id, its.case_id, checker, APPROVE)


async def test_who_owes_is_sent_nothing_that_was_approved_before(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=True)
    await stage.ask(key="paid-in")
    reference = await stage.reference()
    await stage.notice(fact(reference, theirs="paid-in"))
    found = await stage.withdraw()  # all that he has
    await stage.work()
    bank.words = ["failed", "truth"]
    await stage.notice(fact(reference, "failed", theirs="paid-in"))
    await stage.work()
    assert await stage.owed() == AMOUNT.minor
    await ended(stage, payments.Proposal(R.NOTED, "the bank confirms: never paid", PROOF))
    await stage.initiate(found)
    await stage.work()
    await stage.later(timedelta(minutes=5))
    waits = await stage.row(found.payment_id)
    assert (waits.sub_status, bank.payouts) == ("approved", [])
    assert waits.reason.startswith("the player owes 1500.00 KZT")


@pytest.mark.parametrize("minor", [30_000, 70_000])
async def test_a_refund_of_another_sum_is_undone_and_paid_again_with_that_sum(desk: Desk, minor: int) -> None:
    deposit, sent = await conflicted_refund(desk, minor)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(minor))
    before = await desk.balances()
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(sent.payment_id)
    desk.provider.statuses = [paid("back-1", kzt(minor))]
    await desk.carry_on(sent.payment_id)
    assert (await desk.found(sent.payment_id)).captured == kzt(minor)
    assert (await desk.found(deposit)).refunded == kzt(minor)
    assert await desk.balances() == before


@pytest.mark.parametrize(
    ("resolution", "amount"), [(R.PAID, None), (R.ACCEPTED, 150_000), (R.ACCEPTED, 120_000)]
)
async def test_what_the_ledger_refused_is_credited_once_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, resolution: R, amount: int | None
) -> None:
    await desk.world.ask(key="over")
    deposit = (await desk.world.payment()).payment_id
    its = {"amount": kzt(amount)} if amount else {}
    with monkeypatch.context() as limited:
        limited.setattr("app.ledger.rules.MAX_BALANCE", 100_000)
        await desk.world.notice(fact(await desk.world.reference()))
        case_id = (await only(desk)).case_id
        with pytest.raises(ResolutionImpossible, match="does not take it"):
            await resolve(desk, case_id, resolution, **its)
    assert [one.case_id for one in await open_cases(desk)] == [case_id]
    await decide(desk, case_id)  # what was proposed waits still
    assert (await desk.found(deposit)).captured == kzt(amount or AMOUNT.minor)
    assert (await desk.balances())["player_cash"] == (amount or AMOUNT.minor)


async def test_a_number_that_nobody_names_is_the_cases(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    one = await stage.withdraw(100_000)
    await stage.work()
    bank.manners = ["accepts"]
    two = await stage.withdraw(100_000)
    await stage.work()
    [first], [second] = [await stage.references(found.payment_id) for found in (one, two)]
    bank.book[second].theirs, bank.book[second].state = bank.book[first].theirs, State.SUCCEEDED
    await stage.notice(bank.fact(second))
    await stage.work()
    with pytest.raises(ResolutionImpossible):
        await ended(stage, payments.Proposal(R.ACCEPTED, "letter", PROOF, kzt(100_000)))
    assert (await stage.state(two.payment_id))[0] == "conflicted"


async def test_a_reversed_deposit_of_another_sum_does_not_come_again_as_ordered(desk: Desk) -> None:
    deposit = await conflicted_deposit(desk)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(120_000))
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(deposit)
    await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
    its = await raised(desk, deposit)
    await propose(desk, its.case_id, R.PAID)
    with pytest.raises(ResolutionImpossible, match=r"1200\.00 KZT was credited and taken again"):
        await decide(desk, its.case_id)
    await decide(desk, its.case_id, REJECT)
    assert (await desk.balances()).get("player_cash", 0) == 0
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(120_000))
    assert (await desk.balances())["player_cash"] == 120_000
    assert (await desk.events(deposit))[-1] == "deposit.late_completed"


async def test_a_deposit_paid_in_part_is_told_once_though_all_of_it_goes_back(desk: Desk) -> None:
    deposit = await conflicted_deposit(desk)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(120_000))
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(120_000))]
    await desk.sent(deposit)
    found = await desk.found(deposit)
    assert (found.sub_status.value, found.refunded) == ("refunded", kzt(120_000))
    assert await desk.told(found.number) == [(3, 24)]
