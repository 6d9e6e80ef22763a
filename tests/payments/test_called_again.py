"""What people noted and is open still calls them again, and what they noted once calls nobody twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app import payments, providers
from app.payments import changes, steps
from tests.payments.accounts import cases, decided, raised
from tests.payments.banks import PART, in_two_parts, parts, sent, told
from tests.payments.casework import R, only, open_cases, resolve
from tests.payments.desk import Desk, kzt, planted
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_accepted_sums import conflicted_payout
from tests.payments.test_kept_back import first_is_paid, second_declines
from tests.payments.test_refund_tries import BACK
from tests.payments.world import AMOUNT, NEVER_LEFT, Provider, State, World, fact, just

DAY = timedelta(days=1)


async def test_what_is_held_is_asked_about_or_a_case_also_once_the_clocks_case_was_noted(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The banks are asked for two weeks more, and then people are called again; a note ends nothing."""
    _, next_one = await first_is_paid(stage, bank, next_bank)
    await second_declines(stage, next_bank, next_one)
    await decided(stage, R.NOTED)
    for _ in range(2):
        for _ in range(17):
            await stage.later(DAY)
        assert await cases(stage) == ["unresolved"]
        assert (await stage.payment()).ask_at is None
        await decided(stage, R.NOTED)
        assert (await stage.payment()).ask_at is not None
    assert (await questioned(stage), await stage.held()) == ([next_one], AMOUNT.minor)


async def test_a_conflict_that_was_noted_is_a_case_again_while_its_money_is_held(desk: Desk) -> None:
    """Its bank has nothing to add, and is not asked."""
    payout = await conflicted_payout(desk, 60_000)
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    await days(desk.world, 13)
    assert await open_cases(desk) == []
    await days(desk.world, 2)
    assert [one.kind.value for one in await open_cases(desk)] == ["unresolved"]
    assert (await desk.found(payout)).ask_at is None


async def silent_and_noted(stage: Stage, bank: Bank) -> str:
    """A withdrawal that was sent, and of which nothing was heard for two weeks, as people have noted.

    Our reference of it.
    """
    await stage.fund()
    bank.manners, bank.words = ["accepts silently"], ["nothing"]
    found = await sent(stage)
    for _ in range(16):
        await stage.later(DAY)
    await decided(stage, R.NOTED)
    await stage.later(2 * DAY)
    [reference] = await stage.references(found.payment_id)
    return str(reference)


async def is_a_case_again(stage: Stage) -> None:
    """Two weeks after it is given up anew, which is at its next turn."""
    for _ in range(14):
        await stage.later(DAY)
    assert await cases(stage) == []
    for _ in range(2):
        await stage.later(DAY)
    assert (await cases(stage), (await stage.payment()).ask_at) == (["unresolved"], None)
    assert await stage.held() == AMOUNT.minor


async def test_a_word_after_the_note_is_no_end_of_it(stage: Stage, bank: Bank) -> None:
    """That it is under way; then nothing more is heard."""
    reference = await silent_and_noted(stage, bank)
    await told(stage, bank, reference, "processing")
    assert (await stage.payment()).sub_status == "provider_pending"
    await is_a_case_again(stage)


async def test_nor_is_that_somebody_opens_it_and_the_provider_answers_once(stage: Stage, bank: Bank) -> None:
    await silent_and_noted(stage, bank)
    bank.words = ["truth", "nothing"]
    await payments.ask_soon(stage.pipes, stage.site_id, (await stage.payment()).payment_id)
    await stage.work()
    assert (await stage.payment()).sub_status == "provider_pending"
    await is_a_case_again(stage)


async def test_a_conflict_that_was_noted_while_another_part_was_under_way_is_a_case_again(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other part is paid then: of the conflict nobody is asked, and there is no turn of it."""
    await in_two_parts(stage, monkeypatch)
    await stage.fund()
    bank.manners = ["pays another amount", "accepts"]
    await sent(stage)
    await decided(stage, R.NOTED)
    _, other = await parts(stage)
    bank.pay(bank.book[other.present_attempt])
    await told(stage, bank, other.present_attempt, "succeeded")
    assert [part.state for part in await parts(stage)] == ["conflicted", "completed"]
    for _ in range(13):
        await stage.later(DAY)
    assert await cases(stage) == []
    for _ in range(2):
        await stage.later(DAY)
    assert (await cases(stage), await stage.held()) == (["unresolved"], PART)


@pytest.mark.parametrize("state", [State.PROCESSING, State.UNKNOWN])
async def test_a_deposit_that_nobody_answers_for_is_a_case_again(
    world: World, provider: Provider, state: State
) -> None:
    await world.deposit()
    provider.statuses = [just(state)]
    await world.notice(fact(await world.reference(), "processing"))
    await days(world, 16)
    assert ((await world.payment()).sub_status, await cases(world)) == ("provider_pending", ["unresolved"])
    for _ in range(2):
        await decided(world, R.NOTED)
        await days(world, 13)
        assert await cases(world) == []
        await days(world, 2)
        assert (await cases(world), (await world.payment()).ask_at) == (["unresolved"], None)


async def test_nor_is_a_conflict_of_one_forgotten(world: World) -> None:
    await world.deposit()
    await world.notice(fact(await world.reference(), minor=AMOUNT.minor - 1))
    world.clock.advance(60)
    await decided(world, R.NOTED)
    await days(world, 13)
    assert await cases(world) == []
    await days(world, 2)
    assert (await cases(world), (await world.payment()).ask_at) == (["unresolved"], None)


async def test_each_who_keeps_it_back_is_a_case(desk: Desk) -> None:
    """Three tries of a refund, of a provider without numbers; two said that they were paid, all say no now.

    People have noted both while the third was under way, and say then of one after the other that it was not
    paid.
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
    its, other = await open_cases(desk)
    assert {its.attempt_id, other.attempt_id} == {first, second}
    await resolve(desk, its.case_id, R.NOT_PAID)
    for _ in range(5):
        desk.world.clock.advance(3_600)
        await desk.carry_on(refund)
    assert await desk.figures(deposit) == (150_000, BACK, 0, 0), "it is kept back, for the other one"
    assert [one.case_id for one in await open_cases(desk)] == [other.case_id]
    await resolve(desk, other.case_id, R.NOT_PAID)
    desk.world.clock.advance(3_600)
    await desk.carry_on(refund)
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)


def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events as the release before wrote them: it kept no attempt beside the reason for attention."""
    event_of = changes.event_of

    def without(was: Any, values: Any, step: Any, cause: Any, at: Any) -> dict[str, object]:  # noqa: ANN401
        return event_of(was, values, step, replace(cause, attempt_id=None), at)

    monkeypatch.setattr(steps, "event_of", without)


async def test_a_case_that_was_noted_in_the_release_before_is_not_opened_again(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was noted; the provider says the same after the upgrade as before."""
    await stage.fund()
    bank.manners = ["accepts"]
    await sent(stage)
    bank.book.clear()
    with monkeypatch.context() as patched:
        as_before(patched)
        await stage.later(3_600)
    assert await cases(stage) == ["order_vanished"]
    await decided(stage, R.NOTED)
    await stage.later(7_200)
    assert await cases(stage) == []


async def test_what_the_release_before_found_changed_is_looked_at_after_the_note(
    stage: Stage, bank: Bank
) -> None:
    """It took the turn away, where this one looks again; its case is noted after the upgrade."""
    await stage.fund()
    await stage.policy(auto_below=None)
    found = await stage.withdraw()
    by = await stage.operator("approver")
    await payments.approve(stage.pipes, stage.site_id, found.payment_id, by)
    await planted(stage.database, "UPDATE payment SET approved_hash = :other", other=b"\x00" * 32)
    await stage.work()
    assert await cases(stage) == ["illegal_change"]
    await planted(stage.database, "UPDATE payment SET ask_at = NULL, reason = '', reason_code = ''")
    await decided(stage, R.NOTED)
    for _ in range(40):
        await stage.later(DAY)
    row = await stage.payment()
    assert row.reason or row.ask_at or await cases(stage), (row.sub_status, await stage.held())


async def test_once_people_say_that_the_first_was_not_paid_the_second_is_asked_about_anew(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Nobody was asked any more, and there is a turn in two weeks, for people; not for the bank."""
    first, next_one = await first_is_paid(stage, bank, next_bank, "accepts silently")
    bank.moved.clear()
    bank.book[first].state = State.FAILED
    next_bank.words = ["nothing"]
    for _ in range(16):
        await stage.later(DAY)
    while await cases(stage):
        await decided(stage, R.NOTED)
    its = await raised(stage)
    await decided(stage, R.NOT_PAID, its=its, provider_reference="bank-1")
    await stage.work()
    next_bank.words = ["truth"]
    next_bank.book[next_one].state = State.FAILED
    for _ in range(5):
        await stage.later(DAY)
    assert ((await stage.payment()).sub_status, await stage.held()) == ("declined", 0)
