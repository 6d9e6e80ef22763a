"""Another sum went out than was ordered: two people accept it, once, and the player's money follows."""

import pytest

from app import payments
from app.kernel.money import Money
from app.payments.cases import CaseClosed
from app.payments.resolutions import ResolutionImpossible
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
from tests.payments.world import State, just, paid


async def conflicted_payout(desk: Desk, minor: int) -> str:
    """A withdrawal of 1,000 tenge of which the bank says that it paid another sum."""
    payout = await unknown_payout(desk)
    desk.provider.statuses = [paid("bank-1", kzt(minor))]
    await desk.carry_on(payout)
    assert (await desk.found(payout)).sub_status.value == "conflicted"
    return payout


async def told_sums(desk: Desk, number: int) -> list[tuple[int, int, int, int]]:
    """Type, status, amount and real amount of what the merchant is told of a transaction."""
    rows = await desk.world.rows(
        "SELECT fields FROM webhook WHERE (fields->>'transaction_id')::bigint = :n ORDER BY sequence",
        n=number,
    )
    names = ("type_id", "status_id", "amount", "real_amount")
    return [tuple(row.fields[name] for name in names) for row in rows]


# What went of 1,000 tenge, where 500 are left beside them; and what is there then.
SUMS = {
    60_000: (["hold.capture", "hold.release"], {"player_cash": 90_000}),
    120_000: (["hold.capture", "payout.from_cash"], {"player_cash": 30_000}),
    200_000: (["hold.capture", "payout.from_cash", "payout.from_debt"], {"player_debt": -50_000}),
}


@pytest.mark.parametrize("minor", SUMS)
async def test_of_a_withdrawal_counts_what_really_went(desk: Desk, minor: int) -> None:
    payout = await conflicted_payout(desk, minor)
    its = await only(desk)
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(minor))
    now_is = await desk.found(payout)
    assert (now_is.sub_status.value, now_is.captured, now_is.attention) == ("completed", kzt(minor), None)
    kinds, left = SUMS[minor]
    assert (await desk.kinds(payout))[1:] == kinds
    clearing = {"provider_clearing": minor - 150_000} if minor != 150_000 else {}
    assert await desk.balances() == clearing | left
    assert await told_sums(desk, now_is.number) == [(11, 24, 100_000, minor)]
    [leg] = await desk.world.rows("SELECT state, provider_reference, captured_minor FROM payout_leg")
    assert tuple(leg) == ("completed", "bank-1", minor)
    await desk.carry_on(payout)  # the bank says the same again
    assert (await open_cases(desk), (await desk.found(payout)).captured) == ([], kzt(minor))


@pytest.mark.parametrize("minor", SUMS)
async def test_and_comes_back_whole(desk: Desk, minor: int) -> None:
    payout = await conflicted_payout(desk, minor)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(minor))
    desk.provider.statuses = [just(State.RETURNED)]
    await desk.carry_on(payout)
    now_is = await desk.found(payout)
    assert (now_is.sub_status.value, now_is.refunded) == ("returned", kzt(minor))
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}


async def test_of_one_that_was_released_it_is_taken(desk: Desk) -> None:
    payout = await unknown_payout(desk)
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(payout)
    desk.provider.statuses = [paid("bank-1", kzt(60_000))]
    await desk.carry_on(payout)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(60_000))
    assert (await desk.kinds(payout))[1:] == ["hold.release", "payout.from_cash"]
    assert await desk.balances() == {"provider_clearing": -90_000, "player_cash": 90_000}


async def test_in_seamless_mode_it_is_the_merchants(seamless: Desk) -> None:
    payout = await conflicted_payout(seamless, 60_000)
    await resolve(seamless, (await only(seamless)).case_id, R.ACCEPTED, amount=kzt(60_000))
    assert await seamless.kinds(payout) == ["payout.from_merchant"]
    assert await seamless.balances() == {"provider_clearing": -90_000, "merchant_payable": 90_000}
    seamless.provider.statuses = [just(State.RETURNED)]
    await seamless.carry_on(payout)
    assert await seamless.balances() == {"provider_clearing": -150_000, "merchant_payable": 150_000}


async def test_what_cannot_be_accepted_changes_nothing(desk: Desk) -> None:
    payout = await unknown_payout(desk)
    its = await raised(desk, payout)
    with pytest.raises(ResolutionImpossible, match="it is unknown, and only what is in conflict"):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(60_000))
    await decide(desk, its.case_id, REJECT)
    desk.provider.statuses = [paid("bank-1", kzt(60_000))]
    await desk.carry_on(payout)
    before = await desk.balances()
    with pytest.raises(ResolutionImpossible, match="its own currency"):
        await propose(desk, its.case_id, R.ACCEPTED, amount=Money(60_000, "USD"))
    wrong: list[tuple[str, dict[str, object]]] = [
        ("another is another payment", {"amount": kzt(60_000), "provider_reference": "bank-2"}),
        ("name the part|nothing was sent", {"amount": kzt(60_000), "leg": 7}),
    ]
    for why, more in wrong:
        await propose(desk, its.case_id, R.ACCEPTED, **more)
        with pytest.raises(ResolutionImpossible, match=why):
            await decide(desk, its.case_id)
        await decide(desk, its.case_id, REJECT)
    assert await desk.balances() == before
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(60_000))
    with pytest.raises(CaseClosed):
        await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(60_000))
    assert (await desk.found(payout)).captured == kzt(60_000)


REFUNDS = {30_000: ["hold.capture", "hold.release"], 70_000: ["hold.capture", "refund.from_cash"]}


async def conflicted_refund(desk: Desk, minor: int, of: int = 50_000) -> tuple[str, payments.Payment]:
    """A refund of 500 tenge of which the bank says that it gave back another sum."""
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(minor))]
    sent = await desk.sent(deposit, of)
    assert sent.sub_status.value == "conflicted"
    return deposit, sent


@pytest.mark.parametrize("minor", REFUNDS)
async def test_of_a_refund_counts_what_really_went_back(desk: Desk, minor: int) -> None:
    deposit, sent = await conflicted_refund(desk, minor)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(minor))
    now_is = await desk.found(sent.payment_id)
    assert (now_is.sub_status.value, now_is.captured) == ("completed", kzt(minor))
    assert (await desk.kinds(sent.payment_id))[1:] == REFUNDS[minor]
    assert await desk.figures(deposit) == (150_000, 0, minor, 0)
    left = 150_000 - minor
    assert await desk.balances() == {"provider_clearing": -left, "player_cash": left}
    assert await told_sums(desk, now_is.number) == [(5, 24, 50_000, minor)]
    # It fails at the player's bank after all, as two people say: what had gone is here again.
    desk.provider.statuses = [just(State.FAILED)]
    await desk.carry_on(sent.payment_id)
    await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
    assert (await desk.found(sent.payment_id)).sub_status.value == "declined"
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)
    assert await desk.balances() == {"provider_clearing": -150_000, "player_cash": 150_000}


async def test_all_that_there_was_is_refunded_by_it(desk: Desk) -> None:
    deposit, _ = await conflicted_refund(desk, 150_000)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(150_000))
    assert (await desk.found(deposit)).sub_status.value == "refunded"
    assert await desk.balances() == {}


async def test_never_more_goes_back_than_came(desk: Desk) -> None:
    deposit, sent = await conflicted_refund(desk, 150_001, of=150_000)
    with pytest.raises(ResolutionImpossible, match="so much cannot go back"):
        await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(150_001))
    assert (await desk.found(sent.payment_id)).sub_status.value == "conflicted"
    assert await desk.figures(deposit) == (150_000, 150_000, 0, 0)


async def test_of_one_that_was_let_go_it_is_taken_too(desk: Desk) -> None:
    await let_go_and_accepted(desk)
    assert await desk.balances() == {"provider_clearing": -90_000, "player_cash": 90_000}


async def test_or_from_the_merchant(seamless: Desk) -> None:
    await let_go_and_accepted(seamless)
    assert await seamless.balances() == {"provider_clearing": -90_000, "merchant_payable": 90_000}


async def let_go_and_accepted(desk: Desk) -> None:
    """A refund is declined, then another sum went back after all, and two people accept it."""
    deposit = await desk.deposit()
    desk.provider.answers = [just(State.FAILED)]
    declined = await desk.sent(deposit, 50_000)
    desk.provider.statuses = [paid("back-1", kzt(60_000))]
    await desk.carry_on(declined.payment_id)
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(60_000))
    assert await desk.figures(deposit) == (150_000, 0, 60_000, 0)
