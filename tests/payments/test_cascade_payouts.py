"""A withdrawal at two provider accounts: each part goes on where one refuses for certain; it is paid once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import payments, providers
from app.providers.gateways import GATEWAYS
from tests.payments.accounts import SECOND, THIRD, cases, decided, order_out, tries, why, with_accounts
from tests.payments.banks import another_bank, in_two_parts
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT, HERE

State = providers.State
R = payments.Resolution
CLOSED = providers.ProviderError("78", "the account is closed", undeliverable=True)


@pytest.fixture
def second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.fixture
def third(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    made = Bank("third", moved=bank.moved, numbers=bank.numbers, no=HERE)
    monkeypatch.setitem(GATEWAYS, made.name, made)
    return made


@pytest.fixture(autouse=True)
async def through_both(stage: Stage, second: Bank, third: Bank) -> None:
    await with_accounts(stage, SECOND, THIRD)
    for method in ("e_wallet", "card"):
        await order_out(stage, ACCOUNT, SECOND, method=method)
    await stage.fund()


async def sent(stage: Stage, **wish: Any) -> Any:  # noqa: ANN401  a row
    found = await stage.withdraw(**wish)
    await stage.work()
    return await stage.row(found.payment_id)


# What the first bank does and why it says no; whether the second is asked; how it ends.
MANNERS_AND_ENDS = {
    "refuses": ("declines", HERE, 1, "completed"),
    "never hears": ("never hears", HERE, 1, "completed"),
    "declines for good": ("declines", providers.ProviderError("05", "stolen"), 0, "declined"),
    "cannot deliver": ("declines", CLOSED, 0, "undeliverable"),
    "is silent and has it": ("accepts silently", HERE, 0, "unknown"),
    "loses the order": ("loses the order", HERE, 0, "unknown"),
    "answers garbage and paid": ("pays and answers garbage", HERE, 0, "unknown"),
    "accepts": ("accepts", HERE, 0, "provider_pending"),
    "pays": ("pays", HERE, 0, "completed"),
}


@pytest.mark.parametrize("what", MANNERS_AND_ENDS)
async def test_what_the_first_does_decides_whether_the_second_is_asked(
    stage: Stage, bank: Bank, second: Bank, what: str
) -> None:
    manner, bank.no, orders, end = MANNERS_AND_ENDS[what]
    bank.manners = [manner]
    found = await sent(stage)
    assert (len(bank.payouts), len(second.payouts)) == (1, orders)
    assert (found.sub_status, found.attention) == (end, None)
    if end == "completed":
        assert (len(bank.moved), await stage.credited(), await stage.held()) == (1, FUNDS - AMOUNT.minor, 0)
    if end in {"declined", "undeliverable"}:
        assert (bank.moved, await stage.credited(), await stage.held()) == ([], FUNDS, 0)


async def test_one_payout_at_the_second_and_its_books_are_there(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners = ["declines"]
    found = await sent(stage)
    leg = await stage.leg(found.payment_id)
    first, next_one = await tries(stage)
    assert (leg.state, leg.account, leg.provider_reference) == ("completed", SECOND, "bank-2")
    assert [(one.account, one.is_over, one.state) for one in (first, next_one)] == [
        (ACCOUNT, True, "failed"),
        (SECOND, False, "succeeded"),
    ]
    assert second.payouts[0].reference == next_one.attempt_id
    assert second.payouts[0].notice_url.endswith(f"/{SECOND}")
    assert await stage.told() == [4]
    assert await why(stage) == [SECOND]
    [capture] = await stage.rows(
        "SELECT a.owner FROM entry e JOIN account a USING (site_id, account_id) "
        "JOIN transfer t USING (site_id, transfer_id) "
        "WHERE t.kind = 'hold.capture' AND a.purpose = 'provider_clearing'"
    )
    assert capture.owner == SECOND


async def test_failed_comes_after_the_last_account_only(stage: Stage, bank: Bank, second: Bank) -> None:
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    assert (found.sub_status, await stage.told()) == ("declined", [6])
    assert await why(stage) == [SECOND, "no other account"]
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)


async def test_undeliverable_gives_the_money_back_and_goes_nowhere(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners, bank.no = ["declines"], CLOSED
    found = await sent(stage)
    assert (found.status, found.sub_status, second.payouts) == ("failed", "undeliverable", [])
    assert (await stage.credited(), await stage.held(), await stage.told()) == (FUNDS, 0, [19])
    assert (await stage.leg(found.payment_id)).is_released
    assert await why(stage) == ["the destination cannot receive"]


async def test_a_card_goes_to_the_account_alone_that_has_its_token(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners = ["declines"]
    card = {"number": "4111 1111 1111 1111"}
    found = await sent(stage, method="card", destination=card)
    assert (found.sub_status, second.payouts) == ("declined", [])
    assert await why(stage) == [f"only {ACCOUNT} can pay to this card"]


async def test_the_database_itself_keeps_a_token_at_its_account(stage: Stage, bank: Bank) -> None:
    bank.manners = ["accepts"]
    await sent(stage, method="card", destination={"number": "4111 1111 1111 1111"})
    with pytest.raises(DBAPIError, match="goes to a token of the account main"):
        async with stage.database.transaction() as tx:
            await tx.execute(text("UPDATE payout_leg SET account = 'second'"))


async def test_what_waits_in_the_queue_for_the_same_account_again_has_not_ended(
    stage: Stage, bank: Bank
) -> None:
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "pays"]
    found = await sent(stage)
    await stage.later(timedelta(minutes=10))
    assert ((await stage.row(found.payment_id)).sub_status, len(await tries(stage))) == ("completed", 2)
    assert await why(stage) == [], "nothing says that no other attempt is made"


async def test_the_float_of_the_next_account_counts_for_it(stage: Stage, bank: Bank, second: Bank) -> None:
    bank.manners, second.float_minor = ["declines"], AMOUNT.minor - 1
    found = await sent(stage)
    assert (found.sub_status, second.payouts) == ("allocated", [])
    assert SECOND in found.reason
    assert await stage.held() == AMOUNT.minor
    second.float_minor = AMOUNT.minor
    await stage.later(timedelta(minutes=6))
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_what_the_first_bank_has_after_all_is_not_sent_to_the_second(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """Our side says that nothing left; the bank, asked, that it paid."""
    bank.manners = ["pays and says it never heard"]
    found = await sent(stage)
    assert second.payouts == []
    assert (await stage.state(found.payment_id), len(bank.moved)) == (("completed", None), 1)
    assert (await stage.leg(found.payment_id)).account == ACCOUNT


async def test_a_decline_that_its_bank_denies_when_asked_sends_nothing_on(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners = ["declines and pays"]
    found = await sent(stage)
    assert second.payouts == []
    assert (await stage.state(found.payment_id), len(bank.moved)) == (("completed", None), 1)
    [capture] = await stage.rows(
        "SELECT a.owner FROM entry e JOIN account a USING (site_id, account_id) "
        "JOIN transfer t USING (site_id, transfer_id) "
        "WHERE t.kind = 'hold.capture' AND a.purpose = 'provider_clearing'"
    )
    assert capture.owner == ACCOUNT, "booked where it was paid, though it waited for the other"


async def test_while_the_first_cannot_be_asked_nothing_is_sent_to_the_second(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners, bank.words = ["declines"], ["nothing"]
    found = await sent(stage)
    assert (found.sub_status, second.payouts) == ("allocated", [])
    bank.words = ["truth"]
    await stage.later(timedelta(minutes=10))
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_who_could_not_be_reached_then_and_cannot_now_does_not_hold_it_up(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.manners = ["never hears"]

    async def down(*_: object) -> providers.Result:
        error = providers.ProviderError("not_connected", "down")
        return providers.Result(State.UNKNOWN, error=error, nothing_was_sent=True)

    monkeypatch.setattr(bank, "status", down)
    found = await sent(stage)
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_a_second_that_is_switched_off_is_no_way_out(stage: Stage, bank: Bank, second: Bank) -> None:
    async with stage.database.transaction() as tx:
        await tx.execute(text("UPDATE provider_account SET enabled = false WHERE account = 'second'"))
    bank.manners = ["declines"]
    found = await sent(stage)
    assert (found.sub_status, second.payouts) == ("declined", [])
    assert await why(stage) == [f"switched off: {SECOND}"]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_late_success_of_the_first_is_a_case_and_not_a_second_debit(
    stage: Stage, bank: Bank, second: Bank, is_open: bool
) -> None:
    bank.manners, second.manners = ["declines"], ["accepts" if is_open else "pays"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])  # although it had said no: its own fault
    await stage.store_notice(bank.fact(first.attempt_id))
    await stage.work()
    assert await cases(stage) == ["second_payment"]
    assert (await stage.row(found.payment_id)).attention == "second_payment"
    if is_open:
        assert await stage.held() == AMOUNT.minor
        second.pay(second.book[next_one.attempt_id])
        await stage.store_notice(second.fact(next_one.attempt_id), account=SECOND)
        await stage.work()
    assert (await stage.row(found.payment_id)).sub_status == "completed"
    assert (await stage.credited(), await stage.held()) == (FUNDS - AMOUNT.minor, 0)
    assert await cases(stage) == ["second_payment"]
    bank.moved.clear()  # what both paid is a person's now; the stage counts what one should have paid
    bank.moved.append((next_one.attempt_id, AMOUNT))


async def test_the_earlier_bank_is_asked_as_long_as_the_payout_is_open(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """Who paid after all and tells nobody is found out by the question."""
    bank.manners, second.manners = ["declines"], ["accepts"]
    found = await sent(stage)
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    await stage.later(timedelta(minutes=2))
    assert await cases(stage) == ["second_payment"]
    second.pay(second.book[next_one.attempt_id])
    await stage.later(timedelta(minutes=10))
    assert (await stage.row(found.payment_id)).sub_status == "completed"
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.moved[:] = [(next_one.attempt_id, AMOUNT)]


async def test_after_both_refused_a_late_success_of_the_first_took_what_was_given_back(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """As with one account: the money has gone, so it is debited; and the second's late success is a case."""
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    assert await stage.credited() == FUNDS
    first, next_one = await tries(stage)
    bank.pay(bank.book[first.attempt_id])
    await stage.store_notice(bank.fact(first.attempt_id))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", "paid_after_release")
    assert await stage.credited() == FUNDS - AMOUNT.minor
    leg = await stage.leg(found.payment_id)
    assert (leg.account, leg.state) == (ACCOUNT, "completed")
    await stage.store_notice(second.fact(next_one.attempt_id, "failed"), account=SECOND)
    await stage.work()
    assert (await stage.state(found.payment_id), await stage.credited()) == (
        ("completed", "paid_after_release"),
        FUNDS - AMOUNT.minor,
    )
    second.pay(second.book[next_one.attempt_id])
    await stage.store_notice(second.fact(next_one.attempt_id), account=SECOND)
    await stage.work()
    assert (await stage.state(found.payment_id))[1] == "second_payment"
    assert await stage.credited() == FUNDS - AMOUNT.minor
    bank.moved[:] = [(first.attempt_id, AMOUNT)]  # the second's own fault is for people


async def test_people_end_what_an_earlier_bank_made_doubtful_again(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """The first bank says "pending" of what it had declined: open again, at that account, and no way on."""
    bank.manners, second.manners = ["declines"], ["declines"]
    found = await sent(stage)
    first, _ = await tries(stage)
    bank.book[first.attempt_id].state = State.PROCESSING
    await stage.store_notice(bank.fact(first.attempt_id, "processing"))
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "unknown"
    assert (await stage.leg(found.payment_id)).account == ACCOUNT
    assert await stage.held() == AMOUNT.minor
    bank.pay(bank.book[first.attempt_id])
    await stage.later(timedelta(minutes=10))
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert (len(second.payouts), await stage.credited()) == (1, FUNDS - AMOUNT.minor)


@pytest.mark.parametrize("when", ["before the second declines", "after it, and nothing is sent yet"])
async def test_who_has_ever_said_paid_keeps_it_from_every_other_account(
    stage: Stage, bank: Bank, second: Bank, third: Bank, when: str
) -> None:
    """Its signed notice says so, its status denies it, and people have noted that: the money may be there."""
    await order_out(stage, ACCOUNT, SECOND, THIRD)
    bank.manners, second.manners, third.float_minor = ["declines"], ["accepts"], 0
    found = await sent(stage)
    first, next_one = await tries(stage)

    async def says_paid() -> None:
        await stage.store_notice(bank.fact(first.attempt_id))
        await stage.work()
        assert await cases(stage) == ["second_payment"]
        await decided(stage, R.NOTED)

    if when.startswith("before"):
        await says_paid()
    second.book[next_one.attempt_id].state = State.FAILED
    await stage.store_notice(second.fact(next_one.attempt_id, "failed", code="91"), account=SECOND)
    await stage.work()
    if when.startswith("after"):
        assert (await stage.leg(found.payment_id)).account == THIRD
        await says_paid()
    third.float_minor = FUNDS
    await stage.later(timedelta(minutes=10))
    await stage.later(timedelta(minutes=10))
    assert (third.payouts, len(await tries(stage))) == ([], 2)
    now = await stage.row(found.payment_id)
    said = f"{ACCOUNT} said before that it was paid"
    if when.startswith("before"):
        assert (now.sub_status, await stage.held()) == ("provider_pending", AMOUNT.minor)
        await decided(stage, R.NOT_PAID)  # a proof, at last: the second's no counts, and the third may follow
        await stage.work()
        assert ((await stage.payment()).sub_status, len(third.payouts)) == ("completed", 1)
    else:
        assert (now.sub_status, now.reason, await stage.held()) == ("allocated", said, AMOUNT.minor)


class Died(BaseException):
    """The process is gone."""


async def test_who_dies_between_storing_the_next_try_and_sending_it_sends_nothing_anew(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.manners = ["declines"]

    async def dies(_: providers.PayoutOrder) -> None:
        raise Died

    second.before = dies
    with pytest.raises(Died):
        await sent(stage)
    second.payouts.clear()  # it never got there
    second.before = None
    [leg] = await stage.rows("SELECT * FROM payout_leg")
    assert (leg.state, leg.account) == ("submitted", SECOND)
    await stage.later(timedelta(minutes=1))
    assert second.payouts == []
    assert ("status", (await tries(stage))[1].attempt_id) in second.asked
    assert len(await tries(stage)) == 2


async def test_each_part_goes_on_by_itself(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_two_parts(stage, monkeypatch)
    bank.manners = ["pays", "declines"]
    found = await sent(stage)
    assert (found.sub_status, found.captured_minor) == ("completed", AMOUNT.minor)
    legs = await stage.rows("SELECT * FROM payout_leg ORDER BY leg")
    assert [leg.account for leg in legs] == [ACCOUNT, SECOND]
    assert (len(bank.payouts), len(second.payouts)) == (2, 1)
    assert await stage.credited() == FUNDS - AMOUNT.minor
