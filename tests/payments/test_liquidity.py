"""Which account has the money: a withdrawal that nobody was asked for goes where it can be paid, or waits."""

from datetime import timedelta
from typing import Any

import pytest

from app import merchants, methods, providers
from app.kernel.money import Money
from app.payments.legs import attempts_of, legs_of, payout
from app.payments.liquidity import Funding, funding_of, switched_on
from app.plumbing.http import HttpClient
from app.providers.gateways import GATEWAYS
from tests.payments.accounts import SECOND, THIRD, order_out, switch_off, switch_on, tries, with_accounts
from tests.payments.banks import PART, another_bank, in_two_parts, parts, sent, through_both_banks
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT, HERE

REST = AMOUNT.minor - PART
CARD = {"number": "4111 1111 1111 1111"}


@pytest.fixture
def second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.fixture
def third(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    made = Bank(THIRD, moved=bank.moved, numbers=bank.numbers, no=HERE)
    monkeypatch.setitem(GATEWAYS, made.name, made)
    return made


@pytest.fixture(autouse=True)
async def through_both(stage: Stage, second: Bank) -> None:
    await through_both_banks(stage)


async def is_held(stage: Stage, found: Any, why: str) -> None:  # noqa: ANN401  a row
    now = await stage.row(found.payment_id)
    assert (now.status, now.attention, now.reason) == ("pending", None, why)
    assert await stage.held() == AMOUNT.minor


async def most_attempts(stage: Stage, most: int) -> None:
    async with stage.database.transaction() as tx:
        await merchants.set_most_attempts(tx, stage.site_id, most, at=stage.clock.now())


async def test_where_the_first_has_too_little_the_second_pays(stage: Stage, bank: Bank, second: Bank) -> None:
    bank.float_minor = AMOUNT.minor - 1
    found = await sent(stage)
    assert (found.sub_status, bank.payouts, len(second.payouts)) == ("completed", [], 1)
    [only] = await tries(stage)
    leg = await stage.leg(found.payment_id)
    assert (only.account, leg.account, leg.state) == (SECOND, SECOND, "completed")
    assert second.payouts[0].notice_url.endswith(f"/{SECOND}")
    assert (await stage.credited(), await stage.held(), await stage.told()) == (FUNDS - AMOUNT.minor, 0, [4])
    [capture] = await stage.rows(
        "SELECT a.owner FROM entry e JOIN account a USING (site_id, account_id) "
        "JOIN transfer t USING (site_id, transfer_id) "
        "WHERE t.kind = 'hold.capture' AND a.purpose = 'provider_clearing'"
    )
    assert capture.owner == SECOND
    short = (
        f"the provider account {ACCOUNT} holds 1499.99 KZT, 1500.00 KZT is needed; {SECOND} holds "
        f"{Money(second.float_minor or 0, 'KZT')}"
    )
    [told] = await stage.rows("SELECT detail FROM payment_event WHERE detail ? 'next_account'")
    assert told.detail == {
        "path": ["approved", "allocated", "submitted"],
        "next_account": SECOND,
        "after": ACCOUNT,
        "short": short,
    }


async def test_who_has_enough_is_asked_though_another_has_more(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.float_minor = AMOUNT.minor
    assert ((await sent(stage)).sub_status, len(bank.payouts), second.payouts) == ("completed", 1, [])


async def test_where_nobody_has_enough_it_waits_and_says_who_was_asked(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.float_minor, second.float_minor = 0, AMOUNT.minor - 1
    found = await sent(stage)
    why = f"the provider account {ACCOUNT} holds 0.00 KZT, 1500.00 KZT is needed; {SECOND} holds 1499.99 KZT"
    await is_held(stage, found, why)
    assert await tries(stage) == []
    second.float_minor = AMOUNT.minor
    await stage.later(timedelta(minutes=6))
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_a_card_waits_for_the_account_that_has_its_token(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.float_minor = 0
    found = await sent(stage, method="card", destination=CARD)
    why = f"the provider account {ACCOUNT} holds 0.00 KZT, 1500.00 KZT is needed"
    await is_held(stage, found, f"{why}; only {ACCOUNT} can pay to this card")
    assert second.payouts == []


async def test_what_was_sent_to_the_first_before_stays_there(stage: Stage, bank: Bank, second: Bank) -> None:
    """Whether another may follow is for what is known of that try to say, not for a balance."""
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "pays"]
    found = await sent(stage)
    await order_out(stage, ACCOUNT, SECOND)
    bank.float_minor = 0
    await stage.later(timedelta(minutes=10))
    assert second.payouts == []
    assert (await stage.row(found.payment_id)).sub_status == "allocated"
    bank.float_minor = AMOUNT.minor
    await stage.later(timedelta(minutes=10))
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 0)


async def test_a_site_that_wants_one_account_asked_has_one(stage: Stage, bank: Bank, second: Bank) -> None:
    await most_attempts(stage, 1)
    bank.float_minor = 0
    await sent(stage)
    assert (second.payouts, await tries(stage)) == ([], [])


async def waiting_for_second(stage: Stage, bank: Bank, second: Bank) -> Any:  # noqa: ANN401  a row
    """A withdrawal that the first account refused and that waits for the second, which has no money."""
    await with_accounts(stage, THIRD)
    await order_out(stage, ACCOUNT, SECOND, THIRD)
    bank.manners, second.float_minor = ["declines"], 0
    await switch_off(stage, THIRD)
    found = await sent(stage)
    await switch_on(stage, THIRD)
    assert (await stage.leg(found.payment_id)).account == SECOND
    return found


async def test_beyond_as_many_accounts_as_the_site_lets_be_asked_nobody_is(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    """Also not the first of the order, as that has become another one since the first was asked."""
    found = await waiting_for_second(stage, bank, second)
    await order_out(stage, THIRD, ACCOUNT, SECOND)
    await most_attempts(stage, 1)
    await stage.later(timedelta(minutes=6))
    assert (third.payouts, len(await tries(stage))) == ([], 1)
    assert (await stage.row(found.payment_id)).reason.endswith("; tried at 1 of at most 1 accounts")


async def test_what_waits_for_its_next_account_is_not_sent_there_once_fewer_may_be_asked(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """And is sent there as soon as so many may be again."""
    found = await waiting_for_second(stage, bank, second)
    await most_attempts(stage, 1)
    second.float_minor = AMOUNT.minor
    await stage.later(timedelta(minutes=6))
    assert (second.payouts, len(await tries(stage)), await stage.held()) == ([], 1, AMOUNT.minor)
    why = f"{SECOND} may not be asked any more; {ACCOUNT} was asked before"
    assert (await stage.row(found.payment_id)).reason == f"{why}; tried at 1 of at most 1 accounts"
    await most_attempts(stage, 2)
    await stage.later(timedelta(minutes=6))
    assert (await stage.state(found.payment_id), len(second.payouts)) == (("completed", None), 1)


async def test_nor_where_that_is_so_only_since_it_was_looked_at(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await waiting_for_second(stage, bank, second)
    second.float_minor = AMOUNT.minor

    async def and_then_lowered(*looked_at: Any) -> Funding:  # noqa: ANN401  as of `funding_of`
        funding = await funding_of(*looked_at)
        await most_attempts(stage, 1)
        return funding

    monkeypatch.setattr("app.payments.sending.funding_of", and_then_lowered)
    await stage.later(timedelta(minutes=6))
    assert (second.payouts, len(await tries(stage))) == ([], 1)
    assert (await stage.row(found.payment_id)).reason == f"{SECOND} may not be asked any more"


async def test_what_waits_for_an_account_that_has_left_the_order_goes_to_who_stands_there_now(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    found = await waiting_for_second(stage, bank, second)
    second.float_minor = AMOUNT.minor
    await order_out(stage, ACCOUNT, THIRD)
    await stage.later(timedelta(minutes=6))
    assert (second.payouts, [one.account for one in await tries(stage)]) == ([], [ACCOUNT, THIRD])
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_who_is_behind_so_many_is_not_asked_though_the_second_has_too_little(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    await with_accounts(stage, THIRD)
    await order_out(stage, ACCOUNT, SECOND, THIRD)
    await most_attempts(stage, 2)
    bank.float_minor = second.float_minor = 0
    found = await sent(stage)
    why = f"the provider account {ACCOUNT} holds 0.00 KZT, 1500.00 KZT is needed; {SECOND} holds 0.00 KZT"
    await is_held(stage, found, f"{why}; behind the first 2: {THIRD}")
    assert third.payouts == []


async def test_a_method_that_is_offered_no_more_has_no_other_account(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    found = await stage.withdraw()
    out = methods.Direction.PAYOUT
    async with stage.database.transaction() as tx:
        await methods.switch_method(tx, stage.site_id, "e_wallet", "KZT", enabled=False, direction=out)
    bank.float_minor = 0
    await stage.work()
    why = f"the provider account {ACCOUNT} holds 0.00 KZT, 1500.00 KZT is needed"
    await is_held(stage, found, f"{why}; the method is offered no more")
    assert second.payouts == []


async def test_where_anybody_has_said_paid_no_other_account_is_found_for_it(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    """Asked of the rule itself: sending looks at this once more, and calls people."""
    payment_id = (await waiting_for_second(stage, bank, second)).payment_id

    async def found_for_it() -> Funding:
        async with stage.database.reading() as reader:
            found = await payout(reader, stage.site_id, payment_id)
            legs, known = await legs_of(reader, found), await attempts_of(reader, found)
            own = await switched_on(reader, stage.site_id, [SECOND])
        return await funding_of(stage.pipes, found, own, legs, known)

    assert (await found_for_it()).instead == {1: THIRD}
    [first] = await tries(stage)
    await stage.store_notice(bank.fact(first.attempt_id))
    await stage.work()
    funding = await found_for_it()
    assert (funding.instead, third.payouts) == ({}, [])
    assert funding.short.endswith(f"; {ACCOUNT} said before that it was paid")


async def test_an_account_that_is_switched_off_is_no_way_out(stage: Stage, bank: Bank, second: Bank) -> None:
    await switch_off(stage, SECOND)
    bank.float_minor = 0
    found = await sent(stage)
    why = f"the provider account {ACCOUNT} holds 0.00 KZT, 1500.00 KZT is needed"
    await is_held(stage, found, f"{why}; switched off: {SECOND}")
    assert second.payouts == []


async def test_what_is_switched_off_while_it_is_asked_is_none_either(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.float_minor = 0

    async def going(_: HttpClient, __: providers.ProviderAccount, currency: str) -> Money:
        await switch_off(stage, SECOND)
        return Money(FUNDS, currency)

    monkeypatch.setattr(second, "balance", going)
    found = await sent(stage)
    assert (second.payouts, await tries(stage)) == ([], [])
    now = await stage.row(found.payment_id)
    assert (now.sub_status, now.reason.endswith(f"; {SECOND} may not be asked any more")) == (
        "approved",
        True,
    )


async def test_nothing_goes_where_nobody_said_what_is_there(stage: Stage, bank: Bank, second: Bank) -> None:
    """Who is as good as down would leave a doubt, which keeps the money from every other account."""
    bank.float_minor, second.float_minor = 0, None
    found = await sent(stage)
    assert second.payouts == []
    assert (await stage.row(found.payment_id)).reason.endswith(f"; {SECOND} does not say")


async def test_a_provider_that_never_tells_is_taken_to_have_enough(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.float_minor, second.caps = 0, second.caps & ~providers.Cap.BALANCE
    assert ((await sent(stage)).sub_status, len(second.payouts)) == ("completed", 1)


async def test_after_the_second_refuses_the_first_may_be_asked_still(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    bank.float_minor, second.manners = 0, ["accepts"]
    found = await sent(stage)
    bank.float_minor = AMOUNT.minor
    [one] = await tries(stage)
    second.book[one.attempt_id].state = providers.State.FAILED
    await stage.store_notice(second.fact(one.attempt_id, "failed", code="91"), account=SECOND)
    await stage.work()
    assert [one.account for one in await tries(stage)] == [SECOND, ACCOUNT]
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_what_one_refused_goes_past_another_that_has_too_little(
    stage: Stage, bank: Bank, second: Bank, third: Bank
) -> None:
    await with_accounts(stage, THIRD)
    await order_out(stage, ACCOUNT, SECOND, THIRD)
    bank.manners, second.float_minor = ["declines"], 0
    assert (await sent(stage)).sub_status == "completed"
    assert [one.account for one in await tries(stage)] == [ACCOUNT, THIRD]


async def test_what_others_have_taken_out_since_is_known_at_once(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    """Another process, another site, the provider's fees: no balance of a moment ago has them."""
    await order_out(stage, ACCOUNT)
    bank.float_minor = 3 * AMOUNT.minor
    assert (await sent(stage)).sub_status == "completed"
    bank.float_minor = AMOUNT.minor - 1
    assert ((await sent(stage)).sub_status, len(bank.payouts)) == ("approved", 1)


class Died(BaseException):
    """The process is gone."""


async def test_who_dies_before_sending_it_elsewhere_asks_there_and_sends_nothing_anew(
    stage: Stage, bank: Bank, second: Bank
) -> None:
    async def dies(_: providers.PayoutOrder) -> None:
        raise Died

    bank.float_minor, second.before = 0, dies
    with pytest.raises(Died):
        await sent(stage)
    second.payouts.clear()  # it never got there
    second.before = None
    bank.float_minor = FUNDS
    [part] = await parts(stage)
    assert (part.state, part.account) == ("submitted", SECOND)
    await stage.later(timedelta(minutes=1))
    [only] = await tries(stage)
    assert ("status", only.attempt_id) in second.asked
    assert (bank.payouts, bank.asked, second.payouts) == ([], [], [])


# Of a withdrawal in two parts: what is asked for, what each account holds, and where each part is paid.
HOLDINGS = {
    "the first has the larger": (AMOUNT.minor, PART, REST, [ACCOUNT, SECOND]),
    "the first has the smaller": (AMOUNT.minor, REST, PART, [SECOND, ACCOUNT]),
    "the second has all": (AMOUNT.minor, 0, AMOUNT.minor, [SECOND, SECOND]),
    "the larger stands behind": (3 * PART, 2 * PART, PART, [SECOND, ACCOUNT]),
    "together not enough": (AMOUNT.minor, PART - 1, REST, None),
    "enough, but in the wrong pieces": (AMOUNT.minor, REST - 1, PART + 1, None),
}


@pytest.mark.parametrize("what", HOLDINGS)
async def test_each_part_goes_where_it_can_be_paid_or_none_goes(
    stage: Stage, bank: Bank, second: Bank, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await in_two_parts(stage, monkeypatch)
    minor, bank.float_minor, second.float_minor, where = HOLDINGS[what]
    found = await sent(stage, minor=minor)
    if where is None:
        assert (await tries(stage), await stage.held()) == ([], minor)
        return
    assert (found.sub_status, [part.account for part in await parts(stage)]) == ("completed", where)
    assert len(await tries(stage)) == 2
    for its, held in ((bank, bank.float_minor), (second, second.float_minor)):
        assert sum(one.amount.minor for one in its.payouts) <= (held or 0)
