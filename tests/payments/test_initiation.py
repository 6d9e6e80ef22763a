"""The merchant says "pay": what it must match, what a repeat is, and what is refused with the field named."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app import ledger, payments
from app.kernel import signing
from app.payments import initiation
from app.plumbing import switches, web
from tests.payments.accounts import switch_off, switch_on
from tests.payments.banks import sent
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT


@pytest.fixture(autouse=True)
async def waits_for_the_merchant(stage: Stage) -> None:
    await stage.policy(needs_initiation=True)
    await stage.fund()


async def test_what_is_approved_waits_for_the_merchant(stage: Stage, bank: Bank) -> None:
    found = await stage.withdraw()
    await stage.work()
    assert found.sub_status == "approved"
    assert bank.payouts == []
    done = await stage.initiate(found)
    assert (done.payment.number, done.replayed) == (found.number, False)
    assert len(done.order_id) == 30
    assert done.order_id.isdigit()
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_a_repeat_is_a_replay_whatever_has_become_of_it(stage: Stage, bank: Bank) -> None:
    found = await stage.withdraw()
    first = await stage.initiate(found)
    again = await stage.initiate(found)
    await stage.work()
    later = await stage.initiate(found)
    assert {first.order_id, again.order_id, later.order_id} == {first.order_id}
    assert [one.replayed for one in (first, again, later)] == [False, True, True]
    await stage.work()
    assert len(bank.payouts) == 1


async def test_twenty_at_once_are_one(stage: Stage, bank: Bank) -> None:
    found = await stage.withdraw()
    done = await asyncio.gather(*(stage.initiate(found) for _ in range(20)))
    assert len({one.order_id for one in done}) == 1
    assert sum(not one.replayed for one in done) == 1
    await stage.work()
    assert len(bank.payouts) == len(bank.moved) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "149999"}, "amount"),
        ({"amount": "150001"}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"site_login": "bolat"}, "site_login"),
    ],
)
async def test_what_differs_is_named_and_nothing_is_sent(
    stage: Stage, bank: Bank, change: dict[str, str], field: str
) -> None:
    await stage.session("bolat")
    found = await stage.withdraw()
    with pytest.raises(initiation.InitiationMismatch, match=f"^{field} is not that") as said:
        await stage.initiate(found, **change)
    assert said.value.param == field
    await stage.work()
    assert bank.payouts == []
    # Also after it was initiated rightly: a repeat with other content is no replay.
    await stage.initiate(found)
    with pytest.raises(initiation.InitiationMismatch):
        await stage.initiate(found, **change)


async def test_what_nobody_asked_for_is_unknown(stage: Stage) -> None:
    found = await stage.withdraw()
    with pytest.raises(initiation.WithdrawalUnknown, match="nobodys"):
        await stage.initiate(found, external_id="nobodys")
    assert web.status_of(initiation.WithdrawalUnknown) == 404


async def test_what_was_cancelled_or_rejected_is_not_paid(stage: Stage, bank: Bank) -> None:
    session = await stage.session()
    cancelled = await stage.withdraw(session=session)
    await payments.cancel(stage.pipes, stage.site_id, cancelled.payment_id, session.player.player_id)
    with pytest.raises(initiation.WithdrawalOver, match="cancelled, by_player"):
        await stage.initiate(cancelled)
    await stage.policy(needs_initiation=True, auto_below=None)
    rejected = await stage.withdraw(session=session)
    await stage.initiate(rejected)
    anna = await stage.operator("anna")
    await payments.reject(
        stage.pipes, stage.site_id, rejected.payment_id, anna, payments.Refusing("no documents")
    )
    with pytest.raises(initiation.WithdrawalOver, match="cancelled, rejected"):
        await stage.initiate(rejected)
    await stage.work()
    assert bank.payouts == []


async def test_the_first_word_about_what_has_failed_comes_too_late(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=False)
    bank.manners = ["declines"]
    declined = await stage.withdraw()
    await stage.work()
    with pytest.raises(initiation.WithdrawalOver, match="failed, declined"):
        await stage.initiate(declined)
    bank.manners = ["pays"]
    returned = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(returned.payment_id)
    bank.send_back(reference)
    await stage.notice(bank.fact(reference, "returned"))
    with pytest.raises(initiation.WithdrawalOver, match="refunded, returned"):
        await stage.initiate(returned)
    for found in (declined, returned):
        assert (await stage.row(found.payment_id)).initiated_at is None


async def test_a_repeat_about_what_has_failed_is_a_replay(stage: Stage, bank: Bank) -> None:
    bank.manners = ["declines"]
    found = await stage.withdraw()
    first = await stage.initiate(found)
    await stage.work()
    again = await stage.initiate(found)
    assert (again.order_id, again.replayed, again.payment.status) == (first.order_id, True, "failed")


async def test_while_withdrawals_are_stopped_nothing_new_is_initiated(stage: Stage, bank: Bank) -> None:
    before, found = await stage.withdraw(10_000), await stage.withdraw(10_000)
    taken = await stage.initiate(before)
    await _switch(stage, stopped=True)
    with pytest.raises(initiation.PayoutsNotAccepted):
        await stage.initiate(found)
    assert web.status_of(initiation.PayoutsNotAccepted) == 503
    assert (await stage.row(found.payment_id)).initiated_at is None
    assert (await stage.initiate(before)).order_id == taken.order_id, "a repeat is answered"
    await stage.work()
    assert bank.payouts == []
    await _switch(stage, stopped=False)
    await stage.initiate(found)
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"


async def _switch(stage: Stage, *, stopped: bool) -> None:
    async with stage.database.transaction() as tx:
        await switches.set_switch(
            tx,
            stage.site_id,
            payments.PAYOUTS,
            stopped=stopped,
            reason="drill",
            by="machine:test",
            at=stage.clock.now(),
        )


async def test_initiated_before_people_have_decided_it_goes_when_they_have(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=True, auto_below=None)
    found = await stage.withdraw()
    await stage.initiate(found)
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "under_review"
    assert (await stage.row(found.payment_id)).expires_at is not None
    anna = await stage.operator("anna")
    await payments.approve(stage.pipes, stage.site_id, found.payment_id, anna)
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert len(bank.payouts) == 1


async def test_initiated_while_it_cools_it_keeps_cooling(stage: Stage) -> None:
    await stage.policy(needs_initiation=True, cooling_seconds=600)
    found = await stage.withdraw()
    await stage.initiate(found)
    await stage.later(599)
    assert (await stage.state(found.payment_id))[0] == "cooling"
    await stage.later(1)
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_the_merchant_pays_of_itself_where_the_policy_says_so(stage: Stage, bank: Bank) -> None:
    earlier = await stage.withdraw(10_000)
    await stage.policy(needs_initiation=True, allow_without_request=True)
    wish: dict[str, Any] = {"external_id": "bonus-1", "customer_purse": "a******77", "amount": "150000"}
    done = await stage.initiate(earlier, **wish)
    again = await stage.initiate(earlier, **wish)
    assert (again.order_id, again.replayed) == (done.order_id, True)
    assert done.payment.external_id == "bonus-1"
    await stage.work()
    assert (await stage.state(done.payment.payment_id))[0] == "completed"
    assert len(stage.merchant.asked) == 1, "it is not asked about what it initiates itself"
    assert [order.amount for order in bank.payouts] == [AMOUNT]
    assert await stage.credited() == FUNDS - 10_000 - AMOUNT.minor
    with pytest.raises(initiation.PurseUnknown):
        await stage.initiate(earlier, **wish | {"external_id": "bonus-2", "customer_purse": "x"})
    with pytest.raises(ledger.InsufficientFunds):
        await stage.initiate(earlier, **wish | {"external_id": "bonus-3", "amount": "99000000"})


async def test_what_is_never_initiated_ends_and_is_given_back(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=True, approval_hours=24)
    found = await stage.withdraw()
    await stage.later(timedelta(hours=24) - timedelta(seconds=1))
    assert (await stage.state(found.payment_id))[0] == "approved"
    await stage.later(1)
    assert (await stage.state(found.payment_id))[0] == "by_system"
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    assert await stage.told() == [5]
    with pytest.raises(initiation.WithdrawalOver):
        await stage.initiate(found)
    kept = await stage.withdraw()
    await stage.initiate(kept)
    await stage.later(timedelta(hours=25))
    assert (await stage.state(kept.payment_id))[0] == "completed"
    assert len(bank.payouts) == 1


async def let_go_before(stage: Stage) -> Any:  # noqa: ANN401  a row
    """A withdrawal that was approved while nobody had to initiate it, and waits; now the merchant has to."""
    await stage.policy(needs_initiation=False)
    await switch_off(stage, ACCOUNT)
    found = await stage.withdraw()
    await stage.work()
    await stage.policy(needs_initiation=True, approval_hours=24)
    await switch_on(stage, ACCOUNT)
    await stage.later(timedelta(minutes=6))
    waits = await stage.payment()
    assert (waits.sub_status, waits.reason) == ("approved", "the merchant has not initiated it")
    return found


async def test_what_was_let_go_before_the_policy_wanted_it_ends_as_well(stage: Stage, bank: Bank) -> None:
    await let_go_before(stage)
    for _ in range(3):
        await stage.later(timedelta(hours=7))
    assert (await stage.payment()).sub_status == "approved"
    await stage.later(timedelta(hours=7))
    assert ((await stage.payment()).sub_status, await stage.told()) == ("by_system", [5])
    assert (await stage.credited(), await stage.held(), bank.payouts) == (FUNDS, 0, [])


async def test_or_is_initiated_in_time(stage: Stage) -> None:
    await stage.initiate(await let_go_before(stage))
    await stage.work()
    found = await stage.payment()
    assert (found.sub_status, found.reason, found.expires_at) == ("completed", "", None)


@pytest.mark.parametrize("hours", [1, 25])
async def test_or_is_sent_once_the_policy_wants_it_no_more(stage: Stage, bank: Bank, hours: int) -> None:
    await let_go_before(stage)
    await stage.policy(needs_initiation=False)
    bank.manners = ["accepts"]
    await stage.later(timedelta(hours=hours))
    found = await stage.payment()
    assert (found.sub_status, found.expires_at) == ("provider_pending", None)


async def test_it_is_sent_soon_after_the_policy_wants_it_to_be_initiated_no_more(
    stage: Stage, bank: Bank
) -> None:
    await stage.policy(needs_initiation=True)
    await stage.fund()
    await sent(stage)
    assert bank.payouts == []
    await stage.policy(needs_initiation=False)
    await stage.later(timedelta(hours=1))
    assert len(bank.payouts) == 1


async def test_it_is_sent_within_an_hour_however_often_it_was_looked_at(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=True)
    await stage.fund()
    await sent(stage)
    for _ in range(30):
        await stage.later(timedelta(hours=1))
    await stage.policy(needs_initiation=False)
    await stage.later(timedelta(hours=1))
    assert len(bank.payouts) == 1


async def test_each_time_that_it_must_be_initiated_the_merchant_has_time(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=True)
    await stage.fund()
    found = await sent(stage)
    await switch_off(stage, ACCOUNT)
    await stage.policy(needs_initiation=False)
    await stage.later(timedelta(hours=73))
    assert (await stage.payment()).sub_status == "approved"
    await stage.policy(needs_initiation=True)
    await stage.later(timedelta(hours=1))
    assert await stage.state(found.payment_id) == ("approved", None), await stage.told()


async def test_what_never_left_says_that_it_waits_for_the_merchant_and_is_not_ended(stage: Stage) -> None:
    await stage.policy(needs_initiation=False)
    stage.bank.manners = ["never hears", "pays"]
    found = await stage.withdraw()
    await stage.work()
    await stage.policy(needs_initiation=True, approval_hours=24)
    for _ in range(5):
        await stage.later(timedelta(hours=7))
    waits = await stage.payment()
    assert (waits.sub_status, waits.reason) == ("allocated", "the merchant has not initiated it")
    assert waits.expires_at is None
    await stage.initiate(found)
    await stage.later(timedelta(minutes=6))
    assert (await stage.payment()).sub_status == "completed"


async def test_an_order_number_names_its_payment(stage: Stage) -> None:
    one, other = await stage.withdraw(10_000), await stage.withdraw(10_000)
    numbers = [(await stage.initiate(found)).order_id for found in (one, other)]
    assert [int(number[:12]) for number in numbers] == [one.number, other.number]
    assert numbers[0][12:] != numbers[1][12:]


async def test_a_lost_job_is_found_by_the_sweep(stage: Stage) -> None:
    found = await stage.withdraw()
    await stage.initiate(found)
    async with stage.database.transaction() as tx:
        await tx.raw.execute("DELETE FROM queue.pgqueuer")
    await stage.later(1)
    assert (await stage.state(found.payment_id))[0] == "completed"


def test_the_grammar_and_the_deed_speak_of_the_same_fields() -> None:
    named = {"site_id", "site_login", "amount", "currency", "external_id"}
    assert named == set(signing.PAYOUT_INITIATION.required)
    assert set(initiation._KEPT) <= set(signing.PAYOUT_INITIATION.optional)


async def test_it_is_told_as_an_event_of_its_own(stage: Stage, bank: Bank) -> None:
    await stage.policy(needs_initiation=True)
    await stage.fund()
    found = await stage.withdraw()
    await stage.initiate(found)
    await stage.initiate(found)
    rows = await stage.rows(
        "SELECT type FROM payment_event WHERE payment_id = :id ORDER BY sequence", id=found.payment_id
    )
    told = [row.type for row in rows]
    assert (told.count("withdrawal.approved"), told.count("withdrawal.initiated")) == (1, 1)
    assert told.index("withdrawal.approved") < told.index("withdrawal.initiated")
