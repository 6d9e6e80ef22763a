"""While something of a payment waits to be sent: what is asked meanwhile, and what is not sent."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app import payments, providers, staff
from app.payments import sweeps
from app.payments.cancels import cancel_for_staff
from app.payments.doubts import MayBePaid
from app.payments.refunds import cancel_refund
from app.payments.tables import payments as table
from tests.payments.accounts import cases, order_out, tries
from tests.payments.banks import PART, in_two_parts, parts, sent, sent_in_two_parts, told
from tests.payments.desk import Desk, kzt
from tests.payments.questions import questioned, work
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_refund_tries import BACK
from tests.payments.world import (
    ACCOUNT,
    AMOUNT,
    NEVER_LEFT,
    UNKNOWN,
    State,
    World,
    fact,
    just,
    paid,
)

HOURS = timedelta(hours=7)


async def administrator(stage: Stage) -> staff.Operator:
    return await stage.operator("admin", staff.Role.ADMINISTRATOR)


async def stopped(world: World, name: str, *, is_stopped: bool = True) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(
            text("UPDATE provider_account SET enabled = :on WHERE account = :name"),
            {"name": name, "on": not is_stopped},
        )


async def later(stage: Stage) -> None:
    for _ in range(4):
        await stage.later(HOURS)


async def test_what_waits_after_a_notice_that_it_was_paid_is_not_called_off(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """It never left, it seemed; the bank paid. Its notice comes, asked it is silent, staff would cancel."""
    await order_out(stage, ACCOUNT)
    bank.manners = ["pays and says it never heard"]
    bank.words = ["nothing"]
    found = await sent(stage)
    [one] = await tries(stage)
    assert (found.sub_status, one.is_over) == ("allocated", True)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "succeeded")
    boss = await administrator(stage)
    with pytest.raises(MayBePaid):
        await cancel_for_staff(stage.pipes, stage.site_id, found.payment_id, boss, reason="it waits too long")
    assert await stage.held() == AMOUNT.minor
    bank.words = ["truth"]
    for _ in range(5):
        await stage.later(HOURS)
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_a_question_about_a_part_is_asked_while_another_waits(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part is declined, the other waits for its account; the bank paid the first after all."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["declines", "never hears"]
    bank.words = ["nothing"]
    await sent(stage)
    one, *_ = await tries(stage)
    await stopped(stage, ACCOUNT)
    bank.pay(bank.book[one.attempt_id])
    await told(stage, bank, one.attempt_id, "succeeded")
    assert await questioned(stage) == [one.attempt_id]
    bank.words = ["truth"]
    await stage.later(HOURS)
    assert [part.state for part in await parts(stage)] == ["completed", "planned"]
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_who_cancels_what_waits_ends_no_question_about_another_part(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["declines", "never hears"], ["nothing"]
    found = await sent(stage)
    one, *_ = await tries(stage)
    await stopped(stage, ACCOUNT)
    bank.pay(bank.book[one.attempt_id])
    await told(stage, bank, one.attempt_id, "succeeded")
    await cancel_for_staff(
        stage.pipes, stage.site_id, found.payment_id, await administrator(stage), reason="it waits too long"
    )
    bank.words = ["truth"]
    await later(stage)
    assert next(part.state for part in await parts(stage)) == "completed"
    assert await stage.credited() == FUNDS - PART


async def test_a_part_that_waits_is_sent_although_the_other_was_declined_by_notice(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, *_ = await sent_in_two_parts(stage, bank, monkeypatch, "accepts", "never hears", "pays")
    bank.book[one.attempt_id].state = State.FAILED
    await stage.store_notice(bank.fact(one.attempt_id, "failed"), mark="x")
    await stage.work()
    for _ in range(5):
        await stage.later(HOURS)
    assert [part.state for part in await parts(stage)] == ["declined", "completed"]


@pytest.mark.parametrize("state", ["succeeded", "processing"])
async def test_a_refund_whose_first_try_is_said_to_be_paid_is_not_sent_again_unasked(
    desk: Desk, state: str
) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, paid("back-2", kzt(BACK))]
    desk.provider.statuses = [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    assert (await desk.found(refund)).sub_status.value == "approved"
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    desk.world.clock.advance(5)
    its = {"theirs": "back-1", "minor": BACK} if state == "succeeded" else {}
    await desk.world.notice(fact(first.attempt_id, state, **its), mark="a")
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1, "the first may be paid: its provider has not been asked"


async def test_a_refund_is_not_sent_again_while_an_earlier_try_is_questioned(desk: Desk) -> None:
    """Two tries seemed not to have left. The first is under way, says a notice; asked, it is not known."""
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, NEVER_LEFT, paid("back-3", kzt(BACK))]
    desk.provider.statuses = [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    first, _ = await desk.world.rows(
        "SELECT attempt_id FROM attempt WHERE payment_id = :of ORDER BY number", of=refund
    )
    await desk.world.notice(fact(first.attempt_id, "processing"), mark="a")
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2
    assert await questioned(desk.world) == [first.attempt_id]
    desk.provider.statuses = [just(State.FAILED)]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 3, "its provider has answered: nothing came of it"


async def test_a_refund_of_which_a_try_was_said_to_be_paid_is_for_people(desk: Desk) -> None:
    """It is denied now; whether the player has it, nobody can say."""
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, paid("back-2", kzt(BACK))]
    desk.provider.statuses = [just(State.NOT_FOUND)]
    await stopped(desk.world, ACCOUNT)
    refund = (await desk.sent(deposit, BACK)).payment_id
    await stopped(desk.world, ACCOUNT, is_stopped=False)
    await desk.carry_on(refund)
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await stopped(desk.world, ACCOUNT)
    await desk.world.notice(fact(first.attempt_id, theirs="back-1", minor=BACK), mark="a")
    await stopped(desk.world, ACCOUNT, is_stopped=False)
    desk.provider.statuses = [just(State.FAILED)]
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1
    assert await cases(desk.world) == ["denied_after_success"]


async def test_a_refund_that_waits_and_was_said_to_be_paid_is_not_called_off(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT]
    desk.provider.statuses = [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    await stopped(desk.world, ACCOUNT)
    await work(desk.world, sweeps.ASK)
    [first] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    await desk.world.notice(fact(first.attempt_id, theirs="back-1", minor=BACK), mark="a")
    with pytest.raises(MayBePaid):
        await cancel_refund(desk.pipes, desk.site_id, refund, desk.maker, reason="it waits")
    assert (await desk.found(refund)).sub_status.value == "approved"
    desk.provider.statuses = [paid("back-1", kzt(BACK))]
    for _ in range(4):
        desk.world.clock.advance(HOURS)
        await payments.sweep_due(desk.pipes)
        await work(desk.world, sweeps.ASK)
    assert (await desk.found(refund)).sub_status.value == "completed"


async def test_a_changed_order_does_not_stop_the_question_about_another_part(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, *_ = await sent_in_two_parts(stage, bank, monkeypatch, "pays", "never hears")
    bank.words = ["nothing"]
    bank.send_back(one.attempt_id)
    await told(stage, bank, one.attempt_id, "returned")
    assert await questioned(stage) == [one.attempt_id]
    async with stage.database.transaction() as tx:
        await tx.execute(update(table).values(approved_hash=b"x" * 32))
    bank.words = ["truth"]
    said = bank._said
    monkeypatch.setattr(bank, "_said", lambda of: UNKNOWN if of == one.attempt_id else said(of))
    await stage.later(HOURS)
    monkeypatch.setattr(bank, "_said", said)
    for _ in range(4):
        await stage.later(HOURS)
    states = [part.state for part in await parts(stage)]
    assert states[0] == "returned"


async def test_the_notice_that_a_refund_was_paid_does_not_send_it_a_second_time(desk: Desk) -> None:
    """Its first try never left, it seemed; its provider has paid it, says so by notice and when asked."""
    deposit = await desk.deposit()
    moved: list[str] = []

    def pays(reference: str) -> providers.Result:
        moved.append(reference)
        return NEVER_LEFT if len(moved) == 1 else paid("back-2", kzt(BACK))

    def says(reference: str) -> providers.Result:
        return paid(f"back-{moved.index(reference) + 1}", kzt(BACK))

    desk.provider.answers, desk.provider.statuses = [pays], [says]
    refund = (await desk.sent(deposit, BACK)).payment_id
    async with desk.world.database.transaction() as tx:
        await tx.execute(text("DELETE FROM queue.pgqueuer"))  # the job that `sent` has done already
    [first] = moved
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    for _ in range(4):
        desk.world.clock.advance(HOURS)
        await payments.sweep_due(desk.pipes)
        await work(desk.world, sweeps.ASK)
    await desk.found(refund)
    assert moved == [first], "the player has it twice"


async def test_a_settled_answer_leaves_when_what_waits_is_looked_at(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither try arrived. The bank says so of the first and nothing of the second: it is looked at again."""
    [_, other] = await sent_in_two_parts(stage, bank, monkeypatch, "never hears", "never hears", "pays")
    said = bank._said
    with monkeypatch.context() as patched:
        patched.setattr(bank, "_said", lambda of: UNKNOWN if of == other.attempt_id else said(of))
        await stage.later(HOURS)
    assert (await stage.payment()).ask_at is not None
    for _ in range(3):
        await stage.later(HOURS)
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]


async def test_a_refund_is_not_sent_again_while_its_provider_cannot_be_asked(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, paid("back-2", kzt(BACK))]
    desk.provider.statuses = [UNKNOWN]
    refund = (await desk.sent(deposit, BACK)).payment_id
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1
    desk.provider.statuses = [just(State.NOT_FOUND), paid("back-2", kzt(BACK))]
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2


async def test_a_withdrawal_that_is_said_to_be_under_way_is_not_sent_again(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """It never left, it seemed. Its bank has it, says a notice, and when it is asked: not found."""
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays and says it never heard", "pays"], ["not_found"]
    await sent(stage)
    [one] = await tries(stage)
    await told(stage, bank, one.attempt_id, "processing")
    for _ in range(3):
        await stage.later(timedelta(minutes=10))
    assert len(await tries(stage)) == 1
    assert (await stage.payment()).reason == f"{ACCOUNT} is asked whether {one.attempt_id} is over"
    bank.words = ["truth"]
    await later(stage)
    assert await stage.state((await stage.payment()).payment_id) == ("completed", None)
