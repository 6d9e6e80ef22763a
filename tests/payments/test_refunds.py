"""Refunds of deposits: how much, whose yes, what the provider says, and where the money is afterwards."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from app import ledger, payments, staff
from app.kernel.money import CurrencyMismatch, Money
from app.payments.approvals import CHANGED
from app.payments.policies import set_policy
from app.payments.queries import PaymentNotFound, payment_of_merchant
from app.payments.refund_requests import (
    AmountNotPositive,
    DepositNotRefundable,
    RefundExceedsCaptured,
    RefundsNotOffered,
)
from app.payments.refunds import RefundUnderWay
from app.plumbing import web
from app.plumbing.database import Database
from app.plumbing.idempotency import IdempotencyKeyReused
from app.providers.contract import Cap
from tests.payments.desk import Desk, kzt, planted
from tests.payments.world import AMOUNT, State, fact, just, paid


async def test_a_full_refund_takes_the_money_back_where_it_came_from(desk: Desk) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    assert (asked.status.value, asked.sub_status.value) == ("pending", "awaiting_approval")
    assert asked.amount == AMOUNT
    # The player cannot play what is on its way back.
    assert await desk.balances() == {"provider_clearing": -150_000, "player_held": 150_000}
    assert await desk.figures(deposit) == (150_000, 150_000, 0, 0)
    approved = await desk.approve(asked.payment_id)
    assert approved.sub_status.value == "approved"
    desk.provider.answers = [just(State.PROCESSING)]
    await desk.carry_on(asked.payment_id)
    [order] = desk.provider.refunds
    [row] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :d", d=deposit)
    assert (order.original_reference, order.provider_reference) == (row.attempt_id, "theirs-1")
    assert order.amount == AMOUNT
    await desk.world.notice(fact(order.reference, theirs="back-1"))
    done = await desk.found(asked.payment_id)
    assert (done.status.value, done.provider_reference) == ("completed", "back-1")
    assert await desk.balances() == {}
    assert await desk.kinds(asked.payment_id) == ["hold.place", "hold.capture"]
    assert await desk.figures(deposit) == (150_000, 0, 150_000, 0)
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    assert await desk.events(asked.payment_id) == [
        "refund.created",
        "refund.awaiting_approval",
        "refund.approved",
        "refund.processing",
        "refund.processing",
        "refund.completed",
    ]
    assert await desk.told(done.number) == [(5, 4)]
    assert (await desk.told((await desk.found(deposit)).number))[-1] == (3, 4)


async def test_several_parts_never_more_than_came(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [paid("back-1", kzt(100_000))]
    desk.provider.statuses = [paid("back-1", kzt(100_000))]
    first = await desk.sent(deposit, 100_000)
    assert first.status.value == "completed"
    # In part: its status stays, its figures tell.
    assert (await desk.found(deposit)).sub_status.value == "completed"
    with pytest.raises(RefundExceedsCaptured, match=r"500\.00 KZT can still go back") as refused:
        await desk.refund(deposit, 50_001)
    assert refused.value.fields == {"remaining": kzt(50_000)}
    assert web.status_of(RefundExceedsCaptured) == 409
    desk.provider.answers = [paid("back-2", kzt(50_000))]
    desk.provider.statuses = [paid("back-2", kzt(50_000))]
    last = await desk.sent(deposit)
    assert (last.amount, last.status.value) == (kzt(50_000), "completed")
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    assert await desk.figures(deposit) == (150_000, 0, 150_000, 0)
    assert await desk.balances() == {}
    with pytest.raises(DepositNotRefundable, match="refunded"):
        await desk.refund(deposit, 1)
    async with desk.world.database.reading() as reader:
        listed = await payments.refunds_of(reader, desk.site_id, deposit)
    assert [one.payment_id for one in listed] == [first.payment_id, last.payment_id]


async def test_two_parts_at_once_never_exceed(desk: Desk) -> None:
    deposit = await desk.deposit()
    asking = [desk.refund(deposit, 100_000, key=f"at-once-{number}") for number in range(8)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    made = [one for one in answers if isinstance(one, payments.Payment)]
    refused = [one for one in answers if isinstance(one, RefundExceedsCaptured)]
    assert (len(made), len(refused)) == (1, 7), answers
    assert await desk.figures(deposit) == (150_000, 100_000, 0, 0)
    assert await desk.balances() == {
        "provider_clearing": -150_000,
        "player_held": 100_000,
        "player_cash": 50_000,
    }


async def test_the_database_itself_refuses_more_than_came(desk: Desk) -> None:
    deposit = await desk.deposit()
    with pytest.raises(IntegrityError, match="never_more_back"):
        await planted(
            desk.world.database,
            "UPDATE payment SET refund_pending_minor = 150001 WHERE payment_id = :d",
            d=deposit,
        )


async def test_the_same_wish_again_is_the_same_refund(desk: Desk) -> None:
    deposit = await desk.deposit()
    first = await desk.refund(deposit, 60_000, key="once")
    again = await desk.refund(deposit, 60_000, key="once")
    assert again.payment_id == first.payment_id
    assert await desk.figures(deposit) == (150_000, 60_000, 0, 0)
    with pytest.raises(IdempotencyKeyReused):
        await desk.refund(deposit, 60_001, key="once")


async def test_bad_wishes_get_a_sentence_and_change_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    for minor in (0, -1):
        with pytest.raises(AmountNotPositive):
            await desk.refund(deposit, minor)
    with pytest.raises(RefundExceedsCaptured):
        await desk.refund(deposit, 150_001)
    wish = payments.RefundWish(deposit, Money(100, "USD"), "why", "usd")
    with pytest.raises(CurrencyMismatch):
        await payments.request_refund(desk.pipes, desk.site_id, wish, desk.maker)
    for reason in ("", "  ", "a\x00b", "x" * 256):
        with pytest.raises(staff.BadReason, match="reason"):
            await desk.refund(deposit, 1, reason=reason)
    with pytest.raises(PaymentNotFound):
        await desk.refund("dep_of_nobody", 1)
    asked = await desk.refund(deposit, 1)
    with pytest.raises(PaymentNotFound):  # of a refund there is no refund
        await desk.refund(asked.payment_id, 1)
    with pytest.raises(PaymentNotFound):  # and a deposit is none
        await desk.approve(deposit)
    desk.provider.caps &= ~Cap.REFUND
    with pytest.raises(RefundsNotOffered):
        await desk.refund(deposit, 1)
    assert await desk.figures(deposit) == (150_000, 1, 0, 0)


async def test_what_was_never_paid_is_not_refunded(desk: Desk) -> None:
    row = await desk.world.deposit()
    with pytest.raises(DepositNotRefundable, match="awaiting_player"):
        await desk.refund(row.payment_id)
    assert web.status_of(DepositNotRefundable) == 409


async def test_what_the_player_has_played_away_cannot_go_back(desk: Desk) -> None:
    deposit = await desk.deposit()
    found = await desk.found(deposit)
    async with desk.world.database.transaction() as tx:
        wish = ledger.HoldRequest("test", "played", found.player_id, kzt(100_000), "test")
        await ledger.hold(tx, desk.site_id, wish, at=desk.world.clock.now())
    with pytest.raises(ledger.InsufficientFunds) as refused:
        await desk.refund(deposit, 50_001)
    assert web.status_of(type(refused.value)) == 402
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)


async def test_whoever_asks_does_not_approve_not_even_an_administrator(desk: Desk) -> None:
    deposit = await desk.deposit()
    for maker in (desk.maker, desk.second):
        asked = await desk.refund(deposit, 10_000, by=maker)
        with pytest.raises(staff.OwnRequest):
            await desk.approve(asked.payment_id, maker)
        with pytest.raises(staff.OwnRequest):
            await payments.reject_refund(desk.pipes, desk.site_id, asked.payment_id, maker, reason="no")
        await desk.carry_on(asked.payment_id)
        with pytest.raises(staff.NotPermitted, match="refund_approve"):
            await desk.approve(asked.payment_id, desk.support)
    with pytest.raises(staff.NotPermitted, match="refund_request"):
        await desk.refund(deposit, 10_000, by=desk.support)
    assert desk.provider.refunds == []


async def test_above_the_second_threshold_two_different_people(desk: Desk) -> None:
    async with desk.world.database.transaction() as tx:
        rules = payments.PayoutPolicy(second_above=kzt(99_999))
        await set_policy(tx, desk.site_id, "KZT", rules, by=desk.second.actor, at=desk.world.clock.now())
    deposit = await desk.deposit()
    small = await desk.refund(deposit, 50_000)
    assert (await desk.approve(small.payment_id)).sub_status.value == "approved"
    asked = await desk.refund(deposit, 100_000)
    one = await desk.approve(asked.payment_id)
    assert one.sub_status.value == "awaiting_second_approval"
    with pytest.raises(staff.VotedAlready):
        await desk.approve(asked.payment_id)
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    assert (await desk.approve(asked.payment_id, desk.second)).sub_status.value == "approved"
    with pytest.raises(staff.ApprovalClosed):
        await desk.approve(asked.payment_id, desk.second)


async def test_a_refund_in_parts_needs_as_many_people_as_in_one(desk: Desk) -> None:
    async with desk.world.database.transaction() as tx:
        rules = payments.PayoutPolicy(second_above=kzt(100_000))
        await set_policy(tx, desk.site_id, "KZT", rules, by=desk.second.actor, at=desk.world.clock.now())
    deposit = await desk.deposit()
    given_up = await desk.refund(deposit, 60_000)
    await payments.reject_refund(desk.pipes, desk.site_id, given_up.payment_id, desk.checker, reason="no")
    first = await desk.refund(deposit, 60_000)
    assert (await desk.approve(first.payment_id)).sub_status.value == "approved"
    second = await desk.refund(deposit, 60_000)
    assert (await desk.approve(second.payment_id)).sub_status.value == "awaiting_second_approval"
    for one in (first, second):
        await desk.carry_on(one.payment_id)
    assert len(desk.provider.refunds) == 1
    await payments.cancel_refund(desk.pipes, desk.site_id, second.payment_id, desk.maker, reason="in parts")
    third = await desk.refund(deposit, 40_001)
    assert (await desk.approve(third.payment_id)).sub_status.value == "awaiting_second_approval"


async def test_rejected_called_off_and_forgotten_give_everything_back(desk: Desk) -> None:
    deposit = await desk.deposit()
    rejected = await desk.refund(deposit, 10_000)
    with pytest.raises(staff.BadReason):
        await payments.reject_refund(desk.pipes, desk.site_id, rejected.payment_id, desk.checker, reason=" ")
    said = await payments.reject_refund(
        desk.pipes, desk.site_id, rejected.payment_id, desk.checker, reason="not ours"
    )
    assert (said.status.value, said.sub_status.value) == ("cancelled", "rejected")
    called_off = await desk.refund(deposit, 20_000)
    await desk.approve(called_off.payment_id)
    gone = await payments.cancel_refund(
        desk.pipes, desk.site_id, called_off.payment_id, desk.maker, reason="asked twice"
    )
    assert gone.sub_status.value == "by_operator"
    await desk.carry_on(called_off.payment_id)
    with pytest.raises(RefundUnderWay, match="by_operator"):
        await payments.cancel_refund(
            desk.pipes, desk.site_id, called_off.payment_id, desk.maker, reason="again"
        )
    forgotten = await desk.refund(deposit, 30_000)
    assert await payments.end_expired_refunds(desk.pipes) == 0
    desk.world.clock.advance(timedelta(hours=72))
    with pytest.raises(staff.ApprovalExpired):
        await desk.approve(forgotten.payment_id)
    assert await payments.end_expired_refunds(desk.pipes) == 1
    assert await payments.end_expired_refunds(desk.pipes) == 0
    assert (await desk.found(forgotten.payment_id)).sub_status.value == "by_system"
    assert desk.provider.refunds == []
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}


async def test_what_was_approved_is_what_is_sent(desk: Desk, owner_database: Database) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit, 10_000)
    await desk.approve(asked.payment_id)
    await planted(
        owner_database,
        "UPDATE payment SET amount_minor = 20000 WHERE payment_id = :r",
        r=asked.payment_id,
    )
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    found = await desk.found(asked.payment_id)
    assert found.attention is payments.Attention.ILLEGAL_CHANGE
    assert (found.waits_because, found.ask_at is None) == (CHANGED, False)


async def test_refunds_wait_while_they_or_the_account_are_stopped(desk: Desk) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await desk.approve(asked.payment_id)
    await planted(desk.world.database, "UPDATE provider_account SET enabled = false")
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    assert (await desk.found(asked.payment_id)).sub_status.value == "approved"
    await planted(desk.world.database, "UPDATE provider_account SET enabled = true")
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await asyncio.gather(*(desk.carry_on(asked.payment_id) for _ in range(4)))
    assert len(desk.provider.refunds) == 1


async def test_a_refund_that_has_waited_for_weeks_is_sent_and_asked_about_like_a_new_one(desk: Desk) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await desk.approve(asked.payment_id)
    await planted(desk.world.database, "UPDATE provider_account SET enabled = false")
    await desk.carry_on(asked.payment_id)
    for _ in range(4):
        desk.world.clock.advance(timedelta(days=4))
        assert await payments.sweep_due(desk.world.pipes) == 1
        await desk.carry_on(asked.payment_id)
    await planted(desk.world.database, "UPDATE provider_account SET enabled = true")
    desk.provider.answers = desk.provider.statuses = [just(State.PROCESSING)]
    await desk.carry_on(asked.payment_id)
    sent = await desk.found(asked.payment_id)
    assert (len(desk.provider.refunds), sent.sub_status.value, sent.asked) == (1, "provider_pending", 0)
    assert sent.ask_at == desk.world.clock.now() + timedelta(minutes=1)


async def test_who_asks_by_order_number_means_the_deposit(desk: Desk) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    async with desk.world.database.reading() as reader:
        by_order = await payment_of_merchant(
            reader, desk.site_id, number=None, external_id=asked.external_id, site_login=None
        )
        by_number = await payment_of_merchant(
            reader, desk.site_id, number=asked.number, external_id=None, site_login=None
        )
    assert (by_order.payment_id, by_number.payment_id) == (deposit, asked.payment_id)


async def test_two_people_may_use_one_key_and_the_reason_is_part_of_the_wish(desk: Desk) -> None:
    deposit = await desk.deposit()
    first = await desk.refund(deposit, 10_000, key="1", reason="wrong amount")
    other = await desk.refund(deposit, 10_000, key="1", reason="wrong amount", by=desk.checker)
    assert first.payment_id != other.payment_id
    with pytest.raises(IdempotencyKeyReused):
        await desk.refund(deposit, 10_000, key="1", reason="another reason")


async def test_a_refund_goes_not_around_a_debt(desk: Desk) -> None:
    deposit = await desk.deposit()
    found = await desk.found(deposit)
    debt = ledger.Demand(
        "tests", "owed", ledger.CHARGEBACK, kzt(250_000), found.player_id, found.account, "owed"
    )
    async with desk.world.database.transaction() as tx:
        await ledger.take(tx, desk.site_id, debt, at=desk.world.clock.now())
    second = await desk.deposit("theirs-2")
    before = await desk.balances()
    assert (before["player_cash"], before["player_debt"]) == (150_000, -100_000)
    with pytest.raises(ledger.InsufficientFunds):
        await desk.refund(second)
    assert await desk.balances() == before
    asked = await desk.refund(second, 50_000)
    assert asked.sub_status.value == "awaiting_approval"
    after = await desk.balances()
    assert (after.get("player_cash", 0), after["player_held"], after.get("player_debt", 0)) == (0, 50_000, 0)


async def test_a_refunds_reason_has_no_card_number(desk: Desk) -> None:
    deposit = await desk.deposit()
    with pytest.raises(staff.BadReason, match="reason: no card number"):
        await desk.refund(deposit, 10_000, reason="card 4111-1111-1111-1111")
