"""One resolution closes what it answers: nobody notes the same fact a second time; nothing else is closed."""

import pytest

from app import payments, staff
from app.payments.cases import CaseClosed
from app.payments.model import CaseKind
from app.payments.obstacles import why_barred
from app.webhooks import endpoints
from tests.payments.casework import PROOF, R, decide, only, open_cases, orphan, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.stage import Bank, Stage
from tests.payments.test_paid_again import cases, tell
from tests.payments.test_paid_again import resolve as resolve_on_stage
from tests.payments.world import State, fact, just, paid


async def taken_back(desk: Desk) -> str:
    """A credited deposit of which the provider says that the money went back; returns its id."""
    deposit = await desk.deposit()
    desk.provider.statuses = [just(State.REVERSED)]
    await desk.carry_on(deposit)
    return deposit


async def resolved(desk: Desk) -> list[tuple[str, str, str]]:
    rows = await desk.world.rows(
        "SELECT kind, resolution, encode(attachment_hash, 'hex') AS proof FROM payment_case "
        "WHERE state = 'resolved' ORDER BY opened_at, case_id"
    )
    return [(row.kind, row.resolution, row.proof) for row in rows]


async def test_what_a_resolution_does_is_no_second_case(desk: Desk) -> None:
    async with desk.world.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/", ("transaction.resolved",))
        await endpoints.register(tx, desk.site_id, new, at=desk.world.clock.now())
    deposit = await taken_back(desk)
    its = await only(desk)
    await resolve(desk, its.case_id, R.NOT_PAID)
    found = await desk.found(deposit)
    assert (found.sub_status.value, found.attention, await open_cases(desk)) == ("reversed", None, [])
    assert await resolved(desk) == [
        ("taken_back", "not_paid", PROOF),
        ("denied_after_success", "not_paid", PROOF),
    ]
    # Both are in the diary under the same two names, and told.
    rows = await desk.world.rows("SELECT case_id FROM payment_case WHERE kind = 'denied_after_success'")
    async with desk.world.database.reading() as reader:
        [line, *_] = [
            one
            for one in await staff.diary(reader, desk.site_id, subject=rows[0].case_id)
            if one.deed == "case.resolved"
        ]
        assert line.detail["with"] == its.case_id
        assert line.detail["proposed_by"] == desk.maker.actor
        assert await why_barred(reader, desk.site_id, found.player_id) == ""
    assert len(await desk.world.rows("SELECT 1 FROM event WHERE type = 'transaction.resolved'")) == 2


async def test_that_it_was_paid_answers_that_it_was_denied(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(deposit)
    denial = await only(desk)
    desk.provider.statuses = [paid()]
    await desk.world.notice(fact(await desk.world.reference()), mark="late")
    revived = next(one for one in await open_cases(desk) if one.kind is CaseKind.REVIVED)
    waiting = await propose(desk, denial.case_id, R.NOTED)
    await resolve(desk, revived.case_id, R.PAID)
    assert await open_cases(desk) == []
    assert (await desk.found(deposit)).attention is None
    # What somebody had proposed about it is asked no more.
    async with desk.world.database.reading() as reader:
        gone = await staff.approval(reader, desk.site_id, waiting.approval_id)
    assert gone.state is staff.ApprovalState.WITHDRAWN


async def test_another_fact_stays_open_and_is_shown(desk: Desk) -> None:
    deposit = await taken_back(desk)
    await desk.world.notice(fact(await desk.world.reference(), theirs="theirs-2"), mark="second")
    first, second = await open_cases(desk)
    assert {first.kind, second.kind} == {CaseKind.TAKEN_BACK, CaseKind.SECOND_PAYMENT}
    its = first if first.kind is CaseKind.TAKEN_BACK else second
    await resolve(desk, its.case_id, R.NOT_PAID)
    assert (await only(desk)).kind is CaseKind.SECOND_PAYMENT
    assert (await desk.found(deposit)).attention is payments.Attention.SECOND_PAYMENT


async def test_noted_answers_nothing_else(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(deposit)
    denial = await only(desk)
    desk.provider.statuses = [paid()]
    await desk.world.notice(fact(await desk.world.reference()), mark="late")
    await resolve(desk, denial.case_id, R.NOTED)
    assert (await only(desk)).kind is CaseKind.REVIVED


async def test_whose_a_notice_is_does_not_say_that_what_it_does_was_seen(desk: Desk) -> None:
    deposit = await desk.deposit()
    its = await orphan(desk, fact("att_of_nobody", "failed"))
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    assert (await only(desk)).kind is CaseKind.DENIED_AFTER_SUCCESS


async def test_a_case_that_was_answered_can_be_decided_no_more(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(deposit)
    denial = await only(desk)
    desk.provider.statuses = [paid()]
    await desk.world.notice(fact(await desk.world.reference()), mark="late")
    revived = next(one for one in await open_cases(desk) if one.kind is CaseKind.REVIVED)
    await propose(desk, denial.case_id, R.ACCEPTED, amount=kzt(120_000))
    await resolve(desk, revived.case_id, R.PAID)
    with pytest.raises(CaseClosed):
        await decide(desk, denial.case_id)
    assert (await desk.balances())["player_cash"] == 150_000


async def test_of_a_withdrawal_that_failed_and_was_paid(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners = ["declines"]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    bank.pay(bank.book[reference])
    bank.words = ["unknown"]
    await tell(stage, reference, "succeeded")
    maker = await stage.operator("maker")
    await payments.raise_case(stage.pipes, stage.site_id, found.payment_id, maker, reason="the bank's letter")
    await resolve_on_stage(stage, R.PAID, provider_reference=bank.book[reference].theirs)
    assert (await stage.state(found.payment_id), await cases(stage)) == (("completed", None), [])
