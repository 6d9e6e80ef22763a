"""What is told of a withdrawal while we are on our way to its bank: no doubt of ours asks a second one."""

from datetime import timedelta
from functools import partial

import pytest

from app import payments, providers
from app.kernel.money import Money
from app.payments import sending
from app.payments.doubts import MayBePaid
from app.plumbing.http import HttpClient
from tests.payments.accounts import SECOND, cases, decided, order_out, tries, why
from tests.payments.banks import another_bank, in_two_parts, parts, sent, through_both_banks
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT, NEVER_LEFT, UNKNOWN

State = providers.State


@pytest.fixture
def second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.fixture(autouse=True)
async def through_both(stage: Stage, second: Bank) -> None:
    await through_both_banks(stage)


async def test_a_time_out_does_not_undo_the_decline_that_came_before_it(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has paid; it says that it declined, our call times out, and it can be reached no more."""
    bank.manners = ["pays silently"]

    async def down(*_: object) -> providers.Result:
        return NEVER_LEFT

    async def declined(order: providers.PayoutOrder) -> None:
        await stage.store_notice({"reference": order.reference, "state": "failed", "code": "91"})
        monkeypatch.setattr(bank, "status", down)
        [notice] = await stage.rows("SELECT notice_id FROM notice")
        await payments.read_notice(stage.pipes, stage.site_id, notice.notice_id)

    bank.before = declined
    found = await sent(stage)
    [only] = await tries(stage)
    assert (only.state, only.error_code, only.is_over, second.payouts) == ("failed", "91", True, [])
    assert found.sub_status == "allocated"


async def while_the_float_is_asked(
    stage: Stage,
    bank: Bank,
    payment_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One worker asks the first bank for its float; before it hears, another has sent."""
    balance = bank.balance
    waits = [True]

    async def slow(http: HttpClient, account: providers.ProviderAccount, currency: str) -> Money | None:
        if waits:
            waits.clear()
            await sending.send(stage.pipes, stage.site_id, payment_id)
        return await balance(http, account, currency)

    monkeypatch.setattr(bank, "balance", slow)
    await stage.work()


async def test_only_what_was_looked_at_is_sent(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first declines and pays. Who had looked before that sends nothing to the second."""
    bank.manners = ["declines and pays"]
    found = await stage.withdraw()
    await while_the_float_is_asked(stage, bank, found.payment_id, monkeypatch)
    assert second.payouts == []
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_the_float_of_the_second_is_looked_at_before_it_is_asked(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.manners, second.float_minor = ["declines"], 0
    found = await stage.withdraw()
    await while_the_float_is_asked(stage, bank, found.payment_id, monkeypatch)
    assert second.payouts == []
    assert await stage.state(found.payment_id) == ("allocated", None)
    second.float_minor = FUNDS
    await stage.later(timedelta(minutes=6))
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_what_was_said_to_be_paid_and_then_denied_waits_for_people(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """It waits for the second's float. The first's notice says paid, its answer that it is not."""
    bank.manners, second.float_minor = ["declines"], 0
    found = await sent(stage)
    [only] = await tries(stage)
    await stage.store_notice(bank.fact(only.attempt_id))
    await stage.work()
    second.float_minor = FUNDS
    for _ in range(3):
        await stage.later(timedelta(minutes=6))
    assert second.payouts == []
    assert await stage.state(found.payment_id) == ("allocated", "denied_after_success")
    assert await cases(stage) == ["denied_after_success"]
    assert await stage.held() == AMOUNT.minor
    cancelled = partial(payments.cancel_for_staff, stage.pipes, stage.site_id, found.payment_id)
    boss = await stage.operator("boss")
    with pytest.raises(MayBePaid, match="main said before that it was paid"):
        await cancelled(boss, reason="not paid")
    assert await stage.held() == AMOUNT.minor, "two people have to decide that"
    await decided(stage, payments.Resolution.NOT_PAID)
    second.float_minor = 0
    await cancelled(boss, reason="not paid")
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)


async def asked_for_ten_days(stage: Stage) -> None:
    for _ in range(20):
        await stage.later(timedelta(hours=12))


async def test_what_the_first_says_does_not_settle_the_question_about_the_second(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """Both declined. The second has paid, says so by notice, and is silent for a while when it is asked."""
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    [_, next_one] = await tries(stage)
    second.pay(second.book[next_one.attempt_id])
    second.words = ["nothing"]
    await stage.store_notice(second.fact(next_one.attempt_id), account=SECOND)
    await stage.work()
    assert await stage.state(found.payment_id) == ("declined", "unconfirmed")
    second.words = ["truth"]
    await asked_for_ten_days(stage)
    assert await stage.state(found.payment_id) == ("completed", "paid_after_release")
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def test_what_is_said_of_one_part_does_not_settle_the_question_about_another(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where both are tries of two parts at one bank, each declined at the last account."""
    await in_two_parts(stage, monkeypatch)
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    [*_, one, other] = await tries(stage)
    second.pay(second.book[one.attempt_id])
    told = {one.attempt_id: UNKNOWN}
    status = second.status

    async def silent(
        http: HttpClient, account: providers.ProviderAccount, reference: str
    ) -> providers.Result:
        return told.get(reference) or await status(http, account, reference)

    monkeypatch.setattr(second, "status", silent)
    await stage.store_notice(second.fact(one.attempt_id), account=SECOND)
    await stage.work()
    assert await stage.state(found.payment_id) == ("declined", "unconfirmed")
    told.clear()
    await asked_for_ten_days(stage)
    assert (await stage.row(found.payment_id)).sub_status == "completed"
    assert [part.state for part in await parts(stage)].count("completed") == 1
    assert other.state == "failed"


async def test_once_both_have_answered_the_question_is_settled(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    [_, next_one] = await tries(stage)
    second.words = ["nothing"]
    await stage.store_notice(second.fact(next_one.attempt_id), account=SECOND)
    await stage.work()
    second.words = ["truth"]
    await asked_for_ten_days(stage)
    assert await stage.state(found.payment_id) == ("declined", None)
    assert (await stage.row(found.payment_id)).ask_at is None


async def test_a_part_that_waits_goes_on_while_nobody_knows_of_the_other(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    bank.manners = ["accepts silently", "declines"]
    status = bank.status

    async def silent(
        http: HttpClient, account: providers.ProviderAccount, reference: str
    ) -> providers.Result:
        if reference == bank.payouts[0].reference:
            return UNKNOWN
        return await status(http, account, reference)

    monkeypatch.setattr(bank, "status", silent)
    found = await sent(stage)
    assert found.sub_status == "unknown"
    assert [(part.state, part.account) for part in await parts(stage)] == [
        ("unknown", "main"),
        ("completed", SECOND),
    ]
    assert len(second.payouts) == 1


async def test_a_part_that_waits_for_money_beside_an_open_one_writes_no_event_at_each_look(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    bank.manners, second.float_minor = ["accepts", "declines"], 0
    found = await sent(stage)
    before = (await stage.row(found.payment_id)).sequence
    for _ in range(3):
        await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert (await stage.row(found.payment_id)).sequence == before
    assert [part.state for part in await parts(stage)] == ["provider_pending", "planned"]
    assert SECOND in (await stage.row(found.payment_id)).reason
    second.float_minor = FUNDS
    await stage.later(timedelta(minutes=6))
    assert [part.state for part in await parts(stage)] == ["provider_pending", "completed"]


async def test_nobody_else_is_asked_for_what_was_unknown_though_it_was_pending_meanwhile(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """No answer to the order; then it is pending; then the bank is out of service."""
    bank.manners = ["accepts silently"]
    found = await sent(stage)
    assert found.sub_status == "unknown"
    await stage.later(timedelta(minutes=10))
    assert (await stage.payment()).sub_status == "provider_pending"
    [only] = await tries(stage)
    bank.book[only.attempt_id].state = State.FAILED
    await stage.later(timedelta(hours=6))
    assert await stage.state(found.payment_id) == ("declined", None)
    assert (len(await tries(stage)), second.payouts) == (1, [])
    assert await stage.credited() == FUNDS


async def test_what_was_unknown_of_a_part_keeps_the_other_from_no_account(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    bank.manners = ["accepts silently", "declines"]
    await sent(stage)
    assert {(one.leg, one.account) for one in await tries(stage)} == {(1, ACCOUNT), (2, ACCOUNT), (2, SECOND)}


async def test_a_part_that_was_sent_beside_an_unknown_one_goes_on_to_the_next_account(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the second part there was never any doubt; the first one's is not its own."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = ["loses the order", "never hears", "declines"]
    await sent(stage)
    assert [(one.state, one.account) for one in await parts(stage)] == [
        ("unknown", ACCOUNT),
        ("planned", ACCOUNT),
    ]
    await order_out(stage, ACCOUNT, SECOND)
    await stage.later(timedelta(minutes=1))
    assert len(bank.payouts) == 3
    await stage.later(timedelta(seconds=50))
    _, second = await parts(stage)
    assert (second.state, second.account) == ("completed", SECOND), await why(stage)
