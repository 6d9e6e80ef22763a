"""Approvals on a real database: asked, voted on by different people, ended once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app import staff
from app.staff import (
    ApprovalClosed,
    ApprovalExpired,
    ApprovalKind,
    ApprovalNotFound,
    ApprovalOpenAlready,
    ApprovalState,
    BadReason,
    ContentChanged,
    NotPermitted,
    OperatorDisabled,
    OwnRequest,
    Right,
    Role,
    Verdict,
    Vote,
    VotedAlready,
)
from tests.staff.desk import APPROVE, CONTENT, PAYOUT, PLAYER, REJECT, SUBJECT, Desk

DAY = timedelta(hours=24)


async def test_one_person_approves(desk: Desk) -> None:
    asked = await desk.ask()
    assert (asked.state, asked.maker, asked.content, asked.still_needed) == ("open", PLAYER, CONTENT, 1)
    decided = await desk.vote(await desk.operator("aigerim"))
    assert decided.state is ApprovalState.APPROVED
    assert decided.decided_at == desk.now + timedelta(minutes=1)
    assert decided == await desk.newest()


async def test_two_different_people_above_the_second_threshold(desk: Desk) -> None:
    await desk.ask(desk.wish(people=2))
    aigerim, bolat = await desk.operator("aigerim"), await desk.operator("bolat", Role.ADMINISTRATOR)
    half = await desk.vote(aigerim)
    assert (half.state, half.still_needed, half.decided_at) == (ApprovalState.OPEN, 1, None)
    with pytest.raises(VotedAlready):
        await desk.vote(aigerim)
    with pytest.raises(VotedAlready):
        await desk.vote(aigerim, REJECT)
    assert (await desk.vote(bolat)).state is ApprovalState.APPROVED
    assert {vote.operator_id for vote in (await desk.newest()).votes} == {
        aigerim.operator_id,
        bolat.operator_id,
    }


async def test_one_reject_ends_it(desk: Desk) -> None:
    await desk.ask(desk.wish(people=2))
    await desk.vote(await desk.operator("aigerim"))
    rejected = await desk.vote(await desk.operator("bolat", Role.FRAUD), REJECT)
    assert (rejected.state, rejected.told) == (ApprovalState.REJECTED, "Use your own card.")
    with pytest.raises(ApprovalClosed, match="rejected"):
        await desk.vote(await desk.operator("saule"))


async def test_a_rejection_that_must_not_tip_off_tells_the_player_nothing(desk: Desk) -> None:
    await desk.ask()
    secret = replace(REJECT, do_not_tip_off=True)
    rejected = await desk.vote(await desk.operator("aigerim", Role.COMPLIANCE), secret)
    assert rejected.told == ""
    assert rejected.votes[0].reason_player == "Use your own card."  # colleagues see what was written


async def test_nobody_approves_their_own_request_not_even_an_administrator(desk: Desk) -> None:
    boss = await desk.operator("boss", *Role)
    for kind in ApprovalKind:
        await desk.ask(desk.wish(kind=kind, maker=boss.actor))
        for cast in (APPROVE, REJECT):
            with pytest.raises(OwnRequest):
                await desk.vote(boss, cast, kind=kind)
        other = await desk.operator(f"other-{kind}")
        assert (await desk.vote(other, kind=kind)).state is ApprovalState.APPROVED


async def test_what_changed_is_not_approved_and_may_be_rejected(desk: Desk) -> None:
    await desk.ask()
    aigerim = await desk.operator("aigerim")
    for other in (
        CONTENT | {"amount_minor": 500_001},
        CONTENT | {"legs": [{"destination": "cd34", "minor": 500_000}]},
        {},
    ):
        with pytest.raises(ContentChanged):
            await desk.vote(aigerim, content=other)
    assert (await desk.vote(aigerim, REJECT, content={})).state is ApprovalState.REJECTED


async def test_an_approval_holds_for_its_content_only(desk: Desk) -> None:
    await desk.ask()

    async def is_approved(content: dict[str, object]) -> bool:
        async with desk.database.reading() as reader:
            return await staff.approved(reader, desk.site_id, PAYOUT, SUBJECT, content)

    assert not await is_approved(CONTENT)
    await desk.vote(await desk.operator("aigerim"))
    assert await is_approved(CONTENT)
    assert not await is_approved(CONTENT | {"amount_minor": 1})
    await desk.ask(after=timedelta(hours=1))  # asked anew: the old yes is no longer one
    assert not await is_approved(CONTENT)


async def test_too_late_is_refused_before_the_sweep_and_after_it(desk: Desk) -> None:
    asked = await desk.ask()
    aigerim = await desk.operator("aigerim")
    with pytest.raises(ApprovalExpired):
        await desk.vote(aigerim, after=DAY)
    async with desk.database.transaction() as tx:
        assert await staff.expire_due(tx, desk.now + DAY - timedelta(microseconds=1)) == []
    async with desk.database.transaction() as tx:
        expired = await staff.expire_due(tx, desk.now + DAY)
    assert [(one.approval_id, one.state) for one in expired] == [(asked.approval_id, ApprovalState.EXPIRED)]
    async with desk.database.transaction() as tx:
        assert await staff.expire_due(tx, desk.now + DAY) == []
    for cast in (APPROVE, REJECT):
        with pytest.raises(ApprovalExpired):
            await desk.vote(aigerim, cast)  # also by a clock that is behind


async def test_what_expired_unswept_is_asked_anew(desk: Desk) -> None:
    first = await desk.ask()
    later = replace(desk.wish(), expires_at=desk.now + 2 * DAY)
    second = await desk.ask(later, after=DAY)
    assert second.approval_id != first.approval_id
    assert (await desk.vote(await desk.operator("aigerim"), after=DAY)).approval_id == second.approval_id
    async with desk.database.reading() as reader:
        assert (await staff.approval(reader, desk.site_id, first.approval_id)).state is ApprovalState.EXPIRED


async def test_the_same_wish_again_is_the_one_that_waits(desk: Desk) -> None:
    first = await desk.ask()
    again = await desk.ask(after=timedelta(hours=1))
    assert again == first
    for other in (
        desk.wish(people=2),
        desk.wish(maker="merchant:101"),
        desk.wish(content={"amount_minor": 1}),
    ):
        with pytest.raises(ApprovalOpenAlready):
            await desk.ask(other)
    assert [line.deed for line in await desk.diary()] == ["approval.opened"]


async def test_withdrawn_is_the_end(desk: Desk) -> None:
    asked = await desk.ask()
    async with desk.database.transaction() as tx:
        gone = await staff.withdraw_approval(tx, desk.site_id, PAYOUT, SUBJECT, at=desk.now, by=PLAYER)
        assert gone is not None
        assert (gone.approval_id, gone.state) == (asked.approval_id, ApprovalState.WITHDRAWN)
        assert await staff.withdraw_approval(tx, desk.site_id, PAYOUT, SUBJECT, at=desk.now) is None
    with pytest.raises(ApprovalClosed, match="withdrawn"):
        await desk.vote(await desk.operator("aigerim"))
    assert [line.actor for line in await desk.diary()] == [PLAYER, PLAYER]


async def test_a_vote_may_name_what_was_looked_at(desk: Desk) -> None:
    aigerim = await desk.operator("aigerim")
    looked_at = await desk.ask(desk.wish(content={"amount_minor": 1}))
    async with desk.database.transaction() as tx:
        await staff.withdraw_approval(tx, desk.site_id, PAYOUT, SUBJECT, at=desk.now)
    await desk.ask(after=timedelta(seconds=1))  # another amount, behind this operator's back
    with pytest.raises(ApprovalClosed):
        await desk.vote(aigerim, replace(APPROVE, approval_id=looked_at.approval_id))
    assert (await desk.newest()).state is ApprovalState.OPEN
    refund = await desk.ask(desk.wish(kind=ApprovalKind.REFUND))
    for wrong in (refund.approval_id, "apr_none"):
        with pytest.raises(ApprovalNotFound):
            await desk.vote(aigerim, replace(APPROVE, approval_id=wrong))


async def test_what_was_never_asked_cannot_be_approved(desk: Desk) -> None:
    with pytest.raises(ApprovalNotFound, match=SUBJECT):
        await desk.vote(await desk.operator("aigerim"))


async def test_who_may_not_leaves_no_vote(desk: Desk) -> None:
    await desk.ask()
    for login, role in (
        ("sup", Role.SUPPORT),
        ("aud", Role.AUDITOR),
        ("fra", Role.FRAUD),
        ("com", Role.COMPLIANCE),
    ):
        with pytest.raises(NotPermitted):
            await desk.vote(await desk.operator(login, role))
    elsewhere = await desk.operator("elsewhere", sites=frozenset({desk.site_id}))
    assert (await desk.newest()).votes == ()
    assert (await desk.vote(elsewhere)).state is ApprovalState.APPROVED


async def test_an_operator_of_another_site_may_not(desk: Desk) -> None:
    await desk.ask()
    async with desk.database.transaction() as tx:
        new = staff.NewOperator("other", "Other", frozenset({Role.ADMINISTRATOR}), frozenset({desk.site_id}))
        other, _ = await staff.create_operator(tx, new, at=desk.now)
    with pytest.raises(NotPermitted):
        staff.require(other, Right.PAYOUT_APPROVE, desk.site_id + 1)


async def test_what_the_database_says_of_a_person_counts_not_what_was_read_before(desk: Desk) -> None:
    await desk.ask()
    aigerim = await desk.operator("aigerim", Role.SUPPORT)
    forged = replace(aigerim, roles=frozenset(Role))
    with pytest.raises(NotPermitted):
        await desk.vote(forged)
    bolat = await desk.operator("bolat")
    async with desk.database.transaction() as tx:
        await staff.disable_operator(tx, bolat.operator_id, at=desk.now)
    with pytest.raises(OperatorDisabled):
        await desk.vote(bolat)
    with pytest.raises(staff.OperatorNotFound):
        await desk.vote(replace(bolat, operator_id=staff.OperatorId("opr_none")))


async def test_a_rejection_without_a_reason_is_refused(desk: Desk) -> None:
    await desk.ask()
    with pytest.raises(BadReason, match="reason_staff"):
        await desk.vote(await desk.operator("aigerim"), Vote(Verdict.REJECT))


async def test_the_list_of_what_waits(desk: Desk) -> None:
    first = await desk.ask()
    second = await desk.ask(desk.wish(kind=ApprovalKind.CASE), after=timedelta(minutes=1))
    async with desk.database.reading() as reader:
        assert await staff.open_approvals(reader, desk.site_id) == [first, second]
        assert await staff.open_approvals(reader, desk.site_id, kind=PAYOUT) == [first]
        assert await staff.open_approvals(reader, desk.site_id, limit=1) == [first]
        assert await staff.open_approvals(reader, desk.site_id + 1) == []
    await desk.vote(await desk.operator("aigerim"))
    async with desk.database.reading() as reader:
        assert await staff.open_approvals(reader, desk.site_id) == [second]
