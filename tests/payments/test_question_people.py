"""How people end a question about a try, or what was said of it, and what they do not end."""

from datetime import timedelta

from sqlalchemy import update

from app import payments, providers
from app.payments.tables import payments as table
from tests.payments.accounts import cases, decided, order_out, raised, tries
from tests.payments.banks import sent, told
from tests.payments.casework import R, only, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, BankOrder, Stage
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, AMOUNT, NEVER_LEFT, UNKNOWN, State, fact, just, paid

DAY = timedelta(days=1)


async def test_after_two_weeks_people_can_say_that_it_was_not_paid(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "pays"]
    bank.words = ["nothing"]
    await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "processing")
    for _ in range(16):
        await stage.later(DAY)
    assert await cases(stage) == ["unresolved"]
    bank.words = ["truth"]
    await decided(stage, payments.Resolution.NOT_PAID)
    await stage.work()
    assert len(bank.moved) == 1


async def test_what_waits_is_seen_after_a_note(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "pays"]
    bank.words = ["nothing"]
    await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "processing")
    for _ in range(16):
        await stage.later(DAY)
    bank.words = ["truth"]
    await decided(stage, payments.Resolution.NOTED)
    for _ in range(10):
        await stage.later(DAY)
    now = await stage.payment()
    assert now.sub_status != "allocated" or now.attention or now.ask_at, "it waits for ever, unseen"


async def test_people_end_the_question_about_the_earlier_try_of_a_refund(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    assert (await desk.found(refund)).sub_status.value == "approved"
    await desk.world.notice(fact(first, "processing"), mark="a")
    assert await questioned(desk.world) == [first]
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await resolve(desk, its.case_id, R.NOT_PAID)
    assert await questioned(desk.world) == [], "decided by two people, and nothing follows"


async def test_people_end_the_question_about_the_earlier_try_of_a_withdrawal(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    bank.manners, next_bank.manners = ["declines"], ["never hears", "pays"]
    await sent(stage)
    first, _ = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["not_found"]
    await told(stage, bank, first.attempt_id, "processing")
    assert await questioned(stage) == [first.attempt_id]
    await raised(stage)
    await decided(stage, payments.Resolution.NOT_PAID)
    await stage.work()
    assert not await questioned(stage), "decided by two people, and nothing follows"


async def test_people_end_it_by_the_case_about_that_try(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    bank.manners, next_bank.manners = ["declines"], ["never hears", "pays"]
    await sent(stage)
    first, _ = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["processing"]
    await told(stage, bank, first.attempt_id, "processing")
    assert await cases(stage) == ["revived"]
    await decided(stage, payments.Resolution.NOT_PAID)
    await stage.work()
    assert not await questioned(stage)


async def test_a_refund_that_was_said_to_be_paid_is_seen_after_a_note(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await desk.world.notice(fact(first.attempt_id, theirs="back-1", minor=BACK), mark="a")
    desk.provider.statuses = [just(State.FAILED)]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert await cases(desk.world) == ["denied_after_success"]
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    await days(desk.world, 20)
    found = await desk.found(refund)
    assert found.attention or await cases(desk.world), "it waits for ever, unseen"


async def test_not_paid_lets_a_refund_that_was_said_to_be_paid_go_on(desk: Desk) -> None:
    """Two people have the proof that nothing came of the first try."""
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await desk.world.notice(fact(first.attempt_id, theirs="back-1", minor=BACK), mark="a")
    desk.provider.statuses = [just(State.FAILED)]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert await cases(desk.world) == ["denied_after_success"]
    desk.provider.answers = desk.provider.statuses = [paid("back-2", kzt(BACK))]
    desk.provider.statuses = [just(State.FAILED)]
    await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2


async def lost_beside_what_was_paid(stage: Stage, bank: Bank, next_bank: Bank) -> str:
    """The first try was paid after all, and people let it count; the order of the second was lost: its id."""
    bank.manners, next_bank.manners = ["declines"], ["loses the order"]
    await sent(stage)
    first, last = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    await told(stage, bank, first.attempt_id, "succeeded")
    await decided(stage, payments.Resolution.PAID)
    for _ in range(40):
        await stage.later(DAY)
    return str(last.attempt_id)


async def test_another_try_that_nobody_knows_is_one_case_in_the_end_and_says_whom_to_ask(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Not found, for ever: whether it was lost or waits somewhere, only its provider's people can say."""
    last = await lost_beside_what_was_paid(stage, bank, next_bank)
    async with stage.database.reading() as reader:
        [its] = await payments.cases_of_site(reader, stage.site_id)
    assert (its.kind.value, its.attempt_id) == ("unresolved", last)
    assert its.theirs["text"] == f"second does not know the order {last}: ask them"
    called = "SELECT 1 FROM payment_event WHERE detail->>'attention' IN ('unresolved', 'revived')"
    assert len(await stage.rows(called)) == 1


async def test_that_it_was_not_paid_ends_the_question_about_it_and_nothing_else(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    last = await lost_beside_what_was_paid(stage, bank, next_bank)
    assert await questioned(stage) == [last]
    await decided(stage, payments.Resolution.NOT_PAID)
    assert (await questioned(stage), await cases(stage)) == ([], [])
    assert await stage.state((await stage.payment()).payment_id) == ("completed", None)
    # Should it be paid after all, that is for people, as ever.
    next_bank.pay(next_bank.book.setdefault(last, BankOrder(last, "lost-1", AMOUNT, State.PROCESSING)))
    await told(stage, next_bank, last, "succeeded", account="second")
    assert await cases(stage) == ["second_payment"]
    bank.moved.pop()  # twice by the banks, once by our books: that is what the case says


async def test_a_note_about_a_changed_refund_leaves_its_question(desk: Desk) -> None:
    """As test_changed_refund..: the note makes the payment forget the question that its try still has."""
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    async with desk.world.database.transaction() as tx:
        await tx.execute(update(table).where(table.c.payment_id == refund).values(approved_hash=b"x" * 32))
    await desk.world.notice(fact(first.attempt_id, "processing"), mark="a")
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    found = await desk.found(refund)
    assert found.is_questioned == bool(await questioned(desk.world))


async def test_not_paid_lets_a_withdrawal_that_was_said_to_be_paid_go_on(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["never hears", "pays"], ["nothing"]
    await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "succeeded")
    bank.words = ["failed"]
    await stage.later(HOURS)
    assert await cases(stage) == ["denied_after_success"]
    bank.words = ["truth"]
    await decided(stage, payments.Resolution.NOT_PAID)
    await stage.later(HOURS)
    assert await stage.state((await stage.payment()).payment_id) == ("completed", None)
