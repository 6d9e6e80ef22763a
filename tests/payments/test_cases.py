"""Cases: opened with both stories, resolved by two people with a note and a proof, and no other way."""

from datetime import timedelta

import pytest

from app import payments, staff
from app.payments.casebook import CaseNotFound
from app.payments.cases import CaseClosed, ProposalWaits
from app.payments.model import CaseKind
from app.payments.proposals import BadProposal
from app.payments.resolutions import ResolutionImpossible
from app.plumbing import web
from tests.payments.casework import (
    REJECT,
    R,
    decide,
    only,
    open_cases,
    propose,
    raised,
    resolve,
    unknown_payout,
)
from tests.payments.desk import Desk, kzt
from tests.payments.world import State, fact, just, paid


async def test_whoever_proposes_does_not_decide(desk: Desk) -> None:
    its = await raised(desk, await unknown_payout(desk))
    for by in (desk.maker, desk.second):  # an administrator neither
        await propose(desk, its.case_id, R.PAID, by=by)
        with pytest.raises(staff.OwnRequest):
            await decide(desk, its.case_id, by=by)
        await decide(desk, its.case_id, REJECT)
    with pytest.raises(staff.NotPermitted, match="case_resolve"):
        await propose(desk, its.case_id, R.PAID, by=desk.support)
    await propose(desk, its.case_id, R.PAID)
    with pytest.raises(staff.NotPermitted, match="case_resolve"):
        await decide(desk, its.case_id, by=desk.support)
    with pytest.raises(staff.NotPermitted):
        await payments.raise_case(
            desk.pipes, desk.site_id, its.payment_id or "", desk.support, reason="it is late"
        )


async def test_a_rejected_proposal_leaves_the_case_open(desk: Desk) -> None:
    its = await raised(desk, await unknown_payout(desk))
    with pytest.raises(staff.ApprovalNotFound):
        await decide(desk, its.case_id)
    await propose(desk, its.case_id, R.PAID)
    with pytest.raises(ProposalWaits, match="as paid already: another person approves or rejects that first"):
        await propose(desk, its.case_id, R.NOT_PAID)
    assert (await decide(desk, its.case_id, REJECT)).state.value == "open"
    with pytest.raises(staff.ApprovalClosed):
        await decide(desk, its.case_id)
    await resolve(desk, its.case_id, R.NOT_PAID)
    with pytest.raises(CaseClosed, match="not_paid"):
        await propose(desk, its.case_id, R.PAID)
    with pytest.raises(CaseClosed):
        await decide(desk, its.case_id)
    assert web.status_of(CaseClosed) == 409


async def test_what_moved_meanwhile_must_be_looked_at_again(desk: Desk) -> None:
    payout = await unknown_payout(desk)
    its = await raised(desk, payout)
    await propose(desk, its.case_id, R.NOT_PAID)
    desk.provider.statuses = [paid("bank-1", kzt(100_000))]
    await desk.carry_on(payout)
    with pytest.raises(staff.ContentChanged):
        await decide(desk, its.case_id)
    assert (await desk.found(payout)).sub_status.value == "completed"
    desk.world.clock.advance(timedelta(hours=73))
    with pytest.raises(staff.ApprovalExpired):
        await decide(desk, its.case_id)


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("note", {"note": " "}),
        ("note", {"note": "x" * 2_001}),
        ("attachment", {"attachment": ""}),
        ("attachment", {"attachment": "ab" * 31}),
        ("attachment", {"attachment": "AB" * 32}),
        ("amount", {"amount": kzt(1)}),
        ("payment_id", {"payment_id": "dep_1"}),
    ],
)
async def test_no_note_or_no_proof_no_proposal(desk: Desk, field: str, more: dict[str, object]) -> None:
    its = await raised(desk, await desk.deposit())
    with pytest.raises(BadProposal, match=field) as refused:
        await propose(desk, its.case_id, R.NOTED, **more)
    assert (refused.value.param, web.status_of(BadProposal)) == (field, 422)
    with pytest.raises(BadProposal, match="amount"):
        await propose(desk, its.case_id, R.ACCEPTED)
    with pytest.raises(BadProposal, match="payment_id"):
        await propose(desk, its.case_id, R.MATCHED)
    with pytest.raises(BadProposal, match="above zero"):
        await propose(desk, its.case_id, R.ACCEPTED, amount=kzt(0))
    with pytest.raises(CaseNotFound):
        await propose(desk, "cas_of_nobody", R.NOTED)


async def test_a_notice_of_nobody_is_a_case(desk: Desk) -> None:
    await desk.world.notice(fact("att_of_nobody", theirs="x-1"))
    await desk.world.notice(fact("att_of_nobody", theirs="x-1"))  # the same again is the same case
    its = await only(desk)
    assert (its.kind, its.payment_id, its.about) == (CaseKind.ORPHAN_NOTICE, None, "att_of_nobody")
    assert its.theirs["amount"] == "1500.00 KZT"
    with pytest.raises(ResolutionImpossible, match="no payment"):
        await propose(desk, its.case_id, R.PAID)
    assert (await resolve(desk, its.case_id, R.NOTED)).resolution == "noted"
    assert await open_cases(desk) == []


async def test_one_matter_is_one_case_and_attention_ends_with_the_last(desk: Desk) -> None:
    deposit = await desk.deposit()
    reference = await desk.world.reference()
    for mark in ("a", "b"):
        await desk.world.notice(fact(reference, minor=1), mark=mark)
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(deposit)
    first, second = await open_cases(desk)
    assert {first.kind, second.kind} == {CaseKind.AMOUNT_DIFFERS, CaseKind.DENIED_AFTER_SUCCESS}
    await resolve(desk, first.case_id, R.NOTED)
    assert (await desk.found(deposit)).attention is not None
    await resolve(desk, second.case_id, R.NOTED)
    assert (await desk.found(deposit)).attention is None
