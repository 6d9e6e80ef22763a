"""A doubt about one part of a withdrawal, or of what goes back of a deposit, keeps no other part back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app import merchants, providers
from app.kernel.money import Money
from app.payments.requests import LegPlan
from tests.payments.accounts import SECOND, cases, decided, order_out, tries
from tests.payments.banks import PART, in_two_parts, parts, sent, sent_in_two_parts, told
from tests.payments.casework import R
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
    one, two = await sent_in_two_parts(stage, bank, monkeypatch, "never hears", "never hears", "pays")
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
    one, _ = await sent_in_two_parts(
        stage, bank, monkeypatch, "pays and says it never heard", "never hears", "pays"
    )
    with monkeypatch.context() as patched:
        silent_about(bank, patched, one.attempt_id)
        for _ in range(4):
            await stage.later(timedelta(hours=6))
    await stage.later(timedelta(hours=6))
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]
    assert len(bank.moved) == 2


async def test_a_part_whose_question_ends_while_it_is_looked_at_goes_when_there_is_money_for_it(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account holds what the second part needs. The first is asked about: silence at first, then a no."""
    one, two = await sent_in_two_parts(stage, bank, monkeypatch, "never hears", "never hears", "pays")
    holds = (await parts(stage))[1].amount_minor
    honest, words = bank._said, [UNKNOWN]

    def said(reference: str) -> providers.Result:
        if reference != one.attempt_id:
            return honest(reference)
        return words.pop() if words else providers.Result(State.FAILED, error=bank.no)

    async def balance(*_: object) -> Money:
        return kzt(holds)

    monkeypatch.setattr(bank, "_said", said)
    monkeypatch.setattr(bank, "balance", balance)
    await stage.store_notice(bank.fact(one.attempt_id, "processing"))
    await stage.work()
    for _ in range(3):
        await stage.later(SOON)
    assert [each.leg for each in await tries(stage)] == [one.leg, two.leg, two.leg]
    assert [part.state for part in await parts(stage)] == ["planned", "completed"]
    assert (await stage.payment()).reason.startswith(f"the provider account {ACCOUNT} holds ")
    holds = PART
    await stage.later(SOON)
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]


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


async def test_a_part_whose_account_is_well_does_not_wait_for_one_that_cannot_be_asked(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        return [
            replace(
                leg,
                account=account,
                amount=Money(part, "KZT"),
                destination={"wallet": name},
                masked=f"*{name}",
                fingerprint=name,
                instrument_id=None,
            )
            for part, name, account in (
                (PART, "one", ACCOUNT),
                (leg.amount.minor - PART, "two", SECOND),
            )
        ]

    monkeypatch.setattr("app.payments.payouts.looped", split)
    async with stage.database.transaction() as tx:  # each stays where it is
        await merchants.set_most_attempts(tx, stage.site_id, 1, at=stage.clock.now())
    await stage.policy(closed_loop=True)
    bank.manners, next_bank.manners = ["never hears"], ["never hears", "pays"]
    bank.words = ["nothing"]  # down for days
    found = await sent(stage)
    for _ in range(5):
        await stage.later(timedelta(days=1))
    assert [part.state for part in await parts(stage)] == ["planned", "completed"]
    [one] = [its.attempt_id for its in await tries(stage) if its.leg == 1]
    now = await stage.row(found.payment_id)
    assert (now.reason_code, now.reason) == ("waits", f"main does not say that nothing came of {one}")


async def test_a_part_is_sent_while_people_decide_about_the_other(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first, which seemed not to leave us, the bank has said that it was paid, and says no more."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["never hears", "never hears", "pays"], ["nothing"]
    found = await sent(stage)
    one, _ = await tries(stage)
    stage.clock.advance(5)
    await told(stage, bank, one.attempt_id, "succeeded")
    bank.words = ["truth"]
    silent = bank._said

    def said(reference: str) -> providers.Result:
        return providers.Result(State.FAILED) if reference == one.attempt_id else silent(reference)

    monkeypatch.setattr(bank, "_said", said)
    await stage.later(timedelta(hours=6))
    await stage.later(timedelta(hours=6))
    assert [part.state for part in await parts(stage)] == ["planned", "completed"]
    assert await cases(stage) == ["denied_after_success"]
    assert (await stage.row(found.payment_id)).reason == "main said before that it was paid"
    await decided(stage, R.NOT_PAID)
    await stage.work()
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]
    assert (await stage.row(found.payment_id)).reason == ""


async def test_a_refund_that_waits_for_an_answer_says_so(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    refund = (await desk.sent(deposit, 100_000)).payment_id
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    [one] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=refund)
    why = (await desk.found(refund)).waits_because
    assert why == f"main does not say that nothing came of {one.attempt_id}"
