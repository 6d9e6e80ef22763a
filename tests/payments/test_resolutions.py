"""What two people decide about a case: how a doubt, a conflict and a notice of nobody end."""

import pytest

from app import payments, staff
from app.kernel.money import Money
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from app.payments.states import IllegalTransition
from app.webhooks import endpoints
from tests.payments.casework import (
    PROOF,
    REJECT,
    R,
    conflicted_deposit,
    conflicted_deposit_of,
    decide,
    only,
    open_cases,
    orphan,
    propose,
    raised,
    resolve,
    unknown_payout,
)
from tests.payments.desk import Desk, kzt
from tests.payments.world import UNKNOWN, State, fact, just, paid


async def test_an_unknown_payout_ends_as_not_paid_by_two_people_with_a_proof(desk: Desk) -> None:
    payout = await unknown_payout(desk)
    its = await raised(desk, payout)
    assert (its.kind, its.exposure) == (CaseKind.UNRESOLVED, kzt(100_000))
    assert its.ours["sub_status"] == "unknown"
    assert (await raised(desk, payout)).case_id == its.case_id
    await propose(desk, its.case_id, R.NOT_PAID)
    assert (await desk.found(payout)).sub_status.value == "unknown"  # one person is none
    assert (await desk.balances())["player_held"] == 100_000
    done = await decide(desk, its.case_id)
    assert (done.state.value, done.resolution, done.attachment_hash) == (
        "resolved",
        "not_paid",
        bytes.fromhex(PROOF),
    )
    over = await desk.found(payout)
    assert (over.sub_status.value, over.attention) == ("declined", None)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    async with desk.world.database.reading() as reader:
        lines = await staff.diary(reader, desk.site_id, subject=its.case_id)
    assert "case.resolved" in {line.deed for line in lines}


async def test_an_unknown_payout_ends_as_paid(desk: Desk) -> None:
    payout = await unknown_payout(desk)
    its = await raised(desk, payout)
    await resolve(desk, its.case_id, R.PAID, provider_reference="bank-77")
    assert (await desk.found(payout)).sub_status.value == "completed"
    assert await desk.kinds(payout) == ["hold.place", "hold.capture"]
    assert await desk.balances() == {"provider_clearing": -50_000, "player_cash": 50_000}


@pytest.mark.parametrize("resolution", [R.PAID, R.NOT_PAID])
async def test_an_unknown_refund_ends_so_too(desk: Desk, resolution: payments.Resolution) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [UNKNOWN]
    doubtful = await desk.sent(deposit)
    its = await raised(desk, doubtful.payment_id)
    await resolve(desk, its.case_id, resolution, provider_reference="bank-1")
    is_paid = resolution is R.PAID
    assert (await desk.found(doubtful.payment_id)).sub_status.value == (
        "completed" if is_paid else "declined"
    )
    assert await desk.figures(deposit) == (150_000, 0, 150_000 if is_paid else 0, 0)


async def test_a_conflicting_deposit_is_credited_with_what_came(desk: Desk) -> None:
    deposit = await conflicted_deposit(desk)
    its = await only(desk)
    assert (its.kind, its.about) == (CaseKind.AMOUNT_DIFFERS, "theirs-1")
    assert its.ours["amount"] == "1500.00 KZT"
    assert (its.theirs["amount"], its.theirs["source"]) == ("1200.00 KZT", "notice")
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(120_000))
    done = await desk.found(deposit)
    assert (done.sub_status.value, done.captured, done.attention) == ("completed", kzt(120_000), None)
    assert await desk.balances() == {"provider_clearing": -120_000, "player_cash": 120_000}
    assert await desk.told(done.number) == [(3, 24)]
    assert await open_cases(desk) == []


@pytest.mark.parametrize(
    ("resolution", "end", "clearing"),
    [(R.MONEY_RETURNED, "refunded", 0), (R.NOT_PAID, "declined", 0), (R.PAID, "completed", 150_000)],
)
async def test_a_conflicting_deposit_ends_as_two_people_say(
    desk: Desk, resolution: payments.Resolution, end: str, clearing: int
) -> None:
    deposit = await conflicted_deposit(desk)
    its = await only(desk)
    await resolve(desk, its.case_id, resolution)
    ended = await desk.found(deposit)
    assert (ended.sub_status.value, ended.captured, ended.is_late) == (end, kzt(clearing), False)
    assert await desk.balances() == (
        {"provider_clearing": -clearing, "player_cash": clearing} if clearing else {}
    )
    told = {"refunded": (3, 5), "declined": (3, 6), "completed": (3, 4)}  # nothing came of the first two
    assert await desk.told(ended.number) == [told[end]]
    # What was not paid leaves its number to whichever payment it was for.
    assert ended.provider_reference == (None if end == "declined" else "theirs-1")


async def test_a_conflict_is_not_ended_by_another_number_or_for_another_payment(desk: Desk) -> None:
    first = await desk.deposit()
    deposit = await conflicted_deposit_of(desk, "theirs-2")
    its = await only(desk)
    with pytest.raises(ResolutionImpossible, match="theirs-2"):
        await resolve(desk, its.case_id, R.PAID, provider_reference="theirs-3")
    await decide(desk, its.case_id, REJECT)
    with pytest.raises(ResolutionImpossible, match="another payment was credited"):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(120_000), provider_reference="theirs-1")
    assert (await desk.found(deposit)).sub_status.value == "conflicted"
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert (await desk.found(first)).attention is None


async def test_a_number_that_was_paid_under_before_ends_no_conflict(desk: Desk) -> None:
    await desk.deposit()
    await desk.world.ask(key="again")
    row = await desk.world.payment()
    await desk.world.notice(fact(await desk.world.reference(), theirs="theirs-1"))  # the same number again
    assert (await desk.found(row.payment_id)).attention is payments.Attention.REFERENCE_REUSED
    its = await only(desk)
    with pytest.raises(ResolutionImpossible, match="nothing would change"):
        await resolve(desk, its.case_id, R.PAID, provider_reference="theirs-1")
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    await decide(desk, its.case_id, REJECT)
    await resolve(desk, its.case_id, R.PAID, provider_reference="theirs-2")
    assert await desk.balances() == {"provider_clearing": -300_000, "player_cash": 300_000}


@pytest.mark.parametrize(
    ("resolution", "end", "cash"), [(R.PAID, "completed", 50_000), (R.NOT_PAID, "declined", 150_000)]
)
async def test_a_conflicting_payout_ends_as_two_people_say(
    desk: Desk, resolution: payments.Resolution, end: str, cash: int
) -> None:
    payout = await unknown_payout(desk)
    desk.provider.statuses = [paid("bank-1", kzt(99_999))]
    await desk.carry_on(payout)
    assert (await desk.found(payout)).sub_status.value == "conflicted"
    its = await only(desk)
    await resolve(desk, its.case_id, resolution)
    ended = await desk.found(payout)
    assert (ended.sub_status.value, ended.attention) == (end, None)
    assert await desk.balances() == {"provider_clearing": -cash, "player_cash": cash}
    [leg] = await desk.world.rows("SELECT state, provider_reference FROM payout_leg")
    assert tuple(leg) == (end, "bank-1" if end == "completed" else None)


@pytest.mark.parametrize(("resolution", "end"), [(R.PAID, "completed"), (R.NOT_PAID, "declined")])
async def test_a_conflicting_refund_ends_as_two_people_say(
    desk: Desk, resolution: payments.Resolution, end: str
) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(149_999))]
    wrong = await desk.sent(deposit)
    its = await only(desk)
    await resolve(desk, its.case_id, resolution)
    assert (await desk.found(wrong.payment_id)).sub_status.value == end
    is_paid = resolution is R.PAID
    assert await desk.figures(deposit) == (150_000, 0, 150_000 if is_paid else 0, 0)
    assert await desk.balances() == (
        {} if is_paid else {"provider_clearing": -150_000, "player_cash": 150_000}
    )


@pytest.mark.parametrize("resolution", [R.PAID, R.NOT_PAID])
async def test_a_conflict_about_a_refund_that_was_let_go_gives_nothing_back_twice(
    desk: Desk, resolution: payments.Resolution
) -> None:
    await let_go_and_ended(desk, resolution)


@pytest.mark.parametrize("resolution", [R.PAID, R.NOT_PAID])
async def test_nor_where_the_merchant_keeps_the_balances(
    seamless: Desk, resolution: payments.Resolution
) -> None:
    await let_go_and_ended(seamless, resolution)


async def let_go_and_ended(desk: Desk, resolution: payments.Resolution) -> None:
    """A refund is declined, then something is paid after all, and two people say what."""
    deposit = await desk.deposit()
    before = await desk.balances()
    desk.provider.answers = [just(State.FAILED)]
    declined = await desk.sent(deposit, 50_000)
    desk.provider.statuses = [paid("back-1", kzt(49_999))]
    await desk.world.notice(fact(desk.provider.refunds[0].reference, theirs="back-1", minor=49_999))
    assert (await desk.found(declined.payment_id)).sub_status.value == "conflicted"
    its = await only(desk)
    await resolve(desk, its.case_id, resolution)
    is_paid = resolution is R.PAID
    assert await desk.figures(deposit) == (150_000, 0, 50_000 if is_paid else 0, 0)
    after = await desk.balances()
    assert after["provider_clearing"] == before["provider_clearing"] + (50_000 if is_paid else 0)
    assert sum(after.values()) == 0


async def test_what_cannot_be_done_changes_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    its = await raised(desk, deposit)
    wrong: list[tuple[R, dict[str, object], type[Exception]]] = [
        (R.PAID, {"provider_reference": "theirs-1"}, ResolutionImpossible),
        (R.ACCEPTED, {"amount": kzt(150_000)}, IllegalTransition),
        (R.PAID, {"leg": 7}, ResolutionImpossible),
    ]
    for resolution, more, refusal in wrong:
        await propose(desk, its.case_id, resolution, **more)
        with pytest.raises(refusal):
            await decide(desk, its.case_id)
        await decide(desk, its.case_id, REJECT)
    for never, said in ((R.ACCEPTED, {"amount": Money(1, "USD")}), (R.MATCHED, {"payment_id": deposit})):
        with pytest.raises(ResolutionImpossible):
            await propose(desk, its.case_id, never, **said)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    await resolve(desk, its.case_id, R.NOTED)
    assert (await desk.found(deposit)).sub_status.value == "completed"


async def test_a_notice_of_nobody_is_matched_to_its_payment(desk: Desk) -> None:
    await desk.world.ask()
    deposit = str((await desk.world.payment()).payment_id)
    its = await orphan(desk)
    await propose(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert (await desk.found(deposit)).captured == kzt(0)
    done = await decide(desk, its.case_id)
    assert (done.resolution, done.payment_id, done.notice_id) == ("matched", deposit, its.notice_id)
    paid_now = await desk.found(deposit)
    assert (paid_now.sub_status.value, paid_now.provider_reference) == ("completed", "x-1")
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    [notice] = await desk.world.rows("SELECT state, reason FROM notice")
    assert tuple(notice) == ("read", f"matched to {deposit}")


async def test_a_matched_notice_that_differs_is_a_conflict_of_the_payment(desk: Desk) -> None:
    await desk.world.ask()
    deposit = str((await desk.world.payment()).payment_id)
    await orphan(desk, fact("att_of_nobody", theirs="x-1", minor=1), fact("att_of_another", theirs="x-2"))
    its = next(one for one in await open_cases(desk) if one.about == "att_of_nobody")
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert (await desk.found(deposit)).attention is payments.Attention.AMOUNT_DIFFERS
    assert {one.kind for one in await open_cases(desk)} == {CaseKind.AMOUNT_DIFFERS, CaseKind.ORPHAN_NOTICE}
    [notice] = await desk.world.rows("SELECT state FROM notice")
    assert notice.state == "orphan"  # of the other fact nobody knows yet


async def test_a_dispute_of_nobody_is_matched_to_its_deposit(desk: Desk) -> None:
    deposit = await desk.deposit()
    told = {"number": "cb-1", "stage": "opened", "minor": 50_000}
    its = await orphan(desk, fact("att_of_nobody", "unknown", dispute=told))
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert await desk.figures(deposit) == (150_000, 0, 0, 50_000)
    again = await orphan(desk, fact("att_of_nobody", "unknown", dispute={**told, "minor": 200_000}))
    with pytest.raises(ResolutionImpossible, match="does not fit"):
        await resolve(desk, again.case_id, R.MATCHED, payment_id=deposit)


async def test_a_notice_that_says_nothing_of_the_order_any_more_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its provider account reads notices otherwise by now."""
    await desk.world.ask()
    deposit = str((await desk.world.payment()).payment_id)
    its = await orphan(desk)
    with monkeypatch.context() as patched:
        patched.setattr("app.providers.reports_of", lambda *_: [])
        with pytest.raises(ResolutionImpossible, match="the notice says nothing of att_of_nobody"):
            await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert [one.case_id for one in await open_cases(desk)] == [its.case_id]


async def test_all_that_a_notice_of_nobody_says_of_one_order_is_matched(desk: Desk) -> None:
    deposit = await desk.deposit()
    first = {"number": "cb-1", "stage": "opened", "minor": 50_000}
    other = {"number": "cb-2", "stage": "opened", "minor": 40_000}
    its = await orphan(desk, *(fact("att_of_nobody", "unknown", dispute=one) for one in (first, other)))
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert await desk.figures(deposit) == (150_000, 0, 0, 90_000)


async def test_only_the_facts_of_the_order_are_matched(desk: Desk) -> None:
    """One notice tells that x-1 was paid, and that x-10, an order of somebody else, was not."""
    await desk.world.ask()
    deposit = str((await desk.world.payment()).payment_id)
    await orphan(desk, fact("x-1", theirs="n-1"), fact("x-10", "failed", theirs="n-10"))
    its = next(one for one in await open_cases(desk) if one.about == "x-1")
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert (await desk.found(deposit)).sub_status.value == "completed"


async def test_a_fact_that_is_told_twice_can_be_matched(desk: Desk) -> None:
    await desk.world.ask()
    deposit = str((await desk.world.payment()).payment_id)
    its = await orphan(desk, fact("x-1", theirs="n-1"), fact("x-1", theirs="n-1"))
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert (await desk.found(deposit)).sub_status.value == "completed"


async def test_paid_and_disputed_in_one_notice_can_be_matched_to_what_is_paid(desk: Desk) -> None:
    deposit = await desk.deposit()
    told = {"number": "cb-1", "stage": "opened", "minor": 50_000}
    its = await orphan(desk, fact("x-1"), fact("x-1", "unknown", dispute=told))
    await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert await desk.figures(deposit) == (150_000, 0, 0, 50_000)


async def test_a_matched_dispute_that_cannot_follow_is_refused_and_changes_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    reference, told = await desk.world.reference(), {"number": "cb-1", "minor": 50_000}
    for stage in ("opened", "won"):
        await desk.world.notice(fact(reference, "unknown", dispute={**told, "stage": stage}), mark=stage)
    its = await orphan(desk, fact("att_of_nobody", "unknown", dispute={**told, "stage": "submitted"}))
    with pytest.raises(ResolutionImpossible, match="the dispute does not fit this payment"):
        await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    assert [one.case_id for one in await open_cases(desk)] == [its.case_id]
    assert ((await desk.found(deposit)).attention, await desk.figures(deposit)) == (None, (150_000, 0, 0, 0))
    async with desk.world.database.reading() as reader:
        [dispute] = await payments.disputes_of(reader, desk.site_id, deposit)
    assert dispute.state is payments.DisputeState.WON


async def test_what_does_not_match_changes_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    its = await orphan(desk)
    with pytest.raises(payments.PaymentNotFound):
        await propose(desk, its.case_id, R.MATCHED, payment_id="dep_of_nobody")
    with pytest.raises(ResolutionImpossible, match="nothing would change"):
        await resolve(desk, its.case_id, R.MATCHED, payment_id=deposit)
    raised_one = await raised(desk, deposit)
    with pytest.raises(ResolutionImpossible, match="about no notice"):
        await resolve(desk, raised_one.case_id, R.MATCHED, payment_id=deposit)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert len(await open_cases(desk)) == 2


async def test_what_moved_since_it_was_matched_must_be_looked_at_again(desk: Desk) -> None:
    await desk.world.ask()
    deposit = str((await desk.world.payment()).payment_id)
    its = await orphan(desk)
    await propose(desk, its.case_id, R.MATCHED, payment_id=deposit)
    await desk.world.notice(fact(await desk.world.reference()))
    with pytest.raises(staff.ContentChanged):
        await decide(desk, its.case_id)


async def test_endpoints_hear_that_people_have_resolved_it(desk: Desk) -> None:
    async with desk.world.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/", ("transaction.resolved",))
        await endpoints.register(tx, desk.site_id, new, at=desk.world.clock.now())
    deposit = await conflicted_deposit(desk)
    its = await only(desk)
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(120_000))
    [row] = await desk.world.rows("SELECT * FROM event WHERE type = 'transaction.resolved'")
    assert (row.subject, row.sequence) == (its.case_id, 1)
    assert (row.object["payment_id"], row.object["resolution"]) == (deposit, "accepted")
    assert row.previous_attributes == {"state": "open", "resolution": "", "resolved_at": None}
    assert not {"note", "ours", "theirs", "attachment_hash"} & row.object.keys()


@pytest.mark.parametrize(("accepted", "adjusted"), [(120_000, True), (150_000, False)])
async def test_endpoints_hear_that_another_sum_was_accepted(
    desk: Desk, accepted: int, *, adjusted: bool
) -> None:
    async with desk.world.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/", ("deposit.*",))
        await endpoints.register(tx, desk.site_id, new, at=desk.world.clock.now())
    deposit = await conflicted_deposit(desk)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(accepted))
    rows = await desk.world.rows(
        "SELECT * FROM event WHERE subject = :id ORDER BY sequence, type", id=deposit
    )
    last = [row for row in rows if row.sequence == rows[-1].sequence]
    names = ["deposit.amount_adjusted"] * adjusted + ["deposit.completed"]
    assert [(row.type, row.object["captured_minor"]) for row in last] == [(name, accepted) for name in names]


async def test_what_was_credited_does_not_go_back_by_a_word(desk: Desk) -> None:
    deposit = await desk.deposit()
    its = await raised(desk, deposit)
    with pytest.raises(ResolutionImpossible):
        await resolve(desk, its.case_id, R.MONEY_RETURNED)
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
