"""What the provider says of a refund, in time, late, never or twice, and where the money is afterwards."""

from datetime import timedelta

import pytest

from app import ledger, payments, providers
from app.payments.refunds import RefundUnderWay
from tests.payments.desk import Desk, kzt
from tests.payments.world import NEVER_LEFT, UNKNOWN, State, fact, just, paid


async def test_a_declined_refund_gives_the_player_the_money_again(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.FAILED)]
    declined = await desk.sent(deposit)
    assert (declined.status.value, declined.reason_code) == ("failed", "05")
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert await desk.kinds(declined.payment_id) == ["hold.place", "hold.release"]
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.told(declined.number) == [(5, 6)]


async def test_a_doubt_releases_nothing_and_sends_nothing_again(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [UNKNOWN]
    desk.provider.statuses = [UNKNOWN]
    doubtful = await desk.sent(deposit)
    assert doubtful.sub_status.value == "unknown"
    for _ in range(12):
        desk.world.clock.advance(timedelta(hours=7))
        await payments.sweep_due(desk.pipes)
        await desk.carry_on(doubtful.payment_id)
    still = await desk.found(doubtful.payment_id)
    assert (still.sub_status.value, len(desk.provider.refunds)) == ("unknown", 1)
    assert await desk.figures(deposit) == (150_000, 150_000, 0, 0)
    assert (await desk.balances())["player_held"] == 150_000
    with pytest.raises(RefundUnderWay, match="unknown"):
        await payments.cancel_refund(desk.pipes, desk.site_id, doubtful.payment_id, desk.maker, reason="now")
    desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(doubtful.payment_id)
    assert (await desk.found(doubtful.payment_id)).status.value == "completed"
    assert await desk.balances() == {}


async def test_what_never_left_is_sent_by_a_new_try(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, paid("back-1")]
    waiting = await desk.sent(deposit)
    assert waiting.sub_status.value == "approved"
    assert waiting.ask_at is not None
    [first] = desk.provider.refunds

    def said(reference: str) -> providers.Result:
        return just(State.NOT_FOUND) if reference == first.reference else paid("back-1")

    desk.provider.statuses = [said]
    await desk.carry_on(waiting.payment_id)
    assert (await desk.found(waiting.payment_id)).status.value == "completed"
    _, second = desk.provider.refunds
    assert first.reference != second.reference


async def test_what_seemed_not_to_have_left_and_was_paid_is_not_sent_again(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, paid("back-2")]
    waiting = await desk.sent(deposit)
    desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(waiting.payment_id)
    assert (await desk.found(waiting.payment_id)).status.value == "completed"
    assert len(desk.provider.refunds) == 1


async def test_what_the_provider_does_not_know_is_sent_under_the_same_reference(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [UNKNOWN, just(State.PROCESSING)]
    desk.provider.statuses = [just(State.NOT_FOUND)]
    doubtful = await desk.sent(deposit)
    await desk.carry_on(doubtful.payment_id)  # too early: it may not be stored yet
    assert len(desk.provider.refunds) == 1
    desk.world.clock.advance(timedelta(minutes=3))
    await desk.carry_on(doubtful.payment_id)
    first, second = desk.provider.refunds
    assert first == second
    assert (await desk.found(doubtful.payment_id)).sub_status.value == "provider_pending"


async def test_a_day_later_the_same_order_is_not_sent_any_more(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [UNKNOWN]
    desk.provider.statuses = [just(State.NOT_FOUND)]
    doubtful = await desk.sent(deposit)
    desk.world.clock.advance(timedelta(hours=25))
    await desk.carry_on(doubtful.payment_id)
    found = await desk.found(doubtful.payment_id)
    assert (found.sub_status.value, found.attention) == ("unknown", payments.Attention.ORDER_VANISHED)
    assert len(desk.provider.refunds) == 1


async def test_a_success_after_the_release_is_taken_and_the_rest_is_owed(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.FAILED)]
    declined = await desk.sent(deposit)
    async with desk.world.database.transaction() as tx:  # and the player plays
        wish = ledger.HoldRequest("test", "played", declined.player_id, kzt(100_000), "test")
        await ledger.hold(tx, desk.site_id, wish, at=desk.world.clock.now())
    desk.provider.statuses = [paid("back-1")]
    await desk.world.notice(fact(desk.provider.refunds[0].reference, theirs="back-1"))
    late = await desk.found(declined.payment_id)
    assert (late.status.value, late.is_late, late.attention) == (
        "completed",
        True,
        payments.Attention.PAID_AFTER_RELEASE,
    )
    assert await desk.balances() == {"player_held": 100_000, "player_debt": -100_000}
    assert await desk.figures(deposit) == (150_000, 0, 150_000, 0)
    assert (await desk.found(deposit)).sub_status.value == "refunded"


async def test_a_late_success_beyond_what_came_is_a_conflict_for_people(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.FAILED)]
    declined = await desk.sent(deposit)
    desk.provider.answers = [paid("back-2")]
    desk.provider.statuses = [paid("back-2")]
    await desk.sent(deposit)
    desk.provider.statuses = [paid("back-1")]
    await desk.world.notice(fact(desk.provider.refunds[0].reference, theirs="back-1"))
    both = await desk.found(declined.payment_id)
    assert (both.sub_status.value, both.attention) == ("conflicted", payments.Attention.SECOND_PAYMENT)
    assert await desk.figures(deposit) == (150_000, 0, 150_000, 0)
    assert await desk.balances() == {}


async def test_a_refund_that_fails_afterwards_brings_the_money_here_again(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    done = await desk.sent(deposit)
    desk.provider.statuses = [just(State.FAILED)]
    await desk.world.notice(fact(desk.provider.refunds[0].reference, "failed"))
    failed = await desk.found(done.payment_id)
    assert failed.sub_status.value == "declined"
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}


async def test_another_amount_than_ordered_stays_reserved_for_people(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(149_999))]
    wrong = await desk.sent(deposit)
    assert (wrong.sub_status.value, wrong.attention) == ("conflicted", payments.Attention.AMOUNT_DIFFERS)
    assert (await desk.balances())["player_held"] == 150_000


async def test_in_seamless_mode_the_merchant_gives_it_back(seamless: Desk) -> None:
    deposit = await seamless.deposit()
    asked = await seamless.refund(deposit)
    assert await seamless.balances() == {"provider_clearing": -150_000, "merchant_payable": 150_000}
    await seamless.approve(asked.payment_id)
    seamless.provider.answers = seamless.provider.statuses = [paid("back-1")]
    await seamless.carry_on(asked.payment_id)
    assert await seamless.kinds(asked.payment_id) == ["refund.from_merchant"]
    assert await seamless.balances() == {}
    seamless.provider.statuses = [just(State.FAILED)]
    await seamless.carry_on(asked.payment_id)
    assert await seamless.kinds(asked.payment_id) == ["refund.from_merchant", "refund.to_merchant"]
    assert await seamless.balances() == {"provider_clearing": -150_000, "merchant_payable": 150_000}
