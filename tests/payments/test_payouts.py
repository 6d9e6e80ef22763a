"""A withdrawal from the player's wish to the bank: reserved, asked, approved, sent, told."""

from datetime import timedelta

import pytest

from app import callouts, ledger, methods, payments, players, providers
from app.payments import payouts
from app.payments.cancels import TooLateToCancel
from app.payments.payouts import CardNotTaken, TooManyOpenPayouts, WithdrawalsLocked
from app.payments.queries import PaymentNotFound
from app.plumbing import switches, web
from app.plumbing.idempotency import IdempotencyKeyReused
from tests.payments.peers import answering
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import AMOUNT

State = providers.State


async def test_a_withdrawal_that_nobody_has_to_look_at(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    found = await stage.withdraw()
    assert (found.kind, found.sub_status) == ("payout", "approved")
    assert found.payment_id.startswith("wdr_")
    assert await stage.credited() == FUNDS - AMOUNT.minor
    assert await stage.held() == AMOUNT.minor
    [asked] = stage.merchant.asked
    assert (asked["amount"], asked["currency"], asked["transaction_id"]) == (
        150_000,
        "KZT",
        str(found.number),
    )
    assert asked["customer_purse"] == "a******77"
    await stage.work()
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.captured_minor, done.provider_reference) == ("completed", 150_000, "bank-1")
    assert await stage.held() == 0
    [order] = bank.payouts
    assert (order.amount, order.destination) == (AMOUNT, {"wallet": "aigerim77"})
    assert [row.type for row in await stage.rows("SELECT type FROM payment_event ORDER BY sequence")] == [
        "withdrawal.requested",
        "withdrawal.approved",
        "withdrawal.processing",
        "withdrawal.processing",
        "withdrawal.completed",
    ]
    assert await stage.told() == [4]
    [webhook] = await stage.rows("SELECT success, fields FROM webhook")
    assert webhook.success
    assert (webhook.fields["type_id"], webhook.fields["external_id"]) == (11, f"w_{found.number}")
    assert webhook.fields["customer_purse"] == "a******77"


async def test_the_same_form_twice_is_one_withdrawal(stage: Stage) -> None:
    await stage.fund()
    session = await stage.session()
    first = await stage.withdraw(session=session, key="form")
    again = await stage.withdraw(session=session, key="form")
    assert again.payment_id == first.payment_id
    assert len(stage.merchant.asked) == 1
    with pytest.raises(IdempotencyKeyReused):
        await stage.withdraw(AMOUNT.minor + 1, session, key="form")
    with pytest.raises(IdempotencyKeyReused):
        await stage.withdraw(session=session, key="form", destination={"wallet": "somebody.else"})


async def test_more_than_there_is_is_refused_with_what_there_is(stage: Stage) -> None:
    await stage.fund(100_000)
    with pytest.raises(ledger.InsufficientFunds, match=r"1000\.00 KZT is available"):
        await stage.withdraw(100_001)
    assert web.status_of(ledger.InsufficientFunds) == 402
    assert await stage.rows("SELECT 1 FROM payment") == []
    assert (await stage.credited(), await stage.held()) == (100_000, 0)
    assert stage.merchant.asked == []


@pytest.mark.parametrize(
    ("wish", "refusal", "param"),
    [
        ({"minor": 999}, methods.AmountTooLow, "amount"),
        ({"minor": 100_000_001}, methods.AmountTooHigh, "amount"),
        ({"method": "qr"}, methods.MethodUnavailable, "method"),
        ({"destination": {"wallet": "!"}}, methods.BadDestination, "wallet"),
        ({"destination": {}}, methods.BadDestination, "wallet"),
        ({"destination": {"purse": "x"}}, methods.BadDestination, "purse"),
        ({"method": "card", "destination": {"number": "4111111111111112"}}, methods.BadDestination, "number"),
        ({"instrument_id": "ins_nobodys"}, methods.InstrumentNotFound, "instrument_id"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_its_field(
    stage: Stage, wish: dict[str, object], refusal: type[Exception], param: str
) -> None:
    await stage.fund()
    with pytest.raises(refusal) as said:
        await stage.withdraw(**wish)  # type: ignore[arg-type]
    assert getattr(said.value, "param", None) == param
    assert await stage.rows("SELECT 1 FROM payment") == []
    assert await stage.held() == 0


async def test_a_card_is_sent_by_its_token_and_its_number_is_nowhere(
    stage: Stage, bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.fund()
    found = await stage.withdraw(method="card", destination={"number": "4111 1111 1111 1111"})
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert bank.payouts[0].destination == {"token": "tok_1111"}
    kept = await stage.rows(
        "SELECT (SELECT json_agg(p)::text FROM payment p) || (SELECT json_agg(l)::text FROM payout_leg l) "
        "|| (SELECT json_agg(i)::text FROM instrument i) || (SELECT json_agg(c)::text FROM claim c) "
        "|| (SELECT json_agg(a)::text FROM attempt a) || (SELECT json_agg(c)::text FROM callout c) AS all"
    )
    assert "41111111" not in kept[0].all
    assert "4111 1111" not in kept[0].all
    assert "41111111" not in caplog.text
    # The second time the player chooses it by its name.
    [instrument] = await stage.rows("SELECT instrument_id FROM instrument")
    again = await stage.withdraw(method="card", destination={}, instrument_id=instrument.instrument_id)
    await stage.work()
    assert (await stage.state(again.payment_id))[0] == "completed"


async def test_a_card_that_the_provider_does_not_take(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.tokenised = providers.ProviderError("14", "no such card")
    with pytest.raises(CardNotTaken):
        await stage.withdraw(method="card", destination={"number": "4111111111111111"})
    assert await stage.rows("SELECT 1 FROM payment") == []


async def test_who_may_not_withdraw(stage: Stage) -> None:
    await stage.fund()
    async with stage.database.transaction() as tx:
        await switches.set_switch(
            tx, stage.site_id, "payouts", stopped=True, reason="drill", by="test", at=stage.clock.now()
        )
    with pytest.raises(payments.PayoutsStopped):
        await stage.withdraw()
    async with stage.database.transaction() as tx:
        await switches.set_switch(
            tx, stage.site_id, "payouts", stopped=False, reason="over", by="test", at=stage.clock.now()
        )
        await players.set_status(tx, stage.site_id, "aigerim", players.PlayerStatus.BLOCKED)
    with pytest.raises(WithdrawalsLocked):
        await stage.withdraw()
    assert await stage.held() == 0


async def test_ten_unfinished_withdrawals_are_enough(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    for _ in range(10):
        await stage.withdraw(1_000)
    with pytest.raises(TooManyOpenPayouts):
        await stage.withdraw(1_000)
    await stage.work()
    await stage.withdraw(1_000)


@pytest.mark.parametrize(
    ("code", "told"), [(402, "no_funds"), (500, "refused")], ids=["not enough funds", "refused"]
)
async def test_a_merchant_who_says_no_gives_the_money_back(stage: Stage, code: int, told: str) -> None:
    await stage.fund()
    stage.merchant.says = [answering({"code": code, "error_description": "Play more first"})]
    found = await stage.withdraw()
    assert (found.sub_status, found.reason_code, found.reason_player) == (
        "rejected_by_merchant",
        told,
        "Play more first",
    )
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    assert await stage.told() == [5]


@pytest.mark.parametrize(
    "said",
    [
        answering({"code": 0, "external_id": "w_1"}),
        answering({"code": 50}),
        answering({"code": "50", "external_id": "w_1"}),
        answering({"code": 50, "external_id": ""}),
        answering({"code": 51, "external_id": "w_1"}),
        answering(b"<html>OK</html>"),
        answering(b""),
        answering({"code": 50, "external_id": "w_1"}, 500),
        answering({"code": 402}, 402),
        answering(b'{"code": 50, "code": 500, "external_id": "w_1"}'),
    ],
    ids=lambda _: "",
)
async def test_a_merchant_who_is_not_understood_is_asked_the_same_again(stage: Stage, said: object) -> None:
    await stage.fund()
    stage.merchant.says = [said]  # type: ignore[list-item]
    found = await stage.withdraw()
    assert (found.sub_status, found.external_id) == ("requested", "")
    assert await stage.held() == AMOUNT.minor
    await stage.later(59)
    assert len(stage.merchant.asked) == 1
    await stage.later(1)
    first, again = stage.merchant.asked
    assert {**first, "signature": ""} == {**again, "signature": ""}
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_a_merchant_who_is_silent_for_a_day_is_a_case_and_the_money_stays_reserved(
    stage: Stage,
) -> None:
    await stage.fund()
    stage.merchant.says = [answering({"code": 9})] * 20
    found = await stage.withdraw()
    for _ in range(8):
        await stage.later(timedelta(hours=6))
    assert await stage.state(found.payment_id) == ("requested", "merchant_silent")
    assert await stage.held() == AMOUNT.minor
    stage.merchant.says = []
    await stage.later(timedelta(hours=6))
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_one_order_number_for_two_withdrawals_is_not_understood(stage: Stage) -> None:
    await stage.fund()
    first = await stage.withdraw()
    stage.merchant.says = [answering({"code": 50, "external_id": first.external_id})]
    second = await stage.withdraw()
    assert (second.sub_status, second.external_id) == ("requested", "")
    await stage.later(60)
    assert (await stage.row(second.payment_id)).external_id == f"w_{second.number}"


async def test_the_player_may_change_his_mind_while_it_cools(stage: Stage, bank: Bank) -> None:
    await stage.policy(cooling_seconds=600)
    await stage.fund()
    session = await stage.session()
    found = await stage.withdraw(session=session)
    assert found.sub_status == "cooling"
    assert found.expires_at == stage.clock.now() + timedelta(minutes=10)
    with pytest.raises(PaymentNotFound):
        await payments.cancel(stage.pipes, stage.site_id, found.payment_id, "ply_somebody")
    gone = await payments.cancel(stage.pipes, stage.site_id, found.payment_id, session.player.player_id)
    assert gone.sub_status is payments.SubStatus.BY_PLAYER
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    assert await stage.told() == [14]
    with pytest.raises(TooLateToCancel):
        await payments.cancel(stage.pipes, stage.site_id, found.payment_id, session.player.player_id)
    await stage.later(600)
    assert bank.payouts == []


async def test_what_has_cooled_goes_on(stage: Stage, bank: Bank) -> None:
    await stage.policy(cooling_seconds=600)
    await stage.fund()
    found = await stage.withdraw()
    await stage.later(599)
    assert (await stage.state(found.payment_id))[0] == "cooling"
    await stage.later(1)
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert len(bank.payouts) == 1


async def test_a_site_may_forbid_the_player_to_cancel(stage: Stage) -> None:
    await stage.policy(cooling_seconds=600, player_may_cancel=False)
    await stage.fund()
    session = await stage.session()
    found = await stage.withdraw(session=session)
    with pytest.raises(payments.CancelNotAllowed):
        await payments.cancel(stage.pipes, stage.site_id, found.payment_id, session.player.player_id)
    assert (await stage.state(found.payment_id))[0] == "cooling"


async def test_cancelled_while_the_merchant_was_asked_it_hears_under_its_own_number(
    stage: Stage, bank: Bank
) -> None:
    await stage.fund()
    session = await stage.session()
    stage.merchant.says = [answering(b"?")]
    found = await stage.withdraw(session=session)
    await payments.cancel(stage.pipes, stage.site_id, found.payment_id, session.player.player_id)
    # An earlier question is answered only now: the merchant had taken it.
    answer = callouts.Answer(callouts.CalloutState.ACCEPTED, external_id="w_late")
    async with stage.database.transaction() as tx:
        await payouts._conclude(tx, stage.site_id, found.payment_id, answer, stage.clock.now())
    assert (await stage.row(found.payment_id)).external_id == "w_late"
    fields = [row.fields for row in await stage.rows("SELECT fields FROM webhook ORDER BY sequence")]
    assert [(one.get("external_id"), one["status_id"]) for one in fields] == [(None, 14), ("w_late", 14)]
    assert (await stage.credited(), bank.payouts) == (FUNDS, [])


async def test_a_process_that_dies_before_the_merchant_is_asked_loses_only_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        raise SystemError

    await stage.fund()
    with monkeypatch.context() as patched:
        patched.setattr("app.payments.payouts._ask_merchant", dies)
        with pytest.raises(SystemError):
            await stage.withdraw()
    found = await stage.payment()
    assert (found.sub_status, len(stage.merchant.asked)) == ("requested", 0)
    await stage.later(60)
    assert (await stage.state(found.payment_id))[0] == "completed"
