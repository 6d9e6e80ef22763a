"""Words about disputes that two people let count, with the sum that the bank really has or gave back."""

import pytest
from sqlalchemy import text

from app import payments, staff
from app.payments.states import DisputeState
from app.payments.unresolved import is_denied
from tests.payments.casework import R, decide, only, open_cases, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.test_disputes import disputes, say
from tests.payments.test_disputes_beside_refunds import answers
from tests.payments.test_words_of_disputes import LESS, stands
from tests.payments.world import AMOUNT, State, just, paid


async def accept(desk: Desk, minor: int) -> None:
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(minor))


async def test_more_than_was_told_first_can_be_taken_at_once(desk: Desk) -> None:
    """Opened for 1,000; the next word says that the bank has 1,500."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", 100_000)
    await say(desk, deposit, "submitted", 150_000)
    await accept(desk, 150_000)
    assert await stands(desk, deposit) == ("submitted", 150_000, 0)


async def test_in_seamless_mode_as_much_again_is_taken(seamless: Desk) -> None:
    """Opened for 750; the next word says that the bank has 1,500."""
    deposit = await seamless.deposit()
    await say(seamless, deposit, "opened", 75_000)
    await say(seamless, deposit, "submitted", 150_000)
    await resolve(seamless, (await only(seamless)).case_id, R.ACCEPTED, amount=AMOUNT)
    [its] = await disputes(seamless, deposit)
    assert its.posted == AMOUNT
    assert await seamless.balances() == {}, "what the dispute says is taken is taken"


async def test_in_seamless_mode_won_gives_back_no_more_than_was_taken(seamless: Desk) -> None:
    deposit = await seamless.deposit()
    await say(seamless, deposit, "opened", 75_000)
    await say(seamless, deposit, "submitted", 150_000)
    await resolve(seamless, (await only(seamless)).case_id, R.ACCEPTED, amount=AMOUNT)
    await say(seamless, deposit, "won")
    [its] = await disputes(seamless, deposit)
    assert its.posted == kzt(0)
    assert await seamless.balances() == {"provider_clearing": -150_000, "merchant_payable": 150_000}


@pytest.mark.parametrize("between", [(), ("pre_arbitration",)])
async def test_lost_in_full_after_it_was_won_in_part_takes_no_more_than_came(
    desk: Desk, between: tuple[str, ...]
) -> None:
    """Opened 1,500; won but for a fee of 10; then the bank has all 1,500 of it after all."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", LESS)
    await accept(desk, LESS)
    for stage in between:
        await say(desk, deposit, stage, LESS)
    await say(desk, deposit, "lost")
    await accept(desk, AMOUNT.minor)
    assert await stands(desk, deposit) == ("lost", AMOUNT.minor, 0)


async def test_pre_arbitration_with_the_whole_sum_takes_no_more_than_came(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    await say(desk, deposit, "pre_arbitration")
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=AMOUNT)
    assert await stands(desk, deposit) == ("pre_arbitration", AMOUNT.minor, 0)


async def test_given_back_in_parts_and_lost_again_never_takes_more_than_came(desk: Desk) -> None:
    """Without people: what is told with the same sum follows by itself."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    for stage in ("pre_arbitration", "lost", "won", "pre_arbitration", "submitted", "lost"):
        await say(desk, deposit, stage, LESS)
    assert await stands(desk, deposit) == ("lost", AMOUNT.minor, 0)


async def test_a_corrected_sum_of_what_was_won_is_given_once(desk: Desk) -> None:
    """Won 400, says the bank, then: no, 1,000 in all."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", 40_000)
    await accept(desk, 40_000)
    assert await stands(desk, deposit) == ("won", 110_000, 40_000)
    await say(desk, deposit, "won", 100_000)
    await accept(desk, 100_000)
    assert await stands(desk, deposit) == ("won", 50_000, 100_000)


async def test_what_was_refunded_and_is_taken_by_what_people_accepted_stays_a_case(desk: Desk) -> None:
    """1,500 refunded; the bank takes 1,510 besides, which people accept as 1,500."""
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.sent(deposit)
    await say(desk, deposit, "opened", AMOUNT.minor + 1_000)
    await accept(desk, AMOUNT.minor)
    assert await stands(desk, deposit) == ("opened", AMOUNT.minor, -AMOUNT.minor)
    assert [one.kind.value for one in await open_cases(desk)] == ["taken_back"]


async def test_withdrawals_are_held_still_once_a_dispute_was_accepted_of_a_denied_deposit(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    desk.provider.statuses = [just(State.FAILED)]
    await answers(desk, deposit, "failed")
    await say(desk, deposit, "won", LESS)
    [its] = [one for one in await open_cases(desk) if one.kind.value == "amount_differs"]
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(LESS))
    assert [one.kind.value for one in await open_cases(desk)] == ["denied_after_success"]
    found = await desk.found(deposit)
    async with desk.world.database.reading() as reader:
        assert await is_denied(reader, desk.site_id, found.player_id)


async def test_that_we_gave_in_is_the_first_word(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "accepted")
    await accept(desk, AMOUNT.minor)
    assert await stands(desk, deposit) == ("accepted", AMOUNT.minor, 0)


@pytest.mark.parametrize("stage", ["accepted", "expired"])
async def test_what_was_given_in_to_after_a_warning_can_be_booked(desk: Desk, stage: str) -> None:
    """The notice that it was opened was lost; the bank has the money."""
    deposit = await desk.deposit()
    await say(desk, deposit, "early_warning")
    await say(desk, deposit, stage)
    if stage == "expired":
        await say(desk, deposit, "accepted")
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=AMOUNT)
    _, posted, _ = await stands(desk, deposit)
    assert posted == AMOUNT.minor


async def test_what_was_given_in_to_can_be_won_after_all(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    [its] = await disputes(desk, deposit)
    await payments.move_dispute(
        desk.pipes, desk.site_id, its.dispute_id, desk.checker, DisputeState.ACCEPTED, note="it is true"
    )
    await say(desk, deposit, "won")
    await accept(desk, AMOUNT.minor)
    assert await stands(desk, deposit) == ("won", 0, AMOUNT.minor)
    assert (await desk.found(deposit)).sub_status.value == "completed"


@pytest.mark.parametrize(("first", "then", "stood"), [("won", "lost", 0), ("lost", "won", AMOUNT.minor)])
async def test_a_dispute_that_moved_meanwhile_must_be_looked_at_again(
    desk: Desk, first: str, then: str, stood: int
) -> None:
    """The second person approves what was proposed before the bank's next word was booked."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, first, LESS)
    its = await only(desk)
    await propose(desk, its.case_id, R.ACCEPTED, amount=kzt(LESS))
    await say(desk, deposit, then)
    assert await stands(desk, deposit) == (then, AMOUNT.minor - stood, stood)
    with pytest.raises(staff.ContentChanged):
        await decide(desk, its.case_id)
    assert await stands(desk, deposit) == (then, AMOUNT.minor - stood, stood)


async def test_nor_where_its_deposit_stays_completed(desk: Desk) -> None:
    """A part of it: the deposit does not move with the dispute."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", 100_000)
    await say(desk, deposit, "won", 99_000)
    its = await only(desk)
    await propose(desk, its.case_id, R.ACCEPTED, amount=kzt(99_000))
    await say(desk, deposit, "lost", 100_000)
    with pytest.raises(staff.ContentChanged):
        await decide(desk, its.case_id)
    assert await stands(desk, deposit) == ("lost", 100_000, 50_000)


async def test_the_day_until_when_we_may_answer_stays(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    async with desk.world.database.transaction() as tx:
        await tx.execute(text("UPDATE dispute SET due_at = opened_at + interval '7 days'"))
    await say(desk, deposit, "opened", LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    [its] = await disputes(desk, deposit)
    assert its.due_at is not None
