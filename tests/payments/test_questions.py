"""A question is about one try: no case closes it, and nothing that is decided or heard about another try."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app import payments, providers
from app.kernel.money import Money
from app.payments.queries import Attempt
from app.payments.tables import legs
from app.payments.tables import payments as table
from tests.payments.accounts import SECOND, cases, decided, raised, tries
from tests.payments.banks import PART, in_two_parts, parts, sent, sent_in_two_parts, told
from tests.payments.casework import R, only, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import questioned
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_reversals import denied, say
from tests.payments.world import AMOUNT, UNKNOWN, State, fact, just, paid

HOURS = timedelta(hours=7)
REST = AMOUNT.minor - PART


async def one_back_in_silence(stage: Stage, bank: Bank, next_bank: Bank) -> tuple[str, str]:
    """One part is paid, one under way. By notice the first came back; when it is asked its bank is silent."""
    bank.manners, next_bank.manners = ["pays", "declines"], ["accepts"]
    await sent(stage)
    one, _, other = await tries(stage)
    stage.clock.advance(5)
    bank.send_back(one.attempt_id)
    bank.words = ["nothing"]
    await told(stage, bank, one.attempt_id, "returned")
    stage.clock.advance(5)
    return one.attempt_id, other.attempt_id


async def answered(stage: Stage, bank: Bank) -> list[str]:
    """What has become of the parts once the bank speaks."""
    bank.words = ["truth"]
    for _ in range(3):
        await stage.later(HOURS)
    assert not await questioned(stage)
    return [part.state for part in await parts(stage)]


@pytest.mark.parametrize("is_resolved", [True, False])
async def test_a_graver_reason_hides_the_question_and_does_not_end_it(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch, *, is_resolved: bool
) -> None:
    await in_two_parts(stage, monkeypatch)
    one, other = await one_back_in_silence(stage, bank, next_bank)
    await raised(stage)
    if is_resolved:
        await decided(stage, payments.Resolution.NOTED)
        assert (await stage.payment()).attention == "unconfirmed", "it shows again"
    stage.clock.advance(5)
    next_bank.pay(next_bank.book[other])
    await told(stage, next_bank, other, "succeeded", SECOND)
    assert await questioned(stage) == [one]
    assert await answered(stage, bank) == ["returned", "completed"]
    assert await stage.credited() == FUNDS - REST


async def test_what_people_decide_about_one_part_leaves_the_question_about_another(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    one, other = await one_back_in_silence(stage, bank, next_bank)
    next_bank.book[other].amount = Money(REST - 1, "KZT")
    next_bank.pay(next_bank.book[other])
    await told(stage, next_bank, other, "succeeded", SECOND)
    assert await cases(stage) == ["amount_differs"]
    await decided(stage, payments.Resolution.ACCEPTED, amount=Money(REST - 1, "KZT"))
    assert await questioned(stage) == [one]
    assert await answered(stage, bank) == ["returned", "completed"]


async def test_what_people_decide_about_a_try_ends_its_own_question(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bank tells its story again and again: two people had the proof."""
    await in_two_parts(stage, monkeypatch)
    one, other = await one_back_in_silence(stage, bank, next_bank)
    next_bank.pay(next_bank.book[other])
    await told(stage, next_bank, other, "succeeded", SECOND)
    await raised(stage)
    await decided(stage, payments.Resolution.NOT_PAID, leg=1)
    assert not await questioned(stage)
    now = await stage.payment()
    assert (now.attention, now.ask_at) == (None, None)
    assert [part.state for part in await parts(stage)] == ["returned", "completed"]
    assert one not in await questioned(stage)


async def test_a_part_that_is_said_to_be_paid_again_is_asked_about_until_people_have_accepted_it(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    bank.manners = ["pays", "pays"]
    await sent(stage)
    one, other = await tries(stage)
    bank.send_back(one.attempt_id)
    await told(stage, bank, one.attempt_id, "returned")
    assert [part.state for part in await parts(stage)] == ["returned", "completed"]
    stage.clock.advance(5)
    bank.words = ["nothing"]
    await told(stage, bank, one.attempt_id, "succeeded")
    assert await questioned(stage) == [one.attempt_id]
    await raised(stage)
    await decided(stage, payments.Resolution.ACCEPTED, leg=1, amount=Money(PART - 1, "KZT"))
    assert not await questioned(stage)
    now = await stage.payment()
    assert (now.sub_status, now.attention, now.ask_at) == ("completed", None, None)
    bank.moved[:] = [(one.attempt_id, Money(PART - 1, "KZT")), (other.attempt_id, Money(REST, "KZT"))]


async def test_a_notice_about_another_sum_calls_people_and_ends_no_question(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    one, other = await one_back_in_silence(stage, bank, next_bank)
    odd = bank.fact(one, "succeeded", minor=PART - 1)
    await stage.store_notice(odd, mark="odd")
    await stage.work()
    assert await cases(stage) == ["amount_differs"]
    assert await questioned(stage) == [one]
    next_bank.pay(next_bank.book[other])
    await told(stage, next_bank, other, "succeeded", SECOND)
    assert await answered(stage, bank) == ["returned", "completed"]


async def test_a_conflict_about_a_part_of_what_was_told_as_paid_keeps_its_question(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part is paid, one was declined, and paid after all with another sum: so its bank, by two ways."""
    _, other = await sent_in_two_parts(stage, bank, monkeypatch, "pays", "declines")
    bank.book[other.attempt_id].amount = Money(REST - 1, "KZT")
    bank.pay(bank.book[other.attempt_id])
    await told(stage, bank, other.attempt_id, "succeeded")
    assert [part.state for part in await parts(stage)] == ["completed", "conflicted"]
    stage.clock.advance(5)
    bank.words = ["nothing"]
    await told(stage, bank, other.attempt_id, "failed")
    assert await questioned(stage) == [other.attempt_id]
    bank.words = ["truth"]
    await stage.later(HOURS)
    assert await questioned(stage) == [], "the conflict is people's"


@pytest.mark.parametrize("resolution", [R.PAID, R.ACCEPTED])
async def test_a_deposit_that_people_let_count_again_is_asked_about_no_more(
    desk: Desk, resolution: R
) -> None:
    deposit = await denied(desk)
    desk.provider.statuses = [UNKNOWN]
    await say(desk, deposit)
    await say(desk, deposit, "succeeded")
    assert (await desk.found(deposit)).is_questioned
    its = await only(desk)
    await resolve(desk, its.case_id, resolution, amount=AMOUNT if resolution is R.ACCEPTED else None)
    found = await desk.found(deposit)
    assert (found.sub_status.value, found.is_questioned, found.ask_at) == ("completed", False, None)
    assert not await desk.world.rows("SELECT 1 FROM attempt WHERE is_questioned")


async def test_the_end_of_a_refund_leaves_the_question_about_its_first_try(desk: Desk) -> None:
    """It seemed not to have left. A notice says that it is under way, its bank nothing; the other ends."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, just(State.PROCESSING), said)
    said |= {first: just(State.UNKNOWN), next_one: just(State.PROCESSING)}
    await desk.world.notice(fact(first, "processing"), mark="a")
    desk.world.clock.advance(5)
    said[next_one] = paid("back-2", kzt(BACK))
    await desk.world.notice(fact(next_one, theirs="back-2", minor=BACK), mark="b")
    found = await desk.found(refund)
    assert (found.sub_status.value, found.is_questioned) == ("completed", True)
    said[first] = paid("back-1", kzt(BACK))
    desk.world.clock.advance(60)
    await desk.carry_on(refund)
    assert await cases(desk.world) == ["second_payment"]
    assert not (await desk.found(refund)).is_questioned


async def test_a_try_under_way_counts_although_its_part_names_an_earlier_one(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """A worker of an older release has sent it."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, _ = await tries(stage)
    async with stage.database.transaction() as tx:
        await tx.execute(update(legs).values(present_attempt=first.attempt_id))
    await told(stage, bank, first.attempt_id, "failed")
    assert await stage.held() == AMOUNT.minor, "the second may still be paid"


async def test_the_same_of_a_refund(desk: Desk) -> None:
    _, refund, first, _ = await tried(desk, just(State.PROCESSING), {})
    async with desk.world.database.transaction() as tx:
        its = table.c.payment_id == refund
        await tx.execute(update(table).where(its).values(present_attempt=first))
    await desk.world.notice(fact(first, "failed"), mark="a")
    assert (await desk.found(refund)).sub_status.value == "provider_pending"


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (State.UNKNOWN, "unknown (asked about until it answers)"),
        (State.FAILED, "failed (asked about until it answers)"),
    ],
)
def test_it_is_told_with_what_became_of_the_try(state: State, wanted: str) -> None:
    asked = Attempt("att_1", "wdr_1", "main", 1, is_over=True, state=state, is_questioned=True)
    assert asked.outcome == wanted
