"""A credited deposit that the provider denies afterwards: taken again once, told, undone by people."""

import asyncio
from typing import Any

import pytest

from app import ledger, payments
from app.payments.model import CaseKind
from app.payments.payouts import WithdrawalsLocked
from app.payments.refund_requests import DepositNotRefundable
from app.payments.resolutions import ResolutionImpossible
from app.payments.schemas import status_answer
from app.payments.states import IllegalTransition
from app.webhooks import endpoints
from tests.payments.casework import (
    REJECT,
    R,
    decide,
    only,
    open_cases,
    pay_out,
    propose,
    raised,
    resolve,
)
from tests.payments.desk import Desk, kzt
from tests.payments.peers import answering
from tests.payments.world import AMOUNT, UNKNOWN, State, fact, just, paid

DENIED = just(State.FAILED)
THERE = {"provider_clearing": -150_000, "player_cash": 150_000}


async def denied(desk: Desk, **more: Any) -> str:  # noqa: ANN401
    """A deposit that was credited and that the provider says, asked by us, was not paid; returns its id."""
    deposit = await desk.deposit(**more)
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    return deposit


async def say(desk: Desk, deposit: str, state: str = "failed", **more: object) -> None:
    """Let a notice of the provider tell something of a deposit."""
    [row] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :d", d=deposit)
    await desk.world.notice(fact(row.attempt_id, state, **more), mark=str(next(desk.keys)))


async def spend(desk: Desk, deposit: str, minor: int) -> None:
    found = await desk.found(deposit)
    async with desk.world.database.transaction() as tx:
        wish = ledger.HoldRequest("test", "played", found.player_id, kzt(minor), "test")
        await ledger.hold(tx, desk.site_id, wish, at=desk.world.clock.now())


async def beside(desk: Desk, deposit: str) -> list[dict[str, Any]]:
    """What the merchant is told of a deposit as transactions of their own, in order."""
    rows = await desk.world.rows(
        "SELECT fields, sequence, success FROM webhook WHERE payment_id LIKE :own "
        "ORDER BY (fields->>'transaction_id')::bigint",
        own=f"{deposit}-%",
    )
    assert {(row.sequence, row.success) for row in rows} <= {(1, True)}  # each by itself, and a success
    return [dict(row.fields) for row in rows]


async def test_denied_by_the_status_query_it_is_taken_again(desk: Desk) -> None:
    deposit = await denied(desk)
    now_is = await desk.found(deposit)
    assert (now_is.status.value, now_is.sub_status.value) == ("refunded", "reversed")
    assert (now_is.captured, now_is.provider_reference) == (kzt(0), "theirs-1")
    assert (now_is.reason, now_is.completed_at) == ("the provider's words", desk.world.clock.now())
    assert (now_is.ask_at, now_is.attention) == (None, payments.Attention.DENIED_AFTER_SUCCESS)
    assert await desk.kinds(deposit) == ["deposit.to_player", "reversal.from_cash"]
    assert await desk.balances() == {}
    its = await only(desk)
    assert (its.kind, its.exposure, its.ours["sub_status"]) == (
        CaseKind.DENIED_AFTER_SUCCESS,
        AMOUNT,
        "completed",
    )
    [row] = await desk.world.rows("SELECT * FROM payment_event WHERE type = 'transaction.reversed'")
    assert (row.source, row.amount_minor, row.detail["path"]) == (
        "status_query",
        150_000,
        ["completed", "reversed"],
    )
    await resolve(desk, its.case_id, R.NOTED)
    assert (await desk.found(deposit)).attention is None
    assert await desk.balances() == {}


async def test_what_is_not_there_any_more_is_owed(desk: Desk) -> None:
    deposit = await desk.deposit()
    await spend(desk, deposit, 100_000)
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    assert await desk.kinds(deposit) == ["deposit.to_player", "reversal.from_cash", "reversal.from_debt"]
    assert await desk.balances() == {"player_held": 100_000, "player_debt": -100_000}


async def test_in_seamless_mode_it_is_the_merchants(seamless: Desk) -> None:
    deposit = await denied(seamless)
    assert await seamless.balances() == {}
    await resolve(seamless, (await only(seamless)).case_id, R.PAID)
    assert await seamless.balances() == {"provider_clearing": -150_000, "merchant_payable": 150_000}
    assert await seamless.kinds(deposit) == [
        *("deposit.to_merchant", "reversal.from_merchant", "reversal.to_merchant"),
    ]


async def test_a_notice_alone_only_makes_us_ask_and_the_answer_ends_it(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.statuses = [UNKNOWN, paid()]
    await say(desk, deposit)
    assert desk.provider.asked[-1][0] == "status"
    now_is = await desk.found(deposit)
    assert (now_is.sub_status.value, now_is.attention) == ("completed", payments.Attention.UNCONFIRMED)
    await desk.carry_on(deposit)
    assert (await desk.found(deposit)).attention is None
    assert (await desk.balances(), await open_cases(desk)) == (THERE, [])


async def test_it_is_taken_once_however_often_it_is_told(desk: Desk) -> None:
    deposit = await denied(desk)
    for word in ("failed", "cancelled", "reversed"):
        await say(desk, deposit, word)
        await desk.carry_on(deposit)
    assert await desk.kinds(deposit) == ["deposit.to_player", "reversal.from_cash"]
    assert (await desk.events(deposit)).count("transaction.reversed") == 1
    assert len(await beside(desk, deposit)) == 1
    assert (await only(desk)).kind is CaseKind.DENIED_AFTER_SUCCESS


async def test_nor_twice_at_once(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.statuses = [DENIED]
    asking = (desk.carry_on(deposit) for _ in range(6))
    telling = (say(desk, deposit) for _ in range(6))
    await asyncio.gather(*asking, *telling)
    assert await desk.kinds(deposit) == ["deposit.to_player", "reversal.from_cash"]
    assert await desk.balances() == {}
    assert len(await beside(desk, deposit)) == 1


@pytest.mark.parametrize("is_sent", [True, False])
async def test_of_which_something_went_back_it_stays_a_case(desk: Desk, *, is_sent: bool) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await (desk.sent(deposit, 50_000) if is_sent else desk.refund(deposit, 50_000))
    before = await desk.balances()
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    now_is = await desk.found(deposit)
    assert (now_is.sub_status.value, now_is.captured) == ("completed", AMOUNT)
    its = await only(desk)
    assert its.kind is CaseKind.DENIED_AFTER_SUCCESS
    with pytest.raises(ResolutionImpossible, match="nothing would change"):
        await resolve(desk, its.case_id, R.NOT_PAID)
    assert await desk.balances() == before
    assert await beside(desk, deposit) == []


async def test_nor_is_one_taken_of_which_a_dispute_has_the_money(desk: Desk) -> None:
    deposit = await desk.deposit()
    told = {"number": "cb-1", "stage": "opened", "minor": 40_000}
    await say(desk, deposit, "unknown", dispute=told)
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    assert (await desk.found(deposit)).sub_status.value == "completed"
    assert await desk.balances() == {"provider_clearing": -110_000, "player_cash": 110_000}
    assert (await only(desk)).kind is CaseKind.DENIED_AFTER_SUCCESS


async def test_what_was_taken_back_is_reversed_by_two_people(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.statuses = [just(State.REVERSED)]
    await desk.carry_on(deposit)
    its = await only(desk)
    assert (its.kind, await desk.balances()) == (CaseKind.TAKEN_BACK, THERE)
    await resolve(desk, its.case_id, R.NOT_PAID)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    assert await desk.balances() == {}
    # What it does to the player is what they have decided: nobody is called for it again.
    assert ((await desk.found(deposit)).attention, await open_cases(desk)) == (None, [])


async def test_paid_after_all_is_a_case_and_two_people_end_it_once_debt_first(desk: Desk) -> None:
    deposit = await desk.deposit()
    await spend(desk, deposit, 100_000)
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    desk.provider.statuses = [paid()]
    await say(desk, deposit, "succeeded")
    owing = {"player_held": 100_000, "player_debt": -100_000}
    assert ((await desk.found(deposit)).sub_status.value, await desk.balances()) == ("reversed", owing)
    cases = {one.kind: one.case_id for one in await open_cases(desk)}
    assert cases.keys() == {CaseKind.DENIED_AFTER_SUCCESS, CaseKind.REVIVED}
    await resolve(desk, cases[CaseKind.DENIED_AFTER_SUCCESS], R.NOTED)
    await resolve(desk, cases[CaseKind.REVIVED], R.PAID)
    now_is = await desk.found(deposit)
    assert (now_is.sub_status.value, now_is.captured, now_is.attention) == ("completed", AMOUNT, None)
    assert now_is.is_late
    assert (await desk.kinds(deposit))[3:] == ["reversal.to_debt", "reversal.to_cash"]
    assert await desk.balances() == {
        "provider_clearing": -150_000,
        "player_held": 100_000,
        "player_cash": 50_000,
    }
    await say(desk, deposit, "succeeded")
    await desk.carry_on(deposit)
    assert len(await desk.kinds(deposit)) == 5
    assert (await desk.events(deposit)).count("deposit.late_completed") == 1


async def test_each_time_is_one_of_its_own(desk: Desk) -> None:
    """Neither the ledger's stored answer nor what was told before stands in the way of a second time."""
    deposit = await denied(desk)
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    for turn in (1, 2, 3):
        desk.provider.statuses = [paid()]
        await say(desk, deposit, "succeeded")
        await resolve(desk, (await only(desk)).case_id, R.PAID)
        assert await desk.balances() == THERE
        desk.provider.statuses = [DENIED]
        await desk.carry_on(deposit)
        assert await desk.balances() == THERE  # two people have said that it was paid
        await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
        assert await desk.balances() == {}
        told = [(one["type_id"], one["status_id"]) for one in await beside(desk, deposit)]
        assert told == [(4, 4), *([(3, 4), (4, 4)] * turn)]


async def test_another_sum_that_came_after_all_is_accepted(desk: Desk) -> None:
    deposit = await denied(desk)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(120_000))
    now_is = await desk.found(deposit)
    assert (now_is.sub_status.value, now_is.captured) == ("completed", kzt(120_000))
    assert await desk.balances() == {"provider_clearing": -120_000, "player_cash": 120_000}
    [_, again] = await beside(desk, deposit)
    assert (again["amount"], again["real_amount"], again["status_id"]) == (120_000, 120_000, 4)
    # What is taken a second time is what came then.
    await desk.carry_on(deposit)
    await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
    assert await desk.balances() == {}


async def test_what_was_reversed_does_not_end_otherwise(desk: Desk) -> None:
    deposit = await denied(desk)
    its = await only(desk)
    for resolution, why in ((R.NOT_PAID, "theirs-2 is the number of no try"), (R.PAID, "another payment")):
        with pytest.raises(ResolutionImpossible, match=why):
            await resolve(desk, its.case_id, resolution, provider_reference="theirs-2")
        await decide(desk, its.case_id, REJECT)
    with pytest.raises(IllegalTransition):
        await resolve(desk, its.case_id, R.MONEY_RETURNED)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    await say(desk, deposit, "succeeded", theirs="theirs-2")
    desk.provider.statuses = [paid(amount=kzt(149_999))]
    await desk.carry_on(deposit)
    kinds = {one.kind for one in await open_cases(desk)}
    assert kinds == {CaseKind.DENIED_AFTER_SUCCESS, CaseKind.SECOND_PAYMENT, CaseKind.AMOUNT_DIFFERS}
    assert await desk.balances() == {}


async def test_its_order_may_be_paid_by_another_deposit_and_then_not_by_it(desk: Desk) -> None:
    desk.world.shop.manner = answering({"code": 0, "external_id": "same"})
    deposit = await denied(desk)
    its = await only(desk)
    await resolve(desk, its.case_id, R.NOTED)
    other = await desk.deposit("theirs-2")
    assert (await desk.found(other)).captured == AMOUNT
    its = await raised(desk, deposit)
    for resolution, more in ((R.PAID, {}), (R.ACCEPTED, {"amount": AMOUNT})):
        await propose(desk, its.case_id, resolution, **more)
        with pytest.raises(ResolutionImpossible):
            await decide(desk, its.case_id)
        await decide(desk, its.case_id, REJECT)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    assert await desk.balances() == THERE


async def test_nothing_of_it_is_refunded(desk: Desk) -> None:
    deposit = await denied(desk)
    with pytest.raises(DepositNotRefundable, match="reversed"):
        await desk.refund(deposit, 1)


async def test_a_refund_that_turns_out_paid_after_the_reversal_is_a_case(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [DENIED]
    declined = await desk.sent(deposit, 50_000)
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    desk.provider.statuses = [paid("back-1", kzt(50_000))]
    await desk.carry_on(declined.payment_id)
    now_is = await desk.found(declined.payment_id)
    assert (now_is.sub_status.value, now_is.attention) == ("conflicted", payments.Attention.SECOND_PAYMENT)
    assert await desk.figures(deposit) == (0, 0, 0, 0)
    assert await desk.balances() == {}


@pytest.mark.parametrize("stage", ["early_warning", "won"])
async def test_a_dispute_of_it_is_a_case_also_one_that_began_before(desk: Desk, stage: str) -> None:
    deposit = await desk.deposit()
    if stage == "won":
        await say(desk, deposit, "unknown", dispute={"number": "cb-1", "stage": "opened", "minor": 150_000})
    await say(desk, deposit, "unknown", dispute={"number": "cb-1", "stage": stage, "minor": 150_000})
    desk.provider.statuses = [DENIED]
    await desk.carry_on(deposit)
    assert (await desk.found(deposit)).sub_status.value == "reversed"
    for number in ("cb-1", "cb-2"):
        told = {
            "number": number,
            "stage": "pre_arbitration" if stage == "won" else "opened",
            "minor": 150_000,
        }
        await say(desk, deposit, "unknown", dispute=told)
    assert await desk.balances() == {}
    assert await desk.figures(deposit) == (0, 0, 0, 0)
    kinds = [one.kind for one in await open_cases(desk)]
    assert kinds.count(CaseKind.AMOUNT_DIFFERS) == 2


async def test_the_merchant_is_told_by_a_transaction_of_its_own(desk: Desk) -> None:
    wanted = ("transaction.reversed", "deposit.late_completed")
    async with desk.world.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/", wanted)
        await endpoints.register(tx, desk.site_id, new, at=desk.world.clock.now())
    deposit = await denied(desk)
    found = await desk.found(deposit)
    [void] = await beside(desk, deposit)
    assert (void["type_id"], void["status_id"]) == (4, 4)
    assert (void["amount"], void["real_amount"], void["currency"]) == (150_000, 150_000, "KZT")
    assert (void["external_id"], void["site_login"]) == (found.external_id, "aigerim")
    assert void["transaction_id"] != found.number
    assert await desk.told(found.number) == [(3, 4)]  # that it was paid is told once
    asked = status_answer(found)
    assert (asked.type_id, asked.status_id, asked.transaction_id) == (3, 5, found.number)
    await resolve(desk, (await only(desk)).case_id, R.PAID)
    [_, again] = await beside(desk, deposit)
    assert (again["type_id"], again["status_id"], again["amount"]) == (3, 4, 150_000)
    assert again["external_id"] == found.external_id
    assert len({void["transaction_id"], again["transaction_id"], found.number}) == 3
    assert await desk.told(found.number) == [(3, 4)]
    assert status_answer(await desk.found(deposit)).status_id == 4
    rows = await desk.world.rows(
        "SELECT * FROM event WHERE type = ANY (:t) ORDER BY sequence", t=list(wanted)
    )
    assert [row.type for row in rows] == ["transaction.reversed", "deposit.late_completed"]
    told, before = rows[0].object, rows[0].previous_attributes
    assert (told["sub_status"], told["status_id"], told["captured_minor"]) == ("reversed", 5, 0)
    assert (before["sub_status"], before["status_id"], before["captured_minor"]) == ("completed", 4, 150_000)


async def test_meanwhile_no_withdrawal_can_be_asked_for(desk: Desk) -> None:
    await pay_out(desk)
    await desk.deposit("theirs-2")
    await denied(desk)
    session = await desk.world.session()

    async def withdraw() -> None:
        wish = payments.PayoutWish("e_wallet", kzt(1_000), "wish", 3, {"wallet": "aigerim.77"})
        await payments.request_payout(desk.pipes, session, wish)

    with pytest.raises(WithdrawalsLocked):
        await withdraw()
    await resolve(desk, (await only(desk)).case_id, R.NOTED)
    await withdraw()
