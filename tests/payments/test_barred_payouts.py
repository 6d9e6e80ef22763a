"""A player who is blocked, or has a deposit that is disputed or denied, after a withdrawal was accepted."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from app import payments, players
from app.payments.payouts import WithdrawalsLocked
from tests.payments.casework import APPROVE, PROOF, R
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import AMOUNT, fact

Told = Callable[[str], Awaitable[None]]


@pytest.fixture
async def disputed(stage: Stage) -> Told:
    """Says a stage of a dispute about a deposit that the player made before."""
    await stage.ask(key="paid-in")
    reference = await stage.reference()
    await stage.notice(fact(reference, theirs="paid-in"))

    async def tell(word: str) -> None:
        told = {"number": "cb-1", "stage": word, "minor": AMOUNT.minor}
        await stage.notice(fact(reference, "unknown", dispute=told), mark=word)

    return tell


async def stand(stage: Stage, status: players.PlayerStatus) -> None:
    async with stage.database.transaction() as tx:
        await players.set_status(tx, stage.site_id, "aigerim", status)


async def test_it_waits_while_a_deposit_is_disputed(stage: Stage, bank: Bank, disputed: Told) -> None:
    await stage.fund()
    await stage.policy(needs_initiation=True)
    found = await stage.withdraw()
    await disputed("opened")
    await stage.initiate(found)
    await stage.work()
    waits = await stage.row(found.payment_id)
    assert (waits.sub_status, waits.reason_code, bank.payouts) == ("approved", "waits", [])
    assert waits.reason == "a deposit of the player is disputed"
    await stage.later(timedelta(minutes=5))  # still
    assert bank.payouts == []
    await disputed("won")
    await stage.later(timedelta(minutes=5))
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert len(bank.moved) == 1


@pytest.mark.parametrize("status", [players.PlayerStatus.BLOCKED, players.PlayerStatus.CLOSED])
async def test_it_waits_while_the_player_is_not_active(
    stage: Stage, bank: Bank, status: players.PlayerStatus
) -> None:
    await stage.fund()
    found = await stage.withdraw()
    await stand(stage, status)
    await stage.work()
    waits = await stage.row(found.payment_id)
    assert (waits.sub_status, waits.reason, bank.payouts) == ("approved", f"the player is {status}", [])
    await stand(stage, players.PlayerStatus.ACTIVE)
    await stage.later(timedelta(minutes=5))
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_an_order_that_was_lost_is_not_sent_again_meanwhile(
    stage: Stage, bank: Bank, disputed: Told
) -> None:
    await stage.fund()
    bank.manners, bank.words = ["loses the order", "pays"], ["nothing"]
    found = await stage.withdraw()
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "unknown"
    await disputed("opened")
    bank.words = ["truth"]
    await stage.later(timedelta(minutes=5))
    assert (len(bank.payouts), await stage.state(found.payment_id)) == (1, ("unknown", None))
    await disputed("won")
    await stage.later(timedelta(minutes=5))
    await stage.later(timedelta(minutes=5))  # the provider is asked what became of it
    assert (len(bank.payouts), await stage.state(found.payment_id)) == (2, ("completed", None))


async def test_the_merchant_cannot_pay_of_itself_either(stage: Stage, bank: Bank, disputed: Told) -> None:
    await stage.fund()
    earlier = await stage.withdraw(10_000)
    await stage.work()
    await stage.policy(allow_without_request=True)
    wish = {"external_id": "bonus-1", "customer_purse": "a******77", "amount": "20000"}
    await disputed("opened")
    with pytest.raises(WithdrawalsLocked):
        await stage.initiate(earlier, **wish)
    await disputed("won")
    await stand(stage, players.PlayerStatus.BLOCKED)
    with pytest.raises(WithdrawalsLocked):
        await stage.initiate(earlier, **wish)
    assert (await stage.held(), await stage.credited()) == (0, FUNDS + AMOUNT.minor - 10_000)
    await stand(stage, players.PlayerStatus.ACTIVE)
    await stage.initiate(earlier, **wish)
    await stage.work()
    assert [order.amount.minor for order in bank.payouts] == [10_000, 20_000]


async def test_it_waits_while_nobody_has_looked_at_a_deposit_that_was_denied(
    stage: Stage, bank: Bank
) -> None:
    await stage.ask(key="paid-in")
    reference, deposit = await stage.reference(), await stage.payment()
    await stage.notice(fact(reference, theirs="paid-in"))
    await stage.fund()
    found = await stage.withdraw()
    other = await stage.session("daniyar")
    await stage.fund(login="daniyar")
    free = await stage.withdraw(session=other)
    bank.words = ["failed", "truth"]
    await stage.notice(fact(reference, "failed", theirs="paid-in"))
    assert (await stage.state(deposit.payment_id))[0] == "reversed"
    await stage.work()
    waits = await stage.row(found.payment_id)
    assert (waits.sub_status, waits.reason_code) == ("approved", "waits")
    assert waits.reason == "the provider denies a deposit of the player, and nobody has closed the case"
    assert (await stage.state(free.payment_id))[0] == "completed"
    await stage.later(timedelta(minutes=5))  # still
    assert len(bank.payouts) == 1
    maker, checker = await stage.operator("maker"), await stage.operator("checker")
    async with stage.database.reading() as reader:
        [its] = await payments.cases_of_site(reader, stage.site_id)
    proposal = payments.Proposal(R.NOTED, "the bank's letter of today", PROOF)
    await payments.propose_resolution(stage.pipes, stage.site_id, its.case_id, maker, proposal)
    await payments.decide_case(stage.pipes, stage.site_id, its.case_id, checker, APPROVE)
    await stage.later(timedelta(minutes=5))
    assert (await stage.state(found.payment_id))[0] == "completed"
