"""For what the clock calls people about a doubted try, how often, and what it sends meanwhile."""

from datetime import timedelta

import pytest

from app import payments, providers
from tests.payments.accounts import cases, decided, order_out, raised, tries
from tests.payments.banks import parts, sent, sent_in_two_parts, told
from tests.payments.casework import R, only, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, NEVER_LEFT, UNKNOWN, State, fact, just, paid

DAY = timedelta(days=1)


async def test_the_question_of_what_waits_is_a_case_though_one_was_noted_before(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """As test_what_was_noted_before.., of a withdrawal that waits."""
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays and says it never heard"], ["nothing"]
    await sent(stage)
    its = await raised(stage)
    await decided(stage, payments.Resolution.NOTED, its=its)
    [one] = await tries(stage)
    await told(stage, bank, one.attempt_id, "succeeded")
    for _ in range(40):
        await stage.later(DAY)
    now = await stage.payment()
    seen = await cases(stage)
    bank.words = ["truth"]
    await stage.later(DAY)
    assert seen == ["unresolved"], (now.sub_status, now.is_questioned, now.attention, now.ask_at, seen)


async def test_so_is_that_of_a_refund(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="silent")
    await resolve(desk, its.case_id, R.NOTED)
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await desk.world.notice(fact(first.attempt_id, theirs="back-1", minor=BACK), mark="a")
    await days(desk.world, 40)
    assert await cases(desk.world) == ["unresolved"]


async def test_the_lost_order_of_a_refund_that_is_held_is_a_case_after_a_day(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said[next_one] = just(State.NOT_FOUND)
    said[first] = paid("back-1", kzt(BACK))
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    await days(desk.world, 3)
    found = await desk.found(refund)
    assert found.attention or await cases(desk.world), (found.sub_status, found.reason, found.ask_at)


async def test_a_part_is_sent_where_the_account_holds_its_own_sum(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = await sent_in_two_parts(stage, bank, monkeypatch, "never hears", "never hears", "pays")
    stage.clock.advance(5)
    two = (await parts(stage))[1].amount_minor

    async def balance(*_: object) -> object:
        return kzt(two)

    monkeypatch.setattr(bank, "balance", balance)
    await told(stage, bank, one.attempt_id, "processing")
    for _ in range(4):
        await stage.later(HOURS)
    now = await stage.payment()
    assert [part.state for part in await parts(stage)] == ["planned", "completed"], now.reason


async def test_each_repeated_notice_after_the_horizon_calls_people_no_more(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays another amount"], ["truth"]
    found = await sent(stage)
    assert found.sub_status == "conflicted", found.sub_status
    [one] = await tries(stage)
    for _ in range(16):
        await stage.later(DAY)
    for _ in range(5):
        await told(stage, bank, one.attempt_id, "failed")
        await stage.later(DAY)
    called = "SELECT 1 FROM payment_event WHERE detail->>'attention' = 'unresolved'"
    assert len(await stage.rows(called)) == 1


async def test_a_note_is_not_followed_by_the_same_case_at_each_notice_after_the_horizon(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Unknown for ever: noted after two weeks; then the bank's hints come daily."""
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays another amount"], ["truth"]
    await sent(stage)
    [one] = await tries(stage)
    for _ in range(16):
        await stage.later(DAY)
    count = 0
    for _ in range(5):
        for kind in await cases(stage):
            count += kind == "unresolved"
        while await cases(stage):
            await decided(stage, payments.Resolution.NOTED)
        await told(stage, bank, one.attempt_id, "failed")
        await stage.later(DAY)
    assert count == 1


async def test_the_lost_order_of_a_refund_asks_the_earlier_try_before_it_is_repeated(desk: Desk) -> None:
    """The first, which seemed not to have left, was paid, and its notice is lost."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said[next_one] = just(State.NOT_FOUND)
    said[first] = paid("back-1", kzt(BACK))
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2, "the lost order was repeated though the first was paid"
