"""Many hands on one approval: one outcome, and as many votes as people."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from app import staff
from app.kernel.errors import Refusal
from app.staff import ApprovalState, Operator, Vote
from tests.staff.desk import APPROVE, PAYOUT, REJECT, SUBJECT, Desk

ROUNDS = 12
HANDS = 8


async def outcome(desk: Desk, operator: Operator, cast: Vote) -> str:
    try:
        return (await desk.vote(operator, cast)).state.value
    except Refusal as refusal:
        return refusal.code


async def emptied(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        await staff.withdraw_approval(tx, desk.site_id, PAYOUT, SUBJECT, at=desk.now)


async def test_one_person_at_once_with_themselves_votes_once(desk: Desk) -> None:
    aigerim = await desk.operator("aigerim")
    for number in range(ROUNDS):
        await desk.ask(desk.wish(people=2), after=timedelta(seconds=number))
        said = await asyncio.gather(*(outcome(desk, aigerim, APPROVE) for _ in range(HANDS)))
        assert Counter(said) == {"open": 1, "voted_already": HANDS - 1}
        assert len((await desk.newest()).votes) == 1
        await emptied(desk)


@pytest.mark.parametrize("people", [1, 2, 3])
async def test_as_many_votes_count_as_are_needed(desk: Desk, people: int) -> None:
    crowd = [await desk.operator(f"person{number}") for number in range(HANDS)]
    for number in range(ROUNDS):
        await desk.ask(desk.wish(people=people), after=timedelta(seconds=number))
        said = Counter(await asyncio.gather(*(outcome(desk, one, APPROVE) for one in crowd)))
        assert said == +Counter(open=people - 1, approved=1, approval_closed=HANDS - people)
        assert len((await desk.newest()).votes) == people


async def test_approve_against_reject_one_wins(desk: Desk) -> None:
    aigerim, bolat = await desk.operator("aigerim"), await desk.operator("bolat")
    won: Counter[str] = Counter()
    for number in range(ROUNDS):
        await desk.ask(after=timedelta(seconds=number))
        calls = [outcome(desk, aigerim, APPROVE), outcome(desk, bolat, REJECT)]
        said = await asyncio.gather(*(calls if number % 2 else reversed(calls)))
        assert sorted(said) in (["approval_closed", "approved"], ["approval_closed", "rejected"])
        won[(await desk.newest()).state] += 1
    assert won.total() == ROUNDS


async def test_a_vote_against_the_sweep_and_the_withdrawal(desk: Desk) -> None:
    aigerim = await desk.operator("aigerim")

    async def swept() -> str:
        async with desk.database.transaction() as tx:
            return "expired" if await staff.expire_due(tx, desk.now + timedelta(hours=24)) else ""

    async def withdrawn() -> str:
        async with desk.database.transaction() as tx:
            gone = await staff.withdraw_approval(tx, desk.site_id, PAYOUT, SUBJECT, at=desk.now)
        return "withdrawn" if gone else ""

    for number in range(ROUNDS):
        await desk.ask(after=timedelta(seconds=number))
        said = await asyncio.gather(swept(), outcome(desk, aigerim, APPROVE), withdrawn())
        ended = [word for word in said if word in set(ApprovalState) - {ApprovalState.OPEN}]
        assert ended == [(await desk.newest()).state]


async def test_asked_at_once_by_many_it_is_asked_once(desk: Desk) -> None:
    made = await asyncio.gather(*(desk.ask() for _ in range(HANDS)))
    assert len({one.approval_id for one in made}) == 1
    assert [line.deed for line in await desk.diary()] == ["approval.opened"]


async def test_whoever_is_being_disabled_votes_before_or_not_at_all(desk: Desk) -> None:
    for number in range(ROUNDS):
        one = await desk.operator(f"person{number}")
        await desk.ask(after=timedelta(seconds=number))

        async def disabled(one: Operator = one) -> None:
            async with desk.database.transaction() as tx:
                await staff.disable_operator(tx, one.operator_id, at=desk.now)

        said, _ = await asyncio.gather(outcome(desk, one, APPROVE), disabled())
        assert said in {"approved", "operator_disabled"}
        assert len((await desk.newest()).votes) == (said == "approved")
        await emptied(desk)
