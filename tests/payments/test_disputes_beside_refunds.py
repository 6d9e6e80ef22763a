"""A dispute beside refunds of the same deposit: nothing goes back twice, and what is left is said truly."""

import asyncio
import contextvars

import pytest

from app import payments, providers
from app.payments.disputes import apply_dispute
from app.payments.legs import attempts_of
from app.payments.queries import payment
from app.payments.resolutions import ResolutionImpossible
from tests.payments.casework import R, only, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.test_disputes import say
from tests.payments.world import State, fact, just, paid
from tests.wallet.locking import blocked


async def answers(desk: Desk, payment_id: str, state: str, **more: str | int) -> None:
    """The provider says so of a payment, by a notice and when it is asked."""
    [row] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=payment_id)
    desk.world.clock.advance(60)
    await desk.world.notice(fact(row.attempt_id, state, **more), mark=f"{payment_id}-{state}")


async def took(desk: Desk, deposit: str) -> list[str]:
    """What was taken from the player for a deposit that did not stay."""
    kinds = await desk.kinds(deposit)
    return [kind for kind in kinds if kind.split(".")[0] in {"chargeback", "reversal"}]


async def refunded_beside_a_dispute(desk: Desk) -> str:
    """A refund of 500 that was on its way when 1,000 tenge were disputed, and is paid then."""
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.PROCESSING)]
    asked = await desk.sent(deposit, 50_000)
    await say(desk, deposit, "opened", 100_000)
    desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await desk.carry_on(asked.payment_id)
    assert await desk.figures(deposit) == (150_000, 0, 50_000, 100_000)
    return deposit


async def test_an_open_dispute_does_not_make_a_deposit_refunded(desk: Desk) -> None:
    deposit = await refunded_beside_a_dispute(desk)
    assert (await desk.found(deposit)).sub_status.value == "completed", "the dispute is undecided"


async def test_won_beside_a_refund_the_deposit_is_completed_again(desk: Desk) -> None:
    deposit = await refunded_beside_a_dispute(desk)
    await say(desk, deposit, "won", 100_000)
    assert await desk.figures(deposit) == (150_000, 0, 50_000, 0)
    assert (await desk.found(deposit)).sub_status.value == "completed"


async def test_what_was_won_can_go_back(desk: Desk) -> None:
    deposit = await refunded_beside_a_dispute(desk)
    await say(desk, deposit, "won", 100_000)
    await desk.refund(deposit, 100_000)


async def test_and_a_denial_of_it_is_heard(desk: Desk) -> None:
    """1,000 tenge of it are the player's; its provider says that it was never paid."""
    deposit = await refunded_beside_a_dispute(desk)
    await say(desk, deposit, "won", 100_000)
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, deposit, "failed")
    assert [one.kind.value for one in await open_cases(desk)] == ["denied_after_success"]


async def test_a_refund_that_failed_after_all_leaves_something_of_what_was_charged_back(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(50_000))]
    asked = await desk.sent(deposit, 50_000)
    await say(desk, deposit, "lost", 100_000)
    assert (await desk.found(deposit)).sub_status.value == "charged_back"
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, asked.payment_id, "failed")
    assert (await desk.found(asked.payment_id)).sub_status.value == "declined"
    assert await desk.figures(deposit) == (150_000, 0, 0, 100_000)
    assert (await desk.found(deposit)).sub_status.value == "completed", "500 of it are the player's"


async def test_a_late_refund_of_what_is_disputed_does_not_make_the_deposit_refunded(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [just(State.FAILED)]
    asked = await desk.sent(deposit, 50_000)
    assert asked.sub_status.value == "declined"
    await say(desk, deposit, "opened")
    desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await answers(desk, asked.payment_id, "succeeded", theirs="back-1", minor=50_000)
    assert (await desk.found(asked.payment_id)).sub_status.value == "conflicted"
    assert await desk.figures(deposit) == (150_000, 0, 0, 150_000)
    assert (await desk.found(deposit)).sub_status.value == "completed", "nothing was refunded"


async def disputed_while_a_refund_waits(desk: Desk) -> str:
    """The bank has all of it; the refund that waited for approval is rejected."""
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await say(desk, deposit, "opened")
    await payments.reject_refund(
        desk.pipes, desk.site_id, asked.payment_id, desk.checker, reason="the bank has taken it"
    )
    return deposit


async def test_lost_in_full_is_charged_back_also_where_a_refund_waited(desk: Desk) -> None:
    deposit = await disputed_while_a_refund_waits(desk)
    await say(desk, deposit, "lost")
    assert await desk.figures(deposit) == (150_000, 0, 0, 150_000)
    assert (await desk.found(deposit)).sub_status.value == "charged_back"


async def test_what_the_bank_took_is_not_taken_again_when_people_say_so(desk: Desk) -> None:
    deposit = await disputed_while_a_refund_waits(desk)
    [its] = await open_cases(desk)
    assert its.kind.value == "taken_back"
    with pytest.raises(ResolutionImpossible):
        await resolve(desk, its.case_id, R.NOT_PAID)
    assert await took(desk, deposit) == ["chargeback.from_debt"]


async def test_nor_when_its_provider_denies_it(desk: Desk) -> None:
    deposit = await disputed_while_a_refund_waits(desk)
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, deposit, "failed")
    assert await took(desk, deposit) == ["chargeback.from_debt"]


async def test_the_rest_of_what_was_lost_in_part_can_go_back(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "lost", 50_000)
    assert (await desk.found(deposit)).remaining == kzt(100_000)
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(100_000))]
    asked = await desk.sent(deposit, 100_000)
    for _ in range(30):
        desk.world.clock.advance(86_400)
        await desk.carry_on(asked.payment_id)
    found = await desk.found(asked.payment_id)
    assert (found.sub_status.value, found.reason) == ("completed", "")


async def test_a_refund_that_its_bank_declines_beside_a_dispute_leaves_the_books_right(desk: Desk) -> None:
    """The dispute came while the refund was at the bank, which declines it therefore; then it is lost."""
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.PROCESSING)]
    asked = await desk.sent(deposit)
    await say(desk, deposit, "opened")
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(asked.payment_id)
    assert (await desk.found(asked.payment_id)).sub_status.value == "declined"
    await say(desk, deposit, "lost")
    assert payments.SubStatus.CHARGED_BACK is (await desk.found(deposit)).sub_status


async def test_a_dispute_taken_again_of_what_was_refunded_calls_people_again(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.sent(deposit)
    await say(desk, deposit, "opened")
    [its] = await open_cases(desk)
    await resolve(desk, its.case_id, R.NOTED)
    await say(desk, deposit, "won")
    await say(desk, deposit, "pre_arbitration")
    assert [one.kind.value for one in await open_cases(desk)] == ["taken_back"]


async def test_a_dispute_that_is_written_while_a_refund_begins_holds_it(desk: Desk, clone_url: str) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit, 50_000)
    await desk.approve(asked.payment_id)
    told = providers.DisputeReport("cb-1", providers.DisputeStage.OPENED, kzt(150_000), "fraud", None)
    outside = contextvars.copy_context()
    async with desk.world.database.transaction() as tx:
        found = await payment(tx, desk.site_id, deposit, lock=True)
        [attempt] = await attempts_of(tx, found)
        await apply_dispute(tx, found, attempt, told, at=desk.world.clock.now())
        sending = asyncio.create_task(desk.carry_on(asked.payment_id), context=outside)
        await blocked(clone_url)
    await sending
    assert desk.provider.refunds == [], "the bank had taken all of it by then"


async def test_what_was_lost_is_not_refunded_besides(desk: Desk) -> None:
    """The refund waited when the bank took all of it; it stays with people once the dispute is lost."""
    deposit = await desk.deposit()
    asked = await desk.refund(deposit, 50_000)
    await desk.approve(asked.payment_id)
    await say(desk, deposit, "lost")
    await desk.carry_on(asked.payment_id)
    found = await desk.found(asked.payment_id)
    assert (found.sub_status.value, found.reason) == (
        "approved",
        "the deposit is disputed, and its money is gone",
    )
    assert await desk.figures(deposit) == (150_000, 50_000, 0, 100_000)


async def test_what_is_reopened_after_the_rest_was_refunded_is_undecided_again(desk: Desk) -> None:
    deposit = await refunded_beside_a_dispute(desk)
    await say(desk, deposit, "lost", 100_000)
    assert (await desk.found(deposit)).status.value == "refunded"
    await say(desk, deposit, "pre_arbitration", 100_000)
    assert (await desk.found(deposit)).sub_status.value == "completed"
    await say(desk, deposit, "lost", 100_000)
    assert (await desk.found(deposit)).status.value == "refunded"


async def test_taken_again_twice_of_what_was_refunded_calls_people_twice(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.sent(deposit)
    await say(desk, deposit, "opened")
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    await say(desk, deposit, "won")
    await say(desk, deposit, "pre_arbitration")
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    await say(desk, deposit, "won")
    await say(desk, deposit, "pre_arbitration")
    assert [one.kind.value for one in await open_cases(desk)] == ["taken_back"]


async def test_a_refund_that_fails_while_a_dispute_is_undecided(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    asked = await desk.sent(deposit)
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    await say(desk, deposit, "opened")
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, asked.payment_id, "failed")
    assert await desk.figures(deposit) == (150_000, 0, 0, 150_000)
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.balances() == {}
    await say(desk, deposit, "lost")
    assert (await desk.found(deposit)).sub_status.value == "charged_back"
    assert await desk.told((await desk.found(deposit)).number)


async def test_a_refund_is_called_off_while_its_money_is_with_the_bank(desk: Desk) -> None:
    """It waits; the dispute takes all, and is won once it is called off: the player has all, and no debt."""
    deposit = await desk.deposit()
    asked = await desk.refund(deposit, 50_000)
    await say(desk, deposit, "opened")
    assert await desk.balances() == {"player_held": 50_000, "player_debt": -50_000}
    await payments.cancel_refund(desk.pipes, desk.site_id, asked.payment_id, desk.maker, reason="no")
    assert await desk.figures(deposit) == (150_000, 0, 0, 150_000)
    await say(desk, deposit, "won")
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
