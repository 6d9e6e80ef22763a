"""Every gateway pays out, refunds, keeps cards and tells a balance, against its provider on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from app.kernel.clock import MovableClock
from app.kernel.masking import CardNumber
from app.kernel.money import Money
from app.providers.contract import (
    DisputeStage,
    PayoutOrder,
    ProviderError,
    RefundOrder,
    Report,
    Result,
    State,
    Tokenised,
)
from app.providers.gateways import sandbox
from tests.contracts.rigs import APPROVE, CARD, DECLINE, GARBAGE, PENDING, RIGS, SILENT, WRONG_AMOUNT, Rig

SUM = Money(150_000, "KZT")
KINDS = ["payout", "refund"]


@pytest.fixture(params=RIGS)
async def rig(
    request: pytest.FixtureRequest, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    monkeypatch.setattr(sandbox, "DEADLINE_SECONDS", 1.0)
    async with AsyncExitStack() as stack:
        yield await RIGS[request.param](stack, clock)


async def placed(rig: Rig, kind: str, what: str, amount: Money = SUM) -> PayoutOrder | RefundOrder:
    """A payout, or a refund of a deposit that was paid, told how to behave; not yet sent."""
    if kind == "payout":
        return rig.told_to(replace(rig.payout("att_out"), amount=amount), what)
    deposit = rig.order(APPROVE, amount)
    assert (await rig.ask(deposit)).state is State.SUCCEEDED
    await rig.reports(1)
    return rig.told_to(rig.refund_of(deposit, "att_out"), what)


async def sent(rig: Rig, order: PayoutOrder | RefundOrder) -> Result:
    if isinstance(order, PayoutOrder):
        return await rig.gateway.pay_out(rig.http, rig.account, order)
    return await rig.gateway.refund(rig.http, rig.account, order)


async def told_of(rig: Rig, reference: str, count: int) -> list[Report]:
    """The reports about one order, once there are so many."""
    async with asyncio.timeout(5):
        while len(found := [one for one in await rig.reports(0) if one.reference == reference]) < count:  # noqa: ASYNC110  it is in another server
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_done(rig: Rig, kind: str) -> None:
    order = await placed(rig, kind, APPROVE)
    result = await sent(rig, order)
    assert (result.state, result.amount, result.error, result.next_action) == (
        State.SUCCEEDED,
        SUM,
        None,
        None,
    )
    assert result.provider_reference
    assert await rig.status(order.reference) == result
    [report] = await told_of(rig, order.reference, 1)
    assert report.result.state is State.SUCCEEDED
    assert (report.result.amount, report.result.provider_reference) == (SUM, result.provider_reference)


@pytest.mark.parametrize("kind", KINDS)
async def test_declined(rig: Rig, kind: str) -> None:
    order = await placed(rig, kind, DECLINE)
    for result in (await sent(rig, order), await rig.status(order.reference)):
        assert result.state is State.FAILED
        assert result.error is not None
        assert result.error.code
        assert not result.error.retryable
    [report] = await told_of(rig, order.reference, 1)
    assert report.result.state is State.FAILED


@pytest.mark.parametrize("kind", KINDS)
async def test_pending_then_done(rig: Rig, kind: str) -> None:
    order = await placed(rig, kind, PENDING)
    assert (await sent(rig, order)).state is State.PROCESSING
    [report] = await told_of(rig, order.reference, 1)
    assert report.result.state is State.SUCCEEDED
    assert (await rig.status(order.reference)).state is State.SUCCEEDED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", [SILENT, GARBAGE, "says_unknown"])
async def test_silence_garbage_and_not_knowing_are_unknown(rig: Rig, kind: str, what: str) -> None:
    order = await placed(rig, kind, what)
    for result in (await sent(rig, order), await rig.status(order.reference)):
        assert result.state is State.UNKNOWN
        assert not result.nothing_was_sent


async def test_not_found_is_told_as_not_found_even_when_it_is_wrong(rig: Rig) -> None:
    """What it means for the money, the core decides: this provider pays later."""
    order = await placed(rig, "payout", "not_found_then_succeed")
    assert (await sent(rig, order)).state is State.UNKNOWN
    assert (await rig.status(order.reference)).state is State.NOT_FOUND


@pytest.mark.parametrize("kind", KINDS)
async def test_another_amount_is_told_as_it_is(rig: Rig, kind: str) -> None:
    result = await sent(rig, await placed(rig, kind, WRONG_AMOUNT))
    assert (result.state, result.amount) == (State.SUCCEEDED, Money(75_000, "KZT"))


@pytest.mark.parametrize(
    ("kind", "what", "state"),
    [
        ("payout", "return_after_success", State.RETURNED),
        ("payout", "fail_after_success", State.FAILED),
        ("refund", "reverse_after_success", State.REVERSED),
    ],
)
async def test_money_comes_back(rig: Rig, kind: str, what: str, state: State) -> None:
    order = await placed(rig, kind, what)
    assert (await sent(rig, order)).state is State.SUCCEEDED
    reports = await told_of(rig, order.reference, 2)
    assert {report.result.state for report in reports} == {State.SUCCEEDED, state}
    found = await rig.status(order.reference)
    assert (found.state, found.amount) == (state, SUM)


async def test_a_deposit_is_taken_back(rig: Rig) -> None:
    order = rig.order("reverse_after_success")
    assert (await rig.ask(order)).state is State.SUCCEEDED
    reports = await told_of(rig, order.reference, 2)
    assert {report.result.state for report in reports} == {State.SUCCEEDED, State.REVERSED}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_same_reference_twice_is_one_order(rig: Rig, kind: str) -> None:
    order = await placed(rig, kind, APPROVE)
    results = await asyncio.gather(*(sent(rig, order) for _ in range(4)))
    assert len({result.provider_reference for result in results}) == 1
    assert {result.state for result in results} == {State.SUCCEEDED}
    assert [found["kind"] for found in await rig.orders()].count(kind) == 1
    other = replace(order, amount=Money(1, "KZT"))
    assert (await sent(rig, other)).state is State.UNKNOWN


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("amount", [Money(1, "JPY"), Money(150_000, "KZT"), Money(1_234_567, "KWD")], ids=str)
async def test_amounts_arrive_in_minor_units_and_come_back_the_same(
    rig: Rig, kind: str, amount: Money
) -> None:
    order = await placed(rig, kind, APPROVE, amount)
    result = await sent(rig, order)
    assert (result.state, result.amount) == (State.SUCCEEDED, amount)
    [found] = [one for one in await rig.orders() if one["kind"] == kind]
    assert (found["amount_minor"], found["currency"]) == (amount.minor, amount.currency)


async def test_a_balance_falls_by_what_is_paid_and_want_of_it_may_be_tried_again(rig: Rig) -> None:
    before = await rig.gateway.balance(rig.http, rig.account, "KZT")
    assert before is not None
    await sent(rig, await placed(rig, "payout", APPROVE))
    after = await rig.gateway.balance(rig.http, rig.account, "KZT")
    assert after == before - SUM
    too_much = replace(rig.payout("att_2"), amount=after + Money(1, "KZT"))
    refused = await sent(rig, rig.told_to(too_much, APPROVE))
    assert refused.state is State.FAILED
    assert refused.error is not None
    assert refused.error.retryable
    assert await rig.gateway.balance(rig.http, rig.account, "KZT") == after


@pytest.mark.parametrize(
    ("script", "kinds", "retryable"),
    [("refused_here", ("deposit", "payout"), True), ("undeliverable", ("payout",), False)],
)
async def test_whose_the_no_is(rig: Rig, script: str, kinds: tuple[str, ...], retryable: bool) -> None:
    """About this account, so that another may be asked; or about the destination, so that nobody need be."""
    for kind in kinds:
        if kind == "deposit":
            results = [await rig.gateway.deposit(rig.http, rig.account, rig.order(script))]
        else:
            out = await placed(rig, kind, script)
            results = [await sent(rig, out), await rig.status(out.reference)]
        for result in results:
            assert result.state is State.FAILED
            assert result.error is not None
            assert (result.error.retryable, result.error.undeliverable) == (retryable, not retryable)


async def test_a_balance_in_no_currency_is_none(rig: Rig) -> None:
    assert await rig.gateway.balance(rig.http, rig.account, "XXA") is None


async def test_a_card_is_kept_and_paid_to_and_known_again(rig: Rig) -> None:
    given = await rig.gateway.tokenise(rig.http, rig.account, CardNumber(CARD))
    assert isinstance(given, Tokenised)
    assert given.masked == CardNumber(CARD).masked
    assert given == await rig.gateway.tokenise(rig.http, rig.account, CardNumber(CARD))
    order = replace(rig.payout("att_card"), method="card", destination={"token": given.token})
    assert (await sent(rig, rig.told_to(order, APPROVE))).state is State.SUCCEEDED
    wrong = replace(order, reference="att_wrong", destination={"token": f"{given.token}x"})
    refused = await sent(rig, rig.told_to(wrong, APPROVE))
    assert refused.state is State.FAILED


async def test_a_card_that_paid_is_the_card_that_is_kept(rig: Rig) -> None:
    """Closed loop: what a player types is told to be what a deposit came from."""
    result = await rig.ask(rig.order(APPROVE))
    assert result.instrument is not None
    given = await rig.gateway.tokenise(rig.http, rig.account, CardNumber(rig.test_card))
    assert isinstance(given, Tokenised)
    assert (given.fingerprint, given.masked) == (result.instrument.fingerprint, result.instrument.masked)


@pytest.mark.parametrize("method", ["bank_transfer", "e_wallet", "mobile_operator"])
async def test_what_paid_can_be_paid_to(rig: Rig, method: str) -> None:
    result = await rig.ask(replace(rig.order(APPROVE), method=method))
    seen = result.instrument
    assert seen is not None
    assert seen.method == method
    order = replace(rig.payout("att_back"), method=method, destination={"token": seen.token})
    paid = await sent(rig, rig.told_to(order, APPROVE))
    assert paid.state is State.SUCCEEDED


async def test_a_dispute_comes_as_a_report_about_the_deposit(rig: Rig) -> None:
    order = rig.order("chargeback_lost")
    await rig.ask(order)
    reports = await told_of(rig, order.reference, 3)
    disputes = [report.dispute for report in reports if report.dispute is not None]
    assert {dispute.stage for dispute in disputes} == {DisputeStage.OPENED, DisputeStage.LOST}
    assert {dispute.amount for dispute in disputes} == {order.amount}
    assert len({dispute.dispute_reference for dispute in disputes}) == 1
    assert len({report.dedupe_key for report in reports}) == 3
    assert {report.result.state for report in reports if report.dispute} == {State.UNKNOWN}
    assert (await rig.status(order.reference)).state is State.SUCCEEDED


async def test_a_malformed_payout_is_refused_for_good(rig: Rig) -> None:
    order = replace(rig.payout("att_bad"), method="card", destination={"phone": "+77011234567"})
    refused = await sent(rig, order)
    assert refused.state is State.FAILED
    assert (await rig.status("att_bad")).state is State.NOT_FOUND


async def test_no_card_number_is_left_on_either_side(
    rig: Rig, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    given = await rig.gateway.tokenise(rig.http, rig.account, CardNumber(CARD))
    assert isinstance(given, Tokenised)
    order = replace(rig.payout("att_card"), method="card", destination={"token": given.token})
    results = [await sent(rig, rig.told_to(order, APPROVE)), await rig.status("att_card")]
    # A number where none belongs is refused there, and not repeated here.
    for number, wrong in enumerate(
        (
            replace(order, destination={"token": CARD}),
            replace(order, destination={"number": CARD}),
            replace(order, description=f"[script:approve] {CARD}"),
            replace(order, player_reference=CARD),
            replace(order, method=CARD),
        )
    ):
        results.append(await sent(rig, replace(wrong, reference=f"att_wrong_{number}")))
        assert results[-1].state is State.FAILED
    refused = await rig.gateway.tokenise(rig.http, replace(rig.account, credentials={}), CardNumber(CARD))
    assert isinstance(refused, ProviderError)
    notices = [notice.body.decode() for notice in rig.notices]
    kept = [repr(results), repr(given), repr(refused), repr(order), json.dumps(await rig.orders()), *notices]
    kept += [json.dumps([dict(result.raw) for result in results]), caplog.text, *capsys.readouterr()]
    assert not [text for text in kept if CARD in text]
