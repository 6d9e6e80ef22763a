"""Providers that hang, lose, repeat, reorder, contradict: nothing is paid twice, nothing is lost.

Every test ends with `Stage.settle`: each payout against what the bank really moved (trust.md, 37-55).
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import payments, providers
from app.payments import sending
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import AMOUNT

State = providers.State


@pytest.fixture(autouse=True)
async def money(stage: Stage) -> None:
    await stage.fund()


async def sent(stage: Stage, *manners: str) -> Any:  # noqa: ANN401  a row
    """A withdrawal that was sent to a bank of these manners."""
    stage.bank.manners = list(manners)
    found = await stage.withdraw()
    await stage.work()
    return await stage.row(found.payment_id)


# What the bank does with the order at first, what it says when asked, and what the payout is then.
DOUBTS = [
    ("pays silently", ["truth"], "completed"),
    ("pays and answers garbage", ["truth"], "completed"),
    ("accepts silently", ["truth", "pays now"], "completed"),
    ("accepts", ["truth", "nothing", "pays now"], "completed"),
    ("accepts", ["nothing", "nothing", "nothing", "pays now"], "completed"),
    ("pays silently", ["nothing", "nothing", "truth"], "completed"),
    ("pays silently", ["not_found", "truth"], "completed"),
    ("accepts silently", ["not_found", "not_found", "pays now"], "completed"),
    ("loses the order", ["truth"], "completed"),
    ("loses the order", ["nothing", "truth"], "completed"),
    ("loses the order", ["not_found", "not_found", "truth"], "completed"),
    ("accepts silently", ["failed"], "declined"),
    ("accepts", ["cancelled"], "declined"),
    ("accepts", ["requires_action", "pays now"], "completed"),
]


@pytest.mark.parametrize(("manner", "words", "end"), DOUBTS)
async def test_a_doubt_is_asked_about_and_never_sent_under_another_reference(
    stage: Stage, bank: Bank, manner: str, words: list[str], end: str
) -> None:
    found = await sent(stage, manner, "pays")
    bank.words = [*words, "truth"]
    assert found.status == "processing"
    assert await stage.held() == AMOUNT.minor
    for _ in range(8):
        await stage.later(timedelta(hours=3))
    assert (await stage.state(found.payment_id))[0] == end
    assert len(await stage.references(found.payment_id)) == 1
    assert len({order.reference for order in bank.payouts}) == 1
    assert len(bank.moved) == (1 if end == "completed" else 0)
    assert await stage.credited() == FUNDS - (AMOUNT.minor if end == "completed" else 0)


async def test_a_bank_that_never_answers_keeps_the_money_held_and_becomes_a_persons(
    stage: Stage, bank: Bank
) -> None:
    found = await sent(stage, "pays silently")
    bank.words = ["nothing"]
    for _ in range(70):
        await stage.later(timedelta(hours=6))
    assert await stage.state(found.payment_id) == ("unknown", "unresolved")
    assert await stage.held() == AMOUNT.minor
    assert (await stage.row(found.payment_id)).ask_at is None
    # When somebody opens it, it is asked all the same.
    bank.words = ["truth"]
    await payments.ask_soon(stage.pipes, stage.site_id, found.payment_id)
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_when_the_bank_is_asked(stage: Stage, bank: Bank) -> None:
    """payments.md 1.6: after 1, 5 and 30 minutes, 2 hours, then every six hours."""
    await sent(stage, "accepts")
    begun = stage.clock.now()
    asked: list[float] = []
    for _ in range(24 * 60):
        before = len(bank.asked)
        await stage.later(60)
        if len(bank.asked) > before:
            asked.append((stage.clock.now() - begun).total_seconds() / 60)
        if len(asked) == 5:
            break
    waits = [round(later - earlier) for earlier, later in zip([0, *asked], asked, strict=False)]
    assert waits == [1, 5, 30, 120, 360]


async def test_what_never_left_is_sent_again_under_a_reference_of_its_own(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "never hears", "never hears", "pays")
    assert found.sub_status == "allocated"
    assert await stage.held() == AMOUNT.minor
    for _ in range(3):
        await stage.later(timedelta(hours=1))
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert len(set(await stage.references(found.payment_id))) == 3
    assert len(bank.moved) == 1


async def test_a_bank_that_paid_what_it_says_it_never_heard_is_noticed(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays and says it never heard", "accepts")
    [lie] = await stage.references(found.payment_id)
    await stage.store_notice(bank.fact(lie))
    await stage.work()
    # Before anything is sent again the bank itself is asked, and says that it has paid.
    assert await stage.state(found.payment_id) == ("completed", None)
    await stage.later(timedelta(days=1))
    assert len(bank.payouts) == 1


async def test_without_a_notice_too_the_bank_is_asked_before_another_try(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays and says it never heard", "pays")
    bank.words = ["nothing", "truth"]
    await stage.later(timedelta(minutes=1))
    assert (await stage.state(found.payment_id))[0] == "allocated", "no word, no other try"
    await stage.later(timedelta(minutes=5))
    assert await stage.state(found.payment_id) == ("completed", None)
    assert len(bank.moved) == 1


async def test_a_lie_that_is_found_after_the_next_try_is_a_second_payment_for_people(
    stage: Stage, bank: Bank
) -> None:
    found = await sent(stage, "pays and says it never heard", "pays")
    bank.words = ["not_found", "truth"]
    await stage.later(timedelta(minutes=1))
    lie, _ = await stage.references(found.payment_id)
    assert (await stage.state(found.payment_id))[0] == "completed"
    await stage.store_notice(bank.fact(lie))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", "second_payment")
    # The bank's own doing, and counted as such; no second debit by itself.
    await stage.settle(doubles=1)
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.moved.remove((lie, AMOUNT))


async def test_twenty_notices_are_one_payment(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "accepts")
    [reference] = await stage.references(found.payment_id)
    bank.pay(bank.book[reference])
    for number in range(20):
        await stage.store_notice(bank.fact(reference), mark=str(number))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.told() == [4]
    posted = await stage.rows("SELECT 1 FROM transfer WHERE kind = 'hold.capture'")
    assert len(posted) == 1


async def test_twenty_notices_read_at_once_are_one_payment(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "accepts")
    [reference] = await stage.references(found.payment_id)
    bank.pay(bank.book[reference])
    notices = [await stage.store_notice(bank.fact(reference), mark=str(number)) for number in range(20)]
    await asyncio.gather(
        *(payments.read_notice(stage.pipes, stage.site_id, notice_id) for notice_id in notices)
    )
    assert await stage.state(found.payment_id) == ("completed", None)
    assert len(await stage.rows("SELECT 1 FROM transfer WHERE kind = 'hold.capture'")) == 1


@pytest.mark.parametrize("answer", ["pays", "pays silently", "accepts"])
async def test_a_notice_that_comes_before_the_answer_counts_once(
    stage: Stage, bank: Bank, answer: str
) -> None:
    """payments.md 1.6, rule 9."""

    async def notices_first(order: providers.PayoutOrder) -> None:
        told = {"reference": order.reference, "state": "succeeded", "theirs": "bank-1"}
        notice = await stage.store_notice(
            told | {"minor": order.amount.minor, "currency": order.amount.currency}
        )
        await payments.read_notice(stage.pipes, stage.site_id, notice)

    bank.before = notices_first
    found = await sent(stage, answer)
    assert await stage.state(found.payment_id) == ("completed", None)
    [reference] = await stage.references(found.payment_id)
    if answer == "accepts":
        bank.pay(bank.book[reference])
    await stage.later(timedelta(days=1))
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_an_answer_that_comes_after_the_end_changes_nothing(stage: Stage, bank: Bank) -> None:
    """The process was paused for a day; the sweep had settled it long before."""
    await stage.policy()
    answered = asyncio.Event()

    async def pause(order: providers.PayoutOrder) -> None:
        if not answered.is_set():
            answered.set()
            await asyncio.sleep(0.5)

    bank.before = pause
    bank.manners = ["pays"]
    found = await stage.withdraw()
    slow = asyncio.ensure_future(sending.send(stage.pipes, stage.site_id, found.payment_id))
    await answered.wait()
    await stage.later(timedelta(minutes=1))  # asked: not found yet
    assert (await stage.state(found.payment_id))[0] == "submitted"
    stage.clock.advance(timedelta(minutes=5))
    await stage.later(0)  # asked: not found, so the same order is sent again
    await slow
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)
    assert len({order.reference for order in bank.payouts}) == 1
    assert len(bank.moved) == 1


@pytest.mark.parametrize("source", ["notice", "question"])
async def test_another_amount_is_a_conflict_and_the_money_stays_held(
    stage: Stage, bank: Bank, source: str
) -> None:
    found = await sent(stage, "pays another amount")
    if source == "notice":
        [reference] = await stage.references(found.payment_id)
        await stage.store_notice(bank.fact(reference))
    await stage.later(timedelta(minutes=1))
    assert await stage.state(found.payment_id) == ("conflicted", "amount_differs")
    assert await stage.held() == AMOUNT.minor
    assert len(bank.payouts) == 1


async def test_a_notice_of_another_amount_or_currency_about_a_payout_under_way(
    stage: Stage, bank: Bank
) -> None:
    for change in ({"minor": 1}, {"currency": "USD"}):
        found = await sent(stage, "accepts")
        [reference] = await stage.references(found.payment_id)
        await stage.store_notice(bank.fact(reference, **change))
        await stage.work()
        assert await stage.state(found.payment_id) == ("conflicted", "amount_differs")


async def test_a_number_of_the_bank_that_was_used_before_is_a_conflict(stage: Stage, bank: Bank) -> None:
    first = await sent(stage, "pays")
    second = await sent(stage, "accepts")
    [reference] = await stage.references(second.payment_id)
    await stage.store_notice(bank.fact(reference, theirs=first.provider_reference))
    await stage.work()
    assert await stage.state(second.payment_id) == ("conflicted", "reference_reused")
    assert await stage.held() == AMOUNT.minor


async def test_denied_after_it_was_paid_is_asked_about_and_a_lie_changes_nothing(
    stage: Stage, bank: Bank
) -> None:
    found = await sent(stage, "pays")
    [reference] = await stage.references(found.payment_id)
    await stage.store_notice(bank.fact(reference, "failed"))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_reordered_notices_end_where_the_truth_is(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "accepts")
    [reference] = await stage.references(found.payment_id)
    bank.pay(bank.book[reference])
    for state in ("processing", "succeeded", "processing", "requires_action", "unknown"):
        await stage.store_notice(bank.fact(reference, state))
        await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_a_notice_of_nobodys_reference_is_an_orphan(stage: Stage, bank: Bank) -> None:
    await sent(stage, "pays")
    await stage.store_notice(bank.fact("att_nobodys"))
    await stage.work()
    assert [row.state for row in await stage.rows("SELECT state FROM notice")] == ["orphan"]


async def dies(*_: object, **__: object) -> None:
    raise SystemError


@pytest.mark.parametrize("manner", ["pays", "pays silently", "loses the order", "declines"])
@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_process_that_dies_while_sending_loses_only_time(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch, manner: str, place: str
) -> None:
    bank.manners = [manner, "pays"]
    found = await stage.withdraw()
    with monkeypatch.context() as patched:
        if place == "before":
            patched.setattr(bank, "pay_out", dies)
        else:
            patched.setattr("app.payments.sending._conclude", dies)
        with pytest.raises(SystemError):
            await stage.work()
    assert (await stage.state(found.payment_id))[0] == "submitted"
    for _ in range(4):
        await stage.later(timedelta(hours=1))
    end = "declined" if manner == "declines" else "completed"
    assert (await stage.state(found.payment_id))[0] == end
    assert len(await stage.references(found.payment_id)) == 1
    assert len(bank.moved) == (end == "completed")


async def test_the_database_itself_refuses_a_second_try_while_the_first_may_live(stage: Stage) -> None:
    found = await sent(stage, "accepts")
    with pytest.raises(Exception, match="uq_attempt_live"):
        async with stage.database.transaction() as tx:
            await tx.execute(
                text(
                    "INSERT INTO attempt (site_id, attempt_id, payment_id, leg, number, account, sent_at) "
                    "SELECT site_id, 'att_2', payment_id, leg, 2, account, sent_at FROM attempt"
                )
            )
    assert (await stage.state(found.payment_id))[0] == "provider_pending"


async def test_two_workers_with_the_same_job_send_once(stage: Stage, bank: Bank) -> None:
    found = await stage.withdraw()
    await asyncio.gather(*(sending.send(stage.pipes, stage.site_id, found.payment_id) for _ in range(10)))
    assert len(bank.payouts) == len(bank.moved) == 1
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_no_transaction_is_open_while_the_bank_is_asked(stage: Stage, bank: Bank) -> None:
    async def look(_: providers.PayoutOrder) -> None:
        async with stage.database.reading() as reader:
            assert await reader.scalar(text("SELECT 1")) == 1

    bank.before = look  # a second transaction inside the first would raise
    found = await sent(stage, "pays")
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_a_change_that_is_not_in_the_table_is_a_case_and_never_silence(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await sent(stage, "accepts")
    [reference] = await stage.references(found.payment_id)
    bank.pay(bank.book[reference])
    with monkeypatch.context() as patched:
        patched.setattr("app.payments.leg_steps.of_legs", lambda _: payments.SubStatus.COOLING)
        await stage.store_notice(bank.fact(reference))
        await stage.work()
    assert await stage.state(found.payment_id) == ("provider_pending", "illegal_change")
    assert await stage.held() == AMOUNT.minor
    await stage.later(timedelta(hours=1))
    assert await stage.state(found.payment_id) == ("completed", "illegal_change")
