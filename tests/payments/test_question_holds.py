"""What a question holds back, and for how long."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app import payments, providers
from app.payments.tables import payments as table
from tests.payments.accounts import cases, decided, order_out, raised, tries
from tests.payments.banks import in_two_parts, parts, sent, told
from tests.payments.casework import R, only, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_waiting_questions import HOURS, stopped
from tests.payments.world import ACCOUNT, NEVER_LEFT, UNKNOWN, State, fact, just, paid

DAY = timedelta(days=1)


@pytest.mark.parametrize("state", ["succeeded", "processing"])
async def test_a_lost_order_is_not_sent_again_while_an_earlier_try_may_be_paid(
    stage: Stage, bank: Bank, next_bank: Bank, state: str
) -> None:
    bank.manners, next_bank.manners = ["declines"], ["loses the order", "pays"]
    await sent(stage)
    first, _ = await tries(stage)
    stage.clock.advance(5)
    if state == "succeeded":
        bank.pay(bank.book[first.attempt_id])
        await told(stage, bank, first.attempt_id, "succeeded")
        assert await cases(stage) == ["second_payment"]
    else:
        bank.words = ["not_found"]
        await told(stage, bank, first.attempt_id, "processing")
        assert await questioned(stage) == [first.attempt_id]
    for _ in range(3):
        await stage.later(timedelta(minutes=10))
    if state == "processing":
        bank.pay(bank.book[first.attempt_id])  # as its notice said
    moved = list(bank.moved)
    bank.moved[1:] = []
    assert len(moved) == 1, "paid twice: the lost order was sent again"


async def test_the_lost_order_of_a_refund_is_not_either(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said[next_one] = just(State.NOT_FOUND)
    said[first] = paid("back-1", kzt(BACK))
    assert len(desk.provider.refunds) == 2
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    assert await cases(desk.world) == ["second_payment"]
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2, "the lost order was sent again, though the first was paid"


async def test_what_was_noted_before_is_a_case_after_two_weeks_all_the_same(desk: Desk) -> None:
    """Staff raises a case by hand, notes it ('we wait'); the provider is silent for two weeks more."""
    world = desk.world
    desk.provider.answers = desk.provider.statuses = [just(State.FAILED)]
    await world.ask()
    desk.provider.statuses = [UNKNOWN]
    await world.notice(fact(await world.reference()), mark="late")
    found = await desk.found((await world.payment()).payment_id)
    assert found.is_questioned
    its = await payments.raise_case(desk.pipes, desk.site_id, found.payment_id, desk.maker, reason="silent")
    await resolve(desk, its.case_id, R.NOTED)
    assert (await desk.found(found.payment_id)).is_questioned
    await days(desk.world, 40)
    now = await desk.found(found.payment_id)
    assert await cases(world) == ["unresolved"], (now.is_questioned, now.attention, now.ask_at)


async def test_so_is_a_withdrawal_that_is_unknown(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    """The same of a withdrawal that is unknown."""
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays silently"], ["nothing"]
    found = await sent(stage)
    its = await raised(stage)
    await decided(stage, payments.Resolution.NOTED, its=its)
    for _ in range(40):
        await stage.later(DAY)
    now = await stage.payment()
    seen = await cases(stage)
    bank.words = ["truth"]
    async with stage.database.transaction() as tx:
        await tx.execute(update(table).values(ask_at=stage.clock.now()))
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert seen == ["unresolved"], (now.sub_status, now.attention, now.ask_at)


async def test_after_two_weeks_nothing_is_sent_in_its_place_either(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["pays and says it never heard", "pays"]
    bank.words = ["nothing"]
    found = await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["not_found"]
    await told(stage, bank, one.attempt_id, "processing")
    for _ in range(16):
        await stage.later(DAY)
    assert await cases(stage) == ["unresolved"]
    assert len(bank.moved) == 1
    await payments.ask_soon(stage.pipes, stage.site_id, found.payment_id)  # the player opens the page
    await stage.work()
    moved = list(bank.moved)
    bank.moved[1:] = []
    assert len(moved) == 1, "sent a second time while people have not decided"


async def test_a_part_that_waits_beside_a_question_is_sent_after_two_weeks(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["declines", "never hears", "pays"]
    bank.words = ["nothing"]
    await sent(stage)
    one, *_ = await tries(stage)
    await stopped(stage, ACCOUNT)
    await told(stage, bank, one.attempt_id, "succeeded")
    for _ in range(16):
        await stage.later(DAY)
    await stopped(stage, ACCOUNT, is_stopped=False)
    bank.words = ["truth"]
    await decided(stage, payments.Resolution.NOTED)
    for _ in range(4):
        await stage.later(HOURS)
    assert [part.state for part in await parts(stage)] == ["declined", "completed"]


async def test_the_question_about_a_refund_that_waits_becomes_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await desk.world.notice(fact(first.attempt_id, "processing"), mark="a")
    await days(desk.world, 40)
    assert await cases(desk.world) == ["unresolved"]


async def test_a_changed_refund_does_not_stop_its_question(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    await stopped(desk.world, ACCOUNT)
    refund = (await desk.sent(deposit, BACK)).payment_id
    await stopped(desk.world, ACCOUNT, is_stopped=False)
    await desk.carry_on(refund)
    await stopped(desk.world, ACCOUNT)
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    async with desk.world.database.transaction() as tx:
        await tx.execute(update(table).where(table.c.payment_id == refund).values(approved_hash=b"x" * 32))
    await desk.world.notice(fact(first.attempt_id, "processing"), mark="a")
    found = await desk.found(refund)
    assert found.is_questioned
    assert found.ask_at is not None
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    found = await desk.found(refund)
    assert found.is_questioned == bool(await questioned(desk.world))


async def test_the_case_of_a_refund_names_the_try_that_was_said_to_be_paid(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    desk.provider.answers = [NEVER_LEFT]
    await stopped(desk.world, ACCOUNT)
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    await stopped(desk.world, ACCOUNT, is_stopped=False)
    said[first] = just(State.FAILED)
    for _ in range(2):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    its = [one for one in await open_cases(desk) if one.kind.value == "denied_after_success"]
    assert [one.attempt_id for one in its] == [first]


async def test_under_way_again_ends_no_question_where_the_money_is_gone(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["declines"]
    await sent(stage)
    [one] = await tries(stage)
    await stage.spend(await stage.credited())
    stage.clock.advance(5)
    bank.book[one.attempt_id].state = State.PROCESSING
    await told(stage, bank, one.attempt_id, "processing")
    assert await cases(stage) == ["revived"]
    await decided(stage, payments.Resolution.NOTED)
    bank.pay(bank.book[one.attempt_id])  # its notice is lost
    for _ in range(4):
        await stage.later(HOURS)
    seen, now = await cases(stage), await stage.payment()
    if now.sub_status != "completed":
        bank.moved.pop()
    assert seen or now.sub_status == "completed", "it was paid, and nobody hears of it"


async def test_where_the_money_is_there_it_is_paid_late(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["declines"]
    await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(5)
    bank.book[one.attempt_id].state = State.PROCESSING
    await told(stage, bank, one.attempt_id, "processing")
    bank.pay(bank.book[one.attempt_id])  # its notice is lost
    for _ in range(4):
        await stage.later(HOURS)
    assert (await stage.payment()).sub_status == "completed"


async def test_what_waits_for_its_account_for_two_weeks_is_sent_once_it_is_on(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "pays"]
    await sent(stage)
    await stopped(stage, ACCOUNT)
    for _ in range(16):
        await stage.later(DAY)
    await stopped(stage, ACCOUNT, is_stopped=False)
    if await cases(stage):
        await decided(stage, payments.Resolution.NOTED)
    for _ in range(4):
        await stage.later(HOURS)
    assert (await stage.payment()).sub_status == "completed"


async def test_so_is_what_was_never_sent(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    """Control: it was never sent at all."""
    await order_out(stage, ACCOUNT)
    await stopped(stage, ACCOUNT)
    await sent(stage)
    for _ in range(16):
        await stage.later(DAY)
    await stopped(stage, ACCOUNT, is_stopped=False)
    for _ in range(4):
        await stage.later(HOURS)
    assert (await stage.payment()).sub_status == "completed"


async def test_a_refund_that_is_said_to_be_paid_and_not_found_becomes_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await desk.world.notice(fact(first.attempt_id, theirs="back-1", minor=BACK), mark="a")
    desk.provider.statuses = [just(State.NOT_FOUND)]
    await days(desk.world, 40)
    assert await cases(desk.world)


async def test_a_part_nobody_was_asked_for_is_not_held_by_a_question_about_another(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part one: never left it seemed, questioned, waits. Part two: nothing was ever said of it."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "never hears", "pays"]
    bank.words = ["truth"]
    await sent(stage)
    one, _ = await tries(stage)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "processing")
    for _ in range(4):
        await stage.later(HOURS)
    assert [part.state for part in await parts(stage)] == ["planned", "completed"]
