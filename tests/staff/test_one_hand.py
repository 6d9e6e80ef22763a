"""One person behind two names: who made whose account or token, and through how many hands."""

from datetime import timedelta

import pytest

from app import staff
from app.plumbing import web
from app.staff import ApprovalState, Role
from app.staff.rules import FRESH_FOR
from tests.staff.desk import REJECT, Desk


async def token_by(desk: Desk, of: staff.Operator, by: str, *, after: timedelta) -> None:
    async with desk.database.transaction() as tx:
        await staff.new_token(tx, of.operator_id, at=desk.now + after, by=by)


@pytest.mark.parametrize("first", [0, 1], ids=["self first", "colleague first"])
async def test_who_has_made_a_colleagues_token_is_not_two_people(desk: Desk, first: int) -> None:
    pair = [await desk.operator("boss", Role.ADMINISTRATOR), await desk.operator("anna")]
    await desk.ask(desk.wish(people=2))
    await token_by(desk, pair[1], pair[0].actor, after=timedelta(minutes=1))
    await desk.vote(pair[first], after=timedelta(minutes=2))
    with pytest.raises(staff.NotAnotherPerson) as refused:
        await desk.vote(pair[1 - first], after=timedelta(minutes=3))
    assert web.status_of(type(refused.value)) == 403
    # A rejection is one person's deed anyway; and somebody else is another person.
    done = await desk.vote(await desk.operator("bota"), after=timedelta(minutes=4))
    assert done.state is ApprovalState.APPROVED


async def test_nor_are_two_colleagues_whose_tokens_one_has_made(desk: Desk) -> None:
    boss = await desk.operator("boss", Role.ADMINISTRATOR)
    anna, bota = await desk.operator("anna"), await desk.operator("bota")
    await desk.ask(desk.wish(people=2))
    for one in (anna, bota):
        await token_by(desk, one, boss.actor, after=timedelta(minutes=1))
    await desk.vote(anna, after=timedelta(minutes=2))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(bota, after=timedelta(minutes=3))
    assert (await desk.vote(bota, REJECT, after=timedelta(minutes=4))).state is ApprovalState.REJECTED


async def test_who_asks_makes_no_voter(desk: Desk) -> None:
    boss = await desk.operator("boss", Role.ADMINISTRATOR)
    await desk.ask(desk.wish(maker=boss.actor))
    new = staff.NewOperator("late", "Late", frozenset({Role.FINANCE}))
    async with desk.database.transaction() as tx:
        late, _ = await staff.create_operator(tx, new, at=desk.now, by=boss.actor)
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(late)


async def test_a_token_of_long_before_or_of_ones_own_or_of_the_servers_is_fine(desk: Desk) -> None:
    boss = await desk.operator("boss", Role.ADMINISTRATOR)
    anna, bota = await desk.operator("anna"), await desk.operator("bota")
    await token_by(desk, anna, boss.actor, after=-FRESH_FOR - timedelta(seconds=1))
    await desk.ask(desk.wish(people=3))
    await token_by(desk, boss, boss.actor, after=timedelta(minutes=1))
    for one in (anna, bota):
        await token_by(desk, one, "machine:root", after=timedelta(minutes=1))
    for one in (boss, anna, bota):
        await desk.vote(one, after=timedelta(minutes=2))
    assert (await desk.newest()).state is ApprovalState.APPROVED


async def let_in(desk: Desk, login: str, role: Role, by: str, *, after: timedelta) -> staff.Operator:
    async with desk.database.transaction() as tx:
        new = staff.NewOperator(login, login.title(), frozenset({role}))
        return (await staff.create_operator(tx, new, at=desk.now + after, by=by))[0]


async def test_a_hand_behind_a_hand_is_no_other_person(desk: Desk) -> None:
    """Who asks lets a helper in, and the helper makes the voter's token."""
    boss, anna = await desk.operator("boss", Role.ADMINISTRATOR), await desk.operator("anna")
    await desk.ask(desk.wish(maker=boss.actor))
    helper = await let_in(desk, "helper", Role.ADMINISTRATOR, boss.actor, after=timedelta(minutes=1))
    await token_by(desk, anna, helper.actor, after=timedelta(minutes=2))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(anna, after=timedelta(minutes=3))
    assert (await desk.vote(await desk.operator("bota"))).state is ApprovalState.APPROVED


async def test_nor_are_two_voters_with_one_hand_behind_them(desk: Desk) -> None:
    boss, anna = await desk.operator("boss", Role.ADMINISTRATOR), await desk.operator("anna")
    await desk.ask(desk.wish(people=2))
    hand = boss
    for number in range(1, 5):
        after = timedelta(minutes=number)
        hand = await let_in(desk, f"helper-{number}", Role.ADMINISTRATOR, hand.actor, after=after)
    await token_by(desk, anna, hand.actor, after=timedelta(minutes=5))
    await desk.vote(boss, after=timedelta(minutes=6))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(anna, after=timedelta(minutes=7))


async def test_two_who_made_each_others_tokens_are_one_and_the_search_ends(desk: Desk) -> None:
    boss, chief = [await desk.operator(login, Role.ADMINISTRATOR) for login in ("boss", "chief")]
    await desk.ask(desk.wish(people=2))
    await token_by(desk, boss, chief.actor, after=timedelta(minutes=1))
    await token_by(desk, chief, boss.actor, after=timedelta(minutes=1))
    await desk.vote(boss, after=timedelta(minutes=2))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(chief, after=timedelta(minutes=3))


async def test_a_token_made_shortly_before_it_was_asked_counts(desk: Desk) -> None:
    boss, anna = await desk.operator("boss", Role.ADMINISTRATOR), await desk.operator("anna")
    await token_by(desk, anna, boss.actor, after=-FRESH_FOR)
    await desk.ask(desk.wish(maker=boss.actor))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(anna)


async def test_who_lets_somebody_in_to_ask_does_not_approve(desk: Desk) -> None:
    boss = await desk.operator("boss", Role.ADMINISTRATOR)
    helper = await let_in(desk, "helper", Role.FINANCE, boss.actor, after=timedelta(minutes=-1))
    await desk.ask(desk.wish(maker=helper.actor))
    with pytest.raises(staff.NotAnotherPerson):
        await desk.vote(boss)


async def test_whom_one_administrator_lets_in_are_two_people_a_day_later(desk: Desk) -> None:
    """The first set-up of a house: what one person approves goes on at once, what needs two a day later."""
    boss = await desk.operator("boss", Role.ADMINISTRATOR)
    before = -FRESH_FOR - timedelta(minutes=1)
    anna, bota = [
        await let_in(desk, login, Role.FINANCE, boss.actor, after=before) for login in ("anna", "bota")
    ]
    carl = await let_in(desk, "carl", Role.FINANCE, boss.actor, after=timedelta(0))
    await desk.ask(desk.wish(people=3))
    assert [(await desk.vote(one)).state for one in (anna, bota, boss)][-1] is ApprovalState.APPROVED
    await desk.ask(after=timedelta(minutes=2))
    assert (await desk.vote(carl, after=timedelta(minutes=3))).state is ApprovalState.APPROVED
