"""A doubt about one part of a withdrawal, or of what goes back of a deposit, keeps no other part back."""

from datetime import timedelta

import pytest

from app import providers
from tests.payments.accounts import order_out, tries
from tests.payments.banks import in_two_parts, parts, sent
from tests.payments.desk import Desk, kzt
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT, NEVER_LEFT, UNKNOWN, State, just, paid

SOON = timedelta(minutes=10)


def silent_about(bank: Bank, monkeypatch: pytest.MonkeyPatch, *references: str) -> None:
    """The bank does not answer about these orders, whatever it says of others."""
    honest = bank._said

    def said(reference: str) -> providers.Result:
        return UNKNOWN if reference in references else honest(reference)

    monkeypatch.setattr(bank, "_said", said)


async def test_a_part_is_sent_while_nothing_is_known_of_the_other(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of both it seemed that nothing left us; of the second alone the bank says so."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "never hears", "pays"]
    await sent(stage)
    one, two = await tries(stage)
    with monkeypatch.context() as patched:
        silent_about(bank, patched, one.attempt_id)
        for _ in range(3):
            await stage.later(SOON)
        assert [part.state for part in await parts(stage)] == ["planned", "completed"]
        assert [each.leg for each in await tries(stage)] == [one.leg, two.leg, two.leg]
    await stage.later(timedelta(hours=6))
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]
    assert (await stage.payment()).sub_status == "completed"


async def test_the_part_that_nobody_answers_about_is_not_sent(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was paid, whatever our side of the wire saw."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["pays and says it never heard", "never hears", "pays"]
    await sent(stage)
    one, _ = await tries(stage)
    with monkeypatch.context() as patched:
        silent_about(bank, patched, one.attempt_id)
        for _ in range(4):
            await stage.later(timedelta(hours=6))
    await stage.later(timedelta(hours=6))
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]
    assert len(bank.moved) == 2


async def test_what_goes_back_in_two_refunds_goes_back_by_itself_and_never_more_than_came(desk: Desk) -> None:
    """Nobody answers about the first refund; the second goes, and the first still has its own sum."""
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    first = (await desk.sent(deposit, 100_000)).payment_id
    desk.provider.answers = [paid("back-2", kzt(50_000))]
    desk.provider.statuses = [paid("back-2", kzt(50_000))]
    second = (await desk.sent(deposit, 50_000)).payment_id
    assert (await desk.found(second)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 100_000, 50_000, 0)
    desk.provider.statuses = [UNKNOWN]
    desk.world.clock.advance(600)
    await desk.carry_on(first)
    assert len(desk.provider.refunds) == 2
    desk.provider.answers, desk.provider.statuses = [paid("back-1", kzt(100_000))], [just(State.NOT_FOUND)]
    await desk.carry_on(first)
    desk.provider.statuses = [paid("back-1", kzt(100_000))]
    await desk.carry_on(first)
    assert await desk.figures(deposit) == (150_000, 0, 150_000, 0)
    assert len(desk.provider.refunds) == 3
