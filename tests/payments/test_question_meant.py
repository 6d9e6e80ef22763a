"""Which try people mean where several are doubted, and that none is cleared by mistake."""

from datetime import timedelta

import pytest

from app import payments, providers, staff
from app.payments.refunds import cancel_refund
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import cases, decided, order_out, raised, tries
from tests.payments.banks import sent, told
from tests.payments.casework import REJECT, R, decide, open_cases, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, NEVER_LEFT, State, fact, just, paid

DAY = timedelta(days=1)


async def test_not_paid_under_another_number_clears_nothing(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The bank paid bank-1 and denies it. Two people prove that *other-9* was not paid."""
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["pays and says it never heard", "pays"], ["nothing"]
    await sent(stage)
    [one] = await tries(stage)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "succeeded")
    bank.words = ["failed"]
    await stage.later(HOURS)
    assert await cases(stage) == ["denied_after_success"]
    await decided(stage, payments.Resolution.NOTED)
    its = await raised(stage)
    with pytest.raises(ResolutionImpossible, match="other-9 is not the number of a try"):
        await decided(stage, payments.Resolution.NOT_PAID, its=its, provider_reference="other-9")
    await stage.later(HOURS)
    moved = list(bank.moved)
    bank.moved[1:] = []
    assert len(moved) == 1, "paid twice"


async def test_not_paid_about_the_first_by_its_number_leaves_the_second(desk: Desk) -> None:
    """Of a refund, both of whose tries are at one account."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    await desk.world.notice(fact(first, "processing", theirs="back-1"), mark="a")
    await desk.world.notice(fact(next_one, theirs="back-2", minor=BACK), mark="b")
    assert await questioned(desk.world) == [first, next_one]
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await resolve(desk, its.case_id, R.NOT_PAID, provider_reference="back-1")
    assert await questioned(desk.world) == [next_one]


async def test_where_both_are_doubted_they_must_say_which(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    await desk.world.notice(fact(first, "processing"), mark="a")
    await desk.world.notice(fact(next_one, theirs="back-2", minor=BACK), mark="b")
    assert await questioned(desk.world) == [first, next_one]
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    with pytest.raises(ResolutionImpossible):
        await resolve(desk, its.case_id, R.NOT_PAID)


async def test_an_earlier_try_said_to_be_paid_that_nobody_knows_has_a_way_out(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    bank.manners, next_bank.manners = ["declines"], ["never hears", "pays"]
    await sent(stage)
    first, _ = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["not_found"]
    await told(stage, bank, first.attempt_id, "succeeded")
    seen = []
    for _ in range(4):
        seen += await cases(stage)
        if await cases(stage):
            await decided(stage, payments.Resolution.NOTED)
        await stage.later(HOURS)
    # Noted, and it waits all the same.
    assert seen == ["second_payment", *["denied_after_success"] * 3]
    await decided(stage, payments.Resolution.NOT_PAID)
    await stage.work()
    assert len(bank.moved) == 1


async def test_so_has_the_earlier_try_of_a_refund(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, _refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    seen = []
    for _ in range(3):
        for its in await open_cases(desk):
            seen.append(its.kind.value)
            await resolve(desk, its.case_id, R.NOTED)
        await days(desk.world, 1)
    assert seen == ["second_payment", "denied_after_success", "denied_after_success"]
    await resolve(desk, (await open_cases(desk))[-1].case_id, R.NOT_PAID)
    desk.provider.answers = [paid("back-3", kzt(BACK))]
    await days(desk.world, 1)
    assert len(desk.provider.refunds) == 3


async def test_not_paid_about_one_leaves_the_question_about_another_after_the_horizon(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """Both declined. Question A opens on day 0, B on day 13. On day 15 people decide about A alone."""
    bank.manners, next_bank.manners = ["declines"], ["declines"]
    await sent(stage)
    first, last = await tries(stage)
    assert (await stage.payment()).sub_status == "declined"
    bank.words = next_bank.words = ["nothing"]
    stage.clock.advance(5)
    await told(stage, bank, first.attempt_id, "succeeded")
    await told(stage, next_bank, last.attempt_id, "succeeded", account="second")
    assert await questioned(stage) == [first.attempt_id, last.attempt_id]
    for _ in range(17):
        await stage.later(DAY)
    assert await cases(stage) == ["unresolved"]
    await decided(stage, payments.Resolution.NOT_PAID, provider_reference=bank.book[first.attempt_id].theirs)
    now = await stage.payment()
    assert await questioned(stage) == [last.attempt_id], (now.is_questioned, now.attention, now.ask_at)


async def test_not_paid_about_the_present_try_gives_back_once_no_other_is_doubted(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """By a case raised by hand, and without a number. The player may have what the first one paid."""
    bank.manners, next_bank.manners = ["declines"], ["pays"]
    await sent(stage)
    first, last = await tries(stage)
    bank.words = ["not_found"]
    stage.clock.advance(5)
    await told(stage, bank, first.attempt_id, "processing")
    its = await raised(stage)
    next_bank.send_back(last.attempt_id)
    with pytest.raises(ResolutionImpossible, match="decide about that one first, name bank-1"):
        await decided(stage, payments.Resolution.NOT_PAID)
    assert (await stage.payment()).sub_status == "completed"
    stage.clock.advance(timedelta(days=4))  # that proposal runs out
    await decided(stage, payments.Resolution.NOT_PAID, its=its, provider_reference="bank-1")
    await raised(stage)
    await decided(stage, payments.Resolution.NOT_PAID)
    assert (await stage.payment()).sub_status == "returned"


async def test_a_number_that_nobody_has_clears_nothing(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    """The number named is one that nobody has yet; the first try (no number known) is meant by the letter.

    The present one, which waits, is said to be paid and denied: it must not be cleared.
    """
    bank.manners, next_bank.manners = ["declines"], ["pays and says it never heard", "pays"]
    await sent(stage)
    _first, last = await tries(stage)
    stage.clock.advance(5)
    next_bank.words = ["nothing"]
    await told(stage, next_bank, last.attempt_id, "succeeded", account="second")
    next_bank.words = ["failed"]
    await stage.later(HOURS)
    assert "denied_after_success" in await cases(stage)
    await decided(stage, payments.Resolution.NOTED)
    its = await raised(stage)
    with pytest.raises(ResolutionImpossible, match="main-letter-4 is not the number of a try"):
        await decided(stage, payments.Resolution.NOT_PAID, its=its, provider_reference="main-letter-4")
    await stage.later(HOURS)
    moved = list(bank.moved)
    bank.moved[1:] = []
    assert len(moved) == 1, "paid twice"


async def test_a_proposal_about_the_only_doubted_try_clears_no_other_that_came_meanwhile(
    desk: Desk,
) -> None:
    """Proposed while only the first is asked about. A nameless notice about the second is news of its own."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    await desk.world.notice(fact(first, "processing"), mark="a")
    assert await questioned(desk.world) == [first]
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await propose(desk, its.case_id, R.NOT_PAID)
    await desk.world.notice(fact(next_one, "processing"), mark="b")
    assert await questioned(desk.world) == [first, next_one]
    with pytest.raises(staff.ContentChanged):
        await decide(desk, its.case_id)
    await decide(desk, its.case_id, REJECT)
    with pytest.raises(ResolutionImpossible, match="more than one try"):
        await resolve(desk, its.case_id, R.NOT_PAID)
    assert await questioned(desk.world) == [first, next_one]


async def test_people_end_the_question_about_the_earlier_try_of_a_cancelled_refund(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, NEVER_LEFT, said)
    said |= {first: just(State.NOT_FOUND), next_one: just(State.NOT_FOUND)}
    await cancel_refund(desk.pipes, desk.site_id, refund, desk.maker, reason="too long")
    await desk.world.notice(fact(first, "processing"), mark="a")
    assert await questioned(desk.world) == [first]
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await resolve(desk, its.case_id, R.NOT_PAID)
    assert await questioned(desk.world) == []
