"""Less went than was ordered: the rest is not given back while another try of the same may be paid."""

from datetime import timedelta

import pytest

from app import payments, providers
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, decided, raised, tries
from tests.payments.banks import sent, told
from tests.payments.casework import R, decide, open_cases, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_kept_back import first_is_paid
from tests.payments.test_refund_tries import BACK, tried, tried_twice
from tests.payments.world import AMOUNT, State, just, paid

FIRST = "decide about that one first, name "


async def about_the_sum(stage: Stage) -> payments.Case:
    async with stage.database.reading() as reader:
        found = await payments.cases_of_site(reader, stage.site_id)
    return next(one for one in found if one.kind is CaseKind.AMOUNT_DIFFERS)


async def test_the_rest_of_an_accepted_sum_stays_while_the_first_says_that_it_paid_all(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The first declined and paid all of it; the second paid less, and people accept that."""
    first, next_one = await first_is_paid(stage, bank, next_bank)
    next_bank.book[next_one].amount = kzt(50_000)
    next_bank.pay(next_bank.book[next_one])
    await told(stage, next_bank, next_one, "succeeded", SECOND)
    assert (await stage.payment()).sub_status == "conflicted"
    with pytest.raises(ResolutionImpossible, match=FIRST):
        await decided(stage, R.ACCEPTED, its=await about_the_sum(stage), amount=kzt(50_000))
    assert (await stage.credited(), await stage.held()) == (FUNDS - AMOUNT.minor, AMOUNT.minor)
    # The first bank's word was about another order, and nothing of this one went there.
    bank.moved.remove((first, AMOUNT))
    await raised(stage)
    async with stage.database.reading() as reader:
        found = await payments.cases_of_site(reader, stage.site_id)
    [by_hand] = [one for one in found if one.kind is CaseKind.UNRESOLVED]
    await decided(stage, R.NOT_PAID, its=by_hand, provider_reference=first)
    stage.clock.advance(timedelta(hours=73))  # what was proposed before has lapsed
    await decided(stage, R.ACCEPTED, its=await about_the_sum(stage), amount=kzt(50_000))
    assert (await stage.payment()).sub_status == "completed"
    assert (await stage.credited(), await stage.held()) == (FUNDS - 50_000, 0)


async def test_nor_is_the_rest_of_a_refund(desk: Desk) -> None:
    odd = providers.Result(State.SUCCEEDED, "back-2", kzt(20_000))
    await tried_twice(desk, odd, {})
    [its] = [one for one in await open_cases(desk) if one.kind is CaseKind.AMOUNT_DIFFERS]
    await propose(desk, its.case_id, R.ACCEPTED, amount=kzt(20_000))
    with pytest.raises(ResolutionImpossible, match=f"{FIRST}back-late"):
        await decide(desk, its.case_id)
    assert (await desk.balances())["player_cash"] == 150_000 - BACK


async def test_what_is_no_less_than_was_ordered_leaves_no_rest(desk: Desk) -> None:
    odd = providers.Result(State.SUCCEEDED, "back-2", kzt(BACK + 1_000))
    deposit, refund, *_ = await tried_twice(desk, odd, {})
    [its] = [one for one in await open_cases(desk) if one.kind is CaseKind.AMOUNT_DIFFERS]
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(BACK + 1_000))
    assert (await desk.found(refund)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, BACK + 1_000, 0)


async def test_of_what_was_given_back_before_there_is_no_rest(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Both declined, and the player has his money; then both say that they paid, the second less."""
    bank.manners, next_bank.manners = ["declines"], ["declines"]
    await sent(stage)
    first, next_one = await tries(stage)
    stage.clock.advance(60)
    next_bank.book[next_one.attempt_id].amount = kzt(50_000)
    next_bank.pay(next_bank.book[next_one.attempt_id])
    await told(stage, next_bank, next_one.attempt_id, "succeeded", SECOND)
    bank.pay(bank.book[first.attempt_id])
    await told(stage, bank, first.attempt_id, "succeeded")
    assert (await stage.payment()).sub_status == "conflicted"
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    await decided(stage, R.ACCEPTED, its=await about_the_sum(stage), amount=kzt(50_000))
    assert ((await stage.payment()).sub_status, await stage.credited()) == ("completed", FUNDS - 50_000)
    bank.moved.remove((first.attempt_id, AMOUNT))  # it is a case still, and nobody's until they decide


async def test_nor_is_there_of_a_refund_that_was_let_go(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    deposit, refund, first, next_one = await tried(desk, just(State.FAILED), said)
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)
    said |= {next_one: providers.Result(State.SUCCEEDED, "back-2", kzt(20_000))}
    desk.world.clock.advance(60)
    await desk.carry_on(refund)
    said |= {first: paid("back-1", kzt(BACK))}
    await desk.carry_on(refund)
    assert (await desk.found(refund)).sub_status.value == "conflicted"
    [its] = [one for one in await open_cases(desk) if one.kind is CaseKind.AMOUNT_DIFFERS]
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(20_000))
    assert (await desk.found(refund)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, 20_000, 0)
    assert (await desk.balances())["player_cash"] == 130_000
