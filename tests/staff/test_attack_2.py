"""Attack: who asks makes a helper's account, the helper makes the voter's token, and all three are one person."""

from datetime import timedelta

import pytest

from app import staff
from app.staff import ApprovalState, Role
from tests.staff.desk import Desk
from tests.staff.test_approvals import token_by


async def test_a_hand_behind_a_hand_is_no_other_person(desk: Desk) -> None:
    """All of it since it was asked, and all of it with operators' tokens, so all of it is in the diary."""
    boss, anna = await desk.operator("boss", Role.ADMINISTRATOR), await desk.operator("anna")
    await desk.ask(desk.wish(maker=boss.actor))
    new = staff.NewOperator("helper", "Helper", frozenset({Role.ADMINISTRATOR}))
    async with desk.database.transaction() as tx:
        helper, _ = await staff.create_operator(tx, new, at=desk.now + timedelta(minutes=1), by=boss.actor)
    await token_by(desk, anna, helper.actor, after=timedelta(minutes=2))
    with pytest.raises(staff.NotAnotherPerson):
        done = await desk.vote(anna, after=timedelta(minutes=3))
        assert done.state is not ApprovalState.APPROVED, "boss asked, and boss has approved"


async def test_nor_are_two_voters_with_one_hand_behind_them(desk: Desk) -> None:
    boss = await desk.operator("boss", Role.ADMINISTRATOR)
    anna = await desk.operator("anna")
    await desk.ask(desk.wish(people=2))
    new = staff.NewOperator("helper", "Helper", frozenset({Role.ADMINISTRATOR}))
    async with desk.database.transaction() as tx:
        helper, _ = await staff.create_operator(tx, new, at=desk.now + timedelta(minutes=1), by=boss.actor)
    await token_by(desk, anna, helper.actor, after=timedelta(minutes=2))
    await desk.vote(boss, after=timedelta(minutes=3))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(anna, after=timedelta(minutes=4))
