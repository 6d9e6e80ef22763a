"""A question about one try of a withdrawal stays open until that try's own provider has answered it."""

from datetime import timedelta

import pytest

from app import providers
from app.plumbing.http import HttpClient
from tests.payments.accounts import SECOND, cases, tries
from tests.payments.banks import PART, another_bank, in_two_parts, parts, sent, through_both_banks, told
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT

State = providers.State


@pytest.fixture
def second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.fixture(autouse=True)
async def through_both(stage: Stage, second: Bank) -> None:
    await through_both_banks(stage)


async def open_question(stage: Stage, payment_id: str) -> bool:
    return (await stage.row(payment_id)).ask_at is not None


async def test_the_repeated_paid_of_one_try_leaves_the_question_about_a_silent_other(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """The second has paid; then the first says by notice that its own is under way, and no more."""
    bank.manners = ["declines"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.words = ["nothing"]
    await told(stage, bank, first.attempt_id, "processing")
    assert await stage.state(found.payment_id) == ("completed", "unconfirmed")
    for _ in range(3):
        await told(stage, second, next_one.attempt_id, "succeeded", SECOND)
        await stage.later(timedelta(hours=7))
        assert await stage.state(found.payment_id) == ("completed", "unconfirmed")
    bank.words = ["truth"]
    bank.pay(bank.book[first.attempt_id])
    await stage.later(timedelta(hours=7))
    assert await cases(stage) == ["second_payment"]
    bank.moved[:] = [(next_one.attempt_id, AMOUNT)]  # what both paid is a person's now


@pytest.mark.parametrize("word", ["unknown", "processing", "not_found"])
async def test_the_repeated_paid_of_one_part_leaves_the_question_about_another(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """Both are paid. One came back, says a notice; asked, its provider says nothing that decides it."""
    await in_two_parts(stage, monkeypatch)
    bank.manners, second.manners = ["pays", "declines"], ["pays"]
    found = await sent(stage)
    assert [part.account for part in await parts(stage)] == [ACCOUNT, SECOND]
    one, *_ = await tries(stage)
    bank.send_back(one.attempt_id)
    status = bank.status

    async def vague(http: HttpClient, account: providers.ProviderAccount, reference: str) -> providers.Result:
        said = await status(http, account, reference)
        return providers.Result(State(word)) if reference == one.attempt_id else said

    with monkeypatch.context() as patched:
        patched.setattr(bank, "status", vague)
        await told(stage, bank, one.attempt_id, "returned")
        for _ in range(3):
            assert await stage.state(found.payment_id) == ("completed", "unconfirmed")
            await stage.later(timedelta(hours=7))
    await stage.later(timedelta(hours=7))
    assert [part.state for part in await parts(stage)] == ["returned", "completed"]
    assert await stage.credited() == FUNDS - AMOUNT.minor + PART


@pytest.mark.parametrize("is_paid", [True, False])
async def test_the_late_success_of_one_try_leaves_the_question_about_a_silent_other(
    stage: Stage, bank: Bank, second: Bank, is_paid: bool
) -> None:
    """Both declined, both paid. The second said so, and is silent when it is asked; the first answers."""
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    if is_paid:
        second.pay(second.book[next_one.attempt_id])
    second.words = ["nothing"]
    await told(stage, second, next_one.attempt_id, "succeeded", SECOND)
    assert await stage.state(found.payment_id) == ("completed", "paid_after_release")
    assert (await stage.leg(found.payment_id)).account == ACCOUNT
    assert await open_question(stage, found.payment_id)
    second.words = ["truth"]
    await stage.later(timedelta(hours=7))
    both = ["paid_after_release", "second_payment"]
    assert await cases(stage) == (both if is_paid else both[:1])
    await stage.later(timedelta(hours=7))
    assert not await open_question(stage, found.payment_id), "both have answered"
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.moved[:] = [(first.attempt_id, AMOUNT)]


@pytest.mark.parametrize("is_notice", [True, False])
async def test_the_end_of_the_last_part_leaves_the_question_about_one_that_was_paid(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch, is_notice: bool
) -> None:
    """One part is paid and came back, says a notice; its provider is silent while the other part ends."""
    await in_two_parts(stage, monkeypatch)
    bank.manners, second.manners = ["pays", "declines"], ["accepts"]
    found = await sent(stage)
    assert (await stage.state(found.payment_id))[0] == "partly_paid"
    one, _, other = await tries(stage)
    bank.send_back(one.attempt_id)
    bank.words = ["nothing"]
    await told(stage, bank, one.attempt_id, "returned")
    second.pay(second.book[other.attempt_id])
    if is_notice:
        await told(stage, second, other.attempt_id, "succeeded", SECOND)
    else:
        await stage.later(timedelta(minutes=10))
    assert await stage.state(found.payment_id) == ("completed", "unconfirmed")
    bank.words = ["truth"]
    await stage.later(timedelta(hours=7))
    assert [part.state for part in await parts(stage)] == ["returned", "completed"]
    assert await stage.credited() == FUNDS - AMOUNT.minor + PART


async def test_a_declined_last_try_is_asked_about_while_an_earlier_one_is_open_again(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """Both declined; the first is at it again. What the second pays after its no, it tells nobody."""
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.book[first.attempt_id].state = State.PROCESSING
    await told(stage, bank, first.attempt_id, "processing")
    assert (await stage.state(found.payment_id))[0] == "unknown"
    second.pay(second.book[next_one.attempt_id])
    await stage.later(timedelta(minutes=10))
    assert await cases(stage) == ["second_payment"]
    assert await stage.held() == AMOUNT.minor
    second.moved.clear()
    bank.pay(bank.book[first.attempt_id])
    await stage.later(timedelta(minutes=40))
    assert (await stage.row(found.payment_id)).sub_status == "completed"
    assert await stage.credited() == FUNDS - AMOUNT.minor
