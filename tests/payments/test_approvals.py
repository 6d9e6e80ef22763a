"""Who lets a withdrawal go: nobody, one person, two; and nobody else, whatever way is tried."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import payments, staff
from app.kernel.money import Money
from app.payments.cancels import TooLateToCancel
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import AMOUNT

# ruff: noqa: ANN401  a row; reasons and policies of any kind
Role = staff.Role


async def reviewed(stage: Stage, **policy: Any) -> Any:
    """A withdrawal that waits for people."""
    await stage.policy(auto_below=None, **policy)
    await stage.fund()
    found = await stage.withdraw()
    assert found.sub_status == "under_review"
    return found


async def approve(stage: Stage, payment_id: str, who: staff.Operator, **more: Any) -> payments.Payment:
    return await payments.approve(stage.pipes, stage.site_id, payment_id, who, **more)


async def reject(stage: Stage, payment_id: str, who: staff.Operator, **why: Any) -> payments.Payment:
    refusing = payments.Refusing(**{"reason_staff": "somebody else's card", **why})
    return await payments.reject(stage.pipes, stage.site_id, payment_id, who, refusing)


@pytest.mark.parametrize(
    ("amount", "state"),
    [(99_999, "approved"), (100_000, "under_review"), (100_001, "under_review")],
)
async def test_only_strictly_below_the_limit_nobody_is_asked(stage: Stage, amount: int, state: str) -> None:
    await stage.policy(auto_below=Money(100_000, "KZT"))
    await stage.fund()
    assert (await stage.withdraw(amount)).sub_status == state


async def test_a_site_without_a_policy_lets_nothing_go_by_itself(stage: Stage, bank: Bank) -> None:
    async with stage.database.transaction() as tx:
        await tx.execute(text("UPDATE payout_policy SET currency = 'USD'"))
    await stage.fund()
    found = await stage.withdraw(1_000)
    assert found.sub_status == "under_review"
    anna = await stage.operator("anna")
    await approve(stage, found.payment_id, anna)
    await stage.work()
    # And it waits for the merchant.
    assert (await stage.state(found.payment_id))[0] == "approved"
    assert bank.payouts == []


async def test_one_person_lets_it_go(stage: Stage, bank: Bank) -> None:
    found = await reviewed(stage)
    anna = await stage.operator("anna")
    done = await approve(stage, found.payment_id, anna, reason="known player")
    assert done.sub_status is payments.SubStatus.APPROVED
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"
    with pytest.raises(staff.ApprovalClosed):
        await approve(stage, found.payment_id, await stage.operator("bota"))
    assert len(bank.payouts) == 1


@pytest.mark.parametrize(("amount", "people"), [(100_000, 1), (100_001, 2)])
async def test_above_the_second_limit_it_takes_two(stage: Stage, amount: int, people: int) -> None:
    await stage.policy(auto_below=None, second_above=Money(100_000, "KZT"))
    await stage.fund()
    found = await stage.withdraw(amount)
    anna, bota = await stage.operator("anna"), await stage.operator("bota")
    first = await approve(stage, found.payment_id, anna)
    if people == 1:
        assert first.sub_status is payments.SubStatus.APPROVED
        return
    assert first.sub_status is payments.SubStatus.AWAITING_SECOND_APPROVAL
    with pytest.raises(staff.VotedAlready):
        await approve(stage, found.payment_id, anna)
    assert (await approve(stage, found.payment_id, bota)).sub_status is payments.SubStatus.APPROVED
    types = [row.type for row in await stage.rows("SELECT type FROM payment_event ORDER BY sequence")]
    assert types[1:] == [
        "withdrawal.under_review",
        "withdrawal.awaiting_second_approval",
        "withdrawal.approved",
    ]


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.FRAUD, Role.COMPLIANCE, Role.AUDITOR])
async def test_who_has_not_the_right_approves_nothing(stage: Stage, role: Role) -> None:
    found = await reviewed(stage)
    with pytest.raises(staff.NotPermitted):
        await approve(stage, found.payment_id, await stage.operator("anna", role))
    assert (await stage.state(found.payment_id))[0] == "under_review"


async def test_an_administrator_is_one_person_too(stage: Stage) -> None:
    await stage.policy(auto_below=None, second_above=Money(1, "KZT"))
    await stage.fund()
    found = await stage.withdraw()
    chief = await stage.operator("chief", Role.ADMINISTRATOR)
    await approve(stage, found.payment_id, chief)
    with pytest.raises(staff.VotedAlready):
        await approve(stage, found.payment_id, chief)


async def test_a_rejection_has_two_reasons(stage: Stage, bank: Bank) -> None:
    found = await reviewed(stage)
    anna = await stage.operator("anna", Role.FRAUD)
    gone = await reject(stage, found.payment_id, anna, reason_player="Use your own card.")
    assert (gone.sub_status, gone.reason_player) == (payments.SubStatus.REJECTED, "Use your own card.")
    assert gone.reason == "somebody else's card"
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    [row] = await stage.rows("SELECT fields FROM webhook")
    assert row.fields["status_id"] == 5
    assert "somebody" not in str(row.fields)
    await stage.work()
    assert bank.payouts == []
    with pytest.raises(staff.ApprovalClosed):
        await approve(stage, found.payment_id, await stage.operator("bota"))


async def test_who_must_not_be_tipped_off_reads_nothing(stage: Stage) -> None:
    found = await reviewed(stage)
    gone = await reject(
        stage,
        found.payment_id,
        await stage.operator("anna"),
        reason_player="You are being looked at.",
        do_not_tip_off=True,
    )
    assert gone.reason_player == ""
    assert "looked at" not in str(payments.public_object(gone))


async def test_a_rejection_without_a_reason_is_none(stage: Stage) -> None:
    found = await reviewed(stage)
    with pytest.raises(staff.BadReason):
        await reject(stage, found.payment_id, await stage.operator("anna"), reason_staff=" ")
    assert (await stage.state(found.payment_id))[0] == "under_review"
    assert await stage.held() == AMOUNT.minor


async def test_the_second_person_may_reject(stage: Stage) -> None:
    await stage.policy(auto_below=None, second_above=Money(1, "KZT"))
    await stage.fund()
    found = await stage.withdraw()
    await approve(stage, found.payment_id, await stage.operator("anna"))
    gone = await reject(stage, found.payment_id, await stage.operator("bota"))
    assert gone.sub_status is payments.SubStatus.REJECTED
    assert await stage.held() == 0


async def test_an_approval_expires_and_people_are_asked_anew(stage: Stage) -> None:
    await stage.policy(auto_below=None, second_above=Money(1, "KZT"), approval_hours=24)
    await stage.fund()
    found = await stage.withdraw()
    anna, bota = await stage.operator("anna"), await stage.operator("bota")
    await approve(stage, found.payment_id, anna)
    stage.clock.advance(timedelta(hours=24))
    with pytest.raises(staff.ApprovalExpired):
        await approve(stage, found.payment_id, bota)
    await stage.later(0)
    assert (await stage.state(found.payment_id))[0] == "under_review"
    # What two people approve, they approve within one time: the first vote is void.
    first = await approve(stage, found.payment_id, bota)
    assert first.sub_status is payments.SubStatus.AWAITING_SECOND_APPROVAL
    done = await approve(stage, found.payment_id, anna)
    assert done.sub_status is payments.SubStatus.APPROVED


async def test_what_was_approved_is_what_is_sent(stage: Stage, bank: Bank, clone_url: str) -> None:
    """The application cannot change it; somebody with more rights is noticed before anything is sent."""
    found = await reviewed(stage)
    await approve(stage, found.payment_id, await stage.operator("anna"))
    for column in ("amount_minor = 1", "destination = '{}'", "fingerprint = 'x'"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with stage.database.transaction() as tx:
                await tx.execute(text(f"UPDATE payout_leg SET {column}"))  # noqa: S608  the list above
    async with stage.database.transaction() as tx:
        await tx.execute(text("UPDATE payment SET approved_hash = '\\x00'"))
    await stage.work()
    assert await stage.state(found.payment_id) == ("approved", "illegal_change")
    # It says so, and is looked at, whatever becomes of the case.
    waiting = await stage.row(found.payment_id)
    assert waiting.reason == "it is not what people have approved: cancel it"
    assert waiting.ask_at is not None
    assert bank.payouts == []
    await payments.cancel_for_staff(
        stage.pipes, stage.site_id, found.payment_id, await stage.operator("bota"), reason="changed"
    )


async def test_staff_takes_it_back_and_the_diary_says_who(stage: Stage) -> None:
    found = await reviewed(stage)
    gone = await payments.cancel_for_staff(
        stage.pipes,
        stage.site_id,
        found.payment_id,
        await stage.operator("sara", Role.SUPPORT),
        reason="the player called",
    )
    assert gone.sub_status is payments.SubStatus.BY_OPERATOR
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    async with stage.database.reading() as reader:
        lines = await staff.diary(reader, stage.site_id, subject=found.payment_id)
    assert "payout.cancelled" in [line.deed for line in lines]
    with pytest.raises(staff.NotPermitted):
        await payments.cancel_for_staff(
            stage.pipes, stage.site_id, found.payment_id, await stage.operator("au", Role.AUDITOR), reason="x"
        )


async def test_approve_against_cancel_at_once_one_wins(stage: Stage, bank: Bank) -> None:
    await stage.policy(auto_below=None)
    await stage.fund(FUNDS * 10)
    session = await stage.session()
    people = [await stage.operator(f"person-{number}") for number in range(3)]
    won: dict[str, int] = {"approved": 0, "by_player": 0, "rejected": 0}
    for turn in range(12):
        found = await stage.withdraw(10_000, session)
        deeds = [
            payments.cancel(stage.pipes, stage.site_id, found.payment_id, session.player.player_id),
            approve(stage, found.payment_id, people[0]),
            reject(stage, found.payment_id, people[1]),
        ]
        ends = await asyncio.gather(*deeds[turn % 3 :], *deeds[: turn % 3], return_exceptions=True)
        done = [end for end in ends if isinstance(end, payments.Payment)]
        refused = [type(end) for end in ends if not isinstance(end, payments.Payment)]
        state, _ = await stage.state(found.payment_id)
        if state == "by_player" and len(done) == 2:
            # Approved first, and taken back before it was sent: both are legal, one after the other.
            assert {one.sub_status for one in done} == {
                payments.SubStatus.APPROVED,
                payments.SubStatus.BY_PLAYER,
            }
        else:
            assert len(done) == 1, ends
        assert set(refused) <= {staff.ApprovalClosed, TooLateToCancel}
        won[state] += 1
        await stage.work()
        end = (await stage.state(found.payment_id))[0]
        assert end == ("completed" if state == "approved" else state)
    assert sum(won.values()) == 12
    assert len(bank.moved) == won["approved"]
