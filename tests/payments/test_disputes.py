"""Disputes: every stage that can follow, the money on the way out and back, and who is told."""

import pytest

from app import ledger, payments
from app.payments.payouts import WithdrawalsLocked
from app.payments.states import DISPUTE_NEXT, DisputeState
from tests.payments.casework import open_cases, pay_out
from tests.payments.desk import Desk, kzt
from tests.payments.peers import answering
from tests.payments.world import AMOUNT, State, fact, just, paid

D = DisputeState


async def say(
    desk: Desk, deposit: str, stage: str, minor: int = AMOUNT.minor, number: str = "cb-1", **more: str
) -> None:
    """Let the provider tell of a dispute of a deposit."""
    [row] = await desk.world.rows(
        "SELECT attempt_id FROM attempt WHERE payment_id = :d ORDER BY number DESC LIMIT 1", d=deposit
    )
    told = {"number": number, "stage": stage, "minor": minor, **more}
    await desk.world.notice(fact(row.attempt_id, "unknown", dispute=told), mark=str(next(desk.keys)))


async def disputes(desk: Desk, deposit: str) -> list[payments.Dispute]:
    async with desk.world.database.reading() as reader:
        return await payments.disputes_of(reader, desk.site_id, deposit)


async def spend(desk: Desk, deposit: str, minor: int) -> None:
    found = await desk.found(deposit)
    async with desk.world.database.transaction() as tx:
        wish = ledger.HoldRequest("test", "played", found.player_id, kzt(minor), "test")
        await ledger.hold(tx, desk.site_id, wish, at=desk.world.clock.now())


async def test_opened_takes_the_money_lost_charges_it_back(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    [its] = await disputes(desk, deposit)
    assert (its.state, its.posted, its.amount) == (D.OPENED, AMOUNT, AMOUNT)
    assert await desk.balances() == {}
    assert (await desk.kinds(deposit))[1:] == ["chargeback.from_cash"]
    # An open dispute changes no status.
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, 0, 150_000)
    await say(desk, deposit, "needs_response")
    await say(desk, deposit, "submitted")
    await say(desk, deposit, "lost")
    [its] = await disputes(desk, deposit)
    assert (its.state, its.posted, its.closed_at) == (D.LOST, AMOUNT, desk.world.clock.now())
    assert (await desk.kinds(deposit))[1:] == ["chargeback.from_cash"]
    now_is = await desk.found(deposit)
    assert (now_is.status.value, now_is.sub_status.value) == ("refunded", "charged_back")
    assert await desk.told(its.number) == [(7, 4), (7, 21), (7, 23)]
    assert await desk.told(now_is.number) == [(3, 4)]  # that it was paid is told once


async def test_won_brings_it_back_also_after_it_was_lost(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won")
    [its] = await disputes(desk, deposit)
    assert (its.posted, await desk.figures(deposit)) == (kzt(0), (150_000, 0, 0, 0))
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    await say(desk, deposit, "pre_arbitration")  # and again
    assert await desk.balances() == {}
    await say(desk, deposit, "lost")
    assert (await desk.found(deposit)).sub_status.value == "charged_back"
    await say(desk, deposit, "won")
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert (await desk.kinds(deposit))[1:] == [
        *("chargeback.from_cash", "chargeback.to_cash", "chargeback.from_cash", "chargeback.to_cash"),
    ]
    assert await desk.told(its.number) == [(7, 4), (7, 22), (7, 23), (7, 22)]


async def test_what_is_not_there_any_more_is_owed_and_repaid_when_won(desk: Desk) -> None:
    deposit = await desk.deposit()
    await spend(desk, deposit, 100_000)
    await say(desk, deposit, "opened")
    assert await desk.balances() == {"player_held": 100_000, "player_debt": -100_000}
    await say(desk, deposit, "won")
    assert await desk.balances() == {
        "provider_clearing": -150_000,
        "player_held": 100_000,
        "player_cash": 50_000,
    }


async def test_in_part_the_deposit_stays_completed(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", 50_000)
    await say(desk, deposit, "accepted", 50_000)
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, 0, 50_000)
    await say(desk, deposit, "lost", 100_000, "cb-2")  # a second one of the same deposit, decided at once
    assert [one.number for one in await disputes(desk, deposit)]
    assert (await desk.found(deposit)).sub_status.value == "charged_back"


async def test_a_warning_takes_nothing(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "early_warning")
    await say(desk, deposit, "prevented")
    [its] = await disputes(desk, deposit)
    assert (its.state, its.posted) == (D.PREVENTED, kzt(0))
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert await desk.told(its.number) == []


async def test_the_sum_may_change_until_it_is_taken(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "early_warning", 150_000)
    await say(desk, deposit, "early_warning", 70_000)
    [its] = await disputes(desk, deposit)
    assert (its.state, its.amount, its.posted) == (D.EARLY_WARNING, kzt(70_000), kzt(0))
    await say(desk, deposit, "opened", 60_000)
    [its] = await disputes(desk, deposit)
    assert (its.amount, its.posted) == (kzt(60_000), kzt(60_000))
    assert await desk.balances() == {"provider_clearing": -90_000, "player_cash": 90_000}
    assert await desk.figures(deposit) == (150_000, 0, 0, 60_000)
    assert await open_cases(desk) == []
    # What is taken is taken: another sum after that is for people, and nothing moves.
    await say(desk, deposit, "opened", 150_000)
    await say(desk, deposit, "lost", 150_000)
    assert await disputes(desk, deposit) == [its]
    assert await desk.balances() == {"provider_clearing": -90_000, "player_cash": 90_000}
    assert [one.kind.value for one in await open_cases(desk)] == ["amount_differs"] * 2  # of each word
    await say(desk, deposit, "won", 60_000)
    await say(desk, deposit, "pre_arbitration", 40_000)  # given back: the next sum counts
    [its] = await disputes(desk, deposit)
    assert (its.amount, its.posted) == (kzt(40_000), kzt(40_000))
    assert await desk.figures(deposit) == (150_000, 0, 0, 40_000)


async def test_a_decision_of_another_sum_is_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened")
    await say(desk, deposit, "won")
    await say(desk, deposit, "won", 60_000)
    [its] = await disputes(desk, deposit)
    assert (its.state, its.amount) == (D.WON, AMOUNT)
    assert (await desk.found(deposit)).attention is payments.Attention.AMOUNT_DIFFERS


async def test_a_warning_that_expires_takes_nothing_unless_it_is_lost_after_all(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "early_warning")
    await say(desk, deposit, "expired")
    [its] = await disputes(desk, deposit)
    assert (its.state, its.posted) == (D.EXPIRED, kzt(0))
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.told(its.number) == []
    await say(desk, deposit, "lost")
    assert await desk.balances() == {}
    assert (await desk.found(deposit)).sub_status.value == "charged_back"
    assert await desk.told(its.number) == [(7, 23)]


async def test_what_was_opened_and_expires_is_lost(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "early_warning")
    await say(desk, deposit, "opened")
    await say(desk, deposit, "expired")
    [its] = await disputes(desk, deposit)
    assert (await desk.balances(), its.posted) == ({}, AMOUNT)
    assert (await desk.found(deposit)).sub_status.value == "charged_back"
    assert await desk.told(its.number) == [(7, 4), (7, 23)]


@pytest.mark.parametrize("stage", ["expired", "accepted"])
async def test_an_end_without_a_beginning_is_a_case_and_waits_for_it(desk: Desk, stage: str) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, stage)
    assert await disputes(desk, deposit) == []
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    assert (await desk.found(deposit)).attention is payments.Attention.ILLEGAL_CHANGE
    await say(desk, deposit, "opened")  # it was late
    assert await desk.balances() == {}


async def test_won_gives_back_what_it_took_and_not_what_another_took(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", 50_000, "cb-1")
    await say(desk, deposit, "opened", 150_000, "cb-2")  # of which 1,000 tenge were there
    assert await desk.figures(deposit) == (150_000, 0, 0, 150_000)
    await say(desk, deposit, "won", 150_000, "cb-2")
    assert await desk.figures(deposit) == (150_000, 0, 0, 50_000)
    await say(desk, deposit, "won", 50_000, "cb-1")
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)


async def test_an_order_number_stays_taken_when_its_money_went_back(desk: Desk) -> None:
    desk.world.shop.manner = answering({"code": 0, "external_id": "same"})
    deposit = await desk.deposit()
    await say(desk, deposit, "lost")
    await desk.world.ask(key="again")
    assert (await desk.world.payment()).sub_status == "merchant_unreachable"
    await say(desk, deposit, "won")
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.sent(deposit)
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    await desk.world.ask(key="once more")
    assert (await desk.world.payment()).sub_status == "merchant_unreachable"


async def test_what_was_paid_late_under_the_number_of_a_charged_back_one_is_a_case(desk: Desk) -> None:
    desk.world.shop.manner = answering({"code": 0, "external_id": "same"})
    await desk.world.ask(key="late")
    late, reference = await desk.world.payment(), await desk.world.reference()
    await desk.world.notice(fact(reference, "failed"))
    deposit = await desk.deposit("theirs-2")
    await say(desk, deposit, "lost")
    desk.provider.statuses = [paid("theirs-3")]
    await desk.world.notice(fact(reference, theirs="theirs-3"))
    now_is = await desk.found(late.payment_id)
    assert (now_is.sub_status.value, now_is.attention) == (
        "conflicted",
        payments.Attention.SECOND_PAYMENT,
    )


async def test_in_seamless_mode_it_is_the_merchants(seamless: Desk) -> None:
    deposit = await seamless.deposit()
    await say(seamless, deposit, "opened")
    assert await seamless.balances() == {}
    await say(seamless, deposit, "won")
    assert await seamless.balances() == {"provider_clearing": -150_000, "merchant_payable": 150_000}
    assert (await seamless.kinds(deposit))[1:] == ["chargeback.from_merchant", "chargeback.to_merchant"]


@pytest.mark.parametrize("source", list(DisputeState))
async def test_every_stage_that_cannot_follow_is_a_case_and_moves_nothing(
    desk: Desk, source: DisputeState
) -> None:
    deposit = await desk.deposit()
    if source in {D.ACCEPTED, D.EXPIRED}:
        await say(desk, deposit, "opened")  # neither is a beginning
    await say(desk, deposit, source.value)
    before, [was] = await desk.balances(), await disputes(desk, deposit)
    for target in set(DisputeState) - DISPUTE_NEXT[source] - {source}:
        await say(desk, deposit, target.value)
        [its] = await disputes(desk, deposit)
        assert (its.state, its.sequence) == (source, was.sequence)
    assert await desk.balances() == before
    if DISPUTE_NEXT[source] | {source} != set(DisputeState):
        assert (await desk.found(deposit)).attention is payments.Attention.ILLEGAL_CHANGE
    await say(desk, deposit, source.value)  # told twice is told once
    assert await disputes(desk, deposit) == [was]


async def test_a_dispute_that_does_not_fit_is_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    for more in ({"minor": 150_001}, {"minor": 0}, {"currency": "USD"}):
        await say(desk, deposit, "opened", **{"minor": 1, **more})  # type: ignore[arg-type]
    assert await disputes(desk, deposit) == []
    assert (await desk.found(deposit)).attention is payments.Attention.AMOUNT_DIFFERS
    other = await desk.deposit("theirs-2")
    await say(desk, deposit, "opened", 1)
    await say(desk, other, "opened", 1)
    assert await disputes(desk, other) == []
    assert (await desk.found(other)).attention is payments.Attention.REFERENCE_REUSED


async def test_while_it_is_open_nothing_is_paid_out(desk: Desk) -> None:
    await pay_out(desk)
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", 50_000)
    session = await desk.world.session()

    async def withdraw() -> None:
        wish = payments.PayoutWish("e_wallet", kzt(1_000), "wish", 3, {"wallet": "aigerim.77"})
        await payments.request_payout(desk.pipes, session, wish)

    with pytest.raises(WithdrawalsLocked):
        await withdraw()
    async with desk.world.database.reading() as reader:
        assert len(await payments.open_disputes(reader, desk.site_id)) == 1
    await say(desk, deposit, "won", 50_000)
    async with desk.world.database.reading() as reader:
        assert await payments.open_disputes(reader, desk.site_id) == []
    await withdraw()


async def test_a_refund_waits_while_the_bank_has_the_money(desk: Desk) -> None:
    deposit = await desk.deposit()
    asked = await desk.refund(deposit, 50_000)
    await desk.approve(asked.payment_id)
    await say(desk, deposit, "opened", 100_000)
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    await say(desk, deposit, "won", 100_000)
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await desk.carry_on(asked.payment_id)
    assert (await desk.found(asked.payment_id)).status.value == "completed"


async def test_what_was_refunded_and_is_taken_as_well_is_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(100_000))]
    await desk.sent(deposit, 100_000)
    await say(desk, deposit, "opened")
    assert await desk.figures(deposit) == (150_000, 0, 100_000, 50_000)
    assert (await desk.found(deposit)).attention is payments.Attention.TAKEN_BACK
    assert await desk.balances() == {"provider_clearing": 100_000, "player_debt": -100_000}
    await say(desk, deposit, "won")
    assert await desk.figures(deposit) == (150_000, 0, 100_000, 0)


async def test_lost_beside_a_part_that_was_refunded_nothing_is_left(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await desk.sent(deposit, 50_000)
    await say(desk, deposit, "lost", 100_000)
    assert await desk.figures(deposit) == (150_000, 0, 50_000, 100_000)
    assert (await desk.found(deposit)).sub_status.value == "charged_back"
    await say(desk, deposit, "won", 100_000)
    assert await desk.figures(deposit) == (150_000, 0, 50_000, 0)
    assert (await desk.found(deposit)).sub_status.value == "completed"


async def test_a_refund_that_was_under_way_is_paid_beside_a_part_that_was_lost(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.PROCESSING)]
    asked = await desk.sent(deposit, 50_000)
    await say(desk, deposit, "lost", 100_000)
    assert (await desk.found(deposit)).sub_status.value == "completed"
    desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await desk.carry_on(asked.payment_id)
    assert await desk.figures(deposit) == (150_000, 0, 50_000, 100_000)
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    assert await desk.balances() == {}


async def test_a_dispute_of_what_was_never_paid_is_a_case(desk: Desk) -> None:
    row = await desk.world.deposit()
    desk.provider.statuses = [just(State.PROCESSING)]
    await say(desk, row.payment_id, "opened")
    assert await disputes(desk, row.payment_id) == []
    assert (await desk.found(row.payment_id)).attention is payments.Attention.AMOUNT_DIFFERS


async def test_it_is_told_as_its_deposit_but_for_what_is_its_own(desk: Desk) -> None:
    deposit = await desk.deposit()
    await say(desk, deposit, "opened", 40_000)
    [its], found = await disputes(desk, deposit), await desk.found(deposit)
    rows = await desk.world.rows("SELECT payment_id, fields, success FROM webhook")
    told = {row.payment_id: dict(row.fields) for row in rows}
    own = {
        "amount": 40_000,
        "real_amount": 40_000,
        "type_id": 7,
        "status_id": 4,
        "transaction_id": its.number,
    }
    assert told[its.dispute_id] == told[found.payment_id] | own
    assert [row.success for row in rows] == [True, True]
