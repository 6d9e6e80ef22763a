"""What is given back, and who is called, while another try of the same may be paid."""

import contextlib
from datetime import timedelta

from app import payments, providers
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, cases, decided
from tests.payments.banks import told
from tests.payments.casework import R, decide, open_cases, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_kept_back import first_is_paid, second_declines
from tests.payments.test_refund_tries import BACK, tried_twice
from tests.payments.world import AMOUNT, NEVER_LEFT, State, just

DAY = timedelta(days=1)


async def test_the_rest_of_an_accepted_sum_stays_while_the_first_says_that_it_paid_all(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The first declined and paid all of it; the second paid less, and people accept that."""
    _, next_one = await first_is_paid(stage, bank, next_bank)
    next_bank.book[next_one].amount = kzt(50_000)
    next_bank.pay(next_bank.book[next_one])
    await told(stage, next_bank, next_one, "succeeded", SECOND)
    assert (await stage.payment()).sub_status == "conflicted"
    async with stage.database.reading() as reader:
        found = await payments.cases_of_site(reader, stage.site_id)
    [its] = [one for one in found if one.kind is CaseKind.AMOUNT_DIFFERS]
    with contextlib.suppress(ResolutionImpossible):
        await decided(stage, R.ACCEPTED, its=its, amount=kzt(50_000))
    given_back = await stage.credited() - (FUNDS - AMOUNT.minor)
    bank.moved.clear()  # that it was paid twice is the banks', and no matter of this test
    assert given_back == 0, (given_back, await stage.held(), await cases(stage))


async def test_nor_is_the_rest_of_a_refund(desk: Desk) -> None:
    odd = providers.Result(State.SUCCEEDED, "back-2", kzt(20_000))
    await tried_twice(desk, odd, {})
    [its] = [one for one in await open_cases(desk) if one.kind is CaseKind.AMOUNT_DIFFERS]
    await propose(desk, its.case_id, R.ACCEPTED, amount=kzt(20_000))
    with contextlib.suppress(ResolutionImpossible):
        await decide(desk, its.case_id)
    assert (await desk.balances())["player_cash"] == 150_000 - BACK


async def test_what_is_held_is_asked_about_or_a_case_also_once_the_clocks_case_was_noted(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """A note ends nothing: the case is opened again, or the providers are asked."""
    _, next_one = await first_is_paid(stage, bank, next_bank)
    await second_declines(stage, next_bank, next_one)
    await decided(stage, R.NOTED)
    for _ in range(17):
        await stage.later(DAY)
    assert await cases(stage) == ["unresolved"]
    await decided(stage, R.NOTED)
    for _ in range(40):
        await stage.later(DAY)
    seen = (await stage.held(), await cases(stage), (await stage.payment()).ask_at)
    assert seen[1] or seen[2], seen


async def test_who_keeps_it_back_after_another_was_decided_is_a_case_again(desk: Desk) -> None:
    """Three tries of a refund, of a provider without numbers; two said that they were paid, all say no now.

    People have noted both while the third was under way, and say then of one that it was not paid.
    """
    said: dict[str, providers.Result] = {}
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, NEVER_LEFT, just(State.PROCESSING)]
    desk.provider.statuses = [lambda of: said.get(of, just(State.NOT_FOUND))]
    refund = (await desk.sent(deposit, BACK)).payment_id
    for _ in range(2):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    asked = "SELECT attempt_id FROM attempt WHERE payment_id = :of ORDER BY number"
    first, second, third = [row.attempt_id for row in await desk.world.rows(asked, of=refund)]
    nameless = providers.Result(State.SUCCEEDED, None, kzt(BACK))
    said |= {first: nameless, second: nameless, third: just(State.PROCESSING)}
    desk.world.clock.advance(60)
    await desk.carry_on(refund)
    for its in await open_cases(desk):
        await resolve(desk, its.case_id, R.NOTED)
    said |= dict.fromkeys((first, second, third), just(State.FAILED))
    for _ in range(2):
        desk.world.clock.advance(60)
        await desk.carry_on(refund)
    [its] = await open_cases(desk)
    await resolve(desk, its.case_id, R.NOT_PAID)
    for _ in range(5):
        desk.world.clock.advance(3_600)
        await desk.carry_on(refund)
    assert await desk.figures(deposit) == (150_000, BACK, 0, 0), "it is kept back, for the other one"
    assert [one.attempt_id for one in await open_cases(desk)] == [({first, second} - {its.attempt_id}).pop()]
