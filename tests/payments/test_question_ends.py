"""What ends a question: its own answer, people, or that nobody has answered for too long. Nothing else."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from app import payments
from app.payments import sweeps
from app.payments.tables import payments as table
from tests.payments.accounts import SECOND, cases, decided, order_out, raised, tries
from tests.payments.banks import in_two_parts, parts, sent, told
from tests.payments.casework import R, only, resolve
from tests.payments.desk import Desk
from tests.payments.questions import questioned, work
from tests.payments.stage import Bank, Stage
from tests.payments.test_reversals import say
from tests.payments.world import (
    ACCOUNT,
    UNKNOWN,
    State,
    fact,
    just,
    paid,
)

HOURS = timedelta(hours=7)


async def test_a_question_that_opens_beyond_the_horizon_is_asked_more_than_once(desk: Desk) -> None:
    world = desk.world
    desk.provider.answers = desk.provider.statuses = [just(State.FAILED)]
    await world.ask()
    assert (await world.payment()).sub_status == "declined"
    for _ in range(4):
        world.clock.advance(timedelta(days=5))
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
        await work(world, sweeps.ASK_LATE)
    desk.provider.statuses = [UNKNOWN]
    await world.notice(fact(await world.reference()), mark="late")
    desk.provider.statuses = [paid()]
    for _ in range(4):
        world.clock.advance(HOURS)
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
    now = await world.payment()
    assert (now.sub_status, await cases(world)) == ("completed", [])


async def test_people_can_end_a_question_about_a_deposit_that_was_not_paid(desk: Desk) -> None:
    world = desk.world
    desk.provider.answers = desk.provider.statuses = [just(State.FAILED)]
    await world.ask()
    desk.provider.statuses = [UNKNOWN]
    await world.notice(fact(await world.reference()), mark="late")
    found = await desk.found((await world.payment()).payment_id)
    assert found.is_questioned
    its = await payments.raise_case(
        desk.pipes, desk.site_id, found.payment_id, desk.maker, reason="nobody answers"
    )
    await resolve(desk, its.case_id, R.NOT_PAID)
    found = await desk.found(found.payment_id)
    assert (found.is_questioned, found.attention) == (False, None)


async def test_the_same_of_a_withdrawal(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["declines"]
    await sent(stage)
    [one] = await tries(stage)
    bank.words = ["nothing"]
    await told(stage, bank, one.attempt_id, "succeeded")
    await raised(stage)
    await decided(stage, payments.Resolution.NOT_PAID)
    assert not await questioned(stage)


async def test_a_try_that_is_under_way_is_asked_about_after_people_let_another_count(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    await told(stage, bank, first.attempt_id, "succeeded")
    assert await cases(stage) == ["second_payment"]
    await decided(stage, payments.Resolution.PAID)
    next_bank.pay(next_bank.book[next_one.attempt_id])  # and its notice is lost
    for _ in range(4):
        await stage.later(HOURS)
    its = await cases(stage)
    bank.moved.pop()
    assert its == ["second_payment"], "it was paid twice, and nobody hears of it"


async def test_an_answer_that_calls_nobody_ends_no_question(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Under way again: a case, which people note. It is said again, and nobody is called a second time."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, next_one = await tries(stage)
    bank.book[first.attempt_id].state = State.PROCESSING
    await told(stage, bank, first.attempt_id, "processing")
    assert await cases(stage) == ["revived"]
    await decided(stage, payments.Resolution.NOTED)
    stage.clock.advance(5)
    next_bank.pay(next_bank.book[next_one.attempt_id])
    await told(stage, next_bank, next_one.attempt_id, "succeeded", SECOND)
    stage.clock.advance(5)
    await told(stage, bank, first.attempt_id, "processing")
    bank.pay(bank.book[first.attempt_id])  # its notice is lost
    for _ in range(4):
        await stage.later(HOURS)
    its = await cases(stage)
    bank.moved.pop()
    assert its, "it was paid twice, and nobody hears of it"


async def test_a_question_that_an_older_worker_has_opened_is_kept(desk: Desk) -> None:
    """As the release before writes it: the attention and the time alone."""
    deposit = await desk.deposit()
    world = desk.world
    async with world.database.transaction() as tx:
        await tx.execute(
            update(table)
            .where(table.c.payment_id == deposit)
            .values(attention="unconfirmed", ask_at=world.clock.now())
        )
    desk.provider.statuses = [paid()]
    world.clock.advance(5)
    await payments.sweep_due(world.pipes)
    await work(world, sweeps.ASK)
    found = await desk.found(deposit)
    assert (found.attention, found.ask_at) == (None, None), "answered"


async def test_what_nobody_answers_is_a_case_in_the_end(desk: Desk) -> None:
    deposit = await desk.deposit()
    world = desk.world
    [row] = await world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :d", d=deposit)
    desk.provider.statuses = [UNKNOWN]
    await world.notice(fact(row.attempt_id, "failed"), mark="a")
    for _ in range(40):
        world.clock.advance(timedelta(days=1))
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
    found = await desk.found(deposit)
    assert (found.ask_at, found.is_questioned, found.attention) == (None, True, "unresolved")
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    found = await desk.found(deposit)
    assert (found.attention, found.is_questioned) == (None, False)
    assert await questioned(world) == []


async def test_not_found_is_no_answer_about_what_is_said_to_be_under_way(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The notice is ahead of the host that is asked: a second later it would say what the notice said."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, _ = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["not_found"]
    await told(stage, bank, first.attempt_id, "processing")
    await stage.payment()
    assert await questioned(stage) == [first.attempt_id]


async def test_and_so_people_hear_of_what_both_have_paid(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    """As before; both pay in the end, and the notice of the first is lost."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, next_one = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["not_found"]
    await told(stage, bank, first.attempt_id, "processing")
    stage.clock.advance(5)
    next_bank.pay(next_bank.book[next_one.attempt_id])
    await told(stage, next_bank, next_one.attempt_id, "succeeded", SECOND)
    bank.pay(bank.book[first.attempt_id])
    bank.words = ["truth"]
    for _ in range(4):
        await stage.later(HOURS)
    its = await cases(stage)
    bank.moved.pop()
    assert its == ["second_payment"]


async def test_under_way_is_no_end_of_the_question_about_an_earlier_try(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Its bank says that it is under way, for which there is a case; and then it pays, with no notice."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, next_one = await tries(stage)
    bank.book[first.attempt_id].state = State.PROCESSING
    await told(stage, bank, first.attempt_id, "processing")
    assert await cases(stage) == ["revived"]
    stage.clock.advance(5)
    next_bank.pay(next_bank.book[next_one.attempt_id])
    await told(stage, next_bank, next_one.attempt_id, "succeeded", SECOND)
    bank.pay(bank.book[first.attempt_id])
    for _ in range(4):
        await stage.later(HOURS)
    its = await cases(stage)
    bank.moved.pop()
    assert "second_payment" in its


async def test_four_workers_ask_at_once(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question about both parts; both are asked by four workers at once."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["pays", "pays"]
    found = await sent(stage)
    one, other = await tries(stage)
    for its in (one, other):
        bank.send_back(its.attempt_id)
    bank.words = ["nothing"]
    await told(stage, bank, one.attempt_id, "returned")
    await told(stage, bank, other.attempt_id, "returned")
    assert len(await questioned(stage)) == 2
    bank.words = ["truth"]
    stage.clock.advance(60)
    await asyncio.gather(*(payments.carry_on(stage.pipes, stage.site_id, found.payment_id) for _ in range(4)))
    for _ in range(3):
        await stage.later(HOURS)
    now = await stage.payment()
    assert (now.sub_status, now.is_questioned, await questioned(stage)) == ("returned", False, [])


async def test_what_an_older_worker_asks_about_one_part_is_not_ended_by_the_other(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both parts are paid; the first came back, says a notice that the release before has read."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["pays", "pays"]
    found = await sent(stage)
    one, _ = await tries(stage)
    bank.send_back(one.attempt_id)
    async with stage.database.transaction() as tx:
        its = table.c.payment_id == found.payment_id
        await tx.execute(update(table).where(its).values(attention="unconfirmed", ask_at=stage.clock.now()))
    said = bank._said
    with monkeypatch.context() as patched:
        patched.setattr(bank, "_said", lambda of: UNKNOWN if of == one.attempt_id else said(of))
        await stage.later(5)
    for _ in range(4):
        await stage.later(HOURS)
    assert [part.state for part in await parts(stage)] == ["returned", "completed"]


async def test_a_question_that_opens_a_second_time_has_two_weeks_again(desk: Desk) -> None:
    """It was told before, so there is no event of it."""
    deposit = await desk.deposit()
    world = desk.world
    await say(desk, deposit)
    desk.provider.statuses = [paid()]
    world.clock.advance(5)
    await desk.carry_on(deposit)
    assert not (await desk.found(deposit)).is_questioned, "its provider says that it stands"
    world.clock.advance(timedelta(days=20))
    desk.provider.statuses = [UNKNOWN]
    await say(desk, deposit)
    for _ in range(4):
        world.clock.advance(HOURS)
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
    found = await desk.found(deposit)
    assert (found.is_questioned, found.ask_at is not None, await cases(world)) == (True, True, [])


async def test_not_found_is_no_answer_about_a_declined_withdrawal_that_is_said_to_be_paid(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["declines"], ["not_found"]
    await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(600)
    bank.pay(bank.book[one.attempt_id])
    await told(stage, bank, one.attempt_id, "succeeded")
    assert await questioned(stage) == [one.attempt_id]
    bank.words = ["truth"]
    await stage.later(HOURS)
    assert await stage.state((await stage.payment()).payment_id) == ("completed", "paid_after_release")
