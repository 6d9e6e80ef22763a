"""A question about what is over stays open, whatever becomes of the rest of its payment meanwhile."""

from datetime import timedelta

import pytest

from app import payments, providers
from app.payments import sweeps
from tests.payments.accounts import (
    SECOND,
    THIRD,
    cases,
    decided,
    listed,
    through_both_accounts,
    tries,
)
from tests.payments.banks import in_two_parts, parts, sent, sent_in_two_parts, told
from tests.payments.questions import work
from tests.payments.stage import Bank, Stage
from tests.payments.world import AMOUNT, REFUSED, UNKNOWN, Provider, World, fact, just, paid

State = providers.State
HOURS = timedelta(hours=7)


async def states(stage: Stage) -> list[str]:
    return [part.state for part in await parts(stage)]


async def later(stage: Stage, times: int = 3) -> None:
    for _ in range(times):
        await stage.later(HOURS)


async def test_a_part_that_is_sent_leaves_the_question_about_a_paid_one(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part is paid, the other waits; the bank says that the first came back, and then nothing."""
    one, *_ = await sent_in_two_parts(stage, bank, monkeypatch, "pays", "never hears", "pays")
    bank.send_back(one.attempt_id)
    said = bank._said
    with monkeypatch.context() as patched:
        patched.setattr(bank, "_said", lambda of: UNKNOWN if of == one.attempt_id else said(of))
        await told(stage, bank, one.attempt_id, "returned")
        await stage.later(timedelta(minutes=10))
    await later(stage, 5)
    assert await states(stage) == ["returned", "completed"]


async def test_a_part_that_is_sent_leaves_the_question_about_a_declined_one(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part is declined, the other waits; by notice the bank says that it paid the first after all."""
    one, *_ = await sent_in_two_parts(stage, bank, monkeypatch, "declines", "never hears", "pays")
    bank.pay(bank.book[one.attempt_id])
    await told(stage, bank, one.attempt_id, "succeeded")
    await later(stage, 5)
    assert await states(stage) == ["completed", "completed"]


async def test_a_question_that_was_answered_once_is_open_again(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came back, says a notice, and its bank: no. Then it does come back, and nobody answers."""
    await in_two_parts(stage, monkeypatch)
    bank.manners, next_bank.manners = ["pays", "declines"], ["accepts"]
    found = await sent(stage)
    one, _, other = await tries(stage)
    await told(stage, bank, one.attempt_id, "returned")
    assert await stage.state(found.payment_id) == ("partly_paid", None)
    stage.clock.advance(5)
    bank.send_back(one.attempt_id)
    bank.words = ["nothing"]
    await told(stage, bank, one.attempt_id, "returned")
    stage.clock.advance(5)
    next_bank.pay(next_bank.book[other.attempt_id])
    await told(stage, next_bank, other.attempt_id, "succeeded", SECOND)
    bank.words = ["truth"]
    await later(stage)
    assert await states(stage) == ["returned", "completed"]


@pytest.mark.parametrize("how", ["told", "asked"])
async def test_the_end_of_the_present_try_leaves_the_question_about_an_earlier_one(
    stage: Stage, bank: Bank, next_bank: Bank, how: str
) -> None:
    """The first, declined, is under way again, says its notice, and nothing when asked; the second pays."""
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, next_one = await tries(stage)
    bank.book[first.attempt_id].state = State.PROCESSING
    bank.words = ["nothing"]
    await told(stage, bank, first.attempt_id, "processing")
    stage.clock.advance(5)
    next_bank.pay(next_bank.book[next_one.attempt_id])
    if how == "told":
        await told(stage, next_bank, next_one.attempt_id, "succeeded", SECOND)
    else:
        await stage.later(timedelta(minutes=10))
    bank.words = ["truth"]
    bank.pay(bank.book[first.attempt_id])
    await later(stage)
    assert await cases(stage) == ["second_payment"]
    bank.moved[:] = [(next_one.attempt_id, AMOUNT)]  # what both paid is a person's now


@pytest.mark.parametrize("how", ["told", "asked"])
async def test_the_same_of_a_deposit(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    other = listed(monkeypatch, SECOND)
    listed(monkeypatch, THIRD)
    await through_both_accounts(world)
    provider.answers = provider.statuses = [REFUSED]
    other.answers = other.statuses = [just(State.PROCESSING)]
    await world.ask()
    first, next_one = await tries(world)
    provider.statuses = [UNKNOWN]
    await world.notice(fact(first.attempt_id, "processing"), mark="a")
    world.clock.advance(5)
    other.statuses = [paid("theirs-2")]
    if how == "told":
        await world.notice(fact(next_one.attempt_id, theirs="theirs-2"), mark="b", account=SECOND)
    else:
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
    assert (await world.payment()).sub_status == "completed"
    provider.statuses = [paid("theirs-1")]
    for _ in range(3):
        world.clock.advance(HOURS)
        await payments.sweep_due(world.pipes)
        await work(world, sweeps.ASK)
    assert await cases(world) == ["second_payment"]


async def test_a_declined_part_that_was_paid_late_does_not_keep_the_other_from_being_asked(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People have closed its case: nobody has a question about it any more."""
    one, other = await sent_in_two_parts(stage, bank, monkeypatch, "declines", "accepts")
    bank.pay(bank.book[one.attempt_id])
    await told(stage, bank, one.attempt_id, "succeeded")
    stage.clock.advance(5)
    await decided(stage, payments.Resolution.NOTED)
    bank.pay(bank.book[other.attempt_id])
    await later(stage, 1)
    assert await states(stage) == ["completed", "completed"]
