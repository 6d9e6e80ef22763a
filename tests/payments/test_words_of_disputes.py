"""A word about a dispute that cannot be booked as it came: people hear of each, and two can let it count."""

import pytest
from sqlalchemy import text

from app import payments
from app.payments.resolutions import ResolutionImpossible
from app.payments.states import DisputeState
from tests.payments.accounts import SECOND, with_accounts
from tests.payments.casework import REJECT, R, decide, only, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.test_disputes import disputes, say
from tests.payments.world import AMOUNT

LESS = AMOUNT.minor - 1_000  # without a fee of 10 tenge


async def stands(desk: Desk, deposit: str) -> tuple[str, int, int]:
    """The dispute's state, what is taken by it, and what the player has and owes."""
    [its] = await disputes(desk, deposit)
    held = await desk.balances()
    return its.state.value, its.posted.minor, held.get("player_cash", 0) + held.get("player_debt", 0)


async def test_another_stage_that_cannot_follow_is_heard_though_one_was_noted(desk: Desk) -> None:
    """Won; opened again, which people note; and lost: 1,500 tenge are gone."""
    deposit = await desk.deposit()
    for stage in ("opened", "won", "opened"):
        await say(desk, deposit, stage)
    [its] = await open_cases(desk)
    assert its.kind.value == "illegal_change"
    await resolve(desk, its.case_id, R.NOTED)
    await say(desk, deposit, "lost")
    [now] = await disputes(desk, deposit)
    assert (now.state.value, now.posted.minor) == ("won", 0)
    assert [one.kind.value for one in await open_cases(desk)] == ["illegal_change"]


@pytest.mark.parametrize("last", ["won", "lost"])
async def test_a_dispute_that_is_told_with_another_sum_is_heard_though_that_was_noted(
    desk: Desk, last: str
) -> None:
    """The provider tells the sum without its fee from the second word on."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "submitted", LESS)
    its = await only(desk)
    assert its.kind.value == "amount_differs"
    await resolve(desk, its.case_id, R.NOTED)
    await say(desk, deposit, last, LESS)
    its = await only(desk)
    assert (its.kind.value, its.theirs["code"]) == ("amount_differs", last)


@pytest.mark.parametrize(("last", "posted"), [("won", 1_000), ("lost", LESS)])
async def test_two_people_let_it_count_with_the_sum_that_it_really_was(
    desk: Desk, last: str, posted: int
) -> None:
    """The bank kept its fee of what it gave back; or it never took so much."""
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, last, LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    assert await stands(desk, deposit) == (last, posted, AMOUNT.minor - posted)
    assert await desk.figures(deposit) == (150_000, 0, 0, posted)
    assert await open_cases(desk) == []


async def test_a_stage_that_they_let_count_is_followed_by_the_next(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "submitted", LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    assert await stands(desk, deposit) == ("submitted", LESS, 1_000)
    await say(desk, deposit, "won", LESS)
    assert await stands(desk, deposit) == ("won", 0, AMOUNT.minor)


async def test_what_was_won_in_part_and_is_taken_again_is_taken_besides(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won", LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    await say(desk, deposit, "pre_arbitration", LESS)
    assert await stands(desk, deposit) == ("pre_arbitration", AMOUNT.minor, 0)
    await say(desk, deposit, "won", LESS)
    assert await stands(desk, deposit) == ("won", 1_000, LESS)


async def test_what_was_lost_after_all_can_be_taken(desk: Desk) -> None:
    deposit = await desk.deposit()
    for stage in ("opened", "won", "lost"):
        await say(desk, deposit, stage)
    assert await stands(desk, deposit) == ("won", 0, AMOUNT.minor)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=AMOUNT)
    assert await stands(desk, deposit) == ("lost", AMOUNT.minor, 0)
    assert (await desk.found(deposit)).sub_status.value == "charged_back"


async def test_one_that_was_told_with_more_than_was_credited_can_be_opened(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", AMOUNT.minor + 1_000)
    assert await disputes(desk, deposit) == []
    its = await only(desk)
    with pytest.raises(ResolutionImpossible, match="so much was never credited"):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(AMOUNT.minor + 1_000))
    await decide(desk, its.case_id, REJECT)
    await resolve(desk, its.case_id, R.ACCEPTED, amount=AMOUNT)
    assert await stands(desk, deposit) == ("opened", AMOUNT.minor, 0)


async def test_what_cannot_have_been_so_is_refused(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "won", AMOUNT.minor + 1_000)
    its = await only(desk)
    with pytest.raises(ResolutionImpossible, match="no dispute of this number is known"):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=AMOUNT)
    await decide(desk, its.case_id, REJECT)
    for stage in ("opened", "lost", "needs_response"):
        await say(desk, deposit, stage)
    its = next(one for one in await open_cases(desk) if one.kind.value == "illegal_change")
    with pytest.raises(ResolutionImpossible, match="the dispute is lost"):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=AMOUNT)


async def test_more_than_was_taken_does_not_come_back(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", LESS)
    await say(desk, deposit, "won")
    its = await only(desk)
    with pytest.raises(ResolutionImpossible, match="was taken by it"):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=AMOUNT)


async def test_that_it_was_lost_once_we_had_given_in_is_no_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    [its] = await disputes(desk, deposit)
    accepted = payments.move_dispute(
        desk.pipes, desk.site_id, its.dispute_id, desk.checker, DisputeState.ACCEPTED, note="it is true"
    )
    assert (await accepted).state is DisputeState.ACCEPTED
    await say(desk, deposit, "lost")
    assert await stands(desk, deposit) == ("lost", AMOUNT.minor, 0)
    assert await open_cases(desk) == []


async def test_people_move_a_dispute_of_a_try_whose_place_another_has_taken(desk: Desk) -> None:
    """A warning came about the one at this account; the deposit was reversed, and came by another account."""
    deposit = await desk.deposit()
    await say(desk, deposit, "early_warning")
    [its] = await disputes(desk, deposit)
    await with_accounts(desk.world, SECOND)
    async with desk.world.database.transaction() as tx:
        await tx.execute(text("UPDATE payment SET account = :name"), {"name": SECOND})
    moved = await payments.move_dispute(
        desk.pipes, desk.site_id, its.dispute_id, desk.checker, DisputeState.PREVENTED, note="settled"
    )
    assert moved.state is DisputeState.PREVENTED


async def codes(desk: Desk) -> list[object]:
    return [one.theirs["code"] for one in await open_cases(desk)]


@pytest.mark.parametrize("resolution", [R.ACCEPTED, R.NOTED])
@pytest.mark.parametrize("last", ["won", "lost"])
async def test_the_next_word_with_another_sum_is_heard_while_a_case_is_open(
    desk: Desk, last: str, resolution: R
) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "submitted", LESS)
    await say(desk, deposit, last, LESS)
    its = next(one for one in await open_cases(desk) if one.theirs["code"] == "submitted")
    more = {"amount": kzt(LESS)} if resolution is R.ACCEPTED else {}
    await resolve(desk, its.case_id, resolution, **more)
    state, _, _ = await stands(desk, deposit)
    assert state == last or last in await codes(desk)


async def test_lost_is_heard_while_a_case_of_another_word_is_open(desk: Desk) -> None:
    """Won; an old word comes late, which is a case; then it is lost after all: 1,500 are gone."""
    deposit = await desk.deposit()
    for stage in ("opened", "won", "submitted", "lost"):
        await say(desk, deposit, stage)
    its = next(one for one in await open_cases(desk) if one.theirs["code"] == "submitted")
    await resolve(desk, its.case_id, R.NOTED)
    [now] = await disputes(desk, deposit)
    assert now.state.value == "lost" or "lost" in await codes(desk)


async def test_lost_a_second_time_after_won_is_heard(desk: Desk) -> None:
    deposit = await desk.deposit()
    for stage in ("opened", "won", "lost"):
        await say(desk, deposit, stage)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=AMOUNT)
    await say(desk, deposit, "won")
    assert await stands(desk, deposit) == ("won", 0, AMOUNT.minor)
    await say(desk, deposit, "lost")
    assert [one.kind.value for one in await open_cases(desk)] == ["illegal_change"]


async def test_a_warning_that_expired_may_be_followed_by_a_chargeback(desk: Desk) -> None:
    deposit = await desk.deposit()
    for stage in ("early_warning", "expired", "opened"):
        await say(desk, deposit, stage)
    assert await stands(desk, deposit) == ("opened", AMOUNT.minor, 0)


async def test_what_has_expired_with_the_money_is_not_opened_again(desk: Desk) -> None:
    deposit = await desk.deposit()
    for stage in ("opened", "expired", "opened"):
        await say(desk, deposit, stage)
    assert await stands(desk, deposit) == ("expired", AMOUNT.minor, 0)
    assert await codes(desk) == ["opened"]


async def test_repeats_of_the_old_word_after_it_was_accepted_are_one_case_each(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "submitted", LESS)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(LESS))
    desk.world.clock.advance(60)
    cases = 0
    for _ in range(4):
        for stage in ("opened", "submitted"):
            await say(desk, deposit, stage)
            for its in await open_cases(desk):
                cases += 1
                await resolve(desk, its.case_id, R.NOTED)
    assert cases == 2
