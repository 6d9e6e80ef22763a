"""Words about disputes that people have yet to look at: what waits for them, and that none is lost."""

from collections.abc import AsyncIterator

import pytest

from app import payments
from app.kernel.clock import MovableClock
from app.payments.payouts import WithdrawalsLocked
from app.payments.resolutions import ResolutionImpossible
from app.plumbing.database import Database
from tests import invariants
from tests.payments.accounts import SECOND, cases, decided
from tests.payments.casework import R, decide, only, open_cases, pay_out, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.test_disputes import say
from tests.payments.test_disputes_beside_refunds import answers
from tests.payments.test_words_of_disputes import LESS, stands
from tests.payments.world import AMOUNT, Provider, State, World, fact, just, opened, paid


@pytest.fixture
async def world(database: Database, clock: MovableClock, provider: Provider) -> AsyncIterator[World]:
    """As in test_cascade_undone: a deposit may be credited, taken again and credited once more."""
    async with opened(database, clock, provider) as made:
        yield made
        await invariants.hold(database)


MORE = AMOUNT.minor + 1_000  # with a fee of 10 tenge


async def test_a_second_word_above_the_deposit_is_heard_after_the_dispute_has_moved(desk: Desk) -> None:
    """Won with 1,510, accepted as 1,500; taken again; won with 1,510 again: nobody is called."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", MORE)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=AMOUNT)
    desk.world.clock.advance(60)
    await say(desk, deposit, "pre_arbitration")
    assert await stands(desk, deposit) == ("pre_arbitration", AMOUNT.minor, 0)
    desk.world.clock.advance(60)
    await say(desk, deposit, "won", MORE)
    assert [one.theirs["code"] for one in await open_cases(desk)] == ["won"]


async def test_a_second_taking_above_the_deposit_is_heard(desk: Desk) -> None:
    """Pre-arbitration with 1,510 for the second time: the bank has 1,500 unseen."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won")
    for _ in range(2):
        desk.world.clock.advance(60)
        await say(desk, deposit, "pre_arbitration", MORE)
        its = await only(desk)
        await resolve(desk, its.case_id, R.ACCEPTED, amount=AMOUNT)
        desk.world.clock.advance(60)
        await say(desk, deposit, "won")


async def test_a_refund_waits_while_a_dispute_could_not_be_booked(desk: Desk) -> None:
    """The bank has 1,510 by a word that is a case; the refund goes all the same."""
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await desk.approve(asked.payment_id)
    await say(desk, deposit, "opened", MORE)
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []


async def test_a_refund_waits_while_lost_after_won_is_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit)
    await desk.approve(asked.payment_id)
    for stage in ("opened", "won", "lost"):
        await say(desk, deposit, stage)
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []


async def test_no_withdrawal_while_a_dispute_could_not_be_booked(desk: Desk) -> None:
    await pay_out(desk)
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", MORE)
    wish = payments.PayoutWish("e_wallet", kzt(1_000), "wish", 3, {"wallet": "aigerim.77"})
    with pytest.raises(WithdrawalsLocked):
        await payments.request_payout(desk.pipes, await desk.world.session(), wish)


async def test_the_same_word_with_another_sum_is_seen_while_a_case_is_open(desk: Desk) -> None:
    """Won 400, then: no, 1,000 in all. The open case still says 400; nothing else is open."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", 40_000)
    desk.world.clock.advance(60)
    await say(desk, deposit, "won", 100_000)
    its = next(one for one in await open_cases(desk) if "400" in str(one.theirs["amount"]))
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(40_000))
    assert ["1000" in str(one.theirs["amount"]) for one in await open_cases(desk)] == [True]


@pytest.mark.parametrize("before", [(), ("early_warning", "expired")])
async def test_a_corrected_sum_of_what_was_never_taken_takes_nothing(
    desk: Desk, before: tuple[str, ...]
) -> None:
    """Nothing was ever taken by it; people say that less came back."""
    deposit = await desk.deposit()
    for stage in before:
        await say(desk, deposit, stage)
    await say(desk, deposit, "won")
    await say(desk, deposit, "won", 50_000)
    its = await only(desk)
    await propose(desk, its.case_id, R.ACCEPTED, amount=kzt(50_000))
    with pytest.raises(ResolutionImpossible, match="was taken by it"):
        await decide(desk, its.case_id)
    assert await stands(desk, deposit) == ("won", 0, AMOUNT.minor)


async def test_a_case_of_another_try_takes_nothing_of_what_came_by_the_present_one(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """The second is paid and disputed with too much, then denied; the first is paid after all."""
    first, other = both_tried
    second.statuses = [paid("second-1")]
    await world.notice(fact(other, theirs="second-1"), account=SECOND)
    told = {"number": "cb-1", "stage": "opened", "minor": MORE}
    await world.notice(fact(other, "unknown", dispute=told), account=SECOND, mark="cb")
    assert await cases(world) == ["amount_differs"]
    async with world.database.reading() as reader:
        [disputed] = await payments.cases_of_site(reader, world.site_id)
    second.statuses = [just(State.FAILED)]
    world.clock.advance(60)
    await world.notice(fact(other, "failed"), account=SECOND, mark="no")
    assert (await world.payment()).sub_status == "reversed"
    provider.statuses = [paid("main-1")]
    world.clock.advance(60)
    await world.notice(fact(first, theirs="main-1"), mark="yes")
    async with world.database.reading() as reader:
        its = [one for one in await payments.cases_of_site(reader, world.site_id) if one.attempt_id == first]
    await decided(world, R.PAID, its=its[0], provider_reference="main-1")
    found = await world.payment()
    assert (found.sub_status, found.account, found.captured_minor) == ("completed", "main", AMOUNT.minor)
    with pytest.raises(ResolutionImpossible, match="another attempt"):
        await decided(world, R.ACCEPTED, its=disputed, amount=AMOUNT)
    assert await world.rows("SELECT * FROM dispute") == []


async def test_a_sum_that_is_told_again_after_another_one_is_heard(desk: Desk) -> None:
    """Won 1,490 (noted); it is answered; won 1,480 (noted); no, 1,490 in all: nobody is called."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    for minor in (LESS, LESS - 1_000):
        desk.world.clock.advance(60)
        await say(desk, deposit, "won", minor)
        await resolve(desk, (await only(desk)).case_id, R.NOTED)
        if minor == LESS:
            desk.world.clock.advance(60)
            await say(desk, deposit, "needs_response")
    desk.world.clock.advance(60)
    await say(desk, deposit, "won", LESS)
    assert [one.theirs["code"] for one in await open_cases(desk)] == ["won"]


async def test_a_denial_while_it_was_charged_back_is_not_forgotten_once_it_is_won(desk: Desk) -> None:
    """Lost; its provider says that it was never paid; won: the player has 1,500 that never came, unseen."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "lost")
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, deposit, "failed")
    await say(desk, deposit, "won")
    assert (await desk.found(deposit)).ask_at == desk.world.clock.now()
    await desk.carry_on(deposit)
    assert await desk.balances() == {}
    assert [one.kind.value for one in await open_cases(desk)] == ["denied_after_success"]


async def test_more_that_is_taken_of_what_was_refunded_is_seen_while_a_case_is_open(desk: Desk) -> None:
    """1,500 refunded; 1,000 taken besides, which is a case of 1,000; then 1,500 in all, also opened."""
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.sent(deposit)
    await say(desk, deposit, "opened", 100_000)
    desk.world.clock.advance(60)
    await say(desk, deposit, "opened")
    its = next(one for one in await open_cases(desk) if one.kind.value == "amount_differs")
    await resolve(desk, its.case_id, R.ACCEPTED, amount=AMOUNT)
    at_risk = sum(one.exposure.minor for one in await open_cases(desk) if one.exposure)
    assert at_risk == AMOUNT.minor


async def test_a_denial_while_it_was_refunded_is_not_forgotten_once_the_refund_fails(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    asked = await desk.sent(deposit)
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, deposit, "failed")
    await answers(desk, asked.payment_id, "failed")
    assert (await desk.found(deposit)).sub_status.value == "completed"
    await desk.carry_on(deposit)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    assert [one.kind.value for one in await open_cases(desk)] == ["denied_after_success"]
