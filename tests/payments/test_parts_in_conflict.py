"""What becomes of one part of a withdrawal counts, whatever another one is at: being sent, or in conflict."""

from typing import Any

import pytest

from app import payments, providers
from tests.payments.accounts import cases, decided, order_out, tries
from tests.payments.banks import PART, in_two_parts, parts, sent, told
from tests.payments.desk import kzt
from tests.payments.stage import Bank, Stage
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, State

MINUTES = 600


class Died(BaseException):
    """The process did."""


@pytest.fixture(autouse=True)
async def at_one_account(stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)


async def states(stage: Stage) -> list[str]:
    return [part.state for part in await parts(stage)]


async def the_first_in_conflict(stage: Stage, bank: Bank) -> None:
    """A tenge less than its sum was paid."""
    first = bank.payouts[0].reference
    bank.book[first].amount = kzt(PART - 1)
    bank.pay(bank.book[first])
    await told(stage, bank, first, "succeeded")
    assert (await stage.payment()).sub_status == "conflicted"
    assert await cases(stage) == ["amount_differs"]


async def the_conflict_is_ended(stage: Stage) -> None:
    async with stage.database.reading() as reader:
        [its] = [
            one
            for one in await payments.cases_of_site(reader, stage.site_id)
            if one.kind is payments.CaseKind.AMOUNT_DIFFERS
        ]
    await decided(stage, payments.Resolution.ACCEPTED, its=its, amount=kzt(PART - 1))


async def the_second_dies(stage: Stage, bank: Bank) -> None:
    """The process does, while the second part is being sent; the first is in conflict then."""

    async def dies(_: providers.PayoutOrder) -> None:
        if len(bank.payouts) == 2:
            raise Died

    bank.manners, bank.before = ["accepts"], dies
    await stage.withdraw()
    with pytest.raises(Died):
        await stage.work()
    bank.before = None
    await the_first_in_conflict(stage, bank)
    assert await states(stage) == ["conflicted", "submitted"]


@pytest.mark.parametrize("manner", ["accepts", "accepts silently"])
async def test_a_decline_of_one_part_counts_while_the_other_is_being_sent(
    stage: Stage, bank: Bank, manner: str
) -> None:
    bank.manners = [manner, "pays"]

    async def meanwhile(_: providers.PayoutOrder) -> None:
        if len(bank.payouts) == 2:
            first = bank.payouts[0].reference
            bank.book[first].state = State.FAILED
            await stage.store_notice(bank.fact(first, "failed"))
            [row] = await stage.rows("SELECT notice_id FROM notice")
            await payments.read_notice(stage.pipes, stage.site_id, row.notice_id)
            assert await states(stage) == ["declined", "submitted"]
            assert (await stage.payment()).sub_status == "submitted"

    bank.before = meanwhile
    await sent(stage)
    assert (await states(stage), await cases(stage)) == (["declined", "completed"], [])
    assert (await stage.payment()).sub_status == "completed"


async def test_a_conflict_can_be_ended_while_the_other_part_has_no_answer(stage: Stage, bank: Bank) -> None:
    await the_second_dies(stage, bank)
    await the_conflict_is_ended(stage)
    assert await states(stage) == ["completed", "submitted"]
    assert (await stage.payment()).sub_status == "partly_paid"
    await stage.later(MINUTES)
    assert (await stage.payment()).sub_status == "partly_paid"


async def test_also_by_saying_that_nothing_was_paid(stage: Stage, bank: Bank) -> None:
    await the_second_dies(stage, bank)
    bank.moved.clear()  # it was, as another letter says, no payment of ours
    await decided(stage, payments.Resolution.NOT_PAID)
    assert await states(stage) == ["declined", "submitted"]
    assert (await stage.payment()).sub_status == "submitted"


async def test_during_a_conflict_the_other_part_is_asked_about_until_it_is_over(
    stage: Stage, bank: Bank
) -> None:
    bank.manners = ["accepts"]
    await sent(stage)
    _, other = await tries(stage)
    await the_first_in_conflict(stage, bank)
    assert (await stage.payment()).ask_at is not None
    bank.pay(bank.book[other.attempt_id])  # and its notice is lost
    await stage.later(HOURS)
    assert await states(stage) == ["conflicted", "completed"]
    now = await stage.payment()
    assert (now.sub_status, now.ask_at) == ("conflicted", None)
    asked = len(bank.asked)
    await stage.later(HOURS)
    assert len(bank.asked) == asked
    await the_conflict_is_ended(stage)
    assert (await stage.payment()).sub_status == "completed"


async def test_a_conflict_about_the_only_part_that_is_open_asks_nobody(stage: Stage, bank: Bank) -> None:
    bank.manners = ["pays another amount", "declines"]
    await sent(stage)
    now = await stage.payment()
    assert (now.sub_status, now.ask_at) == ("conflicted", None)


async def test_a_lost_part_is_not_sent_again_beside_a_conflict(stage: Stage, bank: Bank) -> None:
    """Once people have ended that, it is."""
    await the_second_dies(stage, bank)
    for _ in range(3):
        await stage.later(MINUTES)
    assert len(bank.payouts) == 2
    now: Any = await stage.payment()
    assert (now.sub_status, now.reason) == ("conflicted", "another part of it is in conflict")
    await the_conflict_is_ended(stage)
    await stage.later(MINUTES)
    assert [order.reference for order in bank.payouts[1:]] == [bank.payouts[1].reference] * 2
    assert await states(stage) == ["completed", "provider_pending"]
    assert await cases(stage) == []
